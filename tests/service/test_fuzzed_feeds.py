"""What two hundred thousand mutated messages found: a history that others told a part of, and values that say nothing."""

from __future__ import annotations

import json

import pytest
from service_peers import er7, header, ras
from test_broken_senders import GOLDEN, ZONE, code_of
from test_intake import Desk, desk

from ketafhir import Refused, iter_fhir, to_fhir, to_hl7v2
from ketafhir.fhir import json as fhir_json
from ketafhir.fhir.profile.check import check
from ketafhir.hl7v2.stream import split_messages

__all__ = ["desk"]  # the fixture
PID = "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F"


def outcomes(desk: Desk, messages: list[bytes]) -> list[list[str]]:
    """What each message came to, and the codes of what was found."""
    found = []
    for number, message in enumerate(messages, 1):
        desk.take(message)
        desk.intake.finish()
        detail = desk.show(number)
        found.append([detail.outcome, *dict.fromkeys(one["code"] for one in json.loads(detail.issues))])
    return found


# --- what others told


def test_an_order_that_gets_its_second_number_with_an_adverse_event(desk: Desk) -> None:
    """The order is known by its filler number; the event names it by the number of the placer, and goes on doing so."""
    first = ras("M1").replace(b"ORC|RE|P-1^EHR|", b"ORC|RE||")
    rows = (
        "OBX|1|CWE|adverse-event^Adverse event^99KETA|1|422587007^Nausea (finding)^SCT||||||F|||20260309083000-0500\r"
        "OBX|2|EI|rescue-order^Order number of the rescue medicine^99KETA|1|ORD-9^EHR||||||F|||20260309083000-0500\r"
    )
    second = ras("M2") + rows.encode()
    assert outcomes(desk, [first, second]) == [["translated"], ["translated"]]
    (event,) = (
        one["resource"] for one in desk.bundles(2)[0]["entry"] if one["resource"]["resourceType"] == "AdverseEvent"
    )
    assert check(desk.bundles(2)[0]) == []
    assert event["suspectEntity"]


def merge(control: str, at: str, stays: str, gone: str) -> bytes:
    return er7(
        header(control, "ADT^A40^ADT_A39", MSH_7=at),
        f"EVN|A40|{at}",
        PID.replace("SYN-1", stays),
        f"MRG|{gone}^^^WILLOW^MR",
    )


@pytest.mark.parametrize("late", [False, True])
def test_one_number_is_given_up_for_two_patients(desk: Desk, late: bool) -> None:
    """The newer merge holds, in whichever order they come: who stays after it is read too, and not only who the message names."""
    newer, older = (
        merge("M1", "20260309110000-0500", "SYN-1", "SYN-OLD"), merge("M2", "20260309100000-0500", "SYN-2", "SYN-OLD")
    )  # fmt: skip
    told = [newer, older] if late else [older, newer]
    for message in told:
        desk.renew()
        desk.take(message)
    assert [desk.show(number).outcome for number in (1, 2)] == ["translated", "translated"]
    gone = [
        one["resource"]["link"][0]["other"]["reference"]
        for one in desk.bundles(2)[0]["entry"]
        if any(link["type"] == "replaced-by" for link in one["resource"].get("link", ()))
    ]
    (stays,) = (one for one in desk.bundles(2)[0]["entry"] if one["fullUrl"] in gone)
    assert stays["resource"]["identifier"][0]["value"] == "SYN-1"


def test_a_bolus_names_a_parent_and_its_own_order_has_an_infusion_too(desk: Desk) -> None:
    """The infusion of the parent holds nothing of the bolus order's own infusion, which is not read for it."""
    own = ras("M1", order="P-9").replace(b"RXA|0|1|", b"RXA|0|3|")
    bolus = er7(
        header("M2", "RAS^O17^RAS_O17"), PID, "PV1|1|O|||||||||||||||||V-SYN-1^^^WILLOW^VN",
        "ORC|CH|P-9^EHR|F-P-9^PHARM||CM|||P-2&EHR",
        "RXA|0|1|20260309083000-0500||6130^ketamine^RXN|5|mL^^UCUM||||||1|mg/mL^^UCUM||||||CP|A",
        "RXR|IV^Intravenous^HL70162",
    )  # fmt: skip
    desk.take(own)
    desk.renew()
    desk.take(bolus)
    assert [desk.show(number).outcome for number in (1, 2)] == ["translated", "translated"]


# --- values that say nothing


@pytest.mark.parametrize(
    ("told", "broken", "found"),
    [
        ("PID|1||SYN-1^^^WILLOW^MR|", "PID|1||&&&&|", "patient-missing PID-3"),
        ("PID|1||SYN-1^^^WILLOW^MR|", "PID|1||&X^^^WILLOW^MR|", "patient-missing PID-3"),
        ("MRG|SYN-2^^^WILLOW^MR", "MRG|&&&&", "patient-missing MRG-1"),
    ],
)
def test_a_number_of_separators_is_none(told: str, broken: str, found: str) -> None:
    text = merge("M1", "20260309110000-0500", "SYN-1", "SYN-2").decode()
    assert told in text
    assert code_of(text.replace(told, broken).encode()) == found


