"""The OBR that results are told under, with what stands around it: shared by reports, filled forms and decisions."""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.groups import Order as Group
from ketafhir.mapping.codecs.identifiers import SENDER
from ketafhir.mapping.engine import Preserved, put_back
from ketafhir.mapping.paths import Json
from ketafhir.therapy.values import Coded, Identifier, Time
from ketafhir.translate.composing import Composing
from ketafhir.translate.observed import NOTE, code_key, moment
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking

_AFTER_RESULTS = ("FT1", "CTI", "SPM")


def scope_of(placer: Identifier | None, filler: Identifier | None, patient: str) -> str:
    """What the identities under a heading are made of: OBR-3, else OBR-2, else the patient.

    A number that came without authority (`1`) may be another patient's tomorrow: it counts with the patient.
    """
    number = filler or placer
    if number is None:
        return patient
    return f"{patient}|{number.key}" if number.system.startswith(SENDER) else number.key


def key_of(scope: str, code: Coded | None, start: Time | None) -> str:
    """The identity of a report, filled form or decision: OBR-3/-2, OBR-4 and OBR-7."""
    return f"{scope}|{code_key(code)}|{moment(start)}"


def unused(key: str, known: dict[str, Any]) -> str:
    """The key, numbered where another record of this message has it already."""
    number, found = 2, key
    while found in known:
        found, number = f"{key}|#{number}", number + 1
    return found


def read(reading: Reading, group: Group, table: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of the OBR, with all that stands around it preserved; and the notes below it."""
    assert group.obr is not None  # the walker refuses a result without OBR
    values = reading.read(group.obr, table)
    reading.nulls()
    kept: Preserved = values.pop("preserved", ())
    numbers: dict[str, int] = {}
    around = [group.orc] if group.orc else []
    around += [*group.timings, *(prt for _, prt in group.participations), *group.others]
    for segment in around:
        numbers[segment.name] = numbers.get(segment.name, 0) + 1
        kept += reading.keep(segment, numbers[segment.name], table.partition("_to_")[2])
    values["preserved"] = kept
    return values, note_texts([nte for _, nte in group.notes], reading)


def note_extensions(notes: tuple[str, ...]) -> list[Json]:
    """Notes where FHIR has no element for them."""
    return [{"url": NOTE, "valueString": text} for text in notes]


def read_notes(element: Json) -> tuple[str, ...]:
    """Notes from where `note_extensions` put them."""
    listed = element.get("extension", ())
    return tuple(str(one.get("valueString", "")) for one in listed if one.get("url") == NOTE)


def numbers(taking: Taking, resource: Json, values: dict[str, Any]) -> None:
    """Placer and filler of a resource from elsewhere: its first identifier, whatever its type, is the filler's."""
    if values.get("placer") is None and values.get("filler") is None:
        found = taking.identifiers(resource)
        if found:
            values["filler"] = Identifier(found[0].value, found[0].system, authority=found[0].authority)


def compose(composing: Composing, number: int, record: Any, table: str, notes: tuple[str, ...]) -> None:
    """ORC, OBR, NTE and what was preserved around them. `compose_rest` follows the results."""
    orc: dict[int, str] = {}
    put_back(orc, "ORC", record.preserved)
    if orc:
        composing.add("ORC", orc)
    composing.add("OBR", {1: str(number), **composing.cells(record, table)})
    composing.notes(notes)
    composing.used.append(record)
    for name in _segments(record.preserved):
        if name not in _AFTER_RESULTS:
            composing.add_preserved(name, record.preserved)


def compose_rest(composing: Composing, preserved: Preserved) -> None:
    """The segments of an OBR that stand below its results."""
    for name in _segments(preserved):
        if name in _AFTER_RESULTS:
            composing.add_preserved(name, preserved)


def _segments(preserved: Preserved) -> list[str]:
    names = dict.fromkeys(place[:3] for place, _ in preserved)
    return [name for name in names if name not in ("ORC", "OBR", "OBX")]
