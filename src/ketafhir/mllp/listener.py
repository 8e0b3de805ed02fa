"""An MLLP receiver: it accepts connections and hands what arrives to a handler (`ketafhir.mllp.handler`)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from types import TracebackType

from ketafhir.errors import ConfigError
from ketafhir.mllp.address import endpoint
from ketafhir.mllp.connection import Connection, Shared
from ketafhir.mllp.events import EventLog
from ketafhir.mllp.framing import MAX_BYTES
from ketafhir.mllp.handler import Handler, OnEvent
from ketafhir.mllp.keepalive import keep_alive
from ketafhir.mllp.peers import Peers

_REASONS = {
    errno.EADDRINUSE: "another program listens there already; stop it or choose another port",
    errno.EACCES: "ports below 1024 need more rights; choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
_HANDSHAKE_SECONDS = 10.0


class Listener:
    """Listens on `host:port`; `async with` starts and closes it.

    `port` 0 takes a free port, which `.port` tells. `max_bytes` bounds one message (payload).
    `idle_timeout` closes a connection on which nothing comes between two messages (seconds; None: never,
    dead peers are found by TCP keep-alive). `frame_timeout` closes one that stands still inside a message,
    or does not read its answers. A connection beyond `max_connections` is closed at once. `peers` says who may
    connect and how much each may send, `tls` encrypts (`mllp.tls`). `on_event` is told of all that (default:
    the log).
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        max_bytes: int = MAX_BYTES,
        idle_timeout: float | None = None,
        frame_timeout: float = 30.0,
        max_connections: int = 256,
        on_event: OnEvent | None = None,
        peers: Peers | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self._port = port
        self._handler = handler
        self._on_event = on_event or EventLog()
        self._peers = peers or Peers()
        self._tls = tls
        self._limits = (max_bytes, idle_timeout, frame_timeout, max_connections)
        limits = [seconds for seconds in (idle_timeout, frame_timeout) if seconds is not None]
        self._check_interval = min(5.0, min(limits) / 4)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def connections(self) -> int:
        """How many connections are open, or have a message at work."""
        return len(self._shared.connections) if self._server else 0

    async def start(self) -> None:
        """Begin to listen. Raises `ConfigError`, saying why, where that cannot be done."""
        loop = asyncio.get_running_loop()
        self._shared = Shared(self._handler, self._on_event, *self._limits, clock=loop.time, peers=self._peers)
        try:
            handshake = _HANDSHAKE_SECONDS if self._tls else None
            self._server = await loop.create_server(
                self._connection, await self._hosts(loop), self._port, backlog=128,
                ssl=self._tls, ssl_handshake_timeout=handshake, ssl_shutdown_timeout=handshake,
            )  # fmt: skip
        except OSError as error:
            raise ConfigError(self._refusal(error)) from error
        self._port = self._server.sockets[0].getsockname()[1]
        for sock in self._server.sockets:
            keep_alive(sock)
        self._timer = loop.call_later(self._check_interval, self._check)

    async def close(self, drain: float = 10.0) -> None:
        """Stop accepting and reading; let messages that have come be answered, for at most `drain` seconds.

        What is then still at work is cancelled and not answered: its sender will send it again.
        """
        if self._server is None:
            return
        self._server.close()
        self._timer.cancel()
        self._shared.closing = True
        for connection in tuple(self._shared.connections):
            connection.end_input(report=False)
        if not await self._emptied(drain):
            for connection in tuple(self._shared.connections):
                connection.abort()
            await self._emptied(1.0)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Listener:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _connection(self) -> Connection:
        return Connection(self._shared)

    async def _hosts(self, loop: asyncio.AbstractEventLoop) -> str:
        """The host to bind. With port 0 one address only: several would get different ports."""
        if self._port:
            return self.host
        found = await loop.getaddrinfo(self.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return str(found[0][4][0])

    def _refusal(self, error: OSError) -> str:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        if isinstance(error, socket.gaierror):
            reason = "no such host name"
        return f"cannot listen on {endpoint(self.host, self._port)}: {reason}"

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._check_interval, self._check)
        now = loop.time()
        for connection in tuple(self._shared.connections):
            connection.check(now)

    async def _emptied(self, seconds: float) -> bool:
        """Wait until no connection is left; whether that was so in time."""
        await asyncio.sleep(0)  # a connection that was accepted just now still has to be made known
        if not self._shared.connections:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shared.emptied.wait()
        return not self._shared.connections
