"""MedicationRequests that others made: without our extensions, or saying what HL7v2 cannot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from order_trips import compose, take

from ketafhir.errors import Refused
from ketafhir.therapy.values import Quantity

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
KETAMINE = {"coding": [{"system": RXNORM, "code": "6130", "display": "ketamine"}]}


def quantity(value: str, unit: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}


def request(**more: Any) -> dict[str, Any]:
    """The least a MedicationRequest has, and more; what is None is left out."""
    resource = {
        "resourceType": "MedicationRequest",
        "id": "r1",
        "status": "active",
        "intent": "order",
        "subject": {"identifier": {"system": "urn:id:WILLOW", "value": "SYN-1"}},
        "medicationCodeableConcept": KETAMINE,
        **more,
    }
    return {name: value for name, value in resource.items() if value is not None}


def dosed(**rate: Any) -> dict[str, Any]:
    return request(dosageInstruction=[{"doseAndRate": [rate]}])


def only(resource: dict[str, Any]) -> Any:
    (order,) = take(resource).records.orders.values()
    return order


def test_the_least_request_is_an_encoded_order_under_its_own_id() -> None:
    taking = take(request())
    assert compose(taking) == ["ORC|NW||r1||IP", "RXE||6130^ketamine^RXNORM", "TQ1|1"]
    assert compose(taking, "OMP^O09") == []


def test_an_original_order_is_an_omp() -> None:
    taking = take(request(intent="original-order", identifier=[{"system": "urn:id:EHR", "value": "P-1"}]))
    assert compose(taking, "OMP^O09") == ["ORC|NW|P-1^EHR|||IP", "RXO|6130^ketamine^RXNORM"]
    assert compose(taking) == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("active", ("NW", "IP")),
        ("on-hold", ("HD", "HD")),
        ("cancelled", ("CA", "CA")),
        ("stopped", ("DC", "DC")),
        ("completed", ("SC", "CM")),
        ("entered-in-error", ("SC", "ER")),
    ],
)
def test_status(status: str, state: tuple[str, str]) -> None:
    found = only(request(status=status)).state
    assert found is not None
    assert (found.control, found.status) == state
    assert (found.says, found.standing) == (status, "")


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ({"rateQuantity": quantity("54", "mL/h")}, Quantity(Decimal(54), "mL/h")),
        (
            {"rateRatio": {"numerator": quantity("54.0", "mL"), "denominator": quantity("1", "h")}},
            Quantity(Decimal("54.0"), "mL/h"),
        ),
        (
            {"rateRatio": {"numerator": quantity("36", "mg"), "denominator": quantity("40", "min")}},
            Quantity(Decimal("0.9"), "mg/min"),
        ),
    ],
)
def test_rates(rate: dict[str, Any], expected: Quantity) -> None:
    assert only(dosed(**rate)).rate == expected


def test_text_and_time_of_a_dosage() -> None:
    dosage = {
        "text": "0.5 mg/kg over 40 minutes",
        "timing": {"repeat": {"duration": 40, "durationUnit": "min"}},
    }
    order = only(request(dosageInstruction=[dosage]))
    assert (order.directions, order.over) == ("0.5 mg/kg over 40 minutes", Quantity(Decimal(40), "min"))


MIXTURE = {
    "resourceType": "Medication",
    "id": "m1",
    "form": {"text": "Solution for infusion"},
    "ingredient": [
        {
            "itemReference": {"reference": "#saline"},
            "isActive": False,
            "strength": {"numerator": quantity("45", "mL"), "denominator": quantity("1", "1")},
        },
        {
            "itemCodeableConcept": KETAMINE,
            "isActive": True,
            "strength": {"numerator": quantity("50", "mg"), "denominator": {"value": 1, "unit": "bag"}},
        },
    ],
    "contained": [{"resourceType": "Substance", "id": "saline", "code": {"text": "Saline"}}],
}


@pytest.mark.parametrize("contained", [True, False])
def test_a_mixture_contained_or_beside(contained: bool) -> None:
    if contained:
        saline = MIXTURE["contained"][0]
        inside = {name: value for name, value in MIXTURE.items() if name != "contained"}
        bundle = request(
            medicationCodeableConcept=None,
            medicationReference={"reference": "#m1"},
            contained=[inside, saline],
        )
    else:
        asked = request(medicationCodeableConcept=None, medicationReference={"reference": "Medication/m1"})
        entries = [{"resource": asked}, {"resource": MIXTURE}]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    order = only(bundle)
    assert order.drug.label == "ketamine"
    assert [one.amount for one in order.ingredients] == [
        Quantity(Decimal(45), "mL"),
        Quantity(Decimal(50), "mg"),
    ]
    assert order.ingredients[1].kind == "additive"
    assert order.ingredients[0].drug.label == "Saline"


def mixed(*strengths: dict[str, Any]) -> dict[str, Any]:
    """An order of a contained Medication with ingredients of these strengths, the first of them ketamine."""
    names = [KETAMINE, {"text": "sodium chloride 0.9 %"}]
    listed = [{"itemCodeableConcept": name, "strength": one} for name, one in zip(names, strengths, strict=False)]
    medication = {"resourceType": "Medication", "id": "m1", "code": KETAMINE, "ingredient": listed}
    return request(medicationCodeableConcept=None, medicationReference={"reference": "#m1"}, contained=[medication])


@pytest.mark.parametrize(
    ("top", "bottom", "concentration"),
    [
        (("50", "mg"), ("1", "mL"), ("50", "mg/mL")),
        (("500", "mg"), ("500", "mL"), ("1", "mg/mL")),
        (("50", "mg"), ("20", "mL"), ("2.5", "mg/mL")),
    ],
)
def test_the_strength_per_volume_of_the_only_ingredient_is_the_concentration(
    top: tuple[str, str], bottom: tuple[str, str], concentration: tuple[str, str]
) -> None:
    taking = take(mixed({"numerator": quantity(*top), "denominator": quantity(*bottom)}))
    (order,) = taking.records.orders.values()
    assert order.concentration == Quantity(Decimal(concentration[0]), concentration[1])
    assert order.ingredients[0].amount is None
    assert [issue.code for issue in taking.c.issues] == []


@pytest.mark.parametrize(
    "bottom",
    [
        quantity("3", "mL"),
        {"value": 1, "unit": "milliliters"},
        {"value": 1, "unit": "dose", "system": "urn:id:UNITS", "code": "bag"},
        {"value": 1, "comparator": "<", "unit": "mL", "system": UCUM, "code": "mL"},
    ],
)
def test_a_strength_that_is_neither_is_left_out_with_a_warning(bottom: dict[str, Any]) -> None:
    taking = take(mixed({"numerator": quantity("50", "mg"), "denominator": bottom}))
    (order,) = taking.records.orders.values()
    assert order.concentration is None
    assert order.ingredients[0].amount is None
    assert [issue.code for issue in taking.c.issues] == ["strength-unread"]


def test_strengths_per_volume_of_several_ingredients_may_be_those_of_vials() -> None:
    each = {"numerator": quantity("50", "mg"), "denominator": quantity("1", "mL")}
    taking = take(mixed(each, each))
    (order,) = taking.records.orders.values()
    assert order.concentration is None
    assert [issue.code for issue in taking.c.issues] == ["strength-unread"]


def test_a_strength_in_one_mixture_is_its_amount() -> None:
    for bottom in ({"value": 1}, quantity("1", "1")):
        taking = take(mixed({"numerator": quantity("500", "mg"), "denominator": bottom}))
        (order,) = taking.records.orders.values()
        assert order.ingredients[0].amount == Quantity(Decimal(500), "mg")
        assert not taking.c.issues


def test_a_reference_with_nothing_but_its_name() -> None:
    order = only(
        request(medicationCodeableConcept=None, medicationReference={"reference": "Medication/9", "display": "K"})
    )
    assert order.drug.text == "K"


def test_a_filler_order_takes_the_placer_number_of_what_it_is_based_on() -> None:
    typed = [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}}]
    original = request(id="r0", intent="original-order", identifier=[typed[0] | {"value": "P-1"}])
    filler = request(
        intent="filler-order",
        identifier=[{"value": "F-1"}],
        basedOn=[{"reference": "MedicationRequest/r0"}],
    )
    entries = [{"resource": original}, {"resource": filler}]
    taking = take({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert [line[:3] for line in compose(taking)] == ["ORC", "RXO", "RXE", "TQ1"]
    assert compose(taking)[0] == "ORC|NW|P-1|F-1||IP"


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (request(status="draft"), "status-unknown"),
        (request(status="unknown"), "status-unknown"),
        (request(intent="proposal"), "code-unknown"),
        (request(doNotPerform=True), "order-prohibited"),
        (request(dosageInstruction=[{"text": "first"}, {"text": "second"}]), "dosage-several"),
        (request(dosageInstruction=[{"doseAndRate": [{}, {}]}]), "dosage-several"),
        (request(medicationCodeableConcept={"coding": [{"code": "6130"}]}), "drug-unknown"),
        (request(medicationCodeableConcept=None, medicationReference={"reference": "#x"}), "drug-unknown"),
        (request(subject={"reference": "Patient/none"}), "patient-missing"),
        (dosed(doseQuantity=quantity("36", "mL/h")), "unit-is-rate"),
        (dosed(doseQuantity={"value": 36}), "dose-unreadable"),
        (dosed(doseQuantity=quantity("36", "mg") | {"comparator": "<"}), "dose-unreadable"),
        (dosed(doseRange={"low": quantity("30", "mg")}), "dose-unreadable"),
        (dosed(doseRatio={}), "dose-unreadable"),
        (dosed(rateQuantity=quantity("54", "mL")), "unit-wrong-kind"),
        (dosed(rateRange={}), "rate-unreadable"),
        (
            dosed(rateRatio={"numerator": quantity("10", "mg"), "denominator": quantity("3", "h")}),
            "rate-unreadable",
        ),
    ],
)
def test_refused(resource: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        take(resource)
    assert refusal.value.issues[-1].code == code


def test_a_range_of_two_units_is_not_written() -> None:
    taking = take(dosed(doseRange={"low": quantity("500", "ug"), "high": quantity("1", "mg")}))
    with pytest.raises(Refused) as refusal:
        compose(taking)
    assert refusal.value.issues[-1].code == "dose-unwritable"


def test_two_orders_under_one_number_are_refused() -> None:
    number = [{"system": "urn:id:EHR", "value": "P-1"}]
    entries = [{"resource": request(id=name, identifier=number)} for name in ("r1", "r2")]
    with pytest.raises(Refused) as refusal:
        take({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert refusal.value.issues[-1].code == "identity-collision"
