"""Messages that share a commit: the same as one after another, and none answered before it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service_peers import Reply, adt, heart_rate, ras
from test_intake import FullStore, channel

from ketafhir.errors import StoreError
from ketafhir.service import together
from ketafhir.service.arrivals import Answered, Arrival
from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.service.measures import Measures
from ketafhir.service.together import Together
from ketafhir.store.sqlite import SqliteStore

FEED = [adt("M1"), ras("M2"), heart_rate("M3"), ras("M2"), b"no message", adt("M4", MSH_15="AL", MSH_16="AL")]


class BrokenStore(SqliteStore):
    """Its batches cannot be committed."""

    @contextmanager
    def batch(self) -> Iterator[None]:
        with super().batch():
            yield
            raise StoreError("the disk is full")


def codes(answers: list[Answered]) -> list[list[str]]:
    return [[Reply(one).code for one in answered.answers] for answered in answers]


def intake(store: SqliteStore) -> tuple[Intake, list[Arrival]]:
    through = channel()
    return Intake(store, {"ehr": through}), [Arrival(through, message, "peer:1") for message in FEED]


@pytest.mark.parametrize("kind", [SqliteStore, BrokenStore])
def test_together_is_as_one_after_another(tmp_path: Path, kind: type[SqliteStore]) -> None:
    stores = [SqliteStore(tmp_path / "single.db"), kind(tmp_path / "together.db")]
    single, arrivals = intake(stores[0])
    expected = [single.take(one.channel, one.raw, one.peer) for one in arrivals]
    both, arrivals = intake(stores[1])
    got = both.take_together(arrivals)
    assert codes(got) == codes(expected) == [["AA"], ["AA"], ["AA"], ["AA"], ["AE"], ["CA", "AA"]]
    assert got[1].message_id == got[3].message_id
    assert got[1].answers == got[3].answers
    assert both.counts == single.counts
    for number in range(1, 6):
        ours, theirs = stores[1].show(number), stores[0].show(number)
        assert (ours.raw, ours.outcome) == (theirs.raw, theirs.outcome)
        assert [row.payload for row in ours.deliveries] == [row.payload for row in theirs.deliveries]
    for store in stores:
        store.close()


def test_one_that_cannot_be_stored_takes_no_other_with_it(tmp_path: Path) -> None:
    class Picky(FullStore):
        def accept(self, message: Any) -> Any:
            self.full = message.control_id == "M2"
            return super().accept(message)

    store = Picky(tmp_path / "store.db")
    both, arrivals = intake(store)
    assert codes(both.take_together(arrivals))[:3] == [["AA"], ["AR"], ["AA"]]
    store.close()


def test_what_waits_for_a_commit_goes_into_the_next(tmp_path: Path) -> None:
    """Ten senders while the first message is at work: two commits, in the order of coming."""
    sizes: list[int] = []
    released = threading.Event()

    class Slow(Intake):
        def take_together(self, arrivals: Any) -> list[Answered]:
            sizes.append(len(arrivals))
            assert released.wait(10)
            return super().take_together(arrivals)

    store = SqliteStore(tmp_path / "store.db")
    through = channel()

    async def send() -> list[Answered]:
        with ThreadPoolExecutor(1) as thread:
            desk = Together(Slow(store, {"ehr": through}), thread)
            tasks = [asyncio.create_task(desk.take(through, adt(f"M{n}"), f"p{n}")) for n in range(11)]
            await asyncio.sleep(0.05)
            cancelled = tasks[7]
            cancelled.cancel()
            released.set()
            return await asyncio.gather(*(one for one in tasks if one is not cancelled))

    answers = asyncio.run(send())
    assert sizes == [11] or sizes == [1, 10]
    assert [one.message_id for one in answers] == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    store.close()


def test_a_commit_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_MOST_BYTES", 100)
    sizes: list[int] = []

    class Counting:
        measures = Measures()

        def take_together(self, arrivals: Any) -> list[Answered]:
            sizes.append(len(arrivals))
            return [Answered() for _ in arrivals]

    async def send() -> None:
        with ThreadPoolExecutor(1) as thread:
            desk = Together(Counting(), thread)  # type: ignore[arg-type]
            await asyncio.gather(*(desk.take(None, bytes(60), "p") for _ in range(4)))  # type: ignore[arg-type]

    asyncio.run(send())
    assert sizes == [2, 2]


def test_a_store_that_is_away_is_told_when_it_goes_and_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever comes meanwhile, alone or together, and however often somebody looks."""

    class Gone(FullStore):
        @contextmanager
        def batch(self) -> Iterator[None]:
            with super().batch():
                yield
                if self.full:
                    raise StoreError("the database is away")

        def unfinished(self, limit: int = 100) -> Any:
            if self.full:
                raise StoreError("the database is away")
            return super().unfinished(limit)

        def ack_delivered(self, message_id: int, leg: Any = "ack") -> None:
            if self.full:
                raise StoreError("the database is away")
            super().ack_delivered(message_id, leg)

    store = Gone(tmp_path / "store.db")
    desk, arrivals = intake(store)
    legs = Legs(store)
    legs.note(desk.take_together(arrivals)[0], delivered=True)

    async def look() -> None:
        with ThreadPoolExecutor(1) as thread:
            together = Together(desk, thread)
            for full in (True, True, True, False, False):
                store.full = full
                together.look()
                assert together._working is not None
                await together._working

    def told(do: Callable[[], object]) -> list[str]:
        caplog.clear()
        do()
        names = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and one.args]
        return [name.partition(": ")[2] if "is back" in name else name.partition(",")[0] for name in names]

    assert told(lambda: asyncio.run(look())) == ["nothing is translated", "messages that wait are translated"]

    def take() -> None:
        for full in (True, True, True, False, False):
            store.full = full
            desk.take_together([replace(one, raw=one.raw.replace(b"|M", b"|N")) for one in arrivals[:3]])
            desk.take(arrivals[0].channel, adt("O1"), "p")
            legs.flush()

    assert told(take) == [
        "a message from peer:1 is not stored: the disk is full",
        "that message 1 is answered is not stored: the database is away",
        "messages are taken",
        "which messages are answered is stored",
    ]
    store.close()
