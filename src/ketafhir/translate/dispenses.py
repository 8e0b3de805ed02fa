"""What the pharmacy dispensed: RDS^O13 (chapter 4A.3.9, RXD) <-> MedicationDispense, tied to its order, and in no sum.

Each RXD is one dispense, known by the number of its order and RXD-1. The order details that may stand before it (RXO, RXE) only
fill what is missing, as in a RAS.
"""

from __future__ import annotations

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.engine import NULL, put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Dispense
from ketafhir.therapy.values import Coded
from ketafhir.translate.composing import Composing
from ketafhir.translate.numbering import order_numbers
from ketafhir.translate.order_segments import RXC, read_component
from ketafhir.translate.orders import drug_within, request_reference, take_ingredient, understood
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

TYPE = "MedicationDispense"
RXD, MEDICATION = "RXD_to_MedicationDispense", "RXD_to_Medication"
ORC, RXR = "ORC_to_MedicationDispense", "RXR_to_MedicationDispense"
_PLACED = ("ORC", "RXD", "RXR", "OBX")


def read(reading: Reading, group: PatientGroup) -> None:
    """All dispenses of one patient group. Raises Refused."""
    for order in group.orders:
        _read(reading, order)


def _read(reading: Reading, group: OrderGroup) -> None:
    assert group.orc is not None  # the walker refuses an RXD without ORC
    assert group.rxd is not None  # and an order of an RDS without RXD
    values = reading.read(group.orc, ORC)
    kept = values.pop("preserved", ())
    values |= reading.read(group.rxd, RXD, MEDICATION)
    kept += values.pop("preserved", ())
    identity = order_identity(values.get("placer"), values.get("filler"))
    if not identity:
        raise _missing(reading, "order-number-missing", "a dispense whose order has no number", group.orc, 2)
    if "status" not in values:
        raise _missing(reading, "order-control-unknown", "a dispense without order control", group.orc, 1)
    if "number" not in values:
        raise _missing(reading, "dispense-number-missing", "a required field is empty", group.rxd, 1)
    if "drug" not in values:
        raise _missing(reading, "dispense-drug-missing", "a required field is empty", group.rxd, 2)
    if group.dispense_routes:
        route = reading.read(group.dispense_routes[0], RXR)
        kept += route.pop("preserved", ())
        values |= route
    reading.c.nulls.clear()
    one = Dispense(**values, key=f"{identity}|dispense|{values['number']}", order=identity, told=reading.told)
    one.patient, one.visit, one.sender = reading.patient, reading.visit, reading.sender
    one.ingredients = tuple(read_component(reading, rxc) for rxc in group.dispense_components)
    reading.c.nulls.clear()
    details = ("RXO", "RXE") if group.rxo or group.rxe else ()
    one.notes = note_texts([nte for name, nte in group.notes if name not in details], reading)
    if group.rxd.get(7) not in ("", NULL, _prescription(one)):
        kept += (("RXD-7", group.rxd.get(7)),)
    one.preserved = kept + _rest(reading, group)
    if reading.records.dispenses.setdefault(one.key, one) is not one:
        raise _missing(reading, "identity-collision", "two dispenses of one order have one number", group.rxd, 1, "205")


def _prescription(one: Dispense) -> str:
    """RXD-7 where none was told: chapter 4A wants a number as unique as the filler's, which it may be."""
    number = one.filler or one.placer
    return escape(number.value) if number else ""


def _rest(reading: Reading, group: OrderGroup) -> tuple[tuple[str, str], ...]:
    """Segments that no table maps, each with its number among those of its name."""
    kept: tuple[tuple[str, str], ...] = ()
    seen = {"RXR": len(group.dispense_routes[:1])}
    below = [prt for _, prt in group.participations]
    timings = [] if group.rxo or group.rxe else group.timings
    results = [one for result in group.results for one in (result.obx, *result.others)]
    for segment in (*timings, *group.dispense_routes[1:], *below, *results, *group.others):
        seen[segment.name] = seen.get(segment.name, 0) + 1
        kept += reading.keep(segment, seen[segment.name], "MedicationDispense")
    for result in group.results:
        for nte in result.notes:
            reading.drop(nte, "a note on an observation of a dispense has no place")
    return kept


def _missing(reading: Reading, code: str, text: str, segment: Segment, field: int, hl7: str = "101") -> Refused:
    return reading.refused(segment, field, code, text, hl7=hl7, value=segment.get(field))


