"""An MLLP sender: one connection, one message at a time, and never a reply matched to the wrong message."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType

from ketafhir.errors import Ambiguous, Transient
from ketafhir.mllp.address import endpoint
from ketafhir.mllp.framing import Found, Framer, Oversize, wrap
from ketafhir.mllp.keepalive import keep_alive

_MAX_REPLY_BYTES = 1024 * 1024
_MAX_UNASKED = 64  # replies nobody waits for, before the peer is taken for broken

Expect = Callable[[bytes], bool]


class ReplyTimeout(Ambiguous):
    """A message was sent and no reply came in time."""


class Sender:
    """Sends messages to one receiver over one connection, made when needed and kept; `async with` closes it.

    It serves one task at a time. Whatever goes wrong after sending closes the connection, so that a late
    reply has nothing left to come through. `connect_timeout` and `reply_timeout` are in seconds. `tls` encrypts
    (`mllp.tls.connecting`).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_timeout: float = 10.0,
        reply_timeout: float = 30.0,
        max_reply_bytes: int = _MAX_REPLY_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._connect_timeout = connect_timeout
        self._reply_timeout = reply_timeout
        self._max_reply_bytes = max_reply_bytes
        self._tls = tls
        self._link: _Link | None = None
        self._busy = False

    async def exchange(self, payload: bytes, *, expect: Expect | None = None, timeout: float | None = None) -> bytes:
        """Send one message and wait for its reply, at most `timeout` seconds (default: `reply_timeout`).

        `expect` tells whether a reply answers this message (`acknowledgment.answers`). Raises `Permanent`
        if MLLP cannot carry the payload, `Transient` if there is no connection (nothing was sent), and
        `Ambiguous` if it was sent and no reply came (`ReplyTimeout`: none in time), or not the one
        expected.
        """
        block = wrap(payload)
        async with self._turn(timeout) as link:
            link.transport.write(block)
            return await self._reply(link, expect)

    async def receive(
        self, *, expect: Expect | None = None, wanted: Expect | None = None, timeout: float | None = None
    ) -> bytes:
        """Wait for one more reply to the message sent last (the application acknowledgment after a CA).

        `wanted` tells which of the replies to this message it is: the others are passed over. Raises `Ambiguous` if none
        comes, or not the one expected.
        """
        if self._link is None:
            raise Ambiguous(f"the connection to {self._name} is closed: no further answer can come")
        async with self._turn(timeout, self._link) as link:
            while True:
                reply = await self._reply(link, expect)
                if wanted is None or wanted(reply):
                    return reply

    async def post(self, payload: bytes) -> None:
        """Send one message that asks for no reply, and wait until it has left. Raises as `exchange` does."""
        block = wrap(payload)
        async with self._turn(None) as link:
            link.transport.write(block)
            await link.until(lambda: link.flushed or link.lost)
            if link.lost:
                raise Ambiguous(f"{self._name} closed the connection while a message was on its way")

    async def close(self) -> None:
        """Close the connection, once what was written has left."""
        link, self._link = self._link, None
        if link:
            link.transport.close()
            await link.until(lambda: link.lost)

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _name(self) -> str:
        return endpoint(self.host, self.port)

    @asynccontextmanager
    async def _turn(self, timeout: float | None, link: _Link | None = None) -> AsyncIterator[_Link]:
        """The connection (or `link`) for one message, in bounded time; dropped if anything goes wrong."""
        if self._busy:
            raise RuntimeError("a Sender serves one task at a time")
        self._busy = True
        seconds = self._reply_timeout if timeout is None else timeout
        try:
            link = link or await self._connected()
            async with asyncio.timeout(seconds):
                yield link
        except BaseException as error:
            self._drop()
            if isinstance(error, TimeoutError):
                raise ReplyTimeout(f"no answer from {self._name} within {seconds:g} s") from error
            raise
        finally:
            self._busy = False

    async def _connected(self) -> _Link:
        """The connection kept, if it is alive and nothing unasked has come through it, or a new one."""
        if self._link:
            await self._link.catch_up()
            if not self._link.usable:
                self._drop()
        if self._link is None:
            self._link = await self._connect()
        return self._link

    async def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, link = await loop.create_connection(self._new_link, self.host, self.port, ssl=self._tls)
        except TimeoutError as error:
            why = f"no answer within {self._connect_timeout:g} s"
            raise Transient(f"cannot connect to {self._name}: {why}") from error
        except ConnectionRefusedError as error:
            raise Transient(f"cannot connect to {self._name}: nothing listens there") from error
        except OSError as error:
            raise Transient(f"cannot connect to {self._name}: {error.strerror or error}") from error
        return link

    def _new_link(self) -> _Link:
        return _Link(Framer(self._max_reply_bytes))

    async def _reply(self, link: _Link, expect: Expect | None) -> bytes:
        while True:
            await link.until(lambda: bool(link.replies) or link.lost)
            if not link.replies:
                raise Ambiguous(f"{self._name} closed the connection without an answer")
            reply = link.replies.popleft()
            if isinstance(reply, Oversize):
                raise Ambiguous(f"{self._name} answered with more than {self._max_reply_bytes} bytes")
            if isinstance(reply, bytes):  # else a truncated one, which the peer has begun anew
                if expect and not expect(reply):
                    raise Ambiguous(f"{self._name} answered another message than the one sent")
                return reply

    def _drop(self) -> None:
        if self._link:
            self._link.transport.abort()
            self._link = None


class _Link(asyncio.Protocol):
    """The connection itself: collects replies and wakes the one task that waits."""

    def __init__(self, framer: Framer) -> None:
        self.replies: deque[Found] = deque()
        self.lost = False
        self.flushed = True
        self._framer = framer
        self._woken = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether it is open, and nothing came through it that no message asked for."""
        return not (self.lost or self.transport.is_closing() or self.replies or self._framer.inside)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true()`, which is looked at whenever something happens to the connection."""
        while not true():
            self._woken.clear()
            await self._woken.wait()

    async def catch_up(self) -> None:
        """Let the event loop take in what has come meanwhile, such as the end of the connection.

        The first turn polls the socket after this task was scheduled, so that only the second sees what it
        found.
        """
        for _ in range(2):
            await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        keep_alive(transport.get_extra_info("socket"))
        transport.set_write_buffer_limits(0)  # `flushed` then means that all has left

    def data_received(self, data: bytes) -> None:
        self.replies.extend(self._framer.feed(data))
        if len(self.replies) > _MAX_UNASKED:
            self.transport.abort()
        self._woken.set()

    def pause_writing(self) -> None:
        self.flushed = False

    def resume_writing(self) -> None:
        self.flushed = True
        self._woken.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._woken.set()
