"""The real FHIR server behind a network that fails, under writers that race, and killed while it writes.

Whatever happens: one resource for one identity, the right content, each effect once, and no row that is stuck.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from crashing import killable_hapi
from hapi_case import Case, drain, queue

from fhir_peer import HapiServer
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.retry import RetryPolicy

QUICK = RetryPolicy(first=0.05, longest=0.5, patience=100, parked=0.5, rejections=10)
FHIR = {"content-type": "application/fhir+json"}
HTML = {"content-type": "text/html"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def judge(store: SqliteStore) -> None:
    """Every delivery is done."""
    counts = store.counts().deliveries
    assert [state for state, number in counts.items() if number and state != "done"] == []


# --- the network


Answer = Callable[[httpx.Request], httpx.Response]


def answers(status: int, headers: dict[str, str], body: bytes = b"<html>busy</html>") -> Answer:
    return lambda request: httpx.Response(status, headers=headers, content=body, request=request)


def breaks(error: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("broken by the test", request=request)

    return answer


BEFORE: dict[str, Answer] = {
    "no connection": breaks(httpx.ConnectError),
    "throttled": answers(429, {"retry-after": "0"}),
    "unavailable": answers(503, HTML),
    "failure": answers(500, HTML),
    "no longer let in": answers(401, HTML),
    "html for fhir": answers(200, HTML),
    "redirected": answers(302, {"location": "http://elsewhere.test/"}),
}
"""What stands in the place of the server, which never sees the request."""

AFTER: dict[str, Answer] = {
    "no answer": breaks(httpx.ReadTimeout),
    "hung up": breaks(httpx.RemoteProtocolError),
    "gateway timeout": answers(504, HTML),
    "cut off": answers(200, FHIR, b'{"resourceType":"Bun'),
    "failure of a gateway": answers(500, HTML),
}
"""What comes back when the server has done it."""


class Failing(httpx.AsyncBaseTransport):
    """The way to the server: the first transactions meet `faults` in turn, the rest get through."""

    def __init__(self, faults: list[str]) -> None:
        self.left = list(faults)
        self._way = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or not self.left:
            return await self._way.handle_async_request(request)
        name = self.left.pop(0)
        if name in BEFORE:
            return BEFORE[name](request)
        answered = await self._way.handle_async_request(request)
        await answered.aread()
        await answered.aclose()
        return AFTER[name](request)

    async def aclose(self) -> None:
        await self._way.aclose()


@pytest.mark.hapi
@pytest.mark.timeout(180)
def test_what_a_bad_network_did_is_mended_and_nothing_is_doubled(store: SqliteStore, hapi_server: HapiServer) -> None:
    case = Case(hapi_server)
    faults = [*BEFORE, *AFTER]
    rates = [str(number) for number in range(1, len(faults) + 1)]
    for rate in rates:
        queue(store, case.bundle(rate), case.number)
    network = Failing([fault for pair in zip(faults, reversed(faults), strict=True) for fault in pair])
    drain(store, hapi_server.url, network, QUICK, seconds=150)
    judge(store)
    assert network.left == []
    assert case.rates() == rates
    assert case.patients() == 1


# --- races


def race(folder: Path, case: Case, writers: int, passes: int, payload: Callable[[int, int], bytes]) -> None:
    """Each writer is a process of its own in all but name: its own store, worker and connections."""
    stores = [SqliteStore(folder / f"{number}.db") for number in range(writers)]
    ready, failures = threading.Barrier(writers), []

    def write(number: int) -> None:
        try:
            for one in range(passes):
                queue(stores[number], payload(number, one), case.number)
                ready.wait(60)
                drain(stores[number], case.server.url, policy=QUICK, seconds=150)
        except BaseException as error:
            ready.abort()
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    for store in stores:
        judge(store)
        store.close()


@pytest.mark.hapi
@pytest.mark.timeout(400)
def test_ten_writers_of_one_identity_ten_times(tmp_path: Path, hapi_server: HapiServer) -> None:
    case = Case(hapi_server)
    race(tmp_path, case, 10, 10, lambda number, one: case.bundle(str(100 * (one + 1) + number)))
    assert case.patients() == 1
    assert sorted(case.rates()) == sorted(str(100 * (one + 1) + number) for one in range(10) for number in range(10))


@pytest.mark.hapi
@pytest.mark.timeout(400)
def test_ten_writers_create_one_patient(tmp_path: Path, hapi_server: HapiServer) -> None:
    cases = [Case(hapi_server) for _ in range(10)]  # an Observation of each, one patient for all
    for case in cases:
        case.number = cases[0].number
    race(tmp_path, cases[0], 10, 1, lambda number, _: cases[number].bundle("7", create=True))
    assert cases[0].patients() == 1
    assert [case.rates() for case in cases] == [["7"]] * 10


# --- killed in mid-transaction


class Killing(httpx.AsyncBaseTransport):
    """The way to a server that is killed, and started again, while it works on a transaction."""

    def __init__(self, kill: Callable[[], None], delays: list[float]) -> None:
        self.delays = delays
        self._kill = kill
        self._way = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        under_way: Awaitable[Any] = asyncio.ensure_future(self._way.handle_async_request(request))
        if request.method == "POST" and self.delays:
            await asyncio.sleep(self.delays.pop(0))
            await asyncio.to_thread(self._kill)
        answered: httpx.Response = await under_way
        return answered

    async def aclose(self) -> None:
        await self._way.aclose()


def killed_in_mid_transaction(folder: Path, delays: list[float]) -> None:
    store = SqliteStore(folder / "store.db")
    try:
        with killable_hapi(folder) as (hapi, kill):
            case = Case(hapi)
            rates = [str(number) for number in range(1, 3 * len(delays) + 1)]
            for rate in rates:
                queue(store, case.bundle(rate), case.number)
            network = Killing(kill, delays)
            drain(store, hapi.url, network, QUICK, seconds=150 * len(rates))
            judge(store)
            assert network.delays == []
            assert case.rates() == rates
            assert case.patients() == 1
    finally:
        store.close()


@pytest.mark.hapi
@pytest.mark.all
@pytest.mark.timeout(900)
def test_a_server_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    killed_in_mid_transaction(tmp_path, [0.01])


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_a_server_that_is_killed_ten_times_while_it_writes(tmp_path: Path) -> None:
    killed_in_mid_transaction(tmp_path, [0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.2])
