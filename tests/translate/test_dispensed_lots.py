"""Check C10 over several bags and several infusions of one order: the lot, and what was dispensed of it."""

from __future__ import annotations

import pytest

from ketafhir.errors import Refused
from ketafhir.translate.translation import iter_fhir

HEAD = "MSH|^~\\&|{app}|WILLOW|KETAFHIR|HUB|20260414{clock}-0500||{kind}^{kind}|{number}|P|2.5.1\r"
PID = "PID|1||SYN-100318^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M\rPV1|1|O|||||||||||||||||V-B2^^^WILLOW^VN\r"
DRUG = "6130^ketamine^RXN"


def head(app: str, clock: str, kind: str, number: str) -> str:
    return (
        HEAD.format(app=app, clock=clock, kind=kind, number=number).replace(f"^{kind}|", f"^{kind.replace('^', '_')}|")
        + PID
    )


def dispensed(number: int, lot: str, volume: str, control: str = "RE") -> str:
    rxd = f"RXD|{number}|{DRUG}|20260414080{number}00-0500|{volume}|mL^^UCUM|||||||||||1|mg/mL^^UCUM|{lot}"
    return (
        head("PHARM", f"080{number}00", "RDS^O13", f"D{number}{control}")
        + f"ORC|{control}|P-B2^EHR|F-B2^PHARM||IP\r{rxd}\rRXR|IV\r"
    )


def given(give: int, start: str, end: str, lot: str, rate: str = "60", sub: int = 1) -> str:
    rxa = f"RXA|{give}|{sub}|20260414{start}00-0500|20260414{end}00-0500|{DRUG}|{rate}|mL^^UCUM|||||H1|1|mg/mL^^UCUM|{lot}|||||CP|A"
    return head("EMAR", f"{end}00", "RAS^O17", f"R{give}{sub}") + f"ORC|RE|P-B2^EHR|F-B2^PHARM||CM\r{rxa}\rRXR|IV\r"


def texts(*feed: str) -> list[str]:
    found = []
    for step in iter_fhir("".join(feed)):
        assert not isinstance(step, Refused), step
        found += [issue.text for issue in step.issues if issue.code == "ledger-negative"]
    return found


def test_two_infusions_of_one_lot_are_one_balance() -> None:
    first, second = given(1, "0900", "1000", "L1"), given(2, "1100", "1200", "L1")
    assert texts(dispensed(1, "L1", "100"), first) == []
    (text,) = texts(dispensed(1, "L1", "100"), first, second)
    assert text == "C10: 60 mg drawn of vial of lot L1 that held 40 mg: a balance of -20 mg"
    assert texts(dispensed(1, "L1", "100"), dispensed(2, "L1", "100"), first, second) == []


def test_a_bag_that_was_cancelled_holds_nothing() -> None:
    feed = [
        dispensed(1, "L1", "100"),
        dispensed(2, "L1", "100"),
        dispensed(2, "L1", "100", control="OC").replace("080200-", "080300-", 1),
    ]
    assert len(texts(*feed, given(1, "0900", "1000", "L1"), given(2, "1100", "1200", "L1"))) == 1


def test_each_bag_of_one_infusion_is_of_its_lot() -> None:
    bags = [dispensed(1, "L1", "100"), dispensed(2, "L2", "30")]
    (text,) = texts(*bags, given(1, "0900", "1000", "L1"), given(1, "1000", "1100", "L2", sub=2))
    assert text == "C10: 60 mg drawn of vial of lot L2 that held 30 mg: a balance of -30 mg"


@pytest.mark.parametrize("lot", ["L9", ""])
def test_another_lot_than_was_dispensed_is_told_and_none_is_not(lot: str) -> None:
    found = texts(dispensed(1, "L1", "100"), given(1, "0900", "1000", lot))
    assert found == (["C10: lot L9 was given, of the order was dispensed lot L1"] if lot else [])


def test_without_what_was_dispensed_there_is_no_balance() -> None:
    assert texts(given(1, "0900", "1000", "L1"), given(2, "1100", "1200", "L1")) == []
