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
