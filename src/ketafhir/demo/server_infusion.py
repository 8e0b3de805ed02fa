"""Orders, infusions, boluses and waste, read from the resources of one patient."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ketafhir.demo.elements import (
    Record,
    Resource,
    has,
    in_error,
    minutes,
    moment,
    named,
    number_of,
    of_type,
    per_hour,
    quantity,
    rounded,
    staff_number,
    tagged,
    target,
)
from ketafhir.demo.view import Bolus, Drug, Infusion, Order, Pause, Segment, Waste
from ketafhir.mapping import codes
from ketafhir.mapping.paths import EXTENSION

CONCENTRATION = EXTENSION + "concentration"
ADMINISTRATION = "MedicationAdministration"


def orders(record: Record) -> list[Order]:
    """What the pharmacy encoded (filler orders), else what was asked for."""
    told = [one for one in of_type(record, "MedicationRequest") if not in_error(one)]
    filler = [one for one in told if one.get("intent") == "filler-order"]
    return [_order(record, one) for one in filler or told]


def _order(record: Record, request: Resource) -> Order:
    dosage: dict[str, Any] = next(iter(request.get("dosageInstruction", ())), {})
    given: dict[str, Any] = next(iter(dosage.get("doseAndRate", ())), {})
    medication = _medication(record, request)
    found = drug(record, request)
    rate = per_hour(given.get("rateRatio")) if "rateRatio" in given else quantity(given.get("rateQuantity"), "mL/h")
    return Order(
        placer=number_of(request, "v2-0203.PLAC"),
        filler=number_of(request, "v2-0203.FILL"),
        drug=found,
        dose_mg=quantity(given.get("doseQuantity"), "mg"),
        rate_ml_per_h=rate,
        max_rate_ml_per_h=per_hour(dosage.get("maxDosePerPeriod")),
        concentration_mg_per_ml=_concentration(medication),
        bag_mg=_in_bag(medication, found),
        bag_ml=quantity(request.get("dispenseRequest", {}).get("quantity"), "mL"),
        weight_kg=_weight(record, request),
    )


def _medication(record: Record, resource: Resource) -> Resource:
    """The Medication, or one made of the concept that stands in its place."""
    found = target(record, resource.get("medicationReference"))
    return found if found is not None else {"code": resource.get("medicationCodeableConcept", {})}


def drug(record: Record, resource: Resource) -> Drug:
    """The coding of the drug in RxNorm, else the first it has."""
    codings = _medication(record, resource).get("code", {}).get("coding", [])
    system = codes.system_uri("RXNORM")
    chosen = next((one for one in codings if one.get("system") == system), codings[0] if codings else {})
    return Drug(str(chosen.get("code", "")), str(chosen.get("display", "")))


def _concentration(medication: Resource) -> Decimal | None:
    for extension in medication.get("extension", ()):
        if extension.get("url") == CONCENTRATION:
            ratio = extension.get("valueRatio", {})
            mass, volume = quantity(ratio.get("numerator"), "mg"), quantity(ratio.get("denominator"), "mL")
            if mass is not None and volume:
                return rounded(Fraction(mass) / Fraction(volume))
    return None


def _in_bag(medication: Resource, of: Drug) -> Decimal | None:
    for ingredient in medication.get("ingredient", ()):
        codings = ingredient.get("itemCodeableConcept", {}).get("coding", ())
        if any(one.get("code") == of.code for one in codings):
            return quantity(ingredient.get("strength", {}).get("numerator"), "mg")
    return None


def _weight(record: Record, request: Resource) -> Decimal | None:
    for reference in request.get("supportingInformation", ()):
        observation = target(record, reference) or {}
        if has(observation.get("code"), "vitals.weight"):
            return quantity(observation.get("valueQuantity"), "kg")
    return None


def infusions(record: Record) -> list[Infusion]:
    """Parents that have segments of constant rate, in order of their start."""
    found = []
    for parent in of_type(record, ADMINISTRATION):
        parts = _children(record, parent)
        children = [one for one in parts if tagged(one, "keta.infusion-segment") and one["status"] != "not-done"]
        if children:
            found.append(_infusion(record, parent, children))
    return sorted(found, key=lambda one: moment(one.start))


def _children(record: Record, parent: Resource) -> list[Resource]:
    listed = [one for one in of_type(record, ADMINISTRATION) if not in_error(one)]
    return [one for one in listed if any(target(record, ref) is parent for ref in one.get("partOf", ()))]


def _infusion(record: Record, parent: Resource, children: list[Resource]) -> Infusion:
    children.sort(key=lambda one: moment(one["effectivePeriod"]["start"]))
    segments = [_segment(one) for one in children]
    pauses = [
        Pause(before.end, after.start, rounded(minutes(before.end, after.start)))
        for before, after in pairwise(segments)
        if before.end and moment(before.end) != moment(after.start)
    ]
    masses = [_milligrams(record, child, one) for child, one in zip(children, segments, strict=True)]
    volumes = [one.volume_ml for one in segments]
    period = parent.get("effectivePeriod", {})
    return Infusion(
        status=parent["status"],
        start=period.get("start", ""),
        end=period.get("end"),
        segments=segments,
        pauses=pauses,
        running_minutes=_sum([one.minutes for one in segments]),
        pause_minutes=sum((one.minutes for one in pauses), Decimal(0)),
        delivered_ml=_sum(volumes),
        delivered_mg=_sum(masses),
        pump_volume_ml=_pump_volume(record, parent),
        parent_mg=quantity(parent.get("dosage", {}).get("dose"), "mg"),
    )


def _segment(child: Resource) -> Segment:
    period, dosage = child["effectivePeriod"], child.get("dosage", {})
    rate = per_hour(dosage.get("rateRatio")) if "rateRatio" in dosage else quantity(dosage.get("rateQuantity"), "mL/h")
    segment = Segment(period["start"], period.get("end"), None, rate, None)
    if segment.end is not None and rate is not None:
        ran = minutes(segment.start, segment.end)
        segment.minutes, segment.volume_ml = rounded(ran), rounded(Fraction(rate) * ran / 60)
    return segment


def _milligrams(record: Record, child: Resource, segment: Segment) -> Decimal | None:
    concentration = _concentration(_medication(record, child))
    if concentration is None or segment.volume_ml is None:
        return None
    return rounded(Fraction(segment.volume_ml) * Fraction(concentration))


def _sum(parts: list[Decimal | None]) -> Decimal | None:
    """A sum with one part that is not known is not known."""
    known = [one for one in parts if one is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


def _pump_volume(record: Record, parent: Resource) -> Decimal | None:
    """The last cumulative volume that a pump has told of this infusion."""
    told = [
        one for one in _observations_of(record, "partOf", parent) if has(one.get("code"), "mdc.vol-fluid-deliv-total")
    ]
    last = max(told, key=lambda one: moment(one["effectiveDateTime"]), default={})
    return quantity(last.get("valueQuantity"), "mL")


def _observations_of(record: Record, element: str, whole: Resource) -> list[Resource]:
    """Observations that point to a resource by this element."""
    listed = [one for one in of_type(record, "Observation") if not in_error(one)]
    return [one for one in listed if any(target(record, ref) is whole for ref in one.get(element, ()))]


def boluses(record: Record) -> list[Bolus]:
    """Doses given at once, in order of time."""
    given = [
        one
        for one in of_type(record, ADMINISTRATION)
        if tagged(one, "keta.bolus") and one["status"] in ("completed", "stopped")
    ]
    found = [
        Bolus(drug(record, one), quantity(one.get("dosage", {}).get("dose"), "mg"), one["effectiveDateTime"])
        for one in given
    ]
    return sorted(found, key=lambda one: moment(one.time))


def wastes(record: Record) -> list[Waste]:
    """What was drawn up and thrown away, with who did it and who saw it."""
    told = [one for one in of_type(record, ADMINISTRATION) if tagged(one, "keta.waste") and not in_error(one)]
    return [_waste(record, one) for one in told]


def _waste(record: Record, resource: Resource) -> Waste:
    people: dict[str, str | None] = {}
    for one in resource.get("performer", ()):
        role = named(one.get("function"), ("performer.performer", "performer.witness"))
        people[role] = staff_number(record, one.get("actor"))
    amounts: dict[str, Decimal | None] = {}
    for name, unit in (("keta.waste-amount", "mg"), ("keta.waste-volume", "mL")):
        for one in _observations_of(record, "focus", resource):
            if has(one.get("code"), name):
                amounts[unit] = quantity(one.get("valueQuantity"), unit)
    return Waste(
        mg=amounts.get("mg"),
        ml=amounts.get("mL"),
        time=resource.get("effectiveDateTime"),
        by=people.get("performer.performer"),
        witness=people.get("performer.witness"),
    )
