"""Observation resources that differ from an earlier one in id, number and time only.

A monitor says the same things again and again. What its resources have in common is made once, by the tables and
`observed`, and shared by all that follow: a resource is never changed in depth once it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ketafhir.mapping.codecs.numbers import quantity_json
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Quantity
from ketafhir.translate.observed import COMPONENT, OBX, resource_of
from ketafhir.translate.writing import Writing

_OBJECTS = attrgetter("code", "interpretation", "performers", "method", "device", "site")
_TEXTS = attrgetter("sub_id", "reference_range", "status", "patient", "visit")
_RARE = attrgetter("analysed", "identifier", "derived", "part_of", "response", "notes")
_NOTHING = (None, None, False, "", "", ())
_OF_VALUE = frozenset(("value", "code", "interpretation", "reference_range"))
_DOMAINS = _OF_VALUE | {
    "performers", "method", "device", "site", "sub_id", "status", "effective", "analysed", "identifier",
}  # fmt: skip


class Repeats:
    """The Observations of one Bundle. Where a site's tables map more than is compared here, each is made anew."""

    __slots__ = ("_usable", "_usable_parts", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._usable = writing.tables.mapping(OBX).domains <= _DOMAINS
        self._usable_parts = writing.tables.mapping(COMPONENT).domains <= _OF_VALUE

    def resource(self, record: Observation, key: str) -> Json:
        """As `observed.resource_of`."""
        value = record.value
        if not (type(value) is Quantity and self._usable and _is_plain(record)):
            return resource_of(self._writing, record, key)
        writing, objects = self._writing, _OBJECTS(record)
        alike = (OBX, value.unit, value.display, value.comparator, *self._surroundings(record, objects))
        known = writing.c.read.get(alike)
        if known is not None:
            for kind, one in known[1]:
                writing.link(kind, one)
            return _again(writing, known[0], record, key)
        return writing.repeated(
            alike,
            objects,
            lambda: resource_of(writing, record, key),
            lambda json: _again(writing, json, record, key),
        )

    def panel(self, lead: Observation, make: Callable[[], Json]) -> Json:
        """What `make` makes of the panel that `lead` is the first part of, without its components."""
        if not (self._usable and _is_plain(lead)):
            return make()
        writing, objects = self._writing, _OBJECTS(lead)
        alike = ("panel", *self._surroundings(lead, objects))
        return writing.repeated(alike, objects, make, lambda json: _again(writing, json, lead, lead.panel))

    def _surroundings(self, record: Observation, objects: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a resource depends on beside its id, number and time."""
        writing = self._writing
        return writing.source, record.visit in writing.records.visits, *map(id, objects), *_TEXTS(record)

    def component(self, part: Observation, make: Callable[[], Json]) -> Json:
        """What `make` makes of one part of a panel: its code, value, interpretation and range."""
        value = part.value
        if type(value) is not Quantity or not self._usable_parts:
            return make()
        objects = (part.code, part.interpretation)
        alike = (COMPONENT, *map(id, objects), part.reference_range, value.unit, value.display, value.comparator)
        return self._writing.repeated(
            alike, objects, make, lambda json: {**json, "valueQuantity": quantity_json(value)}
        )


def _is_plain(record: Observation) -> bool:
    return record.effective is not None and not record.effective.sent and _RARE(record) == _NOTHING


def _again(writing: Writing, json: Json, record: Observation, key: str) -> Json:
    """A resource with the id, number and time of this record."""
    assert record.effective is not None
    again = json.copy()
    again["id"] = writing.id_of("Observation", key)
    if "valueQuantity" in json:
        assert isinstance(record.value, Quantity)
        again["valueQuantity"] = quantity_json(record.value)
    again["effectiveDateTime"] = record.effective.iso
    return again
