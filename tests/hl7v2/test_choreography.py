"""The acknowledgement table of MSH-15 and MSH-16: all pairs, all outcomes."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from ketafhir.hl7v2.choreography import Outcome, choreography

VALUES = ("", "AL", "NE", "ER", "SU")
# What table 0155 sends of a positive and of a negative answer.
POSITIVE = {"": False, "AL": True, "NE": False, "ER": False, "SU": True}
NEGATIVE = {"": False, "AL": True, "NE": False, "ER": True, "SU": False}


@pytest.mark.parametrize(
    ("outcome", "code"), [("accepted", "AA"), ("refused", "AE"), ("rejected", "AR"), ("failed", "AR")]
)
def test_original_mode_has_one_answer(outcome: Outcome, code: str) -> None:
    assert choreography("", "", outcome) == (None, code)


ENHANCED = [pair for pair in product(VALUES, VALUES) if pair != ("", "")]


@pytest.mark.parametrize(("msh15", "msh16"), ENHANCED)
def test_a_message_that_was_stored(msh15: str, msh16: str) -> None:
    accept = "CA" if POSITIVE[msh15] else None
    assert choreography(msh15, msh16, "accepted") == (accept, "AA" if POSITIVE[msh16] else None)
    assert choreography(msh15, msh16, "refused") == (accept, "AE" if NEGATIVE[msh16] else None)


@pytest.mark.parametrize(("msh15", "msh16"), ENHANCED)
@pytest.mark.parametrize(("outcome", "code"), [("rejected", "CR"), ("failed", "CE")])
def test_a_message_that_was_not_stored(msh15: str, msh16: str, outcome: Outcome, code: str) -> None:
    if NEGATIVE[msh15]:
        expected = (code, None)
    else:
        expected = (None, "AR" if NEGATIVE[msh16] else None)
    assert choreography(msh15, msh16, outcome) == expected


def test_every_outcome_is_known() -> None:
    assert set(get_args(Outcome)) == {"accepted", "refused", "rejected", "failed"}


def test_unknown_values_are_answered_and_case_does_not_matter() -> None:
    assert choreography("XX", "al", "accepted") == ("CA", "AA")
    assert choreography("ne", "ne", "refused") == (None, None)


@pytest.mark.parametrize("other", VALUES)
def test_the_null_of_hl7_says_as_little_as_nothing(other: str) -> None:
    for outcome in get_args(Outcome):
        assert choreography('""', other, outcome) == choreography("", other, outcome)
        assert choreography(other, ' "" ', outcome) == choreography(other, "", outcome)
