"""Administrations out to FHIR: the course of an infusion as one parent and one child per act (docs/mapping.md).

The parent carries status, period and, once known, the total drug; children carry rate and route, a bolus its dose. Whoever
sums up takes parents, or integrates children, never both: children are tagged `infusion-segment` or `bolus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.errors import Issue, Refused
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.codecs.identifiers import identifier_json
from ketafhir.mapping.codecs.numbers import quantity_json
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.plain import replace
from ketafhir.therapy.infusion import Act, Course, view
from ketafhir.therapy.records import Administration, Waste
from ketafhir.therapy.values import Identifier, Quantity, Time
from ketafhir.translate import events
from ketafhir.translate.administrations import MEDICATION, ORC, RXA, RXR
from ketafhir.translate.events import OBX
from ketafhir.translate.orders import request_reference
from ketafhir.translate.writing import Writing

if TYPE_CHECKING:
    from ketafhir.translate.told_courses import Changes

DERIVED_END = EXTENSION + "derived-end"
SEGMENT, BOLUS = f"{EXTENSION}infusion-segment", f"{EXTENSION}infusion-bolus"
TYPE = "MedicationAdministration"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
PUMP_SEGMENTS = "urn:ketafhir:pump-segment"
ORDER_STATUS = "administration-order-status"
STANDING = {"running": "running", "held": "held", "stopped": "discontinued", "completed": "completed"}
"""How an infusion stands, as an order says it (ORC-5). Of others the word stands beside the act it was told with."""


def tag(name: str) -> Json:
    """A meta.tag of the catalogue."""
    return coding_json(of_name(name))


def render(writing: Writing, changes: Changes) -> None:
    """The MedicationAdministrations that a message changes."""
    for found in changes.parents:
        writing.put(_render_parent(writing, found))
    for found, act in changes.acts:
        writing.put(_render_act(writing, found, act))
    for found, act in changes.gone:
        writing.put(_render_withdrawn(writing, found, act))
    for found in changes.joined:
        writing.put(_render_joined(writing, found))


def _render_parent(writing: Writing, course: Course) -> Json:
    """The MedicationAdministration of the whole infusion."""
    first = course.first
    newest = max((*(act.told for act in course.acts), *course.closers), key=lambda one: one.told)
    resource = writing.start(
        TYPE, course.key, EXTENSION + "infusion-administration", tags=(tag("keta.infusion"),), sender=newest.sender
    )
    resource["identifier"] = [_infusion_number(course.key, first), *_order_numbers(first)]
    resource["status"] = codes_of(writing).get(course.status, "unknown")
    _medication(writing, resource, first, with_batch=False)
    _subject(writing, resource, first)
    if course.status in ("refused", "not-given"):
        resource["statusReason"] = [_completion(course.status)]
    if course.start is not None:
        resource["effectivePeriod"] = _period(course.start, course.end)
    if first.placer or first.filler:
        resource["request"] = request_reference(writing, first.placer, first.filler)
    if course.total is not None:
        dosage: Json = {"dose": quantity_json(Quantity(course.total, "mg"))}
        if first.route is not None:
            writing.tables.mapping(RXR).to_fhir(Administration(route=first.route), writing.c, RXR, resource)
            dosage = {**resource.pop("dosage"), **dosage}
        resource["dosage"] = dosage
    for number, event in enumerate([one for one in course.closers if not one.delivery], 1):
        put_preserved(resource, events.kept(event, writing.c, number))
    return resource


def codes_of(writing: Writing) -> dict[str, str]:
    """Our words of state to MedicationAdministration.status."""
    return writing.tables.code_map("administration-state").domain_to_fhir


def _render_act(writing: Writing, course: Course, act: Act) -> Json:
    """The MedicationAdministration of one act, part of the infusion."""
    told = act.told
    kind, profile = ("keta.infusion-segment", SEGMENT) if told.rate is not None else ("keta.bolus", BOLUS)
    resource = writing.start(TYPE, told.key, profile, tags=(tag(kind),), sender=told.sender)
    shown = view(act)
    if told.refusal and act.state not in ("refused", "not-given"):
        shown.refusal = ()
    writing.fill(resource, shown, RXA)
    if told.event is not None:
        writing.fill(resource, told, OBX)
    writing.tables.mapping(ORC).to_fhir(told, writing.c, ORC, resource)
    writing.tables.mapping(RXR).to_fhir(told, writing.c, RXR, resource)
    if any(told.counters):
        for one in resource["identifier"]:
            if one["value"] == "-".join(told.counters) and "system" not in one:
                one["system"] = _number_system(told)
                if not told.delivery:  # where only the start tells two apart
                    one["value"] += "".join(told.key.rpartition("|")[2].partition("@")[1:])
        resource["identifier"].insert(1, _infusion_number(course.key, course.first if told.parent else told))
    else:
        resource["identifier"] = [_infusion_number(course.key, told), *_order_numbers(told)]
    if told.delivery:
        number = Identifier(told.key, PUMP_SEGMENTS)
        resource["identifier"].append({"type": {"coding": [tag("keta.pump-segment")]}, **identifier_json(number)})
        if told.pump is not None:
            resource.setdefault("device", []).append(writing.c.link("Device", told.pump))
    resource["partOf"] = [writing.to(TYPE, course.key)]
    _medication(writing, resource, told, with_batch=True)
    _subject(writing, resource, told)
    if told.placer or told.filler:  # a pump may run without an order
        resource["request"] = request_reference(writing, told.placer, told.filler)
    if act.state in ("refused", "not-given"):
        resource.setdefault("statusReason", []).insert(0, _completion(act.state))
    _effective(resource, act)
    if resource["status"] == "completed" and not told.state and not act.end_derived:
        resource["_status"] = {"extension": [{"url": DERIVED, "valueBoolean": True}]}
    preserved = _dosage(resource, told)
    control = told.order_control
    if control and control != writing.tables.code_map("order-control").v2_to_domain.get(_default_control()):
        preserved += (("ORC-1", control),)
    if told.order_status and _is_said_beside(course, told):
        preserved += (("ORC-5", writing.tables.code_map(ORDER_STATUS).domain_to_v2[told.order_status]),)
    if told.notes:
        resource["note"] = [{"text": text} for text in told.notes]
    put_preserved(resource, (*told.preserved, *preserved))
    return resource


def _is_said_beside(course: Course, told: Administration) -> bool:
    """Whether the word of the order (ORC-5) does not follow from how the infusion stands."""
    if course.status not in STANDING:
        return True
    return told.order_status == "running" and told.state == "completed" and STANDING[course.status] == "completed"


def _render_joined(writing: Writing, course: Course) -> Json:
    """What was an infusion by itself and is part of another now: a pump's, of which the eMAR charts the give (RXA-1)."""
    resource = _render_parent(writing, replace(course, status="deleted", total=None))
    resource["meta"]["tag"].append(tag("keta.withdrawn"))
    resource["meta"]["profile"] = [EXTENSION + "infusion-withdrawn"]
    return resource