def render(writing: Writing, one: Dispense) -> None:
    """The MedicationDispense, and its Medication where it is more than a code."""
    resource = writing.start(TYPE, one.key, EXTENSION + "infusion-dispense", sender=one.sender)
    writing.fill(resource, one, ORC, RXD, RXR)
    for identifier in resource["identifier"]:
        if "system" not in identifier and identifier.get("value") == one.number:
            identifier["system"] = _number_system(one.order)
    if one.lot or one.expiry or one.form or one.manufacturer or one.concentration or one.ingredients:
        resource.pop("medicationCodeableConcept", None)
        resource["medicationReference"] = {"reference": _medication(writing, one)}
    resource["subject"] = writing.patient(one.patient)
    visit = writing.visit(one.visit)
    if visit is not None:
        resource["context"] = visit
    resource["authorizingPrescription"] = [request_reference(writing, one.placer, one.filler)]
    if one.notes:
        resource["note"] = [{"text": text} for text in one.notes]
    writing.put(resource, one.preserved)


def _medication(writing: Writing, one: Dispense) -> str:
    medication = writing.start(
        "Medication", f"{one.key}|medication", EXTENSION + "infusion-medication", sender=one.sender
    )
    writing.fill(medication, one, MEDICATION)
    for part in one.ingredients:
        item = writing.fill({}, part, RXC)
        put_preserved(item, part.preserved)
        medication.setdefault("ingredient", []).append(item)
    return writing.put(medication)


def _number_system(order: str) -> str:
    from urllib.parse import quote

    return "urn:ketafhir:dispense:" + quote(order, safe=":")


def take(taking: Taking) -> None:
    """All MedicationDispenses of the Bundle, after its orders. Raises Refused."""
    for resource in taking.index.of_type(TYPE):
        _take(taking, resource)


def _take(taking: Taking, resource: Json) -> None:
    values = taking.take(resource, RXD, ORC, RXR)
    kept = values.pop("preserved", ())
    medication = taking.resolve(resource.get("medicationReference"), resource)
    if medication is not None and medication.get("resourceType") == "Medication":
        batch = taking.take(medication, MEDICATION)
        kept += batch.pop("preserved", ())
        values |= batch
        values["ingredients"] = tuple(
            take_ingredient(taking, one, medication, resource) for one in medication.get("ingredient", ())
        )
        values.setdefault("drug", drug_within(taking, medication, resource))
    elif "drug" not in values and (resource.get("medicationReference") or {}).get("display"):
        values["drug"] = Coded((), str(resource["medicationReference"]["display"]))
    if not understood(values.get("drug")):
        raise _refused(
            taking, resource, "medication[x]", "drug-unknown", "the drug has neither a code nor a text", "103"
        )
    if not (values.get("placer") or values.get("filler")):
        request = (resource.get("authorizingPrescription") or [None])[0]
        values["placer"], values["filler"] = order_numbers(taking, {**resource, "request": request}, None, values)
    identity = order_identity(values.get("placer"), values.get("filler"))
    if not values.get("number"):
        listed = taking.identifiers(resource)
        values["number"] = listed[0].value if listed else taking.local_key(resource)
    one = Dispense(**values, key=f"{identity}|dispense|{values['number']}", order=identity, preserved=kept)
    one.patient, one.visit = taking.patient(resource), taking.visit(resource, "context")
    one.notes = tuple(str(note["text"]) for note in resource.get("note", ()) if note.get("text"))
    if taking.records.dispenses.setdefault(one.key, one) is not one:
        raise _refused(taking, resource, "identifier", "identity-collision", "two dispenses have one number", "205")


def _refused(taking: Taking, resource: Json, element: str, code: str, text: str, hl7: str) -> Refused:
    where = f"{taking.name(resource)}.{element}"
    return Refused(*taking.c.issues, Issue("error", code, text, where=where, hl7=hl7))


def compose(composing: Composing, dispenses: list[Dispense]) -> None:
    """The ORDER groups of an RDS^O13, each dispense one, in order of time."""
    for one in sorted(dispenses, key=lambda one: (one.at.at if one.at else 0, one.key)):
        composing.add("ORC", composing.cells(one, ORC))
        composing.add_preserved("TQ1", one.preserved)
        composing.add("RXD", {3: NULL, 7: _prescription(one), **composing.cells(one, RXD, MEDICATION)})
        composing.notes(one.notes)
        # Chapter 4A: a dispense has an RXR, null where no route is told.
        composing.add("RXR", {1: NULL, **composing.cells(one, RXR)})
        composing.add_preserved("RXR", one.preserved, 2)
        for part in one.ingredients:
            composing.add("RXC", composing.cells(part, RXC))
        composing.add_preserved("OBX", one.preserved)
        for name in dict.fromkeys(place[:3] for place, _ in one.preserved):
            if name not in (*_PLACED, "TQ1"):
                composing.add_preserved(name, one.preserved)
