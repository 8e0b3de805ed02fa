"""Peers for the MLLP tests: a handler that records, a bare TCP client, a scripted receiver."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ketafhir.mllp.framing import Framer, wrap
from ketafhir.mllp.handler import Event, Peer
from ketafhir.mllp.listener import Listener


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario; one that hangs fails within seconds."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario

    asyncio.run(bounded())


def message(control_id: str, accept: str = "", application: str = "") -> bytes:
    fields = [
        "MSH",
        "^~\\&",
        "PUMP",
        "OR1",
        "KETA",
        "H",
        "20261103",
        "",
        "RAS^O17",
        control_id,
        "P",
        "2.5",
        "",
        "",
    ]
    return ("|".join([*fields, accept, application]) + "\rPID|1\r").encode()


def ack(code: str, control_id: str, *more: str) -> bytes:
    segments = ["MSH|^~\\&|KETA|H|PUMP|OR1|20261103||ACK|A1|P|2.5", f"MSA|{code}|{control_id}", *more]
    return "".join(segment + "\r" for segment in segments).encode()


def control_id_of(payload: bytes) -> str:
    return payload.split(b"|")[9].decode()


class Recorder:
    """A handler that notes what it was given and answers AA, or AR to what is too big."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.oversized: list[tuple[bytes, int]] = []
        self.broken: list[tuple[bytes, int]] = []
        self.peers: set[Peer] = set()

    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        self.seen.append(payload)
        self.peers.add(peer)
        return [ack("AA", control_id_of(payload))]

    async def oversize(self, head: bytes, size: int, peer: Peer) -> list[bytes]:
        self.oversized.append((head, size))
        return [ack("AR", control_id_of(head))]

    async def truncated(self, head: bytes, size: int, peer: Peer) -> list[bytes]:
        self.broken.append((head, size))
        return []


class Client:
    """A TCP client that writes what it is told and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.framer = Framer()
        self.frames: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> bytes:
        """The next frame, or nothing at the end of the stream."""
        while not self.frames:
            data = await self.reader.read(65536)
            if not data:
                return b""
            self.frames += [item for item in self.framer.feed(data) if isinstance(item, bytes)]
        return self.frames.pop(0)

    async def ended(self) -> bool:
        """Wait for the other side to close; a reset counts."""
        try:
            return not await self.reader.read()
        except ConnectionResetError:
            return True


@asynccontextmanager
async def client(port: int, host: str = "127.0.0.1") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def listening(handler: Any, **settings: Any) -> AsyncIterator[tuple[Listener, list[Event]]]:
    """A listener on loopback, and the events that it tells."""
    events: list[Event] = []
    async with Listener("127.0.0.1", 0, handler, on_event=events.append, **settings) as listener:
        yield listener, events


@contextmanager
def serving(handler: Any, **settings: Any) -> Iterator[int]:
    """A listener in a thread of its own, for callers that bring their own event loop. Gives the port."""
    ports: queue.Queue[int] = queue.Queue()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with Listener("127.0.0.1", 0, handler, **settings) as listener:
            ports.put(listener.port)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        yield ports.get(timeout=5)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


@asynccontextmanager
async def receiver(serve: Callable[[Client], Awaitable[None]]) -> AsyncIterator[int]:
    """A scripted receiver: `serve` plays each connection, which is closed when it returns. Gives the port."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(Client(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


async def check_one_at_a_time(listener: Listener, events: list[Event]) -> None:
    """A second connection is closed at once and told, the first goes on, and one after it is taken again."""
    async with client(listener.port) as first:
        await first.send(wrap(message("M1")))
        assert await first.frame() == ack("AA", "M1")
        async with client(listener.port) as second:
            assert await second.ended()
        await first.send(wrap(message("M2")))
        assert await first.frame() == ack("AA", "M2")
    await until(lambda: not listener.connections)
    async with client(listener.port) as third:
        await third.send(wrap(message("M3")))
        assert await third.frame() == ack("AA", "M3")
    assert [event.kind for event in events].count("crowded") == 1
