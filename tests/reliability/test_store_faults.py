"""A disk that is full or can only be read, a database that is away, a clock that jumps: told, and nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fhir_sink import BASE, FhirSink, bundle
from service_peers import Peer, Running, Sink, adt, config, fhir_sink, running

from ketafhir.config import StoreSettings
from ketafhir.store.protocol import Inbound, NewDelivery, Result
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient
from ketafhir.sync.courier import FhirCourier
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.worker import Worker
from postgresql_server import PostgresServer


class Feed:
    """A sender that keeps what is not acknowledged, and sends it again; both modes of acknowledgment."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.taken: list[str] = []
        self.waiting: list[str] = []
        self.sent = 0

    def send(self, count: int) -> list[str]:
        """More messages, after those that wait; the codes told."""
        self.waiting += [f"M{self.sent + number}" for number in range(count)]
        self.sent += count
        codes = []
        with self.service.peer() as peer:
            for control_id in list(self.waiting):
                codes.append(self._one(peer, control_id))
        return codes

    def _one(self, peer: Peer, control_id: str) -> str:
        mode = {"MSH_15": "AL", "MSH_16": "NE"} if int(control_id[1:]) % 2 else {}
        reply = peer.send(adt(control_id, f"SYN-{control_id}", **mode))
        assert reply.about == control_id
        if reply.code in ("AA", "CA"):
            self.waiting.remove(control_id)
            self.taken.append(control_id)
        return reply.code


def judge(service: Running, sink: Sink, feed: Feed) -> None:
    """All is acknowledged, stored once, and had its effect."""
    assert not feed.waiting
    service.drain(60)
    rows, after = [], (0, 0)
    while page := service.app.store.page(after=after, limit=500):
        rows += page
        after = page[-1].cursor
    assert sorted(row.control_id for row in rows) == sorted(feed.taken)
    written = [one["identifier"][0]["value"] for one in sink.resources("Patient")]
    assert sorted(written) == sorted(f"SYN-{name}" for name in feed.taken)


def on_connection(service: Running, *statements: str) -> list[tuple[object, ...]]:
    database = service.app.store._database
    with database._lock:  # type: ignore[attr-defined]
        return [row for one in statements for row in database._connection.execute(one).fetchall()]  # type: ignore[attr-defined]


def broken(folder: Path, messages: int, begin: Callable[[Running], None], end: Callable[[Running], None]) -> None:
    """A feed before, during and after a fault of the store."""
    with fhir_sink() as sink, running(config(folder / "store.db", sink.url)) as service:
        feed = Feed(service)
        assert set(feed.send(messages)) <= {"AA", "CA"}
        begin(service)
        codes = feed.send(messages)
        assert {"AR", "CE"} <= set(codes), codes
        end(service)
        assert set(feed.send(messages)) <= {"AA", "CA"}
        judge(service, sink, feed)


def full(service: Running) -> None:
    """No page more than there is, as a full disk has it."""
    ((pages,),) = on_connection(service, "PRAGMA page_count")
    on_connection(service, f"PRAGMA max_page_count = {pages}")


def room(service: Running) -> None:
    on_connection(service, "PRAGMA max_page_count = 1073741823")


def read_only(service: Running) -> None:
    on_connection(service, "PRAGMA query_only = ON")


def writable(service: Running) -> None:
    on_connection(service, "PRAGMA query_only = OFF")


FAULTS = {"full": (full, room), "read-only": (read_only, writable)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_store_that_does_not_take_it_is_told_and_nothing_is_lost(tmp_path: Path, name: str) -> None:
    broken(tmp_path, 12, *FAULTS[name])


@pytest.mark.reliability
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FAULTS)
def test_a_store_that_does_not_take_a_thousand_is_told_and_nothing_is_lost(tmp_path: Path, name: str) -> None:
    broken(tmp_path, 1000, *FAULTS[name])


def away(folder: Path, server: PostgresServer, times: int, messages: int) -> None:
    with fhir_sink() as sink:
        settings = replace(config(folder / "none.db", sink.url), store=StoreSettings(url=server.url()))
        with running(settings) as service:
            feed = Feed(service)
            for _ in range(times):
                assert set(feed.send(messages)) <= {"AA", "CA"}
                server.kill()
                try:
                    assert set(feed.send(messages)) <= {"AR", "CE"}
                finally:
                    server.start()
                until = time.monotonic() + 30
                while feed.waiting:
                    feed.send(0)
                    assert time.monotonic() < until
            judge(service, sink, feed)


@pytest.mark.timeout(400)
def test_a_database_that_goes_and_comes_back(tmp_path: Path, postgresql: PostgresServer) -> None:
    away(tmp_path, postgresql, times=1, messages=6)


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_a_database_that_goes_and_comes_back_twenty_times(tmp_path: Path, postgresql: PostgresServer) -> None:
    away(tmp_path, postgresql, times=20, messages=50)


class JumpingClock:
    """The clock of this machine, set by hand now and then."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def jumps(folder: Path, messages: int, distance: float) -> None:
    """The clock jumps forth and back while a server that answers 503 to every third request is written to."""
    clock, sink = JumpingClock(), FhirSink()
    policy = RetryPolicy(first=0.01, longest=0.05, parked=0.05, patience=1000, limit=10_000)
    references = [f"Observation/0b6f3c7e-1111-5222-8333-{number:012d}" for number in range(messages)]
    with closing(SqliteStore(folder / "store.db", clock=clock)) as store:
        for number, reference in enumerate(references):
            raw = f"M{number}".encode()
            result = Result("translated", deliveries=[NewDelivery("fhir", (f"p{number % 5}",), bundle(reference))])
            digest = hashlib.sha256(raw).digest()
            store.accept(Inbound(raw, digest, "l", "h", "s", raw.decode(), "t", b"AA", result))

        async def work() -> None:
            client = FhirClient(BASE, transport=sink.transport)
            workers = [
                Worker(
                    store, FhirCourier(store, client, "fhir"), "fhir", name=name, poll_seconds=0.01, lease_seconds=30,
                    policy=policy, clock=clock,
                )
                for name in ("w1", "w2")
            ]  # fmt: skip
            tasks = [asyncio.create_task(one.run()) for one in workers]
            moving = asyncio.create_task(move())
            try:
                await workers[0].drain(60 + messages / 10)  # on a busy machine too
            finally:
                moving.cancel()
                for one in workers:
                    one.stop()
                await asyncio.gather(*tasks)
                await client.aclose()

        async def move() -> None:
            while True:
                for ahead in (distance, 0.0, -distance, 0.0):
                    clock.ahead = ahead
                    await asyncio.sleep(0.02)

        asyncio.run(work())
        done = [store.show(number + 1).deliveries[0].state for number in range(messages)]
    assert done == ["done"] * messages
    assert {reference: version for reference, (version, _) in sink.resources.items()} == dict.fromkeys(references, 1)
    written = [entry["request"]["url"] for one in sink.transactions for entry in one["entry"]]  # type: ignore[attr-defined]
    for partition in range(5):
        own = list(dict.fromkeys(one for one in written if int(one[-12:]) % 5 == partition))
        assert own == references[partition::5], "order"


def test_a_clock_that_jumps_by_an_hour(tmp_path: Path) -> None:
    jumps(tmp_path, 40, 3600.0)


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_a_clock_that_jumps_by_a_day_through_five_thousand(tmp_path: Path) -> None:
    jumps(tmp_path, 5000, 86_400.0)
