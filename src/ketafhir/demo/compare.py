"""RXA by RXA: what comes back from FHIR against the last state sent under each key (HL7 v2 chapter 4A)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ketafhir.demo.checks import Difference
from ketafhir.hl7v2 import er7
from ketafhir.mapping import codes
from ketafhir.mapping.tables import Tables

TABLES = ("RXA_to_MedicationAdministration", "RXA_to_Medication")
NULL = '""'
_END, _UNITS, _ACTION = 4, (7, 14), 21
_CODED = (5, 8, 9, 17, 18, 19)


class Key(NamedTuple):
    """What tells one RXA from another: its order (ORC-2, ORC-3) and its counters (RXA-1, RXA-2)."""

    placer: str
    filler: str
    give: str
    administration: str

    def __str__(self) -> str:
        return f"{self.filler or self.placer} RXA {self.give}/{self.administration}"


@dataclass(slots=True)
class Comparison:
    """How many RXA were compared, what differs, and which declared loss was met how often."""

    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)


def last_states(messages: Iterable[er7.Message]) -> dict[Key, list[str]]:
    """The fields of the last RXA under each key, in the order the messages were sent."""
    found: dict[Key, list[str]] = {}
    for message in messages:
        orc: er7.Segment | None = None
        for segment in message.segments:
            if segment.name == "ORC":
                orc = segment
            elif segment.name == "RXA" and orc is not None:
                key = Key(orc.get(2), orc.get(3), segment.get(1), segment.get(2))
                found[key] = list(segment.fields)
    return found


def compare(name: str, sent: list[er7.Message], back: list[er7.Message], tables: Tables) -> Comparison:
    """The RXA sent and those that came back; what no row of the tables declares as a loss is a difference."""
    result = Comparison()
    ours, theirs = last_states(sent), last_states(back)
    for key in dict.fromkeys((*ours, *theirs)):
        result.compared += 1
        if key not in ours or key not in theirs:
            there = ("none", "one") if key not in ours else ("one", "none")
            result.differences.append(Difference(f"{name} {key}", there[0], there[1]))
            continue
        _fields(name, key, ours[key], theirs[key], tables, result)
    return result


def _fields(name: str, key: Key, sent: list[str], back: list[str], tables: Tables, result: Comparison) -> None:
    for number in range(1, max(len(sent), len(back))):
        before, after = _at(sent, number), _at(back, number)
        if before == after:
            continue
        if _normal(number, before, sent) == _normal(number, after, back):
            result.losses[f"RXA-{number}: {_declared(number, tables)}"] += 1
        else:
            result.differences.append(Difference(f"{name} {key} RXA-{number}", before or "empty", after or "empty"))


def _at(fields: list[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""


def _normal(number: int, text: str, fields: list[str]) -> str:
    """The field with everything taken out that the tables declare as lost."""
    if number == _END:
        return NULL if text in ("", NULL, _at(fields, 3)) else text
    if number in _UNITS:
        return _unit(text)
    if number == _ACTION:
        return "A" if text in ("U", "X", "") else text
    if number in _CODED:
        return "~".join(_coded(one) for one in text.split("~"))
    return text


def _unit(text: str) -> str:
    """Code and system of a unit: its name comes back as written in UCUM."""
    parts = [*text.split("^"), "", ""]
    return f"{parts[0]}^{parts[2]}"


def _coded(text: str) -> str:
    """A coded element with the one name of each coding system (table 0396) that the project writes."""
    parts = text.split("^")
    for place in (2, 5):
        if place < len(parts):
            parts[place] = codes.v2_name(codes.system_uri(parts[place]))
    return "^".join(parts)


def _declared(number: int, tables: Tables) -> str:
    """What the row of the table says is lost in this field; the name of the coding system is lost in any."""
    rows = [row for name in TABLES for row in tables.table(name).rows]
    told = [row.loss for row in rows if row.loss and any(cell.field == number for cell in row.cells)]
    return told[0] if told else "the coding system comes back under its preferred name (mappings/systems.csv)"


def last_results(messages: Iterable[er7.Message]) -> dict[tuple[str, ...], str]:
    """OBX-5 of each result told under an OBR, by OBR-3, OBX-3, OBX-4 and OBX-14: the last state sent."""
    found: dict[tuple[str, ...], str] = {}
    for message in messages:
        heading: er7.Segment | None = None
        for segment in message.segments:
            if segment.name in ("ORC", "OBR"):
                heading = segment if segment.name == "OBR" else None
            elif segment.name == "OBX" and heading is not None:
                code = segment.get(3).partition("^")[0]
                found[heading.get(3), code, segment.get(4), segment.get(14)] = segment.get(5)
    return found


def compare_results(name: str, sent: list[er7.Message], back: list[er7.Message]) -> Comparison:
    """The results of reports sent and those that came back, value by value."""
    result = Comparison()
    ours, theirs = last_results(sent), last_results(back)
    for key in dict.fromkeys((*ours, *theirs)):
        result.compared += 1
        before, after = ours.get(key), theirs.get(key)
        if before != after:
            where = f"{name} {key[0].partition('^')[0]} OBX {key[1]}"
            result.differences.append(Difference(where, before or "none", after or "none"))
    return result
