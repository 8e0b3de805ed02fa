"""The shape check and the typed models of fhir.resources."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ketafhir.errors import Refused
from ketafhir.fhir import check, json

ADMINISTRATION = b"""{"resourceType": "MedicationAdministration", "status": "completed",
  "medicationCodeableConcept": {"text": "ketamine"}, "subject": {"reference": "Patient/p"},
  "effectiveDateTime": "2026-03-09T08:20:00-05:00",
  "dosage": {"dose": {"value": 72.50},
             "rateRatio": {"numerator": {"value": 1e5}, "denominator": {"value": 1}}}}"""


def administration(**more: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(ADMINISTRATION)
    return {**value, **more}


def test_what_fits_has_no_findings() -> None:
    assert check.shape(administration()) == []


def test_findings_name_their_path() -> None:
    wrong = administration(foo=1, status=5, identifier=[{"value": "1"}, {"value": {}}])
    del wrong["subject"]
    found = {issue.where: issue.text for issue in check.shape(wrong)}
    assert set(found) == {
        "MedicationAdministration.foo",
        "MedicationAdministration.status",
        "MedicationAdministration.subject",
        "MedicationAdministration.identifier[1].value",
    }
    assert {issue.code for issue in check.shape(wrong)} == {"fhir-shape"}


def test_a_choice_that_must_be_made_is_missed() -> None:
    wrong = administration()
    del wrong["effectiveDateTime"]
    (issue,) = check.shape(wrong)
    assert "effectivePeriod" in issue.text


def test_an_unknown_type_is_a_finding() -> None:
    (issue,) = check.shape({"resourceType": "Banana"})
    assert (issue.code, issue.value) == ("fhir-type-unknown", "Banana")


def test_resources_inside_a_bundle_are_checked() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "x": 1}}],
    }
    assert [issue.where for issue in check.shape(bundle)] == ["Bundle.entry[0].resource.x"]


def test_a_model_has_the_decimals_that_were_read() -> None:
    model = check.typed(administration())
    assert type(model.dosage.dose.value) is Decimal
    assert str(model.dosage.dose.value) == "72.50"
    assert model.dosage.rateRatio.numerator.value == Decimal("1e5")


def test_there_is_no_model_of_what_does_not_fit() -> None:
    with pytest.raises(Refused, match="foo"):
        check.typed(administration(foo=1))


@pytest.mark.parametrize(
    ("resource", "path", "kind"),
    [
        ("MedicationAdministration", "dosage", "BackboneElement"),
        ("MedicationAdministration", "dosage.rateRatio", "Ratio"),
        ("MedicationAdministration", "dosage.rateRatio.numerator", "Quantity"),
        ("MedicationAdministration", "effectivePeriod.start", "dateTime"),
        ("MedicationAdministration", "partOf", "Reference"),
        ("MedicationRequest", "dosageInstruction", "Dosage"),
        ("MedicationRequest", "dosageInstruction.timing.repeat", "Element"),
        ("Encounter", "class", "Coding"),
        ("Encounter", "class.code", "code"),
        ("Observation", "component.valueQuantity.value", "decimal"),
        ("Observation", "valueBoolean", "boolean"),
        ("Observation", "effectiveInstant", "instant"),
        ("Patient", "birthDate", "date"),
        ("Patient", "name.given", "string"),
        ("Patient", "photo.data", "base64Binary"),
        ("Patient", "contained", "Resource"),
        ("QuestionnaireResponse", "item.item.answer.valueCoding", "Coding"),
        ("Patient", "nope", None),
        ("Patient", "name.nope", None),
        ("Patient", "birthDate.nope", None),
        ("Observation", "value", None),
        ("Banana", "x", None),
    ],
)
def test_the_type_of_an_element(resource: str, path: str, kind: str | None) -> None:
    assert check.element_type(resource, path) == kind
