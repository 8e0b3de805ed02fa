"""Infusion orders in FHIR: MedicationRequest, and the Medication that is the mixture.

Requests of ours are `PUT` by an id derived from the order number and the intent. A drug with form,
concentration or components is a Medication of its own, else it stands in the request (FHIR R4
MedicationRequest.medication[x]). The HL7v2 side is `translate.order_segments`
and `translate.order_groups`.
"""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.identifiers import identifier_json, read_identifier
from ketafhir.mapping.engine import get_preserved, put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.plain import replace
from ketafhir.therapy.lifecycle import order_identity, order_of
from ketafhir.therapy.records import Ingredient, Order, Records
from ketafhir.therapy.values import Coded, Identifier, is_before
from ketafhir.translate import results
from ketafhir.translate.order_segments import FILLER, GIVE, OBX, ORC, ORIGINAL, RXC, RXR, TQ1, order_key, tables_of
from ketafhir.translate.strengths import arranged
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

_DOSED = {"doseQuantity", "doseRange", "rateQuantity", "rateRatio", "rateRange"}
_OF_PRODUCT = ("ingredients", "form", "concentration", "strength", "lot", "expiry", "manufacturer")
"""What is told of a drug that is more than a code."""
_MOST = ("maxDosePerAdministration", "maxDosePerLifetime")
_OFTEN = {
    "countMax", "durationMax", "frequencyMax", "period", "periodMax", "dayOfWeek", "timeOfDay", "when", "offset",
}  # fmt: skip


def find_order(records: Records, placer: Identifier | None, filler: Identifier | None) -> Order | None:
    """The order an administration is given under: the filler order, else the original; None where it is not
    known.

    Any of the numbers will do where the other is not told.
    """
    for intent in (FILLER, ORIGINAL):
        found = records.orders.get(order_key(placer, filler, intent))
        if found is not None:
            return found
    for intent in (FILLER, ORIGINAL):
        for one in records.orders.values():
            if one.intent == intent and (_same(one.filler, filler) or _same(one.placer, placer)):
                return one
    return None


def _same(one: Identifier | None, other: Identifier | None) -> bool:
    return one is not None and other is not None and one.key == other.key


def request_reference(writing: Writing, placer: Identifier | None, filler: Identifier | None) -> Json:
    """`MedicationAdministration.request`: the order's number always, the literal reference where it is known.

    That is the filler order by ORC-3, else the original order by ORC-2.
    """
    order = find_order(writing.records, placer, filler)
    reference: Json = {} if order is None else writing.to("MedicationRequest", order.key)
    original = order is not None and order.intent == ORIGINAL
    number, kind = (placer, "PLAC") if (original and placer) or not filler else (filler, "FILL")
    if number is not None:
        typed = Identifier(number.value, number.system, kind, number.authority)
        reference["identifier"] = identifier_json(typed)
    return reference


def expect(writing: Writing, order: Order) -> None:
    """Say that this order will be in the Bundle, with those of its observations that the records hold.

    For all orders, before anything that refers to one is written.
    """
    writing.expect("MedicationRequest", order.key)
    known = writing.records.observations
    results.expect(writing, [known[key] for key in order.observations if key in known])


def render(writing: Writing, order: Order) -> None:
    """The MedicationRequest, and its Medication where it is more than a code."""
    resource = writing.start("MedicationRequest", order.key, EXTENSION + "infusion-order")
    writing.fill(resource, order, ORC, tables_of(order.intent)[0], TQ1, RXR, OBX)
    resource.setdefault("status", "unknown")  # an order known only from inside a RAS that does not say how it stands
    resource["subject"] = writing.patient(order.patient)
    encounter = writing.visit(order.visit)
    if encounter:
        resource["encounter"] = encounter
    _render_medication(writing, order, resource)
    _render_relations(writing, order, resource)
    if order.observations:
        resource["supportingInformation"] = results.references(writing, order.observations)
    if order.notes:
        resource["note"] = [{"text": text} for text in order.notes]
    writing.put(resource, order.preserved)


def _render_relations(writing: Writing, order: Order, resource: Json) -> None:
    """What an order is based on: as placed, as encoded, its parent; and the order it replaces. A number always goes along."""
    identity = order_of(order.key)
    if order.intent == GIVE:
        for one in resource.get("identifier", ()):
            if one.get("value") == "-".join(order.counters) and "system" not in one:
                one["system"] = "urn:ketafhir:order:" + identity
    before = {GIVE: (FILLER, ORIGINAL), FILLER: (ORIGINAL,)}.get(order.intent, ())
    known = [f"{identity}|{intent}" for intent in before if f"{identity}|{intent}" in writing.records.orders]
    based = [writing.to("MedicationRequest", key) for key in known[:1]]
    if order.parent is not None:
        based.append(_to_number(writing, order.parent))
    if based:
        resource["basedOn"] = based
    if order.replaces is not None:
        resource["priorPrescription"] = _to_number(writing, order.replaces)


