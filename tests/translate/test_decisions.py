"""A candidacy decision as ClinicalImpression, and back."""

from __future__ import annotations

import pytest
from oru_trips import Json, back, below_patient, compose, message, obx, resources, take, to_bundle

from ketafhir.errors import Refused
from ketafhir.fhir.check import shape
from ketafhir.fhir.profile.check import check

DECISION, RULE = "candidacy-decision^Candidacy decision^99KETA", "candidacy-rule^Candidacy rule^99KETA"
HEADING = f"OBR|1|P1^EHR|CD-1^EHR|{DECISION}|||20260518104000-0500||||||||||||||||||F"
WHO = "DR-1^Example^Rowan^^^Dr^^^WILLOW"
LINES = (
    HEADING,
    "NTE|1||of the heading",
    obx(1, "CWE", DECISION, "refused^Not a candidate^99KETA", f16=WHO),
    "NTE|1||first",
    "NTE|2||second",
    obx(2, "CWE", RULE, "K3^Blood pressure not under control^99KETA", f4="1", f16=WHO),
    "NTE|1||178/106 and 174/104",
    "NTE|2||15 minutes apart",
    obx(3, "CE", RULE, "K13^^99KETA", f4="2", f14="20260518103900-0500", status="P"),
    obx(4, "ST", "re-evaluation^Condition for evaluating again^99KETA", "below 140/90", f4="1"),
)


def change_of(text: str, field: int, line: int, **changes: Json) -> str:
    def change(bundle: Json) -> None:
        resources(bundle, "ClinicalImpression")[0].update(changes)

    return back(text, change)[line].split("|")[field]


def test_a_decision_is_an_impression_with_its_rules_as_findings() -> None:
    bundle = to_bundle(message(*LINES))
    (impression,) = resources(bundle, "ClinicalImpression")
    assert resources(bundle, "DiagnosticReport") == []
    assert [one["itemCodeableConcept"]["coding"][0]["code"] for one in impression["finding"]] == [
        "refused",
        "K3",
        "K13",
    ]
    assert impression["finding"][1]["basis"] == "178/106 and 174/104"
    assert impression["status"] == "completed"
    assert impression["effectiveDateTime"] == "2026-05-18T10:40:00-05:00"
    assert impression["assessor"]["display"] == "Dr Rowan Example"
    assert [one["text"] for one in impression["note"]] == ["first", "second"]
    (condition,) = resources(bundle, "Observation")
    assert impression["supportingInfo"] == [{"reference": "urn:uuid:" + condition["id"]}]
    assert shape(impression) == []


def test_everything_of_a_decision_comes_back_as_sent() -> None:
    text = message(*LINES)
    assert back(text) == below_patient(text)


def test_a_decision_under_another_heading_keeps_both_codes() -> None:
    text = message(HEADING.replace(DECISION, "INTAKE^Intake^L"), *LINES[2:])
    assert back(text) == below_patient(text)


def test_a_changed_element_changes_its_own_cells() -> None:
    text = message(HEADING, LINES[2])
    accepted = {"coding": [{"system": "https://ketafhir.org/fhir/CodeSystem/keta", "code": "accepted"}]}
    assert change_of(text, 5, 1, finding=[{"itemCodeableConcept": accepted}]) == "accepted^^99KETA"
    assert change_of(text, 11, 1, status="entered-in-error") == "W"
    assert change_of(text, 14, 1, date="2026-05-18") == "20260518"
    assert change_of(text, 7, 0, effectiveDateTime="2026-05-18") == "20260518"


def test_a_decision_from_elsewhere_is_found_by_its_code() -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:x", "value": "7"}]}
    impression = {
        "resourceType": "ClinicalImpression", "status": "completed", "subject": {"reference": "Patient/p"},
        "finding": [
            {"itemCodeableConcept": {"text": "hypertension"}, "basis": "two readings"},
            {"itemCodeableConcept": {"coding": [{"system": "https://ketafhir.org/fhir/CodeSystem/keta",
            "code": "review"}]}},
        ],
    }  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, impression)]}
    assert compose(take(bundle).records) == [
        f"OBR|1|||{DECISION}",
        f"OBX|1|CWE|{DECISION}||review^^99KETA||||||F",
        f"OBX|2|CWE|{RULE}||^hypertension||||||F",
        "NTE|1||two readings",
    ]


def test_a_decision_that_is_not_said_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        to_bundle(message(HEADING, obx(1, "CWE", DECISION, "")))
    (issue,) = refusal.value.issues
    assert (issue.code, issue.where, issue.hl7) == ("decision-missing", "OBX-5", "101")


def test_a_decision_under_another_heading_is_still_the_impression_that_says_so() -> None:
    (impression,) = resources(
        to_bundle(message(HEADING.replace(DECISION, "INTAKE^Intake^L"), *LINES[2:])), "ClinicalImpression"
    )
    assert impression["code"]["coding"][0]["code"] == "candidacy-decision"


@pytest.mark.parametrize("nothing", ["^^^^^^^", "\\X09\\", " "])
def test_a_rule_that_says_nothing_is_no_finding(nothing: str) -> None:
    bundle = to_bundle(message(HEADING, LINES[2], obx(2, "CWE", RULE, nothing, f4="1"), "NTE|1||two readings"))
    assert check(bundle) == []
    (impression,) = resources(bundle, "ClinicalImpression")
    assert len(impression["finding"]) == 1
    (rule,) = resources(bundle, "Observation")
    assert rule["dataAbsentReason"]
    assert rule["note"][0]["text"] == "two readings"
