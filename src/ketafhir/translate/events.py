"""Events that make no child: an RXA that only ends what runs, a look at the rate. They are kept on the whole infusion.

Each stands there as preserved fields of an RXA (the second as `RXA[2]`), with its RXR, NTE and action, written as the standard
tables write them: so it comes back in the way of writing of whatever site it goes to.
"""

from __future__ import annotations

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.codecs.base import escape, unescape
from ketafhir.mapping.codecs.coded import concept_json, read_concept, read_cwe, write_cwe
from ketafhir.mapping.context import Context
from ketafhir.mapping.engine import Preserved, put_back
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.records import Administration
from ketafhir.therapy.values import Event

RXA, MEDICATION = "RXA_to_MedicationAdministration", "RXA_to_Medication"
RXR, OBX = "RXR_to_MedicationAdministration", "OBX_to_MedicationAdministration"


def _standard() -> Tables:
    from ketafhir.translate.settings import default

    return default().tables


def kept(act: Administration, c: Context, number: int) -> Preserved:
    """The fields of one event, the `number`-th of its infusion."""
    tables = _standard()
    found: list[tuple[str, int, str]] = []
    for name, cells in (
        ("RXA", tables.mapping(RXA, MEDICATION).to_v2(act, c)),
        ("RXR", tables.mapping(RXR).to_v2(act, c)),
    ):
        found += [(name, at, text) for at, text in sorted(cells.items())]
    if act.notes:
        found.append(("NTE", 3, "~".join(escape(text) for text in act.notes)))
    if act.event is not None:
        found.append(("OBX", 5, _action(act.event, tables, c)))
    place = f"[{number}]" if number > 1 else ""
    return tuple((f"{name}{place}-{at}", text) for name, at, text in found)


def take(preserved: Preserved, c: Context, number: int) -> Administration | None:
    """The `number`-th event that was kept so, without the numbers of its order; None where there are no more."""
    tables = _standard()
    cells = _cells(preserved, "RXA", number)
    if not cells:
        return None
    values = tables.mapping(RXA, MEDICATION).from_v2(_segment("RXA", cells, number), c)
    route = tables.mapping(RXR).from_v2(_segment("RXR", _cells(preserved, "RXR", number), number), c)
    act = Administration(**{**route, **values})
    act.preserved = tuple(c.preserved)
    c.preserved.clear()
    c.nulls.clear()
    c.segment = None
    notes = _cells(preserved, "NTE", number).get(3, "")
    act.notes = tuple(unescape(text) for text in notes.split("~") if text)
    action = _cells(preserved, "OBX", number).get(5)
    if action:
        act.event = _event(action, tables, c)
    return act


def _cells(preserved: Preserved, name: str, number: int) -> dict[int, str]:
    cells: dict[int, str] = {}
    put_back(cells, name, preserved, number)
    return cells


def _segment(name: str, cells: dict[int, str], number: int) -> Segment:
    return Segment(name, [name, *(cells.get(at, "") for at in range(1, max(cells, default=0) + 1))], 0, number)


def _action(event: Event, tables: Tables, c: Context) -> str:
    """Our code and the word of the eMAR in one CWE."""
    row = next(row for row in tables.table(OBX).rows if row.domain == "event")
    assert row.codec is not None
    told = read_concept(row.codec.to_fhir(c, event))
    assert told is not None
    return write_cwe(told)


def _event(text: str, tables: Tables, c: Context) -> Event | None:
    row = next(row for row in tables.table(OBX).rows if row.domain == "event")
    assert row.codec is not None
    told = read_cwe(text, c)
    found: Event | None = row.codec.from_fhir(c, concept_json(told)) if told else None
    return found
