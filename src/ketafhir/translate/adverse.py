"""Adverse events in FHIR: AdverseEvent (FHIR R4 adverseevent.html). The HL7v2 side is `translate.adverse_segments`.

What R4 has no element for is an extension (docs/decisions/adverse-events.md).
"""

from __future__ import annotations

from typing import Any

from ketafhir.errors import refused
from ketafhir.fhir.guard import WITHDRAWN
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import AdverseEvent
from ketafhir.therapy.values import Coded, Identifier
from ketafhir.translate import headings
from ketafhir.translate.adverse_segments import GRADES, OBR, OBX, TERM, WITHDRAWN_STATUSES, by_grade, event_key
from ketafhir.translate.taking import Taking
from ketafhir.translate.ties import is_tie
from ketafhir.translate.writing import Writing

TYPE, _ADMINISTRATION = "AdverseEvent", "MedicationAdministration"


def render(writing: Writing, event: AdverseEvent) -> None:
    """The AdverseEvent."""
    resource = writing.start(TYPE, event.key, f"{EXTENSION}infusion-adverse-event")
    if event.status in WITHDRAWN_STATUSES:
        resource["modifierExtension"] = [{"url": WITHDRAWN, "valueBoolean": True}]
    resource["actuality"] = "actual"
    writing.fill(resource, event, OBR, OBX)
    resource["subject"] = writing.patient(event.patient)
    visit = writing.visit(event.visit)
    if visit:
        resource["encounter"] = visit
    for element, name in by_grade(event.grade).items():
        resource.setdefault(element, {"coding": [{**_mark(), **coding_json(of_name(name))}]})
    _suspect(writing, event, resource)
    for one in resource.get("extension", ()):
        if "valueReference" in one:
            one["valueReference"] = {"type": _ADMINISTRATION, **one["valueReference"]}
    if event.notes:
        resource.setdefault("extension", []).extend(headings.note_extensions(event.notes))
    writing.put(resource, event.preserved)


def _mark() -> Json:
    return {"extension": [{"url": DERIVED, "valueBoolean": True}]}


def _suspect(writing: Writing, event: AdverseEvent, resource: Json) -> None:
    """suspectEntity.instance: the order number as told, and the infusion that ran then, derived, where it is one alone."""
    tie = _tie(writing, event)
    if not (tie or event.infusion or event.causality):
        return
    entity = resource.setdefault("suspectEntity", [{}])[0]
    instance = {**tie, "type": _ADMINISTRATION, **entity.pop("instance", {})}
    if not tie and event.infusion is None:
        instance["display"] = "not told which"
    resource["suspectEntity"] = [{"instance": instance, **entity}]


def _tie(writing: Writing, event: AdverseEvent) -> Json:
    chart, time = writing.chart(event.patient), event.at or event.start
    if chart is None or time is None or not time.has_clock:
        return {}
    keys = [key for key, span in chart.spans.items() if span.holds(time.at, event.visit)]
    if event.infusion is not None:
        order = order_identity(event.infusion, None)
        keys = [key for key in keys if key.startswith(f"{order}|")]
    return {**_mark(), **writing.to(_ADMINISTRATION, keys[0])} if len(keys) == 1 else {}


def take(taking: Taking, resource: Json) -> AdverseEvent | None:
    """An adverse event; None of one that might have been. Raises Refused."""
    if resource.get("actuality", "actual") != "actual":
        taking.leave_out(
            resource, "event-potential", "an adverse event that did not happen is left out: HL7v2 cannot say so"
        )
        return None
    told = {key: value for key, value in resource.items() if not _is_derived(value)}
    values = taking.take(resource, OBR, OBX, seen=told)
    values.setdefault("heading", Coded((of_name(TERM),)))
    event = AdverseEvent(patient=taking.patient(resource), visit=taking.visit(resource), **values)
    if event.grade and event.grade not in GRADES:
        raise refused(
            "grade-unknown", "no CTCAE grade", where=taking.name(resource), value=event.grade, hint="send 1 to 5"
        )
    withdrawn = any(one.get("valueBoolean") is True for one in resource.get("modifierExtension", ()))
    if withdrawn and event.status not in WITHDRAWN_STATUSES:
        event.status = "entered-in-error"
    event.notes = headings.read_notes(resource)
    if event.infusion is None:
        event.infusion = _order_number(taking, resource)
    numbered = event.identifier or event.placer or event.filler
    key = event_key(event) if numbered else f"{event.patient}|{taking.local_key(resource)}"
    event.key = headings.unused(key, taking.records.adverse_events)
    taking.records.adverse_events[event.key] = event
    return event


def _is_derived(element: Any) -> bool:
    """Whether a concept was worked out of the grade."""
    codings = element.get("coding", ()) if isinstance(element, dict) else ()
    return any(one.get("url") == DERIVED for coding in codings for one in coding.get("extension", ()))


def _order_number(taking: Taking, resource: Json) -> Identifier | None:
    """The order number of the administration in the Bundle that is suspected."""
    listed: list[Json] = resource.get("suspectEntity", [])
    reference = listed[0].get("instance", {}) if listed else {}
    if is_tie(reference):
        return None
    found = taking.resolve(reference, resource)
    if found is None or found.get("resourceType") != _ADMINISTRATION:
        return None
    known = {taking.acts.get(id(found), ""), taking.infusions.get(id(found), "")} - {""}
    for act in taking.records.administrations.values():
        if {act.key, act.infusion} & known:
            return act.placer or act.filler
    return None
