"""Observation resources that differ from an earlier one in id, number, time, patient and visit only.

A monitor says the same things again and again. What its resources have in common is made once, by the tables and
`observed`, and shared by all that follow: a resource is never changed in depth once it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Quantity
from ketafhir.translate.instruments import of_result
from ketafhir.translate.observed import COMPONENT, OBX, resource_of
from ketafhir.translate.scores import interpret
from ketafhir.translate.writing import Writing

_OBJECTS = attrgetter("code", "interpretation", "performers", "method", "device", "site")
_TEXTS = attrgetter("sub_id", "reference_range", "status", "value.unit", "value.display", "value.comparator")
_RARE = attrgetter("analysed", "identifier", "derived", "part_of", "response", "notes")
_NOTHING = (None, None, False, "", "", ())
_OF_VALUE = frozenset(("value", "code", "interpretation", "reference_range"))
_DOMAINS = _OF_VALUE | {
    "performers", "method", "device", "site", "sub_id", "status", "effective", "analysed", "identifier",
}  # fmt: skip


class Repeats:
    """The Observations of one Bundle. Where a site's tables map more than is compared here, each is made anew."""

    __slots__ = ("_about", "_templates", "_usable", "_usable_parts", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._about: dict[tuple[str, str], tuple[Json, Json | None]] = {}
        self._usable = writing.tables.mapping(OBX).domains <= _DOMAINS
        self._templates = writing.templates if self._usable else {}
        self._usable_parts = self._usable and writing.tables.mapping(COMPONENT).domains <= _OF_VALUE

    def resource(self, record: Observation) -> Json:
        """As `observed.resource_of`, with what follows from a score."""
        writing, key = self._writing, record.key
        template = self._templates.get(key)
        if template is None and not (self._usable and _is_plain(record)):
            return interpret(writing, record, resource_of(writing, record, key))
        about = self._about.get((record.patient, record.visit)) or self._whom(record)
        if template is not None:
            objects: tuple[Any, ...] = (template,)
            alike: tuple[Any, ...] = (OBX, writing.source, about[1] is None, id(template))
        else:
            objects = _OBJECTS(record)
            alike = (OBX, writing.source, about[1] is None, *map(id, objects), *_TEXTS(record))
        own = record, *about
        known = writing.again(alike, _again, own, key)
        if known is not None:
            return known
        if template is None and of_result(record.code) is not None:  # what follows from it depends on the number
            return interpret(writing, record, resource_of(writing, record, key))
        return writing.learn(alike, objects, lambda: resource_of(writing, record, key), _again, own, key)

    def _whom(self, record: Observation) -> tuple[Json, Json | None]:
        """The references to patient and visit, which most of a Bundle share."""
        found = self._writing.patient(record.patient), self._writing.visit(record.visit)
        self._about[record.patient, record.visit] = found
        return found

    def panel(self, parts: list[Observation], make: Callable[[], Json]) -> Json:
        """What `make` makes of the blood pressure of these parts, which stand in the order of its components."""
        writing, lead = self._writing, parts[0]
        at = lead.effective
        if not self._usable_parts:
            return make()
        alike: list[Any] = ["panel", writing.source, writing.visit(lead.visit) is not None]
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
            own = _OBJECTS(part)
            objects += own
            alike += [*map(id, own), *_TEXTS(part)]
        return writing.repeated(tuple(alike), objects, make, _panel_again, parts, lead.panel)


def _is_plain(record: Observation) -> bool:
    """Whether a record is a number at a time, with nothing that comes but rarely."""
    time = record.effective
    return type(record.value) is Quantity and time is not None and not time.sent and _RARE(record) == _NOTHING


def _again(writing: Writing, json: Json, own: tuple[Observation, Json, Json | None], key: str) -> Json:
    """A resource with the id, number and time of this record, and these references to patient and visit."""
    record, patient, visit = own
    again = json.copy()
    again["id"] = writing.id_of("Observation", key)
    again["valueQuantity"] = {**json["valueQuantity"], "value": record.value.value}  # type: ignore[union-attr]  # `_is_plain`
    again["effectiveDateTime"] = record.effective.iso  # type: ignore[union-attr]
    again["subject"] = patient
    if visit is not None:
        again["encounter"] = visit
    return again


def _panel_again(writing: Writing, json: Json, parts: list[Observation], key: str) -> Json:
    """A blood pressure with the id, time, patient and visit of these parts, and their numbers."""
    lead, components = parts[0], json["component"]
    again = json.copy()
    again["id"] = writing.id_of("Observation", key)
    again["effectiveDateTime"] = lead.effective.iso  # type: ignore[union-attr]  # `_is_plain`
    again["subject"] = writing.patient(lead.patient)
    if "encounter" in json:
        again["encounter"] = writing.visit(lead.visit)
    again["component"] = [
        {**component, "valueQuantity": {**component["valueQuantity"], "value": part.value.value}}  # type: ignore[union-attr]
        for component, part in zip(components, parts, strict=False)
    ]
    again["component"] += components[len(parts) :]  # the half that was not told
    return again
