"""RDS^O13 and RDS^O01 <-> MedicationDispense: tied to the order whenever that comes, both ways, and never counted as given."""

from __future__ import annotations

from typing import Any

import pytest
from infusion_feeds import PID, PV1, RXR, at, message, orc, ras, rxa

from golden.cases import ROOT, last_state
from golden.reduced import bundles_of, reduced
from ketafhir.errors import Refused
from ketafhir.fhir.check import shape
from ketafhir.therapy.asjson import dump_history, load_history
from ketafhir.therapy.settled import settle
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_fhir, to_hl7v2

RXD = "RXD|{number}|6130^ketamine^RXN|20260302094500+0100|{amount}|mL|^Bag||||PH1^Doe||||||1|mg/mL|{lot}|20270101"
RDE = message(
    PID, PV1, "ORC|NW|P1^EHR|F1^PH||IP", "RXE||6130^ketamine^RXN|120||mg||||||||||||||||||20|mL/h", "TQ1|1", RXR,
    kind="RDE^O11^RDE_O11", sent="0930",
)  # fmt: skip


def rds(
    number: str = "1", *, amount: str = "250.0", lot: str = "L1", control: str = "RE", sent: str = "0945", **more: Any
) -> bytes:
    segments = (RXD.format(number=number, amount=amount, lot=lot), RXR, "RXC|B|313002^saline^RXN|245|mL")
    return message(PID, PV1, orc(control), *segments, kind="RDS^O13^RDS_O13", sent=sent, **more)


def dispensed(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "MedicationDispense"]


def test_it_is_tied_to_its_order_before_and_after_that_comes() -> None:
    for order in ([RDE, rds()], [rds(), RDE]):
        bundles = bundles_of(order)
        (one,) = dispensed(last_state(bundles))
        (prescription,) = one["authorizingPrescription"]
        assert prescription["identifier"]["value"] == "F1"
        (request,) = [each["fullUrl"] for each in last_state(bundles)["entry"]
                      if each["resource"]["resourceType"] == "MedicationRequest"]  # fmt: skip
        assert prescription["reference"] in (request, f"MedicationRequest/{request.removeprefix('urn:uuid:')}")
    (alone,) = dispensed(bundles_of(rds())[0])
    assert "reference" not in alone["authorizingPrescription"][0]


def test_a_late_order_does_not_become_the_sender_of_the_dispense() -> None:
    other = RDE.replace(b"|MARX|", b"|CPOE|")
    last = bundles_of([rds(), other])[-1]
    sources = {one["resource"]["resourceType"]: one["resource"]["meta"]["source"] for one in last["entry"]
               if "source" in one["resource"].get("meta", ())}  # fmt: skip
    assert sources["MedicationDispense"].endswith(":MARX")
    assert sources["MedicationRequest"].endswith(":CPOE")


def test_nor_of_an_administration() -> None:
    other = RDE.replace(b"|MARX|", b"|CPOE|")
    last = bundles_of([ras(rxa()), other])[-1]
    sources = [one["resource"]["meta"]["source"] for one in last["entry"]
               if one["resource"]["resourceType"] == "MedicationAdministration"]  # fmt: skip
    assert len(sources) == 2
    assert all(source.endswith(":MARX") for source in sources)


def test_what_was_dispensed_is_in_no_sum() -> None:
    given = ras(rxa(start="1000", end="1030", outcome="CP"), sent="1030", status="CM")
    assert reduced(bundles_of([rds(), given, rds("2")])) == reduced(bundles_of(given))
    assert reduced(bundles_of(rds())) == []


@pytest.mark.parametrize("case", ["bag-for-the-infusion", "every-field", "version-2-3"])
def test_what_goes_back_gives_the_same_dispenses(case: str) -> None:
    bundle = last_state(bundles_of((ROOT / "RDS_O13" / case / "in.hl7").read_bytes()))
    assert all(not shape(one) for one in dispensed(bundle))
    text = to_hl7v2(bundle, message="RDS^O13").text or ""
    again = last_state(bundles_of(text.encode()))
    strip = ("meta", "authorizingPrescription")  # the message back is our own, and the order is not in it
    assert [{key: value for key, value in one.items() if key not in strip} for one in dispensed(again)] == sorted(
        ({key: value for key, value in one.items() if key not in strip} for one in dispensed(bundle)),
        key=lambda one: str(one.get("whenHandedOver", "")),
    )
    assert to_hl7v2(again, message="RDS^O13").text == text


