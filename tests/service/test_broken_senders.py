"""What a fuzzed feed found: fields of blanks, codes no table has, parts that are missing. Nothing of it is a fault of ours."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from service_peers import adt, er7, header, ras
from test_intake import Desk, desk  # noqa: F401  # a fixture

from ketafhir import Refused, to_fhir, to_hl7v2
from ketafhir.fhir.profile.check import check
from ketafhir.hl7v2.stream import split_messages
from ketafhir.store import states
from ketafhir.translate import outgoing

GOLDEN = Path(__file__).parents[1] / "golden"
ZONE = "America/Chicago"


def code_of(message: bytes) -> str:
    """The code of the one issue that a message is refused with, and its place."""
    with pytest.raises(Refused) as caught:
        to_fhir(message, timezone=ZONE)
    errors = [issue for issue in caught.value.issues if issue.severity == "error"]
    return f"{errors[0].code} {errors[0].where}"


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        (b"^Intravenous^HL70162", b"^ ^HL70162"),
        (b"RXR|IV^Intravenous", b"RXR|IV ^Intravenous"),
        (b"RXR|IV^Intravenous", b"RXR| IV^Intravenous"),
        (b"RXR|IV^Intravenous^HL70162", b"RXR|IV^Intravenous^HL70162| |"),
        (b"RXR|IV^Intravenous^HL70162", b"RXR|IV^Intravenous^HL70162|\\.br\\"),
        (b"Doe^Jo", b" ^Jo"),
        (b"Doe^Jo", b"Doe^\\X0D\\"),
        (b"6130^ketamine", b"6130^ "),
        (b"|V-SYN-1^^^WILLOW^VN", b"|\\X09\\"),
    ],
)
def test_blanks_say_nothing(told: bytes, broken: bytes) -> None:
    assert told in ras("M1")
    bundle = to_fhir(ras("M1").replace(told, broken), timezone=ZONE).bundle
    assert check(bundle or {}) == []
    assert "RXR|IV^Intravenous" in to_hl7v2(bundle or {}).text or b"Intravenous" not in ras("M1").replace(told, broken)


def test_a_type_of_number_that_no_table_has_goes_both_ways() -> None:
    """EPI is what a widespread EHR writes into CX.5."""
    bundle = to_fhir(adt("M1").replace(b"^WILLOW^MR", b"^WILLOW^EPI"), timezone=ZONE).bundle
    assert bundle is not None
    assert check(bundle) == []
    assert "PID|1||SYN-1^^^WILLOW^EPI|" in to_hl7v2(bundle).text


@pytest.mark.parametrize("number", ['""', " ", "\\X09\\"])
def test_a_control_id_of_nothing_is_none(number: str) -> None:
    assert code_of(adt(number)) == "header-short MSH-10"


def order(*segments: str) -> bytes:
    return er7(
        header("M1", "RDE^O11^RDE_O11"),
        "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F",
        "ORC|NW|P-1^EHR|F-1^PHARM||IP||||20260309082020-0500",
        *segments,
    )


def test_a_dose_range_that_ends_below_its_begin_is_refused() -> None:
    rxe = "RXE||6130^ketamine^RXN|120|90|mg^^UCUM|||||250|mL^^UCUM|||||||||||H6|20|mL/h^^UCUM"
    assert code_of(order(rxe, "RXR|IV^Intravenous^HL70162")).startswith("dose-unreadable RXE-3")


def test_a_component_of_nothing_is_refused() -> None:
    rxe = "RXE||6130^ketamine^RXN|120||mg^^UCUM|||||250|mL^^UCUM|||||||||||H6|20|mL/h^^UCUM"
    found = code_of(order(rxe, "RXR|IV^Intravenous^HL70162", "RXC|B||245|mL^^UCUM"))
    assert found.startswith("drug-missing RXC")


# --- pumps


def pump_events() -> list[bytes]:
    data = (GOLDEN / "ORU_R42" / "story-b" / "in.hl7").read_bytes()
    return list(split_messages(data))


def test_who_is_given_up_takes_the_reports_of_pumps_along(desk: Desk) -> None:  # noqa: F811
    """They are written anew under who stays, with the device and its parts, also after a restart."""
    for message in pump_events():
        desk.take(message)
    desk.renew()
    merge = er7(
        header("MERGE", "ADT^A40^ADT_A39"),
        "EVN|A40|20260415090000-0500",
        "PID|1||SYN-999^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M",
        "MRG|SYN-100318^^^WILLOW^MR",
    )
    assert desk.only(merge).code == "AA"
    (newest,) = (row for row in desk.store.page(limit=50) if row.control_id == "MERGE")
    assert desk.show(newest.message_id).outcome == states.TRANSLATED
    (bundle,) = desk.bundles(newest.message_id)
    reports = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "DiagnosticReport"]
    assert reports
    assert all(one["extension"] for one in reports)


@pytest.mark.parametrize("case", sorted(path.parent.name for path in (GOLDEN / "ORU_R42").rglob("in.hl7")))
def test_an_order_is_told_after_its_pump_and_a_restart(desk: Desk, case: str) -> None:  # noqa: F811
    """All that its channels told is read again: what named no order falls to one of the infusions there."""
    numbers = set()
    for message in split_messages((GOLDEN / "ORU_R42" / case / "in.hl7").read_bytes()):
        desk.take(message)
        numbers |= set(re.findall(rb"OBR\|1\|([^|^]+)\^EHR", message))
    desk.renew()
    for number in sorted(numbers):
        status = er7(
            header(f"S-{number.decode()}", "ORM^O01^ORM_O01"),
            "PID|1||SYN-100318^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M",
            f"ORC|RL|{number.decode()}^EHR|||||||20260414235900-0500",
        )
        assert desk.only(status).code in ("AA", "AE")
    assert states.FAILED not in {desk.show(row.message_id).outcome for row in desk.store.page(limit=100)}


def test_an_infusion_of_a_drug_that_nobody_told() -> None:
    message = next(one for one in pump_events() if b"MDC_EVT_PUMP_DELIV_START" in one)
    lines = [line for line in message.replace(b"\n", b"\r").split(b"\r") if b"184514" not in line]
    assert code_of(b"\r".join(lines)) == "drug-missing OBX-5"


# --- FHIR


def bundle_of(family: str) -> dict[str, Any]:
    """The Bundle of the first message of a family."""
    data = next((GOLDEN / family).rglob("in.hl7")).read_bytes()
    bundle = to_fhir(next(iter(split_messages(data))), timezone=ZONE).bundle
    assert bundle is not None
    return bundle


@pytest.mark.parametrize("extension", [True, ["x"], [["x"]], "x", [1]])
def test_an_adverse_event_of_another_shape_is_refused(extension: object) -> None:
    data = bundle_of("ADVERSE")
    for entry in data["entry"]:
        if entry["resource"]["resourceType"] == "AdverseEvent":
            entry["resource"]["extension"] = extension
    with pytest.raises(Refused):
        to_hl7v2(data)


def test_an_unknown_modifier_of_an_adverse_event_is_refused() -> None:
    data = bundle_of("ADVERSE")
    for entry in data["entry"]:
        if entry["resource"]["resourceType"] == "AdverseEvent":
            entry["resource"]["modifierExtension"] = [{"url": "https://other.example/not", "valueBoolean": True}]
    with pytest.raises(Refused, match="modifier"):
        to_hl7v2(data)


@pytest.mark.parametrize("wrong", [{"coding": "x"}, {"coding": [["x"]]}, "x", {"coding": [{"code": ["x"]}]}])
def test_the_account_of_a_bundle_bears_any_shape_that_is_not_read(wrong: object) -> None:
    data = bundle_of("ADT_A01")
    for entry in data["entry"]:
        if entry["resource"]["resourceType"] == "Encounter":
            entry["resource"]["identifier"].append({"type": wrong})
    with suppress(Refused):  # what is read must have its shape
        assert to_hl7v2(data).losses


@pytest.mark.parametrize("tags", [[None], ["x"], 1, {"code": "x"}])
def test_tags_of_another_shape_are_no_fault(tags: object) -> None:
    data = bundle_of("RAS_O17")
    for entry in data["entry"]:
        if entry["resource"]["resourceType"] == "MedicationAdministration":
            entry["resource"]["meta"]["tag"] = tags
    with suppress(Refused):
        assert to_hl7v2(data).text


def test_an_encounter_of_nobody_is_refused() -> None:
    visit = {"resourceType": "Encounter", "status": "in-progress", "identifier": [{"system": "urn:x", "value": "V-1"}]}
    from ketafhir.translate import session, settings

    used = settings.default(None, None)
    taking = outgoing.take(visit, used)
    with pytest.raises(Refused, match="nobody is named"):
        session.render_records(taking.records, used, taking.c, "urn:x")