def test_a_visit_number_of_separators_is_none() -> None:
    step = to_fhir(ras("M1").replace(b"|V-SYN-1^^^WILLOW^VN", b"|&&&&"), timezone=ZONE)
    assert [one.code for one in step.issues] == ["visit-without-number"]
    assert check(step.bundle or {}) == []


@pytest.mark.parametrize("control", ["\x85", "\xa0"])
def test_a_code_may_hold_what_only_some_take_for_white_space(control: str) -> None:
    bundle = to_fhir(ras("M1").replace(b"|6130^", f"|6130{control}^".encode()), timezone=ZONE).bundle
    assert check(bundle or {}) == []


@pytest.mark.parametrize("kind", ["a\nb", "M  R", "MR ", "\\.br\\"])
def test_the_type_of_a_number_is_a_code(kind: str) -> None:
    bundle = to_fhir(
        ras("M1").replace(b"PID|1||SYN-1^^^WILLOW^MR|", f"PID|1||SYN-1^^^WILLOW^{kind}|".encode()), timezone=ZONE
    ).bundle
    assert check(bundle or {}) == []


@pytest.mark.parametrize("label", ["~~~", "\\.br\\", " "])
def test_a_pump_whose_drug_label_is_blank_tells_no_drug(label: str) -> None:
    """As without the OBX: nothing is claimed, and who sends it is told what to send."""
    messages = split_messages((GOLDEN / "ORU_R42" / "story-b" / "in.hl7").read_bytes())
    first = next(one for one in messages if b"DELIV_START" in one)
    assert b"|Ketamine||" in first
    assert code_of(first.replace(b"|Ketamine||", f"|{label}||".encode())) == "drug-missing OBX-5"
    order = (GOLDEN.parents[1] / "examples" / "stories" / "b" / "08-rde-order.hl7").read_bytes()
    for step in iter_fhir([order, first.replace(b"|Ketamine||", f"|{label}||".encode())], timezone=ZONE):
        assert not isinstance(step, Refused)
        assert check(step.bundle or {}) == []


def test_a_duration_of_nothing_repeated_is_none() -> None:
    rgv = er7(
        header("M1", "RGV^O15^RGV_O15"), PID, "ORC|NW|P-1^EHR|F-1^PHARM",
        "RXG|1|||6130^ketamine^RXN|120||mg^^UCUM||||||||20|mL/h^^UCUM", "TQ1|1||||||||||||~~~~~~", "RXR|IV",
    )  # fmt: skip
    assert check(to_fhir(rgv, timezone=ZONE).bundle or {}) == []


# --- from FHIR


@pytest.mark.parametrize("raw", ["a\rMSH|^~\\&|", "a\rOBX|9|NM|8867-4^HR^LN||300|/min|||||F", "a|b", "a\nZZZ|1"])
def test_what_was_preserved_is_one_field_of_the_message(raw: str) -> None:
    """A Bundle may be anybody's: no text of it begins a segment, a field or a frame that it is not told to be."""
    bundle = to_fhir(
        ras("M1").replace(b"RXR|IV^Intravenous^HL70162", b"RXR|IV^Intravenous^HL70162|||||PRE"), timezone=ZONE
    ).bundle
    text = fhir_json.dumps(bundle).decode()
    assert '"PRE"' in text
    good = to_hl7v2(fhir_json.loads(text)).text
    told = to_hl7v2(fhir_json.loads(text.replace('"PRE"', json.dumps(raw)))).text
    names = [[(line[:3], line.count("|")) for line in one.split("\r")] for one in (good, told)]
    assert names[0] == names[1]
    assert not set("\n\x0b\x1c") & set(told)


def test_the_type_of_an_authority_is_a_component() -> None:
    text = (
        fhir_json.dumps(to_fhir(ras("M1"), timezone=ZONE).bundle)
        .decode()
        .replace('"urn:id:EHR"', '"urn:id:%0DOBX%7C1:x"')
    )
    assert "\rOBX|1" not in to_hl7v2(fhir_json.loads(text)).text


def test_a_preserved_field_that_is_too_far_out_is_left_out() -> None:
    bundle = to_fhir(
        ras("M1").replace(b"|IV^Intravenous^HL70162", b"|IV^Intravenous^HL70162|||||PRE"), timezone=ZONE
    ).bundle
    text = fhir_json.dumps(bundle).decode()
    assert '"RXR-6"' in text
    for place in ("RXR-999999999", "RXR-6[999999999]", "RXR-6.999999999", "RXR-6.1.999999999"):
        assert "PRE" not in to_hl7v2(fhir_json.loads(text.replace('"RXR-6"', f'"{place}"'))).text


def test_a_merge_whose_provenance_has_no_shape_is_refused() -> None:
    """Whom a Provenance speaks of is asked only where a Bundle has several patients."""
    bundle = fhir_json.loads(
        fhir_json.dumps(to_fhir(merge("M1", "20260309110000-0500", "SYN-1", "SYN-2"), timezone=ZONE).bundle)
    )
    next(one for one in bundle["entry"] if one["resource"]["resourceType"] == "Provenance")["resource"]["target"] = -1
    with pytest.raises(Refused) as caught:
        to_hl7v2(bundle)
    assert [one.code for one in caught.value.issues] == ["fhir-shape"]
