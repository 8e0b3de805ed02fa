"""What a FHIR server holds of one patient, as a `View`."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeVar

from ketafhir.demo import server_infusion, server_screening
from ketafhir.demo.elements import Record, Resource, moment, number_of, of_type
from ketafhir.demo.view import Patient, View, Visit

T = TypeVar("T")


def read(record: Record, patient: Resource) -> View:
    """The view of a patient from all resources by `Type/id`."""
    extra: list[str] = []
    readings = server_screening.readings(record)
    return View(
        patient=_patient(patient),
        messages=_messages(record),
        visits=_visits(record),
        order=_only(server_infusion.orders(record), "order", extra),
        infusion=_only(server_infusion.infusions(record), "infusion", extra),
        waste=_only(server_infusion.wastes(record), "waste", extra),
        boluses=server_infusion.boluses(record),
        vitals=server_screening.vitals(record, readings),
        assessments=server_screening.assessments(record),
        scores=server_screening.scores(record),
        risk=_only(server_screening.risks(record), "risk", extra),
        decision=_only(server_screening.decisions(record), "decision", extra),
        readings=readings,
        extra=extra,
    )


def _only(found: list[T], what: str, extra: list[str]) -> T | None:
    """The first; that there are more is told in `extra`."""
    if len(found) > 1:
        extra.append(what)
    return found[0] if found else None


def _patient(resource: Resource) -> Patient:
    name: dict[str, Any] = next(iter(resource.get("name", ())), {})
    phones = [one.get("value") for one in resource.get("telecom", ()) if one.get("system") == "phone"]
    return Patient(
        mrn=number_of(resource, "v2-0203.MR"),
        family=str(name.get("family", "")),
        given=" ".join(name.get("given", ())[:1]),
        gender=str(resource.get("gender", "")),
        birth_date=str(resource.get("birthDate", "")),
        phone=phones[0] if phones else None,
    )


def _visits(record: Record) -> list[Visit]:
    found = []
    for one in of_type(record, "Encounter"):
        period = one.get("period", {})
        found.append(Visit(number_of(one, "v2-0203.VN"), str(period.get("start", "")), period.get("end")))
    return sorted(found, key=lambda one: (moment(one.start).timestamp() if one.start else 0, one.number))


def _messages(record: Record) -> dict[str, Any]:
    """The messages that the server knows it was told by: one Provenance each."""
    told = Counter(
        "^".join(str(one.get("activity", {}).get("text", "")).split("^")[:2]) for one in of_type(record, "Provenance")
    )
    return {"total": told.total(), "by_type": dict(sorted(told.items()))}
