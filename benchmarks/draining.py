"""Delivery: how fast what is stored comes to the FHIR server.

    python -m benchmarks.draining URL STORE NAME

is a worker process of its own: it says `ready`, begins at a line on standard input, and ends when all is delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen

import httpx
import orjson

import ketafhir
from benchmarks import feed
from benchmarks.rows import FLOOR, OURS
from ketafhir.hapi import server
from ketafhir.hapi.settings import Settings
from ketafhir.store.opening import open_store
from ketafhir.store.protocol import Inbound, NewDelivery, Result, Store
from ketafhir.sync.client import FhirClient
from ketafhir.sync.courier import FhirCourier
from ketafhir.sync.worker import Worker

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # where the PostgreSQL of the tests is

TO_HAPI = "drain into HAPI"
TO_HAPI_NOTE = (
    "wall time of a Bundle of five vital signs; the floor is a bare client that posts the same, four at a time"
)
TWO_WORKERS = "drain by two workers"
TWO_WORKERS_NOTE = (
    "wall time of a Bundle, of a PostgreSQL store and a server that answers after 50 ms, four deliveries in flight for each "
    "worker; the floor is one worker"
)
_FHIR = "fhir"
_PARALLEL = 4
_ROUNDS, _TO_HAPI, _TO_SINK = 5, 60, 240
_HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


def measure_hapi() -> dict[str, float]:
    """Microseconds for each Bundle: the median of rounds in turn, after one in which the server warms up."""
    taken: dict[str, list[float]] = {FLOOR: [], OURS: []}
    ways: dict[str, Callable[[str, list[bytes]], float]] = {FLOOR: _posted, OURS: _drained}
    with tempfile.TemporaryDirectory() as folder:
        started = server.start(Settings(port=0), work_dir=Path(folder))
        try:
            for turn in range(_ROUNDS + 1):
                # The server gets faster all the while: whoever comes second must not be the same each time.
                for at, (name, way) in enumerate(sorted(ways.items(), reverse=bool(turn % 2))):
                    first = (2 * turn + at) * _TO_HAPI
                    seconds = way(started.url, _bundles(range(first, first + _TO_HAPI)))
                    if turn:
                        taken[name].append(seconds / _TO_HAPI)
        finally:
            server.stop(started.port, work_dir=Path(folder))
    return {name: median(times) * 1e6 for name, times in taken.items()}


def measure_workers() -> dict[str, float]:
    """Microseconds for each Bundle, by one worker process and by two: the median of rounds in turn."""
    from postgresql_server import PostgresServer

    taken: dict[str, list[float]] = {FLOOR: [], OURS: []}
    bundles = _bundles(range(_TO_SINK))
    database = PostgresServer()
    try:
        with _slow_server() as url:
            for _ in range(3):
                for name, count in ((FLOOR, 1), (OURS, 2)):
                    taken[name].append(_by_workers(url, database.url(), bundles, count) / _TO_SINK)
    finally:
        database.stop()
    return {name: median(times) * 1e6 for name, times in taken.items()}


def _bundles(patients: range) -> list[bytes]:
    """One of each patient, so that none waits for another."""
    return [ketafhir.to_fhir(feed.vitals(patient, 1)).json() for patient in patients]


def _keep(store: Store, bundles: list[bytes]) -> None:
    for number, bundle in enumerate(bundles):
        raw = b"%d" % number
        result = Result("translated", deliveries=[NewDelivery(_FHIR, (f"patient {number}",), bundle)])
        store.accept(Inbound(raw, sha256(raw).digest(), "l", "h", "s", raw.decode(), "ORU^R01", b"AA", result))


def _posted(url: str, bundles: list[bytes]) -> float:
    """The seconds that a bare client needs."""

    async def post(client: httpx.AsyncClient, waiting: Iterator[bytes]) -> None:
        for bundle in waiting:
            (await client.post(url, content=bundle, headers=_HEADERS)).raise_for_status()

    async def all_of_them() -> float:
        async with httpx.AsyncClient(timeout=60) as client:
            began, waiting = time.perf_counter(), iter(bundles)
            await asyncio.gather(*(post(client, waiting) for _ in range(_PARALLEL)))
            return time.perf_counter() - began

    return asyncio.run(all_of_them())


def _drained(url: str, bundles: list[bytes]) -> float:
    """The seconds that a worker needs for what is in the store."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"{folder}/store.sqlite")
        try:
            _keep(store, bundles)
            return asyncio.run(_work(store, url, "worker"))
        finally:
            store.close()


async def _work(store: Store, url: str, name: str) -> float:
    client = FhirClient(url)
    worker = Worker(store, FhirCourier(store, client, _FHIR), _FHIR, name=name, parallel=_PARALLEL)
    began = time.perf_counter()
    running = asyncio.create_task(worker.run())
    await worker.drain(300)
    seconds = time.perf_counter() - began
    worker.stop()
    await running
    await client.aclose()
    return seconds


def _by_workers(url: str, place: str, bundles: list[bytes], count: int) -> float:
    """The seconds that so many processes need together."""
    store = open_store(place)
    try:
        _keep(store, bundles)
    finally:
        store.close()
    command = [sys.executable, "-m", "benchmarks.draining", url, place]
    running = [Popen([*command, f"worker-{number}"], stdin=PIPE, stdout=PIPE, text=True) for number in range(count)]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "done\n"
    ended = time.perf_counter()
    for one in running:
        one.communicate()
    return ended - began


@contextmanager
def _slow_server() -> Iterator[str]:
    """The URL of a FHIR server that takes every transaction, and 50 ms for each."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def serve() -> None:
        server, end = await asyncio.start_server(_serve, "127.0.0.1", 0), asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), end, server.sockets[0].getsockname()[1]))
        await end.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, end, port = ready.result(10)
    try:
        yield f"http://127.0.0.1:{port}/fhir"
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError), contextlib.closing(writer):
        while True:
            await _answered(reader, writer)


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    told = await reader.readexactly(length)
    status, body = b"404 Not Found", b"{}"
    if head.startswith(b"POST"):
        await asyncio.sleep(0.05)
        status, body = b"200 OK", _answer(told)
    header = b"HTTP/1.1 %s\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n"
    writer.write(header % (status, len(body)) + body)


def _answer(transaction: bytes) -> bytes:
    entries = []
    for entry in orjson.loads(transaction)["entry"]:
        kind = entry["resource"]["resourceType"]
        place = f"{kind}/{entry['resource'].get('id', '1')}/_history/1"
        entries.append({"response": {"status": "200 OK", "location": place, "etag": 'W/"1"'}})
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


def main() -> None:
    """One worker process."""
    url, place, name = sys.argv[1:]
    store = open_store(place)
    try:
        print("ready", flush=True)
        sys.stdin.readline()
        asyncio.run(_work(store, url, name))
        print("done", flush=True)
    finally:
        store.close()


if __name__ == "__main__":
    main()
