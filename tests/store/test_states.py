"""The tables of allowed steps."""

from __future__ import annotations

import pytest

from ketafhir.store import states


@pytest.mark.parametrize(
    ("steps", "known"),
    [
        (states.OUTCOME_STEPS, states.OUTCOMES),
        (states.DELIVERY_STEPS, states.DELIVERY_STATES),
        (states.OPERATOR_STEPS, states.DELIVERY_STATES),
        (states.OWED_STEPS, states.OWED_STATES),
    ],
)
def test_steps_are_between_known_states(steps: frozenset[tuple[str, str]], known: tuple[str, ...]) -> None:
    assert {state for step in steps for state in step} <= set(known)


def test_what_is_done_stays_done() -> None:
    every = states.DELIVERY_STEPS | states.OPERATOR_STEPS
    assert not [after for before, after in every if before == states.DONE]


def test_the_dead_come_back_only_by_an_operator() -> None:
    assert not [after for before, after in states.DELIVERY_STEPS if before == states.DEAD]
    assert (states.DEAD, states.QUEUED) in states.OPERATOR_STEPS


def test_nothing_is_done_that_was_not_in_flight() -> None:
    assert [before for before, after in states.DELIVERY_STEPS if after == states.DONE] == [states.INFLIGHT]


def test_every_open_state_can_end() -> None:
    """No state that holds a partition is a trap."""
    ends = {states.DONE, states.DEAD}
    every = states.DELIVERY_STEPS | states.OPERATOR_STEPS
    for _ in states.DELIVERY_STATES:
        ends |= {before for before, after in every if after in ends}
    assert ends >= states.OPEN
