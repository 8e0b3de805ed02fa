"""The parts of a device whose OBX-11 is no X: gateways send R or F there, and the parts are parts all the same."""

from __future__ import annotations

import pytest

from golden.cases import ROOT
from ketafhir import to_fhir, to_hl7v2

PCD_01 = (ROOT / "PCD_01/containment/in.hl7").read_text().replace("\n", "\r")


def with_status(status: str) -> str:
    lines = PCD_01.split("\r")
    for at, line in enumerate(lines):
        fields = line.split("|")
        if fields[0] == "OBX" and not fields[2]:
            fields[11] = status
            lines[at] = "|".join(fields)
    return "\r".join(lines)


@pytest.mark.parametrize("status", ["X", "R", "F", ""])
def test_the_parts_are_devices_and_come_back_with_their_status(status: str) -> None:
    made = to_fhir(with_status(status))
    assert len(made.records.containers) == len(to_fhir(PCD_01).records.containers) > 1
    back = to_hl7v2(made.json()).text
    told = [line.split("|") for line in back.split("\r") if line.startswith("OBX|") and not line.split("|")[2]]
    assert {one[11] for one in told} == {status or "X"}
    assert "|2.6|" in back
    assert "IHE_PCD_001" in back


def test_a_part_that_is_wrong_is_no_part() -> None:
    assert not to_fhir(with_status("W")).records.containers
