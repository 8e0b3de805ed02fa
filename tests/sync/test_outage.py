"""A server that takes nothing of anybody kills no message, however long it lasts; a message that fails alone dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fhir_sink import FhirSink, bundle, outcome
from test_worker import A, B, C, delivery, queue, working

from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.outage import PERHAPS, Outage
from ketafhir.sync.outcome import PAUSES_DESTINATION, Disposition, Outcome
from ketafhir.sync.retry import RetryPolicy

FAILED, DONE = Outcome(Disposition.TRANSIENT), Outcome(Disposition.DONE)
SHORT = RetryPolicy(
    first=0.001, longest=0.002, patience=2, parked=0.05, limit=8
)  # parked: time for the others in between


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def told(*steps: tuple[int, Outcome]) -> list[bool]:
    outage = Outage()
    return [outage.tell(*step) for step in steps]


def test_one_that_fails_alone_fails_for_itself() -> None:
    assert told((1, FAILED), (1, FAILED), (1, FAILED)) == [False, False, False]


def test_where_another_fails_too_and_none_goes_it_is_the_destination() -> None:
    assert told((1, FAILED), (2, FAILED), (1, FAILED), (2, FAILED)) == [False, True, True, True]


def test_what_went_since_its_last_attempt_shows_that_it_is_the_message() -> None:
    assert told((1, FAILED), (2, FAILED), (3, DONE), (1, FAILED)) == [False, True, False, False]
    # After that the others' failures count again, from its own on.
    assert told((3, DONE), (1, FAILED), (1, FAILED), (2, FAILED), (1, FAILED)) == [False, False, False, False, True]


@pytest.mark.parametrize("disposition", sorted(set(Disposition) - PERHAPS - PAUSES_DESTINATION))
def test_every_answer_of_its_own_shows_that_the_server_works(disposition: Disposition) -> None:
    assert told((1, FAILED), (2, FAILED), (3, Outcome(disposition)), (1, FAILED))[-1] is False


def serving(sink: FhirSink, broken: list[str]) -> httpx.AsyncBaseTransport:
    """500 to every Bundle that has one of these, "" to all of them."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        return outcome(500, "HAPI-0389: broken") if any(one.encode() in request.content for one in broken) else None

    sink.faults.extend([answer] * 10_000)
    return sink.transport


async def attempted(store: SqliteStore, message_id: int, times: int) -> None:
    while len(delivery(store, message_id).history) < times:
        assert delivery(store, message_id).state != "dead"
        await asyncio.sleep(0.005)


async def ended(store: SqliteStore, message_id: int) -> str:
    while delivery(store, message_id).state not in ("done", "dead"):
        await asyncio.sleep(0.005)
    return delivery(store, message_id).state


def test_an_outage_longer_than_the_limit_kills_nothing_also_through_restarts(store: SqliteStore) -> None:
    messages = [queue(store, bundle(one), one) for one in (A, B, C)]
    sink, broken = FhirSink(), [""]
    transport = serving(sink, broken)

    async def scenario() -> None:
        for times in (9, 18, 27):  # each start may count one more, since it knows of nothing
            async with working(store, transport, policy=SHORT):
                for one in messages:
                    await attempted(store, one, times)
        assert {delivery(store, one).state for one in messages} <= {"parked", "queued"}  # given back by who was stopped
        broken.clear()
        async with working(store, transport, policy=SHORT) as worker:
            worker.wake()
            assert [await ended(store, one) for one in messages] == ["done"] * 3

    asyncio.run(scenario())


def test_one_message_that_breaks_the_server_dies_and_its_patient_goes_on(store: SqliteStore) -> None:
    bad = queue(store, bundle(A), "p1")
    behind = queue(store, bundle(B), "p1")
    sink = FhirSink()

    async def scenario() -> None:
        async with working(store, serving(sink, [A]), policy=SHORT) as worker:
            number = 0
            while delivery(store, bad).state != "dead":
                other = queue(store, bundle(C, text=str(number)), "p2")
                worker.wake()
                assert await ended(store, other) == "done"
                number += 1
            assert await ended(store, behind) == "done"

    asyncio.run(scenario())
    assert delivery(store, bad).reason.startswith("given up after 8 attempts: 500")


def test_a_message_that_is_alone_dies_at_the_limit(store: SqliteStore) -> None:
    bad = queue(store, bundle(A))

    async def scenario() -> str:
        async with working(store, serving(FhirSink(), [A]), policy=SHORT):
            return await ended(store, bad)

    assert asyncio.run(scenario()) == "dead"
    assert len(delivery(store, bad).history) == 8
