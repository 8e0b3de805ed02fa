"""MSH-3 and MSH-4 are an HD each: name, universal id, its type (chapter 2A, HD). Devices send an EUI-64 there (IHE PCD)."""

from __future__ import annotations

import re

import pytest

from golden.cases import ROOT, last_state
from ketafhir import Refused, iter_fhir, to_fhir, to_hl7v2
from ketafhir.mapping.codecs.identifiers import whole_hd, write_hd

PCD_01 = (ROOT / "PCD_01/containment/in.hl7").read_text().replace("\n", "\r")
HDS = [
    "PUMPGW^9999990000000000^EUI-64",
    "^1.2.840.99^ISO",
    "A",
    "A\\S\\B",
    "A\\S\\B^x.example^DNS",
    "A\\T\\B^1.2.3",
    "",
]


@pytest.mark.parametrize("application", HDS)
def test_the_whole_hd_comes_back_as_it_came(application: str) -> None:
    told = PCD_01.replace("PUMPGW^9999990000000000^EUI-64|WILLOW|", f"{application}|WILLOW^1.2.3.4^ISO|", 1)
    head = to_hl7v2(to_fhir(told).json()).text.split("\r")[0].split("|")
    assert head[2:4] == [application, "WILLOW^1.2.3.4^ISO"]


@pytest.mark.parametrize("text", HDS)
def test_what_is_remembered_of_an_hd_is_all_of_it(text: str) -> None:
    assert write_hd(whole_hd(text)) == text


def test_the_universal_id_changes_no_identity() -> None:
    """A sender that begins to send its EUI-64 is the same sender: numbers without authority stay what they were."""
    plain = PCD_01.replace("^9999990000000000^EUI-64", "")

    def ids(text: str) -> set[str]:
        return set(re.findall(r'"fullUrl":"([^"]+)"', to_fhir(text).json().decode())) - {provenance(text)}

    def provenance(text: str) -> str:
        made = [one for one in to_fhir(text).bundle["entry"] if one["resource"]["resourceType"] == "Provenance"]
        return str(made[0]["fullUrl"])

    assert ids(plain) == ids(PCD_01)


def test_the_events_of_a_pump_are_not_sent_in_the_name_of_the_ehr() -> None:
    """Each ORU^R42 has the sender that told it, whoever else told reports of the patient."""
    pump = (ROOT / "ORU_R42/story-b/in.hl7").read_bytes()
    lab = b"MSH|^~\\&|LAB|WILLOW|||20260414080000-0500||ORU^R01|L1|P|2.5.1\rPID|1||SYN-100318^^^WILLOW^MR\r" + (
        b"PV1|1|O|||||||||||||||||V-B2^^^WILLOW^VN\r"
        b"OBR|1||L-1^LAB|2823-3^Potassium^LN|||20260414080000-0500||||||||||||||||||F\r"
        b"OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F\r"
    )
    for feed in (lab + pump, pump + lab):
        steps = [step for step in iter_fhir(feed) if not isinstance(step, Refused)]
        value = last_state([step.bundle for step in steps if step.bundle])
        value["entry"].sort(
            key=lambda one: one["resource"].get("meta", {}).get("source", "").endswith("LAB"), reverse=True
        )
        heads = [line.split("|") for line in to_hl7v2(value).text.split("\r") if line.startswith("MSH|")]
        told = {(one[8].split("^")[1], one[2]) for one in heads if one[8].startswith("ORU")}
        assert ("R01", "LAB") in told
        assert {name for event, name in told if event == "R42"} == {pump_of(pump)}


def pump_of(feed: bytes) -> str:
    head = next(line for line in re.split(rb"[\r\n]+", feed) if b"ORU^R42" in line)
    return head.split(b"|")[2].decode()
