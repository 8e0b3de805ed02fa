"""A code that a table of HL7 does not have is never written under that table: any validator would call it wrong."""

from __future__ import annotations

import pytest

from ketafhir.fhir.profile.check import check
from ketafhir.mapping import codes
from ketafhir.translate.translation import to_fhir, to_hl7v2

MESSAGE = "\r".join(
    (
        r"MSH|^~\&|EMAR|WILLOW|||20260414090000-0500||RAS^O17^RAS_O17|1|P|2.5.1",
        "PID|1||SYN-100318^^^WILLOW^MR",
        "ORC|RE|P-B2^EHR|F-B2^PHARM||IP",
        'RXA|0|1|20260414090000-0500|""|6130^ketamine^RXNORM|20|mL|||||H1|||||||||A',
        "RXR|{route}",
        "",
    )
)
TABLE = "http://terminology.hl7.org/CodeSystem/v2-0162"


@pytest.mark.parametrize(
    ("route", "system"),
    [
        ("IV^Intravenous^HL70162", TABLE),
        ("ID^Intradermal^HL70162", TABLE),
        ("ZZIV^Into the left port^HL70162", "urn:id:HL70162"),
        ("ZZIV^Into the left port^LOCAL", "urn:id:LOCAL"),
    ],
)
def test_a_code_of_a_site_is_written_under_a_name_of_its_own(route: str, system: str) -> None:
    made = to_fhir(MESSAGE.format(route=route))
    assert made.bundle is not None
    assert check(made.bundle) == []
    dosages = [one["resource"]["dosage"] for one in made.bundle["entry"] if "dosage" in one["resource"]]
    assert {dosage["route"]["coding"][0]["system"] for dosage in dosages} == {system}
    assert f"RXR|{route}\r" in to_hl7v2(made.bundle).text


def test_a_local_name_and_back() -> None:
    assert codes.of_local(codes.local_system(TABLE)) == TABLE
    assert codes.of_local("urn:id:LOCAL") == "urn:id:LOCAL"
    assert not codes.is_published(TABLE, "ZZIV")
    assert codes.is_published("http://loinc.org", "anything")
