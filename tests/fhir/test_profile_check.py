"""The fast check: what it finds, where, and that it finds nothing in what is written."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from golden.cases import ROOT, feed, folders, site
from ketafhir.errors import Refused
from ketafhir.fhir.profile.check import check, definitions
from ketafhir.fhir.profile.invariants import INVARIANTS
from ketafhir.translate.translation import iter_fhir

OURS = "https://ketafhir.org/fhir/StructureDefinition/"
KETA = "https://ketafhir.org/fhir/CodeSystem/keta"
UCUM = "http://unitsofmeasure.org"

HEART_RATE: dict[str, Any] = {
    "resourceType": "Observation",
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]},
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-04-14T09:00:00-05:00",
    "valueQuantity": {"value": Decimal("72.0"), "unit": "/min", "system": UCUM, "code": "/min"},
}


def number(kind: str, system: str = KETA) -> dict[str, Any]:
    return {"type": {"coding": [{"system": system, "code": kind}]}, "system": "urn:x", "value": "1"}


SEGMENT: dict[str, Any] = {
    "resourceType": "MedicationAdministration",
    "meta": {"profile": [OURS + "infusion-segment"], "tag": [{"system": KETA, "code": "infusion-segment"}]},
    "identifier": [number("administration-number"), number("infusion-number")],
    "partOf": [{"reference": "MedicationAdministration/2"}],
    "status": "completed",
    "medicationCodeableConcept": {"text": "ketamine"},
    "subject": {"reference": "Patient/1"},
    "effectivePeriod": {"start": "2026-04-14T09:00:00-05:00", "end": "2026-04-14T09:30:00-05:00"},
    "request": {"identifier": {"value": "F-B2"}},
    "dosage": {
        "rateRatio": {
            "numerator": {"value": 20, "unit": "mL", "system": UCUM, "code": "mL"},
            "denominator": {"value": 1, "unit": "h", "system": UCUM, "code": "h"},
        }
    },
}


def changed(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the element at a path such as `meta.tag.0.code` set, or removed for None."""
    copy = deepcopy(resource)
    *way, last = path.split(".")
    at: Any = copy
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    key: Any = int(last) if isinstance(at, list) else last
    if value is None:
        del at[key]
    else:
        at[key] = value
    return copy


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_wrong_with_what_is_written(folder: Any) -> None:
    for step in iter_fhir(feed(folder), site=site(folder)):
        if not isinstance(step, Refused):
            assert step.bundle is not None
            assert check(step.bundle) == []


def test_a_good_resource() -> None:
    assert check(HEART_RATE) == []
    assert check(SEGMENT) == []


