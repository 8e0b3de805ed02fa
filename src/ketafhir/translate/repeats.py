"""Observation resources that differ from an earlier one in id, number, time, patient and visit only.

A monitor says the same things again and again. What its resources have in common is made once, by the tables and
`observed`, and shared by all that follow: a resource is never changed in depth once it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

from ketafhir.fhir.writer import Written
from ketafhir.mapping.engine import Mapping, Preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Quantity
from ketafhir.translate.instruments import of_result
from ketafhir.translate.observed import COMPONENT, OBX, resource_of
from ketafhir.translate.scores import interpret
from ketafhir.translate.wording import Own, again, wording_of
from ketafhir.translate.writing import Known, Writing

_OBJECTS = attrgetter("code", "interpretation", "performers", "method", "device", "site")
_TEXTS = attrgetter("sub_id", "reference_range", "status", "value.unit", "value.display", "value.comparator")
_RARE = attrgetter("analysed", "identifier", "derived", "part_of", "response", "notes")
_DAY = len("2026-01-05")  # a time that is told less exactly may be too little for the profile
_NOTHING = (None, None, False, "", "", ())
_OF_VALUE = frozenset(("value", "code", "interpretation", "reference_range"))
_DOMAINS = _OF_VALUE.union((
    "performers", "method", "device", "site", "sub_id", "status", "effective", "analysed", "identifier",
))  # fmt: skip


class Repeats:
    """The Observations of one Bundle. Where a site's tables map more than is compared here, each is made anew.

    `as_text`: of what is like a known one the entry comes as text, made from its wording, and no object is made.
    """

    __slots__ = ("_about", "_as_text", "_templates", "_usable", "_usable_parts", "_writing")

    def __init__(self, writing: Writing, *, as_text: bool = False) -> None:
        self._writing, self._as_text = writing, as_text
        self._about: dict[tuple[str, str], tuple[Json, Json | None]] = {}
        self._usable = _are_among(writing.tables.mapping(OBX), _DOMAINS)
        self._templates = writing.templates if self._usable else {}
        self._usable_parts = self._usable and _are_among(writing.tables.mapping(COMPONENT), _OF_VALUE)

    def resource(self, record: Observation, own_id: str) -> Json | Written:
        """As `observed.resource_of`, with what follows from a score; or the entry as text."""
        writing, key = self._writing, record.key
        template = self._templates.get(key)
        if template is None and not (self._usable and _is_plain(record)):
            return interpret(writing, record, resource_of(writing, record, key))
        patient, visit = self._about.get((record.patient, record.visit)) or self._whom(record)
        if template is not None:
            objects: tuple[Any, ...] = (template,)
            alike: tuple[Any, ...] = (OBX, writing.source, visit is None, id(template))
        else:
            objects = _OBJECTS(record)
            alike = (OBX, writing.source, visit is None, *map(id, objects), *_TEXTS(record))
        numbers = (record.value.value,)  # type: ignore[union-attr]  # `_is_plain`
        own = own_id, record.effective.iso, patient, visit, numbers  # type: ignore[union-attr]
        known = writing.known(alike)
        if known is not None:
            return self._repeated(known, own, record.preserved)
        if template is None and of_result(record.code) is not None:  # what follows from it depends on the number
            return interpret(writing, record, resource_of(writing, record, key))
        return writing.learn(alike, objects, lambda: resource_of(writing, record, key), again, own)

    def _whom(self, record: Observation) -> tuple[Json, Json | None]:
        """The references to patient and visit, which most of a Bundle share."""
        found = self._writing.patient(record.patient), self._writing.visit(record.visit)
        self._about[record.patient, record.visit] = found
        return found

    def panel(self, parts: list[Observation], make: Callable[[], Json]) -> Json | Written:
        """What `make` makes of the blood pressure of these parts, which stand in the order of its components; or the entry as
        text.
        """
        writing, lead = self._writing, parts[0]
        at = lead.effective
        if not self._usable_parts:
            return make()
        patient, visit = self._about.get((lead.patient, lead.visit)) or self._whom(lead)
        alike: list[Any] = ["panel", writing.source, visit is None]
        objects: list[Any] = []
        for part in parts:
            if part.effective is not at and part.effective != at:
                return make()
            template = self._templates.get(part.key)
            if template is not None:
                objects.append(template)
                alike.append(id(template))
                continue
            if not _is_plain(part) or part.preserved:
                return make()
            own_objects = _OBJECTS(part)
            objects += own_objects
            alike += [*map(id, own_objects), *_TEXTS(part)]
        numbers = tuple([part.value.value for part in parts])  # type: ignore[union-attr]  # `_is_plain`
        own = writing.id_of("Observation", lead.panel), at.iso, patient, visit, numbers  # type: ignore[union-attr]
        known = writing.known(tuple(alike))
        return self._repeated(known, own) if known else writing.learn(tuple(alike), objects, make, again, own)

    def _repeated(self, known: Known, own: Own, preserved: Preserved = ()) -> Json | Written:
        if not preserved and len(own[1]) >= _DAY:
            self._writing.like["urn:uuid:" + own[0]] = known
        if not self._as_text or preserved:
            return again(known.json, own)
        wording = known.wording
        if wording is None:
            wording = known.wording = wording_of(known.json, own) or False
        if not wording:
            return again(known.json, own)
        return Written(wording.fill, wording.entry, own)


@lru_cache(maxsize=64)
def _are_among(mapping: Mapping, domains: frozenset[str]) -> bool:
    """Whether the tables map nothing else."""
    return mapping.domains <= domains


def _is_plain(record: Observation) -> bool:
    """Whether a record is a number at a time, with nothing that comes but rarely."""
    time = record.effective
    return type(record.value) is Quantity and time is not None and not time.sent and _RARE(record) == _NOTHING