def _to_number(writing: Writing, number: Identifier) -> Json:
    """A reference to an order by its number; the literal reference too, where the order is known."""
    role = (number, None) if number.type == "PLAC" else (None, number)
    order = find_order(writing.records, *role)
    reference: Json = {} if order is None else writing.to("MedicationRequest", order.key)
    return {**reference, "identifier": identifier_json(number)}


def _render_medication(writing: Writing, order: Order, resource: Json) -> None:
    medication = writing.start("Medication", f"{order.key}|medication", EXTENSION + "infusion-medication")
    writing.fill(medication, order, tables_of(order.intent)[1])
    if not any(getattr(order, name) for name in _OF_PRODUCT):
        resource["medicationCodeableConcept"] = medication["code"]
        return
    for one in order.ingredients:
        item = writing.fill({}, one, RXC)
        put_preserved(item, one.preserved)
        medication.setdefault("ingredient", []).append(item)
    resource["medicationReference"] = {"reference": writing.put(medication)}
    if order.drug and order.drug.label:
        resource["medicationReference"]["display"] = order.drug.label


def take(taking: Taking) -> None:
    """All MedicationRequests as records. Raises Refused for what HL7v2 would turn into another order."""
    for resource in taking.index.of_type("MedicationRequest"):
        _take(taking, resource)


def _take(taking: Taking, resource: Json) -> None:
    _check(taking, resource)
    values = taking.take(resource, ORC, TQ1, RXR, OBX)
    start, end = values.get("start"), values.get("end")
    if start and end and is_before(end, start):
        raise _refused(
            taking, resource, "dosageInstruction[0].timing.repeat.boundsPeriod", "end-before-start",
            f"the order ends before it starts ({start.iso})", "", "102",
        )  # fmt: skip
    values.setdefault("intent", FILLER)
    if values["intent"] == GIVE and not _has_number(resource):
        values["intent"] = FILLER
    values.update(taking.take(resource, tables_of(values["intent"])[0]))
    _number(taking, resource, values)
    values.update(_medication(taking, resource, values["intent"]))
    _take_relations(taking, resource, values)
    give = f"-{values.get('counters', ('', ''))[0] or '0'}" if values["intent"] == GIVE else ""
    order = Order(
        key=order_key(values["placer"], values["filler"], values["intent"]) + give,
        notes=tuple(str(one["text"]) for one in resource.get("note", ()) if one.get("text")),
        patient=taking.patient(resource), visit=taking.visit(resource), **values,
    )  # fmt: skip
    if taking.records.orders.setdefault(order.key, order) is not order:
        raise _refused(taking, resource, "identifier", "identity-collision", "two orders of one intent have one number")
    taking.orders[id(resource)] = order.key
    _take_observations(taking, resource, order)


def _has_number(resource: Json) -> bool:
    """Whether a give instruction has its number (RXG-1), as ours have."""
    one = codes.code("keta.give-number")
    typed = [coding for number in resource.get("identifier", ()) for coding in number.get("type", {}).get("coding", ())]
    return any(coding.get("code") == one.code and coding.get("system") == one.system for coding in typed)


def _take_relations(taking: Taking, resource: Json, values: dict[str, Any]) -> None:
    """The parent (a number among `basedOn` that is another order's) and what is replaced."""
    own = {one.key for one in (values["placer"], values["filler"]) if one}
    for reference in resource.get("basedOn", ()):
        number = read_identifier(reference.get("identifier")) if isinstance(reference, dict) else None
        if number is not None and number.type in ("PLAC", "FILL") and number.key not in own:
            values["parent"] = number
    prior = resource.get("priorPrescription")
    if isinstance(prior, dict):
        found = taking.resolve(prior, resource) or {}
        listed = [prior.get("identifier"), *found.get("identifier", ())]
        numbers = [one for one in map(read_identifier, listed) if one and one.type in ("PLAC", "FILL")]
        if numbers:
            values["replaces"] = numbers[0]
            state = values.get("state")
            if state is not None and state.effect == "placed":
                values["state"] = replace(state, control=codes.code("v2-0119.RO").code, effect="replacement")


def _take_observations(taking: Taking, resource: Json, order: Order) -> None:
    """The observations told with the order: the dosing weight, the steps of a titration."""
    identity = order.key if order.intent == GIVE else order_identity(order.placer, order.filler)
    for reference in resource.get("supportingInformation", ()):
        found = taking.resolve(reference, resource)
        if found is None or found.get("resourceType") != "Observation":
            continue
        order.observations += results.take_one(taking, found, scope_key=identity, order=order.key)


def _check(taking: Taking, resource: Json) -> None:
    """What HL7v2 has no place for and would turn the order into another one."""
    dosages = resource.get("dosageInstruction", ())
    if resource.get("doNotPerform") is True:
        raise _refused(taking, resource, "doNotPerform", "order-prohibited", "HL7v2 has no order not to give a drug")
    if len(dosages) > 1 or any(len(one.get("doseAndRate", ())) > 1 for one in dosages):
        raise _refused(
            taking, resource, "dosageInstruction", "dosage-several", "an RXE or RXO holds one dose and rate",
            "send one request for each",
        )  # fmt: skip
    for dosage in dosages:
        for element in _limits(dosage):
            raise _refused(
                taking, resource, f"dosageInstruction[0].{element}", "dosage-unwritable",
                "it changes what is ordered, and no table row maps it", "send the order without it, or as several",
            )  # fmt: skip
        if dosage.get("text") and not any(_DOSED & one.keys() for one in dosage.get("doseAndRate", ())):
            taking.c.where = taking.name(resource)
            taking.c.warn(
                "dose-in-words", "dose and rate are told in words only: they go out as TQ1-11", str(dosage["text"]),
                "send dosageInstruction.doseAndRate",
            )  # fmt: skip


