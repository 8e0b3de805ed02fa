"""Expectation against view: what counts as equal, and how a difference is named."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from story_server import patient_of, record_of, story

from ketafhir.demo import checks, server_view
from ketafhir.demo.numbers import one_decimal, plain
from ketafhir.demo.view import View


@pytest.fixture(scope="module")
def view() -> View:
    record = record_of(story("B"))
    return server_view.read(record, patient_of(record))


def lines(expected: dict[str, Any], view: View) -> list[str]:
    return [one.line() for one in checks.against_story("B", expected, view).differences]


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("infusion", "delivered_ml"), "110.2", "B infusion.delivered_ml: expected 110.2, the server has 111.2"),
        (("order", "dose_mg"), "12", "B order.dose_mg: expected 12, the server has 120.0"),
        (("waste", "witness"), "RN-9", "B waste.witness: expected RN-9, the server has RN-4"),
        (("order",), None, "B order: expected none, the server has {placer: P-B2, "),
        (("risk",), {"level": "low"}, "B risk: expected {level: low}, the server has none"),
        (("infusion", "end"), "2026-04-14T13:31:00-05:00", "B infusion.end: expected 2026-04-14T13:31:00-05:00"),
        (("vitals", "readings", "heart-rate"), 24, "B vitals.readings.heart-rate: expected 24, the server has 25"),
        (("boluses",), [], "B boluses: expected 0 of them, the server has 2: "),
        (("decision", "rules"), ["K4", "K22"], "B decision.rules[2]: expected K22, the server has K21"),
        (("messages", "total"), 45, "B messages.total: expected 45, the server has 44"),
        (("dose",), 1, "B dose: expected 1, the server has no such value"),
        (("order", "colour"), "red", "B order.colour: expected red, the server has no such value"),
    ],
)
def test_a_difference_is_named(view: View, path: tuple[str, ...], value: Any, line: str) -> None:
    expected = copy.deepcopy(story("B").expected)
    inner = expected
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (told,) = lines(expected, view)
    assert told.startswith(line)


def test_a_kind_of_reading_that_the_story_leaves_out_is_a_difference(view: View) -> None:
    expected = copy.deepcopy(story("B").expected)
    del expected["vitals"]["readings"]["mean-pressure"]
    assert lines(expected, view) == ["B vitals.readings.mean-pressure: expected 0, the server has 2"]


def test_numbers_and_times_are_compared_by_what_they_mean(view: View) -> None:
    expected = copy.deepcopy(story("B").expected)
    expected["order"]["dose_mg"] = "120.000"
    expected["infusion"]["start"] = "2026-04-14T14:00:00+00:00"
    assert lines(expected, view) == []


def test_what_an_expectation_does_not_say_is_not_held_against_the_server(view: View) -> None:
    compared = checks.against_story("B", {"story": "B", "infusion": {"delivered_mg": "111.2"}}, view)
    assert compared == (1, [])


def test_a_number_where_a_word_stands_is_a_difference(view: View) -> None:
    assert lines({"infusion": {"delivered_mg": "much"}}, view) == [
        "B infusion.delivered_mg: expected much, the server has 111.2"
    ]


def test_numbers_are_written_as_in_charts() -> None:
    told = [Decimal("36.000"), Decimal("111.200"), Decimal("0.125"), Decimal(120), None]
    assert [plain(one) for one in told] == ["36", "111.2", "0.125", "120", "-"]
    assert [one_decimal(one) for one in told] == ["36.0", "111.2", "0.125", "120.0", "-"]