def test_one_number_again_is_the_same_dispense_brought_up_to_date() -> None:
    changed = rds(amount="100", control="XX", sent="0950")
    for order in ([rds(), changed], [changed, rds()]):
        (one,) = dispensed(last_state(bundles_of([*order, rds()])))
        assert (str(one["quantity"]["value"]), one["_status"]["extension"][0]["valueCode"]) == ("100", "XX")
    assert len(dispensed(last_state(bundles_of([rds("1"), rds("2")])))) == 2


@pytest.mark.parametrize(
    ("control", "status"),
    [("RE", "completed"), ("NW", "completed"), ("CA", "cancelled"), ("DC", "stopped"), ("HD", "on-hold")],
)
def test_the_status_follows_the_order_control_and_comes_back(control: str, status: str) -> None:
    bundle = bundles_of(rds(control=control))[0]
    assert dispensed(bundle)[0]["status"] == status
    assert f"ORC|{control}|P1^EHR" in (to_hl7v2(bundle).text or "")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (rds().replace(b"RXD|1|", b"RXD||"), "dispense-number-missing"),
        (rds().replace(b"|6130^ketamine^RXN|20260302", b"||20260302"), "dispense-drug-missing"),
        (rds(control="QQ"), "code-unknown"),
        (rds(control=""), "order-control-unknown"),
        (rds().replace(b"|P1^EHR|F1^PH|", b"|||"), "order-number-missing"),
        (
            rds().replace(b"RXR|IV\r", b"RXR|IV\rORC|RE|P1^EHR|F1^PH\rRXD|1|6130^ketamine^RXN\rRXR|IV\r"),
            "identity-collision",
        ),
    ],
)
def test_what_must_not_be_guessed_is_refused(told: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        to_fhir(told)
    assert caught.value.issues[-1].code == code


def test_the_order_of_another_patient_is_refused() -> None:
    session = Session(default())
    session.take(parse(RDE))
    with pytest.raises(Refused) as caught:
        session.take(parse(rds().replace(b"K77", b"K78")))
    assert caught.value.issues[-1].code == "order-of-other-patient"


def test_the_store_keeps_it() -> None:
    session = Session(default())
    session.take(parse(rds()))
    again = load_history(dump_history(session.history))
    assert settle(again) == settle(session.history)
    assert len(settle(again).dispenses) == 1


def test_a_dispense_from_elsewhere() -> None:
    """No identifiers of ours: the order is that of authorizingPrescription, the number its own."""
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "p",
                          "identifier": [{"system": "urn:oid:1.2.3.4", "value": "K77"}]}},
            {"resource": {"resourceType": "MedicationDispense", "id": "d", "status": "completed",
                          "identifier": [{"system": "urn:x", "value": "7"}],
                          "medicationCodeableConcept": {"text": "ketamine bag"}, "subject": {"reference": "Patient/p"},
                          "authorizingPrescription": [{"identifier": {"system": "urn:id:PH", "value": "F1"}}],
                          "quantity": {"value": 250, "unit": "mL"}, "whenHandedOver": "2026-03-02T09:45:00+01:00"}},
        ],
    }  # fmt: skip
    text = to_hl7v2(bundle, message="RDS^O13").text or ""
    assert "ORC|RE||F1^PH\r" in text
    assert f"RXD|7|^ketamine bag|{at('0945')}|250|mL^^UCUM" in text
    assert to_hl7v2(bundle).issues == []


def test_it_moves_with_its_patient_when_numbers_are_merged() -> None:
    merge = message(
        "EVN|A40|20260302110000+0100",
        PID.replace("K77", "K99"),
        "MRG|K77^^^STM&1.2.3.4&ISO^MR",
        kind="ADT^A40^ADT_A39",
        sent="1100",
    )
    for order in ([rds(), merge], [merge, rds()]):
        (one,) = dispensed(last_state(bundles_of(order)))
        held = {entry["fullUrl"]: entry["resource"] for entry in last_state(bundles_of(order))["entry"]}
        assert next(number["value"] for number in held[one["subject"]["reference"]]["identifier"]) == "K99"
