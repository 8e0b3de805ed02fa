"""Blanks of any kind say nothing: no resource has an empty text, code or time for them."""

from __future__ import annotations

import pytest

import ketafhir
from ketafhir.fhir.profile.check import check

ZONE = "America/Chicago"
PATIENT = "PID|1||SYN-9^^^WILLOW^MR||Sample^Ida^^^^^L||19740930|F\rPV1|1|O|||||||||||||||||V-9^^^WILLOW^VN\r"
BLANKS = [" ", "\u2028", "\\X09\\", "~~~", "\u00a0"]
RAS = (
    "MSH|^~\\&|EMAR|WILLOW|KETAFHIR|HUB|20260414112000-0500||RAS^O17^RAS_O17|R1|P|2.5.1||||||UNICODE UTF-8\r" + PATIENT
    + "ORC|RE|P-9^EHR|F-9^PHARM||CM\r"
    "RXA|0|1|20260414103000-0500|20260414111500-0500|6130^ketamine^RXNORM|40|mg^^UCUM|||||H1|1|mg/mL^^UCUM|SYN-K2290|||||CP|A\r"
    "RXR|IV^Intravenous^HL70162\r"
)  # fmt: skip


def header(kind: str, facility: str = "WILLOW") -> str:
    return f"MSH|^~\\&|EHR|{facility}|KETAFHIR|HUB|20260414112000-0500||{kind}|B1|P|2.5.1||||||UNICODE UTF-8\r"


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    "message",
    [
        header("ADT^A04^ADT_A01") + "EVN|A04|20260414080500-0500\r" + PATIENT + "AL1|1|DA|7980^penicillin^RXNORM|SV|{}\r",
        header("ORU^R01^ORU_R01") + PATIENT + "OBR|1||D-1^EHR|note^Note^L|||20260414104000-0500\r"
        "OBX|1|ST|note^Note^L||{}||||||F|||20260414104000-0500\rNTE|1||{}\r",
        header("ORU^R01^ORU_R01") + PATIENT
        + "OBR|1||D-1^EHR|candidacy-decision^Candidacy decision^99KETA|||20260414104000-0500\r"
        "OBX|1|CWE|candidacy-decision^Candidacy decision^99KETA||refused^Refused^99KETA||||||F|||20260414104000-0500\r"
        "OBX|2|CWE|candidacy-rule^Candidacy rule^99KETA|1|||||||F|||20260414104000-0500\rNTE|1||{}\r",
        header("ADT^A04^ADT_A01", "{}") + "EVN|A04|20260414080500-0500\r" + PATIENT,
        RAS + "OBX|1|NM|waste-amount^Amount of drug wasted^99KETA|1|10|mg^^UCUM|||||F\rNTE|1||{}\r",
    ],
    ids=["allergy", "value", "rule", "facility", "waste"],
)  # fmt: skip
def test_blanks_make_no_empty_element(message: str, blank: str) -> None:
    assert check(ketafhir.to_fhir(message.replace("{}", blank), timezone=ZONE).bundle) == []


def test_a_waste_without_a_time_says_that_it_is_not_known() -> None:
    waste = "OBX|1|NM|waste-amount^Amount of drug wasted^99KETA|1|10|mg^^UCUM|||||F"
    bundle = ketafhir.to_fhir(RAS + waste + "\r", timezone=ZONE).bundle
    (found,) = (
        entry["resource"] for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "MedicationAdministration" and entry["resource"]["status"] == "not-done"
    )  # fmt: skip
    (absent,) = found["_effectiveDateTime"]["extension"]
    assert (absent["url"], absent["valueCode"]) == (
        "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "unknown",
    )  # fmt: skip
    assert "effectiveDateTime" not in found
    assert waste in ketafhir.to_hl7v2(bundle).text.split("\r")
    del found["_effectiveDateTime"]
    assert [problem.kind for problem in check(bundle)] == ["required"]
