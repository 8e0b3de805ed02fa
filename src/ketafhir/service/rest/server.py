"""The HTTP server in the process that listens: started and stopped with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any

import uvicorn

from ketafhir.errors import ConfigError

_MOST_REQUESTS = 64  # at a time; the next is answered 503
_KEEP_ALIVE = 30  # seconds between two requests of a connection
_GRACE = 15  # seconds that requests under way may take when the service ends
_STARTED = 0.01


class Server:
    """Serves an ASGI application on a host and port; port 0 takes any free one."""

    def __init__(self, application: Any, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._application = application
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
            self._application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_REQUESTS,
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
