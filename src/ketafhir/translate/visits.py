"""The visit: PV1 and what the event of an ADT says of it (chapter 3.3) <-> Encounter.

A03 ends a visit, A05 plans one, A11 cancels it, A13 opens it again; A12 takes a transfer back. A08 and A12 say nothing of
how the visit stands. What is of a person and not of a visit (A28, A31, A40) tells none.
"""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.codecs.identifiers import read_identifier
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.therapy.records import Visit
from ketafhir.therapy.values import Identifier, is_before
from ketafhir.translate import diagnoses
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

PV1 = "PV1_to_Encounter"
ENCOUNTER = EXTENSION + "infusion-encounter"
STATUS = "encounter-status"
OF_A_PERSON = ("A28", "A31", "A40")
_SAYS = {
    **dict.fromkeys(("A01", "A02", "A04", "A06", "A07", "A13"), "in-progress"),
    "A03": "finished",
    "A05": "planned",
    "A11": "cancelled",
}
_BEGINS = ("A01", "A04", "A05", "A06", "A07", "A13")  # an older end does not hold any more
_NO_PRIOR = ("A12",)  # the transfer is taken back: PV1-3 is where the patient was all the time
_PLANNED_CLASS = "preadmit"


def read(reading: Reading, group: PatientGroup, *, owned: bool) -> None:
    """PV1 and DG1 of one patient group; sets `reading.visit`."""
    reading.visit = ""
    event = reading.message.event if owned else ""
    if group.pv1 is None or event in OF_A_PERSON:
        if group.pv1 is not None:
            reading.drop(group.pv1, "an event of a person tells no visit")
    else:
        _read(reading, group, event, owned=owned)
    if owned:
        diagnoses.read(reading, group)


def _read(reading: Reading, group: PatientGroup, event: str, *, owned: bool) -> None:
    assert group.pv1 is not None
    values = reading.read(group.pv1, PV1)
    nulls = reading.nulls()
    number = values.get("number")
    if number is None:
        if any(name not in ("patient_class",) for name in values):
            reading.warn(
                "visit-without-number",
                "a visit without PV1-19 cannot be found again: left out",
                group.pv1,
                19,
            )
        reading.accounts[-1] = reading.accounts[-1]._replace(why="a visit without number (PV1-19) is not written")
        return
    visit = Visit(key=number.key, patient=reading.patient, owned=owned, nulls=nulls, told=reading.told, **values)
    if event:
        _tell(reading, visit, event)
    if visit.start and visit.end and is_before(visit.end, visit.start):
        _leave_out_end(reading, visit, group.pv1)
    reading.records.visits[visit.key] = visit
    reading.visit = visit.key


def _leave_out_end(reading: Reading, visit: Visit, pv1: Segment) -> None:
    reading.warn(
        "end-before-start", "the visit ends before it starts: it has ended, the time of that is preserved", pv1, 45,
        pv1.get(45), "check PV1-44, PV1-45 and their offsets",
    )  # fmt: skip
    visit.preserved += (("PV1-45", pv1.get(45)),)
    visit.end = None
    visit.status = visit.status if visit.status == "cancelled" else "finished"


def _tell(reading: Reading, visit: Visit, event: str) -> None:
    """What the event says beside PV1."""
    visit.status = _SAYS.get(event, "")
    if event == "A03" and visit.end is None:
        visit.left = reading.source.occurred
    if event in _BEGINS:
        visit.nulls += tuple(name for name in ("end", "left", "disposition") if not getattr(visit, name))
    if event in _NO_PRIOR and visit.prior_place is None:
        visit.nulls += ("prior_place",)


def stands(visit: Visit) -> str:
    """Encounter.status: what was told last, and what class and dates say."""
    if visit.status == "cancelled":
        return "cancelled"
    if visit.end or visit.left or visit.status == "finished":
        return "finished"
    return "planned" if visit.status == "planned" or visit.patient_class == _PLANNED_CLASS else "in-progress"


def render(writing: Writing, visit: Visit) -> None:
    """The Encounter: replaced by ADT, made where missing by others."""
    if visit.number is None:
        return
    resource: Json = {"resourceType": "Encounter", "meta": writing.meta(ENCOUNTER), **writing.filled(visit, PV1)}
    resource["status"] = writing.tables.code_map(STATUS).domain_to_fhir[stands(visit)]
    if "class" not in resource:
        resource["class"] = _unknown_class(writing)
    left = visit.left
    if visit.end is None and left is not None and not (visit.start and is_before(left, visit.start)):
        beside = {"_end": {"extension": [{"url": DERIVED, "valueDateTime": left.iso}]}}
        resource["period"] = {**resource.get("period", {}), "end": left.iso, **beside}
    resource["subject"] = writing.patient(visit.patient)
    if visit.diagnoses:
        diagnoses.render(writing, resource, visit)
    put_preserved(resource, visit.preserved)
    writing.put_owned(resource, visit.number, owned=visit.owned)


def _unknown_class(writing: Writing) -> Json:
    """Encounter.class is required; a visit told without class is of class unknown (table 0004 U)."""
    row = next(row for row in writing.tables.table(PV1).rows if row.domain == "patient_class")
    assert row.codec is not None
    json: Json = row.codec.to_fhir(writing.c, "unknown")
    return json


def take(taking: Taking, resource: Json) -> str:
    """An Encounter resource as record; gives its key. Without a number it is known by its id."""
    values = taking.take(resource, PV1)
    number = values.get("number")
    if number is None:
        found = [one for one in map(read_identifier, resource.get("identifier", ())) if one]
        first = found[0] if found else Identifier(taking.local_key(resource))
        number = values["number"] = Identifier(first.value, first.system, "VN", first.authority)
    if number.key not in taking.records.visits:
        visit = taking.records.visits[number.key] = Visit(key=number.key, owned=True, **values)
        visit.status = taking.tables.code_map(STATUS).fhir_to_domain.get(str(resource.get("status", "")), "")
        if _is_derived(resource):
            visit.left, visit.end = visit.end, None
        if resource.get("subject"):
            visit.patient = taking.patient(resource)
    return str(number.key)


def _is_derived(resource: Json) -> bool:
    period: Any = resource.get("period", {})
    marks = period.get("_end", {}).get("extension", ())
    return any(one.get("url") == DERIVED and one.get("valueDateTime") == period.get("end") for one in marks)


def event_of(visit: Visit, told: str) -> str:
    """The ADT event that tells this visit: `told` (`A04`), unless the visit stands otherwise."""
    status = stands(visit) if visit.status else ""
    if status == "cancelled":
        return "A11"
    if status == "finished" and visit.end is None:
        return "A03"
    if status == "planned" and visit.patient_class != _PLANNED_CLASS:
        return "A05"
    says = _SAYS.get(told, status)
    ended = visit.end is not None and says == "in-progress"  # PV1-45 tells the end with any event
    return told if not status or says == status or ended else "A08"


def compose(composing: Composing, visit: Visit) -> None:
    """PV1."""
    composing.add("PV1", {1: "1", **composing.cells(visit, PV1)})
