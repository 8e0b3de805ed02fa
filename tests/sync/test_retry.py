"""How a delivery goes on, outcome by outcome."""

from __future__ import annotations

import pytest

from ketafhir.store.protocol import Settlement
from ketafhir.sync.circuit import Circuit
from ketafhir.sync.outcome import PAUSES_DESTINATION, Disposition, Outcome
from ketafhir.sync.retry import RetryPolicy, settlement

D = Disposition
NOW = 1000.0
POLICY = RetryPolicy(first=1.0, longest=60.0, patience=10, parked=900.0, rejections=3)


def after(disposition: Disposition, attempts: int = 0, rejections: int = 0, wait: float | None = None) -> Settlement:
    return settlement(
        Outcome(disposition, "why", 400, wait),
        attempts=attempts,
        rejections=rejections,
        versions={"A/1": "1"},
        policy=POLICY,
        now=NOW,
        chance=lambda: 0.0,
    )


def test_done_brings_its_versions() -> None:
    ending = after(D.DONE)
    assert (ending.state, ending.versions, ending.status) == ("done", {"A/1": "1"}, "400")


@pytest.mark.parametrize("disposition", sorted(PAUSES_DESTINATION))
def test_what_the_payload_is_not_to_blame_for_is_not_counted(disposition: Disposition) -> None:
    ending = after(disposition, attempts=99, rejections=99)
    assert (ending.state, ending.counted, ending.rejected) == ("queued", False, False)
    assert ending.not_before == NOW + 1
    assert after(disposition, wait=30.0).not_before == NOW + 30


@pytest.mark.parametrize("disposition", [D.TRANSIENT, D.AMBIGUOUS, D.CONFLICT])
def test_what_may_work_later_waits_longer_each_time(disposition: Disposition) -> None:
    waits = [after(disposition, attempts=number).not_before for number in range(9)]
    assert waits == [NOW + wait / 2 for wait in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
    assert all(after(disposition, attempts=number).counted for number in range(9))


def test_patience_ends_in_parking_and_after_the_limit_in_death() -> None:
    for attempts in (9, 98):
        ending = after(D.TRANSIENT, attempts=attempts)
        assert (ending.state, ending.not_before, ending.rejected) == ("parked", NOW + 900, False)
    ending = after(D.TRANSIENT, attempts=99)
    assert (ending.state, ending.reason) == ("dead", "given up after 100 attempts: why")


@pytest.mark.parametrize("disposition", sorted(PAUSES_DESTINATION))
def test_a_server_that_is_away_for_long_kills_nothing(disposition: Disposition) -> None:
    assert after(disposition, attempts=1000).state == "queued"


@pytest.mark.parametrize("disposition", [D.REJECTED, D.GONE, D.TOO_LARGE])
def test_what_is_turned_down_is_parked_and_then_dead(disposition: Disposition) -> None:
    first = after(disposition)
    assert (first.state, first.not_before, first.rejected) == ("parked", NOW + 900, True)
    assert after(disposition, rejections=1).state == "parked"
    last = after(disposition, rejections=2)
    assert (last.state, last.reason, last.kind) == ("dead", "why", disposition.value)


def test_two_resources_of_one_identity_are_for_a_person() -> None:
    ending = after(D.IDENTITY, rejections=99)
    assert (ending.state, ending.not_before) == ("parked", None)


def test_every_disposition_goes_somewhere() -> None:
    assert {after(disposition).state for disposition in Disposition} == {"done", "queued", "parked", "dead"}


def test_chance_spreads_the_upper_half() -> None:
    assert (POLICY.wait(3, 0.0), POLICY.wait(3, 0.5)) == (2.0, 3.0)
    assert POLICY.wait(10_000, 0.999) < POLICY.longest


class TestCircuit:
    def test_a_failing_destination_is_left_alone_longer_each_time(self) -> None:
        now = [0.0]
        circuit = Circuit("fhir", POLICY, lambda: now[0], lambda: 0.0)
        assert circuit.width(4) == 4
        for wait in (0.5, 1.0, 2.0):
            circuit.tell(Outcome(D.UNSENT, "no connection"))
            assert circuit.remaining == wait
            assert circuit.width(4) == 0
            now[0] += wait
            assert circuit.width(4) == 1
        circuit.tell(Outcome(D.REJECTED, "but it answers"))
        assert (circuit.remaining, circuit.width(4)) == (0.0, 4)

    def test_what_it_can_take_at_a_time_is_found_out(self) -> None:
        now = [0.0]
        circuit = Circuit("fhir", POLICY, lambda: now[0], lambda: 0.0)
        assert circuit.width(16) == 16
        circuit.tell(Outcome(D.AMBIGUOUS, "no answer in time"), under_way=16)
        assert circuit.width(16) == 8
        circuit.tell(Outcome(D.THROTTLED, "busy", 429), under_way=8)
        now[0] += 60
        circuit.tell(Outcome(D.DONE))
        assert circuit.width(16) == 4
        for _ in range(9):
            circuit.tell(Outcome(D.DONE))
        assert circuit.width(16) == 6
        for _ in range(200):
            circuit.tell(Outcome(D.DONE))
        assert circuit.width(16) == 16
        assert circuit.width(2) == 2, "what the settings allow is never exceeded"

    def test_it_waits_as_long_as_the_server_asks(self) -> None:
        circuit = Circuit("fhir", POLICY, lambda: 0.0, lambda: 0.0)
        circuit.tell(Outcome(D.THROTTLED, "busy", 429, after=120.0))
        assert circuit.remaining == 120.0

    def test_it_is_logged_when_it_goes_and_when_it_comes(self, caplog: pytest.LogCaptureFixture) -> None:
        circuit = Circuit("fhir", POLICY, lambda: 0.0, lambda: 0.0)
        for _ in range(5):
            circuit.tell(Outcome(D.UNSENT, "no connection"))
        for _ in range(5):
            circuit.tell(Outcome(D.DONE))
        assert [record.getMessage() for record in caplog.records] == [
            "destination fhir takes nothing, all waits for it: no connection",
            "destination fhir answers again",
        ]
