"""Timing before 2.5: ORC-7 and RXE-1 (TQ) are read as the TQ1 of later versions, and written as TQ again."""

from __future__ import annotations

import pytest

from ketafhir import to_fhir, to_hl7v2
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7

HEAD = (
    "MSH|^~\\&|EHR|WILLOW|K|HUB|20260414082500-0500||{kind}|T1|P|{version}\r"
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\r"
    "PV1|1|O|||||||||||||||||V-1^^^WILLOW^VN\r"
)
ORDER = HEAD.replace("{kind}", "ORM^O01") + (
    "ORC|NW|P-1^EHR|||||{orc}||20260414082000-0500\r{tq1}RXO|6130^ketamine^RXN|36||mg^^UCUM\r"
)
ENCODED = HEAD.replace("{kind}", "RDE^O01") + (
    "ORC|NW|P-1^EHR|F-1^PH||IP||{orc}||20260414082000-0500\rRXE|{rxe}|6130^ketamine^RXN|36||mg^^UCUM\r"
)
TIMINGS = [
    "^^^20260414090000-0500",
    "1^ONCE^M40^20260414090000-0500^20260414094000-0500^S^if awake^slowly^S",
    "5&mL^Q1H^H4^^^R",
    "^^W2",
    "1^Q1D&0900,1500^^20260414090000-0500",  # explicit times: preserved
    "^^X3",
    "^^^20260414090000-0500^^^^^^1&2",
]


def fields(text: str, name: str) -> list[str]:
    return next(one.fields for one in er7.parse(text).segments if one.name == name)


def back(message: str, version: str | None) -> str:
    bundle = json.dumps(to_fhir(message).bundle)
    return str(to_hl7v2(bundle, version=version).text)


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_timing_comes_back_the_same(timing: str, version: str) -> None:
    order = ORDER.format(version=version, orc=timing, tq1="")
    assert fields(back(order, version), "ORC")[7] == timing
    encoded = ENCODED.format(version=version, orc=timing, rxe=timing)
    assert fields(back(encoded, version), "RXE")[1] == timing


def test_the_total_of_occurrences_comes_back_from_2_4_on() -> None:
    timing = "^Q1H^^20260414090000-0500^^^^^^^^3"
    assert fields(back(ORDER.format(version="2.4", orc=timing, tq1=""), "2.4"), "ORC")[7] == timing


def test_a_start_of_2_3_is_what_a_tq1_tells() -> None:
    old = ORDER.format(version="2.3", orc="^^M40^20260414090000-0500^^S", tq1="")
    new = ORDER.format(version="2.5.1", orc="", tq1="TQ1|1|||||40^min&&UCUM|20260414090000-0500||S\r")
    told = [to_fhir(one).records for one in (old, new)]
    first, second = [next(iter(one.orders.values())) for one in told]
    assert (first.start, first.duration, first.priority) == (second.start, second.duration, second.priority)
    assert first.start is not None


def test_several_repetitions_are_kept_as_they_came() -> None:
    timing = "^^^20260414090000-0500~^^^20260415090000-0500"
    assert fields(back(ORDER.format(version="2.4", orc=timing, tq1=""), None), "ORC")[7] == timing


def test_where_a_tq1_is_told_the_old_field_is_kept_beside_it() -> None:
    message = ORDER.format(version="2.5.1", orc="^^^20270101", tq1="TQ1|1||||||20260414090000-0500\r")
    text = back(message, None)
    assert fields(text, "ORC")[7] == "^^^20270101"
    assert fields(text, "TQ1")[7] == "20260414090000-0500"


def test_an_orc_7_that_says_another_timing_than_rxe_1_is_kept() -> None:
    message = ENCODED.format(version="2.3", orc="^^^20270101", rxe="^^^20260414090000-0500")
    text = back(message, None)
    assert fields(text, "ORC")[7] == "^^^20270101"
    assert fields(text, "TQ1")[7] == "20260414090000-0500"


GIVE = HEAD.replace("{kind}", "RGV^O15") + (
    "ORC|RE|P-1^EHR|F-1^PH||||{orc}\rRXG|1|1|{rxg}|6130^ketamine^RXN|100||mL||||||||20|mL/h|1|mg/mL\rRXR|IV\r"
)
GIVEN = HEAD.replace("{kind}", "RAS^O17") + (
    'ORC|RE|P-1^EHR|F-1^PH||IP||{orc}\r{detail}RXA|0|1|20260414090000-0500|""|6130^ketamine^RXN|20|mL|||||H1\rRXR|IV\r'
)


@pytest.mark.parametrize(
    ("orc", "rxg", "start"),
    [
        ("", "^^M40^20260414090000-0500", "2026-04-14T09:00:00-05:00"),
        ("^^M40^20260414090000-0500", "", "2026-04-14T09:00:00-05:00"),
        ("^^M40^20260414090000-0500", "^^M40^20260414090000-0500", "2026-04-14T09:00:00-05:00"),
        ("^^^20260414093000-0500", "^^^20260414090000-0500", "2026-04-14T09:00:00-05:00"),
    ],
)
def test_a_give_of_2_4_has_its_timing_in_rxg_3_or_orc_7(orc: str, rxg: str, start: str) -> None:
    made = to_fhir(GIVE.format(version="2.4", orc=orc, rxg=rxg))
    (give,) = made.records.orders.values()
    assert give.start is not None
    assert give.start.iso == start
    kept = dict(give.preserved)
    assert ("ORC-7" in kept, "RXG-3" in kept) == (bool(orc and rxg and orc != rxg), False)
    fates = {loss.where: loss.fate for loss in made.losses}
    assert fates.get("RXG-3", "mapped") == "mapped"


@pytest.mark.parametrize(("detail", "mapped"), [("RXO|6130^ketamine^RXN|120||mg\r", True), ("", False)])
def test_orc_7_of_an_administration_is_the_timing_of_the_order_told_in_it(detail: str, mapped: bool) -> None:
    made = to_fhir(GIVEN.format(version="2.4", orc="^^H4^20260414090000-0500", detail=detail))
    assert [one.fate for one in made.losses if one.where == "ORC-7"] == ["mapped" if mapped else "preserved"]
    assert [one.start is not None for one in made.records.orders.values()] == ([True] if mapped else [])