def _limits(dosage: Json) -> list[str]:
    """Elements of a dosage that say how often, when needed or how much at most, which no row maps."""
    timing = dosage.get("timing", {})
    repeat = timing.get("repeat", {})
    found = [name for name in ("asNeededBoolean", "asNeededCodeableConcept", *_MOST) if dosage.get(name)]
    found += [f"timing.{name}" for name in ("event", "code") if timing.get(name)]
    once = (repeat.get("count", 1), repeat.get("frequency", 1)) == (1, 1) and not _OFTEN & repeat.keys()
    if not once:
        found += [f"timing.repeat.{name}" for name in repeat if name in _OFTEN | {"count", "frequency"}]
    return found


def _number(taking: Taking, resource: Json, values: dict[str, Any]) -> None:
    """Placer and filler number.

    One that is not typed counts as filler's of a filler order, else as placer's; without any, the id of the
    resource does. A filler order takes the placer number of the order it is based on.
    """
    values.setdefault("placer", None)
    values.setdefault("filler", None)
    if values["placer"] is None and values["filler"] is None:
        listed = taking.identifiers(resource)
        number = listed[0] if listed else Identifier(taking.local_key(resource))
        role = "filler" if values["intent"] == FILLER else "placer"
        values[role] = Identifier(number.value, number.system, "", number.authority)
    if values["placer"] is None:
        for reference in resource.get("basedOn", ()):
            original = taking.resolve(reference, resource)
            if original is not None and original.get("resourceType") == "MedicationRequest":
                found = taking.tables.mapping(ORC).from_fhir(original, taking.c, ORC)
                values["placer"] = values["placer"] or found.get("placer")


def _medication(taking: Taking, resource: Json, intent: str) -> dict[str, Any]:
    medication = _medication_resource(taking, resource)
    seen = arranged(medication)
    values = taking.take(medication, tables_of(intent)[1], seen=seen)
    values.pop("preserved", None)
    listed = seen.get("ingredient", ())
    values["ingredients"] = tuple(take_ingredient(taking, one, medication, resource) for one in listed)
    values.setdefault("drug", _additive(values["ingredients"]))
    if not understood(values.get("drug")):
        raise _refused(
            taking, resource, "medication[x]", "drug-unknown",
            "the drug has neither a code with its system nor a text", "send medicationCodeableConcept", "103",
        )  # fmt: skip
    return values


def drug_within(taking: Taking, medication: Json, resource: Json) -> Coded | None:
    """The drug of a Medication that names only its ingredients: that of the only one that is no base."""
    listed = arranged(medication).get("ingredient", ())
    return _additive(tuple(take_ingredient(taking, one, medication, resource) for one in listed))


def _additive(ingredients: tuple[Ingredient, ...]) -> Coded | None:
    additives = [one.drug for one in ingredients if one.kind != "base" and one.drug]
    return additives[0] if len(additives) == 1 else None


def understood(drug: Coded | None) -> bool:
    """Whether a drug says something: a code with its system or its name, or a text."""
    return drug is not None and bool(drug.text or any(one.system or one.display for one in drug.codings))


def _medication_resource(taking: Taking, resource: Json) -> Json:
    """The Medication: contained, in the Bundle, or made of the concept (or display) that the request has."""
    concept = resource.get("medicationCodeableConcept")
    if concept is None:
        reference = resource.get("medicationReference") or {}
        found = taking.resolve(reference, resource)
        if found is not None and found.get("resourceType") == "Medication":
            return found
        concept = {"text": str(reference["display"])} if reference.get("display") else {}
    return {"resourceType": "Medication", "code": concept}


def take_ingredient(taking: Taking, json: Json, medication: Json, resource: Json) -> Ingredient:
    """One component of a Medication that a resource refers to."""
    values = taking.tables.mapping(RXC).from_fhir(json, taking.c, RXC)
    if "drug" not in values and json.get("itemReference"):
        item = json["itemReference"]
        found = taking.resolve(item, medication) or taking.resolve(item, resource) or {}
        code = found.get("code") or {"text": str(item.get("display", ""))}
        values.update(taking.tables.mapping(RXC).from_fhir({"itemCodeableConcept": code}, taking.c, RXC))
    return Ingredient(preserved=get_preserved(json), **values)


def _refused(
    taking: Taking, resource: Json, element: str, code: str, text: str, hint: str = "", hl7: str = "207"
) -> Refused:
    where = f"{taking.name(resource)}.{element}"
    return Refused(*taking.c.issues, Issue("error", code, text, where=where, hint=hint, hl7=hl7))
