"""Adverse events in HL7v2: OBX of our own codes that share an OBX-4. `translate.adverse` is the FHIR side.

HL7v2 has no carrier that is sent with an infusion (PEX of chapter 7 reports to authorities), so each fact is an OBX: the term,
and its details by the order of `_DETAILS` (docs/decisions/adverse-events.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ketafhir.errors import refused
from ketafhir.hl7v2.groups import Order as Group
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.codecs.coded import of_name, read_cwe, write_cwe
from ketafhir.mapping.codes import find
from ketafhir.mapping.engine import NULL, Preserved, put_back
from ketafhir.plain import replace
from ketafhir.therapy.records import Administration, AdverseEvent
from ketafhir.therapy.values import Coded
from ketafhir.translate import headings, reports, results
from ketafhir.translate.composing import Composing
from ketafhir.translate.observed import key_of
from ketafhir.translate.reading import Reading, note_texts

OBR, OBX = "OBR_to_AdverseEvent", "OBX_to_AdverseEvent"
TERM = "keta.adverse-event"


class _Detail(NamedTuple):
    name: str
    domain: str
    kind: str


_DETAILS = (
    _Detail("keta.ctcae-grade", "grade", "NM"),
    _Detail("keta.adverse-event-transient", "transient", "CWE"),
    _Detail("keta.adverse-event-end", "end", "DTM"),
    _Detail("keta.adverse-event-detected", "detected", "DTM"),
    _Detail("keta.adverse-event-severity", "severity", "CWE"),
    _Detail("keta.adverse-event-seriousness", "seriousness", "CWE"),
    _Detail("keta.adverse-event-outcome", "outcome", "CWE"),
    _Detail("keta.adverse-event-order", "infusion", "EI"),
    _Detail("keta.adverse-event-causality", "causality", "CWE"),
    _Detail("keta.rescue-medication", "rescue", "CWE"),
    _Detail("keta.rescue-order", "rescue_order", "EI"),
)
"""The order of the OBX of one event, after its term: the second one is `OBX[2]` in what is preserved."""
GRADES = ("1", "2", "3", "4", "5")
WITHDRAWN_STATUSES = ("entered-in-error", "deleted", "cancelled", "not-asked")
_INHERITED = (11, 14, 16)  # a detail is told with the status, time and observer of its term
_CODED, _TEXT = ("CWE", "CE"), ("ST", "TX", "FT")


def may_tell(codes_told: str) -> bool:
    """Whether the OBX-3 of an OBR, as one text, may hold an adverse event: a look that costs little."""
    return codes.code(TERM).code in codes_told


def tells_events(reading: Reading, group: Group) -> bool:
    """Whether an OBR reports adverse events."""
    return any(_name(reading, result) == TERM for result in group.results)


def _name(reading: Reading, result: Result) -> str:
    """Which of our codes an OBX is told under, or ""."""
    text = result.obx.get(3)
    code = read_cwe(text, reading.c) if text else None
    names = (TERM, *(detail.name for detail in _DETAILS))
    return next((name for name in names if code and code.has(of_name(name).system, of_name(name).code)), "")


def read(reading: Reading, group: Group) -> None:
    """The events of one OBR; what else stands under it are the Observations of a report. Raises Refused."""
    values, notes = headings.read(reading, group, OBR)
    for number, text in enumerate(notes, 1):
        values["preserved"] += ((f"NTE[{number}]-1" if number > 1 else "NTE-1", str(number)),)
        values["preserved"] += ((f"NTE[{number}]-3" if number > 1 else "NTE-3", escape(text)),)
    terms, details, rest = _apart(reading, group.results)
    place = group.obr.occurrence if group.obr else 0
    for rank, term in enumerate(terms):
        _read_one(reading, place, term, details[term.obx.get(4)], rank, values)
    if rest:
        reports.read(reading, _with(group, [result for result in group.results if result in rest]))


def read_beside(reading: Reading, told: list[Result], act: Administration) -> list[Result]:
    """The events among the OBX that follow an RXA; gives the other OBX. Raises Refused.

    They are of the infusion whose order that is, and have no OBR: the way back writes one, with the start of the RXA.
    """
    if not any(_name(reading, result) == TERM for result in told):
        return told
    terms, details, rest = _apart(reading, told)
    start = act.start if act.start and act.start.has_clock else None
    heading = {
        "heading": Coded((of_name(TERM),)),
        "start": start,
        "infusion": act.placer or act.filler,
        "preserved": (),
    }
    for rank, term in enumerate(terms):
        _read_one(reading, 0, term, details[term.obx.get(4)], rank, heading)
    return [result for result in told if result in rest]


Apart = tuple[list[Result], dict[str, dict[str, Result]], list[Result]]
"""The terms, the details by OBX-4 and name, and what is neither."""


def _apart(reading: Reading, told: list[Result]) -> Apart:
    """Terms and details of one group. Raises Refused where it cannot be told whose a detail is."""
    terms: list[Result] = []
    details: dict[str, dict[str, Result]] = {}
    rest: list[Result] = []
    for result in told:
        name, sub_id = _name(reading, result), result.obx.get(4)
        known = details.setdefault(sub_id, {})
        if name == TERM:
            terms.append(result)
        elif name and name not in known:
            known[name] = result
        else:
            if name:
                reading.warn(
                    "event-detail-alone", "the adverse event has one of these already: kept as an observation",
                    result.obx, 4, sub_id, "send it once for each OBX-4",
                )  # fmt: skip
            rest.append(result)
    sub_ids = [term.obx.get(4) for term in terms]
    for sub_id, found in details.items():
        if found and sub_ids.count(sub_id) > 1:
            raise refused(
                "event-ambiguous", "several adverse events share an OBX-4 with a detail: it cannot be told whose it is",
                where=reading.message.where(next(iter(found.values())).obx, 4), value=sub_id, hl7="100",
                hint="send each adverse event with an OBX-4 of its own",
            )  # fmt: skip
        if found and sub_id not in sub_ids:
            for result in found.values():
                reading.warn(
                    "event-detail-alone", "no adverse event has this OBX-4: kept as an observation", result.obx, 4, sub_id,
                    "send the term with the same OBX-4",
                )  # fmt: skip
                rest.append(result)
    return terms, details, rest


def _with(group: Group, rest: list[Result]) -> Group:
    return Group(
        orc=group.orc, obr=group.obr, timings=group.timings, notes=group.notes, participations=group.participations,
        results=rest, others=group.others,
    )  # fmt: skip


def _read_one(
    reading: Reading, place: int, term: Result, details: dict[str, Result], rank: int, heading: dict[str, Any]
) -> None:
    said = _read_obx(reading, term, "CWE", TERM, 1)
    preserved: Preserved = heading["preserved"] + said.pop("preserved")
    notes = note_texts(term.notes, reading)
    number = 0
    for at, detail in enumerate(_DETAILS, 2):
        result = details.get(detail.name)
        if result is None:
            continue
        if _status(reading, result) in WITHDRAWN_STATUSES and _status(reading, term) not in WITHDRAWN_STATUSES:
            preserved += tuple(one for one in reading.keep(result.obx, at) if one[0] != f"OBX[{at}]-1")
        else:
            values = _read_obx(reading, result, detail.kind, detail.name, at, term)
            preserved += values.pop("preserved")
            if detail.domain in values:
                said[detail.domain] = values[detail.domain]
            if detail.domain == "grade" and values.get("grade") not in GRADES and NULL != result.obx.get(5) != "":
                raise refused(
                    "grade-unknown", "no CTCAE grade", where=reading.message.where(result.obx, 5), value=result.obx.get(5),
                    hint="send 1 to 5", hl7="103",
                )  # fmt: skip
        notes += note_texts(result.notes, reading)
    for result in (term, *details.values()):
        for other in result.others:
            number += 1
            preserved += reading.keep(other, number)
    event = AdverseEvent(
        patient=reading.patient, visit=reading.visit, told=reading.told, rank=rank,
        **{**heading, **said, "preserved": preserved},
    )  # fmt: skip
    event.notes = notes
    event.place = place
    if event.status not in WITHDRAWN_STATUSES:
        _compare(reading, event, details)
    event.key = headings.unused(event_key(event), reading.records.adverse_events)
    reading.records.adverse_events[event.key] = event
    if event.status not in WITHDRAWN_STATUSES and (
        event.event is None or not any(find(o.system, o.code) for o in event.event.codings)
    ):
        reading.warn(
            "term-unknown", "the term of the adverse event has no code that is known here: written as sent", term.obx, 5,
            event.event.label if event.event else "", "send a SNOMED CT, ICD-10-CM or 99KETA code",
        )  # fmt: skip


def _compare(reading: Reading, event: AdverseEvent, details: dict[str, Result]) -> None:
    """Warn of a severity that is not that of the grade told beside it, or a death that only one of the two tells."""
    follows = by_grade(event.grade)
    if not follows:
        return
    said = {"severity": event.severity, "outcome": event.outcome}
    differ = {
        "severity": not follows["severity"].endswith(f".{event.severity}"),
        "outcome": ("outcome" in follows) is not (event.outcome == "fatal"),
    }
    for detail in _DETAILS:
        told = said.get(detail.domain)
        if told and differ[detail.domain]:
            reading.warn(
                "grade-differs", f"CTCAE grade {event.grade} does not go with {told}: both are kept as sent",
                details[detail.name].obx, 5, told, "check which of the two is meant",
            )  # fmt: skip


def _status(reading: Reading, result: Result) -> str:
    return reading.tables.code_map("observation-status").v2_to_domain.get(result.obx.get(11), "")


def _read_obx(
    reading: Reading, result: Result, kind: str, name: str, place: int, term: Result | None = None
) -> dict[str, Any]:
    """The values of one OBX, `preserved` among them: what is not as the way back writes it, under `OBX[place]`."""
    obx = result.obx
    values = reading.read(obx, OBX)
    reading.nulls()
    kept: Preserved = values.pop("preserved", ())
    known = reading.tables.mapping(OBX).known
    kept += tuple((f"OBX-{at}", NULL) for at, text in enumerate(obx.fields) if text == NULL and at in known)
    usual = {2: kind, 3: write_cwe(Coded((of_name(name),)))}
    if term is not None:
        usual |= {21: "", **{at: term.obx.get(at) for at in _INHERITED}}
    kept += tuple((f"OBX-{at}", obx.get(at)) for at, text in usual.items() if obx.get(at) != text)
    if place > 1:
        kept = tuple((f"OBX[{place}]{where[3:]}", text) for where, text in dict(kept).items())
    for domain in ("event", "rescue"):
        if obx.get(2) not in _CODED and "^" not in obx.get(5) and domain in values:
            values[domain] = Coded((), values[domain].label)
    return {**values, "preserved": kept}


def event_key(event: AdverseEvent) -> str:
    """OBX-21; else the number of the OBR and OBX-4; where one of the two is missing, the term and the time as well."""
    scope = headings.scope_of(event.placer, event.filler, event.patient)
    if (event.placer or event.filler) and event.sub_id:
        return key_of(scope, event.heading, Coded((of_name(TERM),)), event.sub_id, None, event.identifier)
    return key_of(scope, event.heading, event.event, event.sub_id, event.at or event.start, event.identifier)


def by_grade(grade: str) -> dict[str, str]:
    """What a CTCAE grade says in the coarser elements of R4, by name of the catalogue."""
    if grade not in GRADES:
        return {}
    found = {"severity": f"adverse-event-severity.{('mild', 'moderate', 'severe')[min(int(grade), 3) - 1]}"}
    if int(grade) > 3:
        found["seriousness"] = "adverse-event-seriousness.serious"
    if int(grade) > 4:
        found["outcome"] = "adverse-event-outcome.fatal"
    return found


def under_one_heading(one: AdverseEvent, others: list[AdverseEvent]) -> list[AdverseEvent]:
    """The events that stand under the same OBR, in the order told: each has an OBX-4 of its own."""
    found: dict[str, AdverseEvent] = {}
    for other in others:
        if _heading(other) == _heading(one):
            found.setdefault(other.sub_id, other)
    return sorted(found.values(), key=lambda event: event.rank) if found.get(one.sub_id) is one else [one]


def _heading(event: AdverseEvent) -> Any:
    around = tuple(one for one in event.preserved if not one[0].startswith("OBX"))
    return event.placer, event.filler, event.heading, event.start, around


def compose(composing: Composing, number: int, events: list[AdverseEvent]) -> None:
    """One OBR, and of each event its term and details."""
    headings.compose(composing, number, events[0], OBR, ())
    set_id = 1
    for event in events:
        if event is not events[0]:
            composing.used.append(event)
        term = AdverseEvent(
            sub_id=event.sub_id, event=event.event, status=event.status, at=event.at, recorder=event.recorder,
            identifier=event.identifier,
        )  # fmt: skip
        cells = {11: "F", **_cells(composing, term, "CWE", TERM)}
        inherited = {at: cells.get(at, "") for at in _INHERITED}
        put_back(cells, "OBX", event.preserved)
        _add(composing, set_id, cells, event.notes)
        set_id += 1
        for place, detail in enumerate(_DETAILS, 2):
            value = getattr(event, detail.domain)
            own: dict[int, str] = {}
            put_back(own, "OBX", event.preserved, place)
            if not value and not own:
                continue
            one = replace(AdverseEvent(sub_id=event.sub_id), **{detail.domain: value})
            _add(composing, set_id, {**_cells(composing, one, detail.kind, detail.name), **inherited, **own}, ())
            set_id += 1
    headings.compose_rest(composing, events[0].preserved)


def _cells(composing: Composing, one: AdverseEvent, kind: str, name: str) -> dict[int, str]:
    return {2: kind, 3: write_cwe(Coded((of_name(name),))), **composing.cells(one, OBX, preserved=())}


def _add(composing: Composing, number: int, cells: dict[int, str], notes: tuple[str, ...]) -> None:
    if cells.get(2) in _TEXT and cells.get(5, "").startswith("^"):
        cells[5] = cells[5][1:]
    results.add_result(composing, number, cells, notes, ())
