"""The HTTP server in the process that listens: started and stopped with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ketafhir.errors import ConfigError

_MOST_REQUESTS = 64  # at a time, and connections; the next is answered 503
_TO_ASK = 10  # seconds until the head of a request is there
_KEEP_ALIVE = 30  # seconds between two requests of a connection
_GRACE = 15  # seconds that requests under way may take when the service ends
_STARTED = 0.01


class _Connection(H11Protocol):
    """Closed where it does not ask in time: it would hold one of those there may be (uvicorn waits for ever)."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(_TO_ASK, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server:
    """Serves an ASGI application on a host and port; port 0 takes any free one."""

    def __init__(self, application: Any, busy: Any, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """`busy` answers in place of the application what is one connection or request too many."""
        self._application, self._busy = application, busy
        self._host, self._port = host, port
        self._tls = tls
        self._serving: asyncio.Task[None] | None = None
        self._server: uvicorn.Server
        self.port = port

    async def start(self) -> None:
        """Listens when it returns. Raises ConfigError for a port that is taken."""
        bound = self._bound()
        self.port = bound.getsockname()[1]
        settings = uvicorn.Config(
            self._answering,
            interface="asgi3",
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        settings.load()
        settings.ssl = self._tls
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it would show the text of what failed
        self._server = uvicorn.Server(settings)
        vars(self._server)["capture_signals"] = contextlib.nullcontext  # they belong to the service
        self._serving = asyncio.create_task(self._server.serve([bound]), name="http")
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(_STARTED)
        if self._serving.done():
            await self._serving

    async def _answering(self, scope: Any, receive: Any, send: Any) -> None:
        """uvicorn's own limit would answer in plain text, and close nothing."""
        state = self._server.server_state
        crowded = max(len(state.connections), len(state.tasks)) > _MOST_REQUESTS
        await (self._busy if crowded else self._application)(scope, receive, send)

    async def close(self) -> None:
        """No new requests; those under way are answered."""
        if self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait([self._serving])

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise ConfigError(f"[rest] cannot listen on {self._host}:{self._port}: {error.strerror}") from error
