"""FHIR as others write it: without our tags, extensions and typed identifiers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ketafhir

RXNORM, UCUM, LOINC = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://unitsofmeasure.org", "http://loinc.org"
BASE = "https://ehr.example.org/fhir"
KETAMINE = {"coding": [{"system": RXNORM, "code": "6130", "display": "ketamine"}]}
START, END = "2026-03-09T09:00:00-05:00", "2026-03-09T09:40:00-05:00"
Json = dict[str, Any]


def quantity(value: str, unit: str) -> Json:
    """A Quantity in UCUM."""
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}


def ratio(top: Json, bottom: Json) -> Json:
    """A Ratio."""
    return {"numerator": top, "denominator": bottom}


def _made(resource: Json, more: Json) -> Json:
    return {name: value for name, value in {**resource, **more}.items() if value is not None}


def patient(**more: Any) -> Json:
    """A Patient with one number; what is None is left out."""
    number = {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
              "system": "urn:oid:1.2.3.4", "value": "M-77"}  # fmt: skip
    name = [{"family": "Testcase", "given": ["Ada"]}]
    return _made({"resourceType": "Patient", "id": "p1", "identifier": [number], "name": name}, more)


def encounter(**more: Any) -> Json:
    """An Encounter with an untyped number."""
    base = {
        "resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "AMB", "system":
        "http://terminology.hl7.org/CodeSystem/v3-ActCode"}, "subject": {"reference": "Patient/p1"},
        "identifier": [{"system": "urn:oid:1.2.3.5", "value": "V-9"}],
    }  # fmt: skip
    return _made(base, more)


def request(**more: Any) -> Json:
    """A MedicationRequest with an untyped number and a rate."""
    base = {
        "resourceType": "MedicationRequest", "id": "mr1", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": KETAMINE, "authoredOn": START,
        "identifier": [{"system": "urn:oid:1.2.3.6", "value": "ORD-5"}],
        "dosageInstruction": [{"doseAndRate": [{"rateQuantity": quantity("54", "mL/h")}]}],
    }  # fmt: skip
    return _made(base, more)


def administration(**more: Any) -> Json:
    """A MedicationAdministration of that request: 36 mg over 40 minutes."""
    base = {
        "resourceType": "MedicationAdministration", "id": "ma1", "status": "completed",
        "subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": KETAMINE,
        "effectivePeriod": {"start": START, "end": END}, "request": {"reference": "MedicationRequest/mr1"},
        "dosage": {"dose": quantity("36", "mg")},
    }  # fmt: skip
    return _made(base, more)


def observation(**more: Any) -> Json:
    """A heart rate without category and profile."""
    base = {
        "resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": LOINC, "code": "8867-4"}]}, "effectiveDateTime": START,
        "valueQuantity": quantity("72", "/min"),
    }  # fmt: skip
    return _made(base, more)


def bundle(*resources: Json) -> Json:
    """A collection of resources under the URLs of one server."""
    entries = []
    for one in resources:
        url = {"fullUrl": f"{BASE}/{one['resourceType']}/{one['id']}"} if "id" in one else {}
        entries.append({**url, "resource": one})
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def given(*resources: Json) -> ketafhir.Translation:
    """The RAS^O17 of the patient, the order and these resources."""
    return ketafhir.to_hl7v2(bundle(patient(), encounter(), request(), *resources), message="RAS^O17")


def segments(translation: ketafhir.Translation, *names: str) -> list[str]:
    """The segments of these names, in order."""
    return [line for line in translation.text.split("\r") if line[:3] in names]


def codes(translation: ketafhir.Translation) -> set[str]:
    """The codes of the findings."""
    return {issue.code for issue in translation.issues}
