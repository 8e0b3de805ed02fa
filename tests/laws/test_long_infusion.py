"""An infusion as a ward charts it: rate changes, a bag of another strength, boluses, a pause, late corrections, waste, and the
order that comes last. In any order and repeated it is the same, to the hundredth of a milligram.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from golden.cases import last_state
from golden.reduced import bundles_of, reduced
from ketafhir.translate.translation import to_hl7v2
from pump_feed import PID, PV1, at

HEAD = "MSH|^~\\&|{sender}|WILLOW|||{sent}||{kind}|{number}|P|2.5.1\r" + f"{PID}\r{PV1}\r"
ORDER = (
    HEAD.format(sender="PHARM", sent=at("08:30"), kind="RDE^O11^RDE_O11", number="O1")
    + "ORC|NW|P-B2^EHR|F-B2^PHARM||IP\r"
    "RXE||6130^ketamine^RXNORM|120||mg||||||||||||||||||20|mL/h|1|mg/mL\rTQ1|1\rRXR|IV\r"
)
WASTE = (
    f"OBX|1|NM|waste-amount^^99KETA|1|5|mg|||||F|||{at('11:50')}\r"
    f"OBX|2|XCN|waste-witness^^99KETA|1|RN-4^Reed^Hana||||||F|||{at('11:50')}\r"
)


def ras(
    number: int,
    start: str,
    given: str,
    *,
    end: str = "",
    sent: str = "",
    status: str = "IP",
    outcome: str = "",
    action: str = "A",
    bag: str = "1|mg/mL||||SYN-L1",
    below: str = "",
) -> str:
    sent = at(sent or end or start)
    head = HEAD.format(sender="EMAR", sent=sent, kind="RAS^O17^RAS_O17", number=f"{number}{action}{sent}")
    ended, strength = at(end) if end else '""', bag.replace("||||", "|")
    return (
        f"{head}ORC|RE|P-B2^EHR|F-B2^PHARM||{status}\r"
        f"RXA|0|{number}|{at(start)}|{ended}|6130^ketamine^RXNORM|{given.replace('RN', 'RN-3^Bjork^Zoe')}|{strength}"
        f"|||||{outcome}|{action}\rRXR|IV\r{below}"
    )


SECOND = "2|mg/mL||||SYN-L2"
FEED = [
    one.encode()
    for one in (
        ras(1, "09:00", "20|mL|||RN||H1"),
        ras(2, "09:30", "30|mL|||RN||H1"),
        ras(3, "10:00", "30|mL|||RN||H1", bag=SECOND),
        ras(4, "10:10", "10|mg|||RN||", end="10:10", outcome="CP"),
        ras(3, "10:00", "30|mL|||RN||H1", end="10:30", bag=SECOND, status="HD", outcome="PA", action="U"),
        ras(5, "10:45", "15|mL|||RN||H1", bag=SECOND),
        ras(2, "09:30", "25|mL|||RN||H1", sent="11:30", action="U"),
        ras(5, "10:45", "15|mL|||RN||H1", end="11:45", bag=SECOND, status="DC", outcome="PA", action="U", below=WASTE),
        ras(6, "11:00", "3|mg|||RN||", end="11:00", outcome="CP"),
        ras(6, "11:00", "3|mg|||RN||", end="11:00", outcome="CP", sent="12:00", action="D"),
        ORDER,
    )
]


def test_each_part_counts_by_its_own_bag() -> None:
    """20 mL/h and 25 mL/h for half an hour each of 1 mg/mL, 30 mL/h for half an hour and 15 mL/h for one of 2 mg/mL, 10 mg at once;
    the 3 mg that were charted in error are in no sum."""
    (found,) = reduced(bundles_of(FEED))
    assert found.total == Fraction(185, 2)
    assert found.status == "stopped"
    assert [(one.amount, one.status) for one in found.segments] == [
        (20, "completed"), (25, "completed"), (30, "stopped"), (10, "completed"), (15, "stopped"), (3, "entered-in-error"),
    ]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.permutations([*FEED, FEED[4], FEED[9]]))
def test_any_order_and_any_repeat_give_the_same(messages: list[bytes]) -> None:
    assert reduced(bundles_of(messages)) == reduced(bundles_of(FEED))


def test_waste_never_stands_below_what_is_deleted() -> None:
    """A receiver that takes out an RXA with RXA-21 D would take out what stands below it."""
    lines = to_hl7v2(last_state(bundles_of(FEED)), message="RAS^O17").text.split("\r")
    at_waste = next(number for number, line in enumerate(lines) if "waste-amount" in line)
    above = [line.split("|") for line in lines[:at_waste] if line.startswith("RXA")][-1]
    assert (above[2], above[21]) == ("5", "A")