@pytest.mark.parametrize(
    ("resource", "path", "value", "where", "kind"),
    [
        (HEART_RATE, "status", None, "Observation.status", "required"),
        (HEART_RATE, "status", "banana", "Observation.status", "value"),
        (HEART_RATE, "status", 1, "Observation.status", "value"),
        (HEART_RATE, "state", "final", "Observation.state", "structure"),
        (HEART_RATE, "category", {}, "Observation.category", "structure"),
        (HEART_RATE, "category", [], "Observation.category", "required"),
        (HEART_RATE, "category.0.coding.0.code", "exam", "Observation.category", "required"),
        (HEART_RATE, "code.coding.0.code", "8867-3", "Observation.code.coding", "required"),
        (HEART_RATE, "effectiveDateTime", "2026-02-30", "Observation.effectiveDateTime", "value"),
        (HEART_RATE, "effectiveDateTime", "2026-04-14T09:00:00", "Observation.effectiveDateTime", "value"),
        (HEART_RATE, "valueQuantity.code", "bpm", "Observation.valueQuantity.code", "value"),
        (HEART_RATE, "valueQuantity.value", "72", "Observation.valueQuantity.value", "value"),
        (HEART_RATE, "valueQuantity", None, "Observation", "invariant"),
        (HEART_RATE, "valueString", "72", "Observation.valueString", "structure"),
        (HEART_RATE, "subject.reference", "Observation/1", "Observation.subject.reference", "structure"),
        (HEART_RATE, "note", [{"text": " "}], "Observation.note[0].text", "value"),
        (HEART_RATE, "note", [{}], "Observation.note[0].text", "required"),
        (SEGMENT, "meta.tag.0.code", "bolus", "MedicationAdministration.meta.tag", "required"),
        (SEGMENT, "partOf", None, "MedicationAdministration.partOf", "required"),
        (SEGMENT, "partOf.0.reference", "Procedure/2", "MedicationAdministration.partOf[0].reference", "structure"),
        (SEGMENT, "identifier.1", number("x"), "MedicationAdministration.identifier", "required"),
        (SEGMENT, "dosage.dose", {"value": 10}, "MedicationAdministration.dosage.dose", "structure"),
        (SEGMENT, "dosage.rateRatio", None, "MedicationAdministration.dosage.rateRatio", "required"),
        (SEGMENT, "effectivePeriod.start", None, "MedicationAdministration.effectivePeriod.start", "required"),
        (SEGMENT, "effectivePeriod.end", "2026-04-14T08:00:00-05:00", "MedicationAdministration.effectivePeriod", "invariant"),
        (SEGMENT, "request.identifier", None, "MedicationAdministration.request.identifier", "required"),
        (
            SEGMENT, "extension", [{"url": OURS + "concentration", "valueRatio": SEGMENT["dosage"]["rateRatio"]}],
            "MedicationAdministration.extension[0].url", "structure",
        ),
        (
            SEGMENT, "extension", [{"url": OURS + "preserved-field", "valueString": "x"}],
            "MedicationAdministration.extension[0].valueString", "structure",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_where_it_is(
    resource: dict[str, Any], path: str, value: Any, where: str, kind: str
) -> None:
    found = check(changed(resource, path, value))
    assert (where, kind) in {(one.path, one.kind) for one in found}, found


def test_a_bundle_is_checked_with_all_in_it() -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": SEGMENT}, {"resource": {}}]}
    assert [one.path for one in check(bundle)] == ["Bundle.entry[1].resource"]
    bad = changed(SEGMENT, "status", None)
    assert [one.path for one in check({**bundle, "entry": [{"resource": bad}]})] == ["Bundle.entry[0].resource.status"]


def test_every_invariant_of_the_definitions_is_known() -> None:
    for definition in definitions().definitions.values():
        for element in definition["elements"]:
            assert set(element.get("invariants", ())) <= INVARIANTS.keys(), element["id"]


def test_an_extension_of_a_time_that_may_be_of_several_types_stands_once() -> None:
    derived = {"url": OURS + "derived", "valueBoolean": True}
    told = {**HEART_RATE, "meta": {"profile": [OURS + "infusion-heart-rate"]}}
    period = {"start": "2026-04-14T09:00:00-05:00"}
    for beside in ({**told, "_effectiveDateTime": {}}, {**told, "effectivePeriod": period}):
        if "effectivePeriod" in beside:
            del beside["effectiveDateTime"]
        holder = beside["effectivePeriod"] if "effectivePeriod" in beside else beside["_effectiveDateTime"]
        holder["extension"] = [derived]
        assert check(beside) == []
        holder["extension"] = [derived, derived]
        assert [one.kind for one in check(beside)] == ["structure"]


def answered(*items: dict[str, Any]) -> dict[str, Any]:
    form = "https://ketafhir.org/fhir/Questionnaire/gad7|0.1.0"
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": form, "item": list(items)}


def answer(question: str, **value: Any) -> dict[str, Any]:
    return {"linkId": question, "answer": [value]}


FEW_DAYS = {"system": "http://loinc.org", "code": "LA6569-3"}


def test_answers_are_those_of_the_form() -> None:
    assert check(answered(answer("69725-0", valueCoding=FEW_DAYS), answer("68509-9", valueInteger=2))) == []
    wrong = {
        "item[0].answer[0]": answered(answer("69725-0", valueCoding={**FEW_DAYS, "code": "LA33-6"})),
        "item[0].linkId": answered(answer("44250-9", valueInteger=1)),
        "item[1]": answered(answer("68509-9", valueInteger=2), answer("69725-0", valueInteger=1)),
    }
    for place, response in wrong.items():
        assert [one.path for one in check(response)] == [f"QuestionnaireResponse.{place}"]
    for value in ({"valueInteger": 4}, {"valueString": "a few days"}, {"valueCoding": {"code": "LA6569-3"}}):
        assert check(answered(answer("69725-0", **value))), value
    assert [one.path for one in check(answered(answer("69725-0", valueInteger=1), answer("69725-0", valueInteger=1)))]


def test_an_extension_alone_is_no_code() -> None:
    told = {**HEART_RATE, "_status": {"extension": [{"url": OURS + "v2-code", "valueCode": "R"}]}}
    assert check(told) == []
    assert [one.path for one in check({key: value for key, value in told.items() if key != "status"})] == [
        "Observation.status"
    ]


def test_what_was_good_once_is_looked_at_again_when_it_has_changed() -> None:
    told = deepcopy(SEGMENT)
    assert check(told) == []
    assert check(told) == []
    told["subject"]["reference"] = "Device/1"
    assert [one.path for one in check(told)] == ["MedicationAdministration.subject.reference"]
