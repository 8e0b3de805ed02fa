"""OBR with its OBX <-> DiagnosticReport with its Observations (ORU^R01, chapter 7.3.1; v2-to-FHIR guide, OBR[DiagnosticReport])."""

from __future__ import annotations

from ketafhir.hl7v2.groups import Order as Group
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.codecs.identifiers import identifier_json
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.records import Observation, Report
from ketafhir.therapy.values import Identifier
from ketafhir.translate import headings, results
from ketafhir.translate.composing import Composing
from ketafhir.translate.observed import coding_of_unknown
from ketafhir.translate.reading import Reading
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

OBR = "OBR_to_DiagnosticReport"
TYPE = "DiagnosticReport"
EVENTS = "urn:ketafhir:pump-event"
CONTAINER = EXTENSION + "container"
_EVENT = "keta.pump-event"


def read(reading: Reading, group: Group) -> Report:
    """One OBR as a report of its observations. Raises Refused."""
    values, notes = headings.read(reading, group, OBR)
    report = Report(patient=reading.patient, visit=reading.visit, notes=notes, told=reading.told, **values)
    scope = headings.scope_of(report.placer, report.filler, report.patient)
    start = report.period.start if report.period else None
    report.place = group.obr.occurrence if group.obr else 0
    report.key = headings.unused(headings.key_of(scope, report.code, start), reading.records.reports)
    told = group.results
    if [1 for one in told if len(one.obx.fields) > 4 and not one.obx.fields[2] and one.obx.fields[4]]:
        from ketafhir.translate import devices

        told, report.containers = devices.read(reading, told)
    results.read_results(
        reading,
        told,
        scope_key=scope,
        heading=report.code,
        start=start,
        report=report.key,
        issued=report.issued,
    )
    reading.records.reports[report.key] = report
    return report


def render(writing: Writing, report: Report, told: list[Observation]) -> None:
    """The DiagnosticReport of these observations, which are entries of their own."""
    resource = writing.fill(writing.start(TYPE, report.key, EXTENSION + "infusion-report"), report, OBR)
    resource.setdefault("status", "unknown")
    resource.setdefault("code", coding_of_unknown())
    resource["subject"] = writing.patient(report.patient)
    visit = writing.visit(report.visit)
    if visit:
        resource["encounter"] = visit
    if told:
        resource["result"] = results.references(writing, [one.key for one in told])
    if report.event:
        number = identifier_json(Identifier(report.key, EVENTS))
        resource.setdefault("identifier", []).append({"type": {"coding": [coding_json(of_name(_EVENT))]}, **number})
    if report.notes:
        resource["extension"] = headings.note_extensions(report.notes)
    if report.containers:
        from ketafhir.translate import devices

        resource.setdefault("extension", []).extend(devices.extensions(writing, report))
    put_preserved(resource, report.preserved)
    writing.put(resource)


def take(taking: Taking, resource: Json) -> Report:
    """A DiagnosticReport and the Observations it names. Raises Refused."""
    values = taking.take(resource, OBR)
    if values.get("status") == "unknown":
        del values["status"]
    headings.numbers(taking, resource, values)
    report = Report(patient=taking.patient(resource), visit=taking.visit(resource), **values)
    report.notes = headings.read_notes(resource)
    numbered = report.placer or report.filler
    scope = headings.scope_of(report.placer, report.filler, report.patient)
    start = report.period.start if report.period else None
    key = headings.key_of(scope, report.code, start) if numbered or start else taking.local_key(resource)
    event = next((one.value for one in taking.identifiers(resource) if one.system == EVENTS), "")
    report.event = event_of(taking, resource)
    if report.event:
        report.sender = str(resource.get("meta", {}).get("source", "")).partition("#")[0]
    if event:
        scope = key = event
    report.key = headings.unused(key, taking.records.reports)
    if any(one.get("url") == CONTAINER for one in resource.get("extension", ())):
        from ketafhir.translate import devices

        report.containers = devices.take(taking, resource)
    for reference in resource.get("result", ()):
        found = taking.resolve(reference, resource)
        if found is None or found.get("resourceType") != "Observation":
            taking.c.warn(
                "result-missing",
                "a result of the report is not in the Bundle",
                str(reference.get("reference")),
            )
            continue
        for key in results.take_one(taking, found, scope_key=scope, heading=report.code, report=report.key):
            taking.records.observations[key].issued = report.issued
    taking.records.reports[report.key] = report
    return report


def event_of(taking: Taking, resource: Json) -> str:
    """The event of the message that a report makes where that is no ORU^R01: R42 of a pump, R40 of an alarm; else ""."""
    from ketafhir.translate.pump_terms import of_concept

    found = (taking.resolve(one, resource) for one in resource.get("result", ()))
    told = {of_concept(one.get("code")) for one in found if one is not None and one["resourceType"] == "Observation"}
    return "R42" if "event" in told else "R40" if "alarm" in told else ""


def compose(composing: Composing, number: int, report: Report, told: list[Observation]) -> None:
    """OBR and its OBX."""
    headings.compose(composing, number, report, OBR, report.notes)
    if report.containers:
        from ketafhir.translate import devices

        devices.compose(composing, report, told)
    else:
        results.compose_results(composing, told)
    headings.compose_rest(composing, report.preserved)
