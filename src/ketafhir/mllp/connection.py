"""One connection of the listener: bytes to frames to handler to answers, one message after another."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ketafhir.mllp.framing import Found, Framer, Oversize, wrap
from ketafhir.mllp.handler import Answers, Event, Handler, Kind, OnEvent, Peer
from ketafhir.mllp.peers import Admitted, Peers

_log = logging.getLogger("ketafhir.mllp")

_PROGRESS = (
    1024  # bytes of a message; who sends fewer in the time of a block that stands still holds a connection for nothing
)


@dataclass(slots=True)
class Shared:
    """What the connections of one listener have in common."""

    handler: Handler
    on_event: OnEvent
    max_bytes: int
    idle_timeout: float | None
    frame_timeout: float
    max_connections: int
    clock: Callable[[], float]
    peers: Peers = field(default_factory=Peers)
    connections: set[Connection] = field(default_factory=set)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False
    opened: int = 0

    def add(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.emptied.clear()

    def remove(self, connection: Connection) -> None:
        self.connections.remove(connection)
        if not self.connections:
            self.emptied.set()


class Connection(asyncio.Protocol):
    """Hands the frames of one peer to the handler in order and writes its answers.

    At most one message is at work. While it is, at most one more piece of the stream is taken in; then
    reading stops until the handler has caught up, and the peer feels it through TCP. The same holds while
    the peer does not read our answers. A peer that closes its sending side still gets its answers.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._framer = Framer(shared.max_bytes)
        self._waiting: deque[Found] = deque()
        self._running: asyncio.Task[None] | None = None
        self._choked = False  # the peer does not read what we write
        self._ended = False  # no more input will be taken
        self._lost = False
        self._junk_told = False
        self._admitted: Admitted | None = None
        self._resting: asyncio.TimerHandle | None = None  # the peer has sent as much as it may for now
        self._holding = False  # and that in messages, so that those that wait here are not handed over either
        self._moved = shared.clock()  # when the last message, or enough of one, made progress
        self._came = 0  # bytes since then

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        shared = self._shared
        shared.opened += 1
        host, port = (transport.get_extra_info("peername") or ("unknown", 0))[:2]
        admitted = shared.peers.admit(host, transport.get_extra_info("peercert"))
        self.peer = Peer(host, port, shared.opened, admitted.rule.name if admitted else "")
        crowded = self._crowded(admitted)
        shared.add(self)
        if admitted is None:
            self._tell("unknown", "none of the peers of this listener")
        elif crowded:
            self._tell("crowded", f"more than {crowded} connections")
        else:
            self._admitted = admitted
            admitted.connections += 1
            self._tell("opened", f"connection {shared.opened}")
        if self._admitted is None or shared.closing:
            self.end_input(report=False)

    def _crowded(self, admitted: Admitted | None) -> int:
        """The limit that this connection is above; 0 where it is below all."""
        shared = self._shared
        if len(shared.connections) >= shared.max_connections:
            return shared.max_connections
        limit = admitted.rule.max_connections if admitted else 0
        return limit if admitted and limit and admitted.connections >= limit else 0

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # a piece that was already on its way through the event loop
        was_inside = self._framer.inside
        found = self._framer.feed(data)
        self._came += len(data)
        if found or self._came >= _PROGRESS or not (was_inside and self._framer.inside):
            self._moved, self._came = self._shared.clock(), 0
        self._waiting.extend(found)
        self._charge(len(data), 0)
        if self._framer.skipped and not self._junk_told:
            self._junk_told = True
            self._tell("junk", "bytes outside of MLLP blocks are skipped: does the peer speak MLLP?")
        self._pump()

    def _charge(self, size: int, messages: int) -> None:
        """Read nothing more, and of messages hand over none, until the peer's rates allow it."""
        now = self._shared.clock()
        wait = self._admitted.wait(now, size, messages) if self._admitted else 0.0
        if wait <= 0:
            return
        self._holding = self._holding or messages > 0
        if self._resting is None or self._resting.when() < now + wait:
            self._end_rest()
            self._transport.pause_reading()
            self._resting = asyncio.get_running_loop().call_at(now + wait, self._rested)

    def _end_rest(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _rested(self) -> None:
        self._resting = None
        self._holding = False
        self._moved = self._shared.clock()
        self._pump()

    def eof_received(self) -> bool:
        self.end_input()
        encrypted = self._transport.get_extra_info("ssl_object") is not None  # TLS has no half-closed connection
        return not (encrypted or self._transport.is_closing())

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._moved = self._shared.clock()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._choked = False
        self._end_rest()
        if self._admitted is not None:
            self._admitted.connections -= 1
            self._admitted = None
        self.end_input()

    # What the listener calls.

    def end_input(self, *, report: bool = True) -> None:
        """Take nothing more; close once what came is answered. `report`: a block that broke off is told."""
        if not self._ended:
            self._ended = True
            self._moved = self._shared.clock()
            self._transport.pause_reading()
            rest = self._framer.end()
            if rest and report:
                self._waiting.append(rest)
        self._pump()

    def check(self, now: float) -> None:
        """Close if the peer has stood still for too long. The time a handler takes does not count."""
        if self._running or self._resting:
            return
        quiet = now - self._moved
        if self._choked or self._transport.is_closing():
            if quiet > self._shared.frame_timeout:
                self._tell("stalled", f"the peer has not read its answers for {quiet:.0f} s")
                self._transport.abort()
        elif self._framer.inside:
            if quiet > self._shared.frame_timeout:
                self._tell("stalled", f"a message broke off, next to nothing came for {quiet:.0f} s")
                self.end_input()
        elif self._shared.idle_timeout is not None and quiet > self._shared.idle_timeout:
            self._tell("idle", f"nothing came for {quiet:.0f} s")
            self.end_input()

    def abort(self) -> None:
        """End it now: stop the handler, drop what is not yet written."""
        self._waiting.clear()
        if self._running:
            self._running.cancel()
        self._transport.abort()

    # How a message is worked.

    def _pump(self) -> None:
        """Work what waits until a handler needs time, the peer stops reading or nothing is left."""
        while self._waiting and not self._running and not self._choked and (self._ended or not self._holding):
            try:
                self._charge(0, 1)
                answers = self._hand_over(self._waiting.popleft())
                if isinstance(answers, list):
                    self._write(answers)
                else:
                    self._running = asyncio.create_task(self._await(answers))
            except Exception as error:
                self._fail(error)
        if self._waiting or self._choked:
            self._transport.pause_reading()
        elif not self._running:
            self._rest()

    def _hand_over(self, found: Found) -> Answers:
        handler = self._shared.handler
        if isinstance(found, bytes):
            return handler.message(found, self.peer)
        if isinstance(found, Oversize):
            return handler.oversize(found.head, found.size, self.peer)
        return handler.truncated(found.head, found.size, self.peer)

    async def _await(self, answers: Awaitable[list[bytes]]) -> None:
        try:
            self._write(await answers)
        except asyncio.CancelledError as error:
            self._fail(error)
            raise
        except Exception as error:
            self._fail(error)
        finally:
            self._running = None
            self._moved = self._shared.clock()
            self._pump()

    def _write(self, answers: list[bytes]) -> None:
        blocks = b"".join([wrap(answer) for answer in answers])
        if not blocks:
            return
        if self._lost or self._transport.is_closing():
            self._tell("answer-lost", "the peer was gone before its answer")
        else:
            self._transport.write(blocks)

    def _fail(self, error: BaseException) -> None:
        """Close without an answer. Only the error's place is told: its text may hold part of a message."""
        self._tell("handler-failed", f"{type(error).__name__} at {_place(error)}; closed without an answer")
        self._waiting.clear()
        self._ended = True
        self._transport.close()

    def _rest(self) -> None:
        """Nothing waits and nothing runs: read on, or close."""
        if self._lost:
            if self in self._shared.connections:
                self._shared.remove(self)
                self._tell("closed", f"{self._framer.skipped} bytes were outside of blocks")
        elif self._ended:
            self._transport.close()
        elif self._resting is None:
            self._transport.resume_reading()

    def _tell(self, kind: Kind, text: str) -> None:
        """Tell of an event. A sink that fails must not take the connection, or the timers, with it."""
        try:
            self._shared.on_event(Event(kind, self.peer, text))
        except Exception as error:
            _log.error("the event %r was not taken: %s at %s", kind, type(error).__name__, _place(error))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
