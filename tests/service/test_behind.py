"""Who wants no application answer (enhanced mode, MSH-16 NE) does not wait for the translation, and order is kept all the same."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from service_peers import Reply, adt, heart_rate, ras
from test_intake import Desk, desk

from ketafhir.errors import StoreError
from ketafhir.service import intake
from ketafhir.service.arrivals import Arrival
from ketafhir.service.together import Together

__all__ = ["desk"]  # the fixture
NE = {"MSH_15": "AL", "MSH_16": "NE"}


def test_a_message_without_an_answer_is_acknowledged_when_it_is_stored(desk: Desk) -> None:
    assert desk.only(ras("M1", **NE)).code == "CA"
    assert (desk.show(1).outcome, desk.show(1).deliveries) == ("received", ())
    assert desk.intake.finish() == 1
    assert (desk.show(1).outcome, len(desk.bundles(1))) == ("translated", 1)


@pytest.mark.parametrize("modes", [{}, {"MSH_15": "AL", "MSH_16": "AL"}, {"MSH_15": "NE", "MSH_16": "SU"}])
@pytest.mark.parametrize("restarts", [False, True])
def test_messages_are_translated_in_the_order_they_were_stored_in(
    desk: Desk, modes: dict[str, str], restarts: bool
) -> None:
    desk.take(adt("M1", **NE))
    desk.take(ras("M2", **NE))
    if restarts:
        desk.renew()
    desk.take(heart_rate("M3", **modes))
    assert [desk.show(number).outcome for number in (1, 2, 3)] == ["translated"] * 3
    deliveries = [desk.show(number).deliveries[0].id for number in (1, 2, 3)]
    assert deliveries == sorted(deliveries)


def test_one_that_shares_a_commit_is_translated_after_those_before_it(desk: Desk) -> None:
    feed = [adt("M1", **NE), ras("M2"), ras("M3", **NE), heart_rate("M4")]
    answered = desk.intake.take_together([Arrival(desk.channel, one, "p") for one in feed])
    assert [Reply(one.answers[0]).code for one in answered] == ["CA", "AA", "CA", "AA"]
    deliveries = [desk.show(number).deliveries[0].id for number in (1, 2, 3, 4)]
    assert deliveries == sorted(deliveries)


def test_there_is_an_end_to_what_is_not_translated(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_MOST_BEHIND", 3)
    desk.intake.finish()
    for number in range(1, 12):
        assert desk.only(heart_rate(f"M{number}", **NE)).code == "CA"
        assert desk.store.counts().outcomes["received"] <= 3
    desk.intake.finish()
    assert desk.store.counts().outcomes["translated"] == 11


def test_what_was_translated_elsewhere_stops_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process that was started beside, or given up by an operator."""
    for number in (1, 2):
        desk.take(heart_rate(f"M{number}", **NE))
    before = desk.store.unfinished()
    desk.intake.finish()
    monkeypatch.setattr(desk.store, "unfinished", lambda limit=100: [before.pop() for _ in list(before)])
    assert desk.intake.finish() == 2


async def _translated(desk: Desk, count: int) -> None:
    async with asyncio.timeout(20):
        while desk.store.counts().outcomes["translated"] < count:
            await asyncio.sleep(0.01)


def test_it_is_translated_when_nothing_else_waits(desk: Desk) -> None:
    woken = threading.Event()

    async def send() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(desk.intake, thread, woken.set)
            for number in range(5):
                await together.take(desk.channel, heart_rate(f"M{number}", **NE), "p")
            await _translated(desk, 5)
            await together.close()

    asyncio.run(send())
    assert woken.is_set()


def test_what_is_not_translated_at_the_end_is_at_the_next_start(desk: Desk) -> None:
    async def end() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(desk.intake, thread)
            taken = [together.take(desk.channel, heart_rate(f"M{number}", **NE), "p") for number in range(40)]
            told = asyncio.gather(*taken)
            await asyncio.sleep(0)
            await together.close()
            assert [Reply(one.answers[0]).code for one in await told] == ["CA"] * 40

    async def start() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(desk.intake, thread)
            together.look()
            await _translated(desk, 40)
            await together.close()

    asyncio.run(end())
    assert desk.store.counts().outcomes["received"] > 0
    desk.renew()
    asyncio.run(start())


def test_a_store_that_fails_meanwhile_is_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a message that must not overtake the others is turned away, to be sent again."""
    desk.take(heart_rate("M1", **NE))

    def fail(*_: Any) -> None:
        raise StoreError("the disk is full")

    async def look() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(desk.intake, thread)
            with monkeypatch.context() as patch:
                patch.setattr(desk.store, "complete", fail)
                together.look()
                (answer,) = (await together.take(desk.channel, heart_rate("M2"), "p")).answers
                assert Reply(answer).code == "AR"
            together.look()
            await _translated(desk, 1)
            (answer,) = (await together.take(desk.channel, heart_rate("M2"), "p")).answers
            assert Reply(answer).code == "AA"
            await together.close()

    asyncio.run(look())
    assert desk.show(2).deliveries[0].id > desk.show(1).deliveries[0].id