def _render_withdrawn(writing: Writing, course: Course, act: Act) -> Json:
    """What was a child and is part of another now: an eMAR's that a pump tells as well. It is no part of the infusion any more."""
    resource = _render_act(writing, course, act)
    resource["meta"]["tag"].append(tag("keta.withdrawn"))
    resource["meta"]["profile"] = [EXTENSION + "infusion-withdrawn"]
    del resource["partOf"]
    return resource


def _default_control() -> str:
    return codes.code("v2-0119.RE").code


def _completion(state: str) -> Json:
    """Which of the two ways of not being given it was (table 0322)."""
    return {"coding": [coding_json(of_name("v2-0322.RE" if state == "refused" else "v2-0322.NA"))]}


def _effective(resource: Json, act: Act) -> None:
    """A point in time is effectiveDateTime; a derived end is marked."""
    period = resource.get("effectivePeriod")
    if period is None:
        return
    if act.end is None and act.told.rate is None:
        del resource["effectivePeriod"]
        resource["effectiveDateTime"] = period["start"]
        if "_start" in period:
            resource["_effectiveDateTime"] = period["_start"]
    elif act.end_derived:
        beside = period.setdefault("_end", {"extension": []})
        beside["extension"].append({"url": DERIVED_END, "valueBoolean": True})


def _dosage(resource: Json, told: Administration) -> tuple[tuple[str, str], ...]:
    """A dosage must have dose or rate (mad-1): route and site of what was not given are preserved."""
    dosage = resource.get("dosage")
    if dosage is None or "dose" in dosage or any(key.startswith("rate") for key in dosage):
        return ()
    del resource["dosage"]
    from ketafhir.mapping.codecs.coded import write_cwe

    cells = (("RXR-1", told.route), ("RXR-2", told.site), ("RXR-4", told.method))
    return tuple((place, write_cwe(value)) for place, value in cells if value)


def _period(start: Time, end: Time | None) -> Json:
    period: Json = {"start": start.iso}
    if end is not None:
        period["end"] = end.iso
    return period


def _subject(writing: Writing, resource: Json, told: Administration) -> None:
    resource["subject"] = writing.patient(told.patient)
    visit = writing.visit(told.visit)
    if visit is not None:
        resource["context"] = visit


