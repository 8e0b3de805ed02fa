"""The service over HTTP, put together: the operations of `service.rest` on the parts of the running service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ketafhir.certificates import first_ends
from ketafhir.config import Config
from ketafhir.config.tokens import read_tokens
from ketafhir.delivering import access_to
from ketafhir.errors import ConfigError, TransferError
from ketafhir.mllp import tls
from ketafhir.service.arrivals import Channel
from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.service.processes import Attempts
from ketafhir.service.rest.access import Access, Holder
from ketafhir.service.rest.backend import Backend
from ketafhir.service.together import Together
from ketafhir.store.opening import is_url
from ketafhir.store.protocol import Store
from ketafhir.sync.client import Timeouts
from ketafhir.sync.opening import open_client
from ketafhir.translate.pump_orders import PumpOrders

if TYPE_CHECKING:
    from ketafhir.service.rest.server import Server

_PROBED_AGAIN = 15.0  # seconds; who asks for readiness asks often
_PROBE_SECONDS = 3.0


class Http:
    """The server and what it works on; `close` ends both."""

    def __init__(self, config: Config, backend: Backend, probe: Probe) -> None:
        # What speaks HTTP is an extra: it is imported where it is switched on.
        try:
            from ketafhir.service.rest.application import application, busy
            from ketafhir.service.rest.server import Server
        except ImportError as error:
            raise ConfigError("[rest] needs an extra: pip install 'ketafhir[rest]'") from error
        from ketafhir import __version__

        rest = config.rest
        context = None
        if rest.tls_cert is not None and rest.tls_key is not None:
            context = tls.listening(rest.tls_cert, rest.tls_key, rest.tls_client_ca)
        self._backend, self._probe = backend, probe
        self._host, self._scheme = rest.host, "https" if context else "http"
        self._server: Server = Server(application(backend, __version__), busy(), rest.host, rest.port, context)

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._server.port}"

    async def start(self) -> None:
        """It answers when this returns. Raises ConfigError for a port that is taken."""
        await self._server.start()

    async def close(self) -> None:
        """Requests under way are answered."""
        await self._server.close()
        await self._probe.close()
        await asyncio.to_thread(self._backend.translating.shutdown)


class Probe:
    """Whether the FHIR server can be reached: asked for its CapabilityStatement, at most every 15 seconds."""

    def __init__(self, config: Config) -> None:
        timeouts = Timeouts(_PROBE_SECONDS, _PROBE_SECONDS, _PROBE_SECONDS, total=_PROBE_SECONDS)
        self._client = open_client(replace(access_to(config.fhir), timeouts=timeouts, connections=1))
        self._asking = asyncio.Lock()
        self._until, self._reason = 0.0, ""
        self._writes = config.fhir.mode == "live"

    async def ask(self) -> str:
        """Why not; "" where it can, or where nothing is written to it."""
        if not self._writes:
            return ""
        async with self._asking:
            if time.monotonic() >= self._until:
                try:
                    await self._client.metadata()
                    self._reason = ""
                except TransferError as error:
                    self._reason = str(error)
                self._until = time.monotonic() + _PROBED_AGAIN
            return self._reason

    async def close(self) -> None:
        """Closes its connection."""
        await self._client.aclose()


def open_http(
    config: Config,
    channels: Mapping[str, Channel],
    store: Store,
    intake: Intake,
    together: Together,
    legs: Legs,
    wake: Callable[[], None],
    attempts: Callable[[], Attempts],
) -> Http:
    """Raises ConfigError for tokens, certificates or an extra that is not there."""
    rest = config.rest
    name = rest.listener or config.listeners[0].name
    probe = Probe(config)
    destination: Callable[[], Awaitable[str]] = probe.ask
    backend = Backend(
        store,
        intake,
        together.take,
        legs,
        wake,
        Access([Holder(one.name, one.role, one.digest) for one in read_tokens(rest.tokens, rest.tokens_file)]),
        channels,
        channels[name],
        destination,
        attempts,
        disk=None if is_url(config.store.place) else config.store.path.absolute().parent,
        free_bytes=rest.free_bytes,
        max_bytes=config.limits.max_message_bytes,
        body_seconds=config.limits.frame_timeout,
        pump=lambda: _pump(config),
        destinations=config.destinations,
        certificates=first_ends(config),
        authorities=config.authorities,
    )
    return Http(config, backend, probe)


def _pump(config: Config) -> PumpOrders | None:
    pump = config.pump
    return PumpOrders(pump.owner, pump.weight_hours, time.time()) if pump.orders else None
