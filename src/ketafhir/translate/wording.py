"""An Observation like a known one: made again with what is its own, or written as text from the text of the known one.

To make the objects of an entry and to encode them takes longer than to read what it tells. Who looks into the Bundle gets
the objects still (`fhir.writer.Written`).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any

from ketafhir.fhir.writer import decimal_text, text_of
from ketafhir.mapping.paths import Json
from ketafhir.patterns import pattern

Own = tuple[str, str, Json, Json | None, tuple[Decimal, ...]]
"""What no two share: id, time, the references to patient and visit, and the numbers (of a blood pressure, of its parts)."""

# Noncharacters of Unicode: they hardly stand in a text, and JSON does not escape them.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_GAP = pattern(f'{_OPEN}(\\d+){_CLOSE}|"{_CLOSE}(\\d+){_OPEN}"')  # in a text; in place of a number


class Wording:
    """The text of the entry of a resource like `json`, with gaps for what is its own."""

    __slots__ = ("_choose", "_json", "_parts")

    def __init__(self, json: Json, between: list[str], gaps: list[int]) -> None:
        self._json = json
        self._parts, self._choose = [*chain.from_iterable((one, "") for one in between)][:-1], itemgetter(*gaps)

    def fill(self, own: Own) -> str:
        """The text with this in its gaps: nothing of it has a character that JSON escapes."""
        own_id, at, patient, visit, numbers = own
        texts = own_id, at, patient["reference"], visit["reference"] if visit else "", *map(decimal_text, numbers)
        parts = self._parts.copy()
        parts[1::2] = self._choose(texts)
        return "".join(parts)

    def entry(self, own: Own) -> Json:
        """What `fill` gives the text of."""
        return entry_of(self._json, own)


def again(json: Json, own: Own) -> Json:
    """A resource with the id, the time, the references and the numbers of its own. Raises KeyError where it has no number."""
    own_id, at, patient, visit, numbers = own
    made = json.copy()
    made["id"] = own_id
    made["effectiveDateTime"] = at
    made["subject"] = patient
    if visit is not None:
        made["encounter"] = visit
    if "component" not in json:
        made["valueQuantity"] = {**json["valueQuantity"], "value": numbers[0]}
        return made
    components = json["component"]
    made["component"] = [
        {**one, "valueQuantity": {**one["valueQuantity"], "value": number}}
        for one, number in zip(components, numbers, strict=False)
    ]
    made["component"] += components[len(numbers) :]  # the half that was not told
    return made


def entry_of(json: Json, own: Own) -> Json:
    """The entry of what `again` makes, as `Entries.put_ours` makes it."""
    request = {"method": "PUT", "url": f"{json['resourceType']}/{own[0]}"}
    return {"fullUrl": "urn:uuid:" + own[0], "resource": again(json, own), "request": request}


def wording_of(json: Json, own: Own) -> Wording | None:
    """The wording of the entries of resources like this one; None where it would not give this one."""
    numbers: Any = tuple(f"{_CLOSE}{at}{_OPEN}" for at in range(4, 4 + len(own[4])))
    patient, visit = {"reference": f"{_OPEN}2{_CLOSE}"}, {"reference": f"{_OPEN}3{_CLOSE}"}
    marked = f"{_OPEN}0{_CLOSE}", f"{_OPEN}1{_CLOSE}", patient, visit if own[3] else None, numbers
    parts = _GAP.split(text_of(entry_of(json, marked)))
    wording = Wording(
        json, parts[::3], [int(one or other) for one, other in zip(parts[1::3], parts[2::3], strict=True)]
    )
    return wording if wording.fill(own) == text_of(entry_of(json, own)) else None