def _medication(writing: Writing, resource: Json, told: Administration, *, with_batch: bool) -> None:
    """The drug as a code, or as a Medication where batch, form, maker or concentration are told."""
    if with_batch and (
        told.lot or told.expiry or told.form or told.manufacturer or told.concentration or told.ingredients
    ):
        key = f"{told.key}|medication"
        medication = writing.start("Medication", key, EXTENSION + "infusion-medication", sender=told.sender)
        writing.tables.mapping(RXA, MEDICATION).to_fhir(told, writing.c, MEDICATION, medication)
        if told.ingredients:
            from ketafhir.translate import mixtures

            mixtures.render(writing, told, medication)
        writing.put(medication)
        resource.pop("medicationCodeableConcept", None)
        resource["medicationReference"] = writing.to("Medication", key)
    elif "medicationCodeableConcept" not in resource:
        row = next(row for row in writing.tables.table(RXA).rows if row.domain == "drug")
        assert row.codec is not None
        if told.drug is None:
            where, hint = ("OBX-5", "send MDC_DRUG_NAME_LABEL") if told.channel else ("RXA-5", "name the drug")
            issue = Issue(
                "error", "drug-missing", "neither the message nor an order tells the drug", where=where, hint=hint
            )
            raise Refused(*writing.c.issues, issue)
        resource["medicationCodeableConcept"] = row.codec.to_fhir(writing.c, told.drug)


def _number_system(told: Administration) -> str:
    """The system of numbers that are unique within one order."""
    from urllib.parse import quote

    return "urn:ketafhir:order:" + quote(told.order, safe=":")


def _infusion_number(key: str, told: Administration) -> Json:
    visit = key.rpartition("|@")[2]
    give = told.counters[0] or "0"
    number = Identifier(f"{give}@{visit}" if visit else give, _number_system(told))
    return {"type": {"coding": [tag("keta.infusion-number")]}, **identifier_json(number)}


def _order_numbers(told: Administration) -> list[Json]:
    numbers = []
    for kind, number in (("PLAC", told.placer), ("FILL", told.filler)):
        if number is not None:
            name = coding_json(of_name(f"v2-0203.{kind}"))
            numbers.append({"type": {"coding": [name]}, **identifier_json(number)})
    return numbers


def render_waste(writing: Writing, waste: Waste) -> None:
    """Waste: not-done, with its amounts as Observations part of the infusion and about the waste."""
    resource = writing.start(
        TYPE, waste.key, EXTENSION + "infusion-waste", tags=(tag("keta.waste"),), sender=waste.sender
    )
    told = Administration(
        counters=waste.counters, order=waste.order, placer=waste.placer, filler=waste.filler, patient=waste.patient,
        visit=waste.visit, drug=waste.drug, performers=waste.performers,
    )  # fmt: skip
    resource["identifier"] = [
        _infusion_number(waste.infusion, told),
        *_order_numbers(told),
        {
            "type": {"coding": [tag("keta.waste")]},
            "system": _number_system(told),
            "value": f"waste-{waste.sub_id}",
        },
    ]
    resource["status"] = codes_of(writing)["deleted" if waste.deleted else "refused"]
    resource["statusReason"] = [{"coding": [tag("keta.wasted")]}]
    _medication(writing, resource, told, with_batch=False)
    _subject(writing, resource, told)
    if waste.at is not None:
        writing.tables.mapping("OBX_to_Waste").to_fhir(waste, writing.c, "OBX_to_Waste", resource)
    else:  # R4 wants a time; when it was wasted is not told, and the time of the act is not that of the waste
        absent = {"url": _ABSENT, "valueCode": codes.code("absent.unknown").code}
        resource["_effectiveDateTime"] = {"extension": [absent]}
    performers = []
    for kind, people in (("performer", waste.performers), ("witness", waste.witnesses)):
        function = {"coding": [coding_json(of_name(f"performer.{kind}"))]}
        performers += [{"function": function, "actor": writing.c.link("Practitioner", one)} for one in people]
    if performers:
        resource["performer"] = performers
    resource["request"] = request_reference(writing, waste.placer, waste.filler)
    if waste.notes:
        resource["note"] = [{"text": text} for text in waste.notes]
    full_url = writing.put(resource, waste.preserved)
    for name, value in (("keta.waste-amount", waste.amount), ("keta.waste-volume", waste.volume)):
        if value is not None:
            observation = writing.start(
                "Observation",
                f"{waste.key}|{name}",
                EXTENSION + "infusion-waste-amount",
                tags=(tag("keta.waste"),),
                sender=waste.sender,
            )
            observation["partOf"] = [writing.to(TYPE, waste.infusion)]
            observation["status"] = "entered-in-error" if waste.deleted else "final"
            observation["code"] = {"coding": [tag(name)]}
            observation["subject"] = resource["subject"]
            observation["focus"] = [{"reference": full_url}]
            if "context" in resource:
                observation["encounter"] = resource["context"]
            for key in ("effectiveDateTime", "_effectiveDateTime"):
                if key in resource:
                    observation[key] = resource[key]
            observation["valueQuantity"] = quantity_json(value)
            writing.put(observation)
