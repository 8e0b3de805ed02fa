"""The service put together, in one place: listeners -> intake -> store -> worker -> FHIR server.

`App` is the process that listens; it delivers too, unless worker processes do (`deliver`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from ketafhir.config import (
    Config,
    ListenerSettings,
    PeerSettings,
)
from ketafhir.delivering import Delivering, destination, working
from ketafhir.errors import StoreError, Transient
from ketafhir.mllp import tls
from ketafhir.mllp.address import Address
from ketafhir.mllp.listener import Listener
from ketafhir.mllp.peers import PeerRule, Peers, networks
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.service.arrivals import Channel
from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.service.processes import Attempts, Processes
from ketafhir.service.receiver import Receiver
from ketafhir.service.together import Together
from ketafhir.store.opening import is_url, open_store
from ketafhir.store.protocol import Store
from ketafhir.store.retention import Retention, swept
from ketafhir.translate import settings as translate_settings

if TYPE_CHECKING:
    from ketafhir.rest import Http

_SWEEP_SECONDS = 3600.0  # between two looks for what is to be deleted
_REVIEW_SECONDS = 1.0  # between two looks for messages to translate again
_log = logging.getLogger("ketafhir.service")


class App:
    """The service in this process; `async with` starts and stops it.

    Raises ConfigError (a port that is taken, a site overlay or token that is not there), StoreError and
    TableError from `start`. A FHIR server that does not answer is no error: messages are kept for it.
    """

    def __init__(self, config: Config, processes: Processes | None = None) -> None:
        self._config = config
        self._processes = processes
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, "ketafhir-intake")
        self._stack = contextlib.AsyncExitStack()
        self.store: Store
        self.worker: Delivering | None = None
        self.http: Http | None = None
        self.intake: Intake

    @property
    def addresses(self) -> list[Address]:
        """As `ports`, with hosts, and whether TLS is spoken."""
        pairs = zip(self._config.listeners, self.ports, strict=True)
        return [Address(one.host, port, one.tls_cert is not None) for one, port in pairs]

    @property
    def ports(self) -> list[int]:
        """The ports listened on, in the order of the configuration."""
        return [listener.port for listener in self._listeners]

    async def start(self) -> None:
        """Open the store, take up what it holds, and listen."""
        async with contextlib.AsyncExitStack() as stack:
            channels = {one.name: _channel(one, self._config) for one in self._config.listeners}
            place = self._config.store.place
            self.store = await asyncio.to_thread(open_store, place)
            stack.push_async_callback(self._close_store)
            if not is_url(place) and not self.store.occupy("service"):
                raise StoreError(f"the store {place} is served by another process: stop that, or name another store")
            await self._start_delivering(stack)
            forwards = {one.name: one.forward for one in self._config.receivers}
            self.intake = Intake(self.store, channels, self._config.policy.order, forwards, destination(self._config))
            self._together = Together(self.intake, self._thread, self._wake)
            self._legs = Legs(self.store)
            stack.push_async_callback(self._close_intake)
            self._together.look()
            for one in self._config.listeners:
                await self._listen(one, channels[one.name])
                stack.push_async_callback(self._listeners[-1].close)
            if self._config.rest.enabled:
                self.http = await self._answer_http(channels)
                stack.push_async_callback(self.http.close)
            self._tasks.append(asyncio.create_task(self._review_forever(), name="review"))
            self._tasks.append(asyncio.create_task(self._sweep_forever(), name="retention"))
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop listening, answer what has come, let deliveries under way end, close the store."""
        await self._stack.aclose()
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.intake.counts.items()))
        _log.info("stopped: %s", counts or "nothing received")

    async def drain(self, timeout: float = 60.0) -> None:
        """Wait until all that was accepted is translated and delivered.

        Raises Permanent as soon as something is parked or dead, and Transient after `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while (await asyncio.to_thread(self.store.backlog, destination(self._config))).untranslated:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Transient(f"messages wait for their translation after {timeout:g} s") from None
        if self.worker is not None:
            await self.worker.drain(timeout)

    async def __aenter__(self) -> App:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _wake(self) -> None:
        if self.worker is not None:
            self.worker.wake()
        elif self._processes is not None:
            self._processes.wake()

    def _attempts(self) -> Attempts:
        if self.worker is not None:
            return self.worker.attempts()
        return self._processes.attempts() if self._processes is not None else {}

    async def _start_delivering(self, stack: contextlib.AsyncExitStack) -> None:
        if self._processes is not None:
            self._processes.start()
            stack.push_async_callback(self._processes.stop)
        else:
            self.worker = await stack.enter_async_context(working(self._config, self.store, 1))

    async def _listen(self, listener: ListenerSettings, channel: Channel) -> None:
        limits = self._config.limits
        settings = [one for one in self._config.peers if one.listener in ("", listener.name)]
        peers = {one.name: _channel_of(one, channel) for one in settings}
        receiver = Receiver(channel, peers, self.intake, self._together, self._legs, self._wake)
        listening = Listener(
            listener.host,
            listener.port,
            receiver,
            max_bytes=limits.max_message_bytes,
            idle_timeout=limits.idle_timeout or None,
            frame_timeout=limits.frame_timeout,
            max_connections=limits.max_connections,
            on_event=receiver.tell,
            peers=Peers(_rules(listener, settings)),
            tls=_tls(listener),
        )
        await listening.start()
        self._listeners.append(listening)

    async def _answer_http(self, channels: dict[str, Channel]) -> Http:
        from ketafhir.rest import open_http

        http = open_http(
            self._config, channels, self.store, self.intake, self._together, self._legs, self._wake, self._attempts
        )
        await http.start()
        return http

    async def _sweep_forever(self) -> None:
        """What has ended long enough ago is deleted, soon after the start and then every hour."""
        store = self._config.store
        keep = Retention(
            store.retention_days, store.retention_error_days, store.retention_megabytes, store.retention_content_days
        )
        while keep != Retention():
            await asyncio.to_thread(swept, self.store, keep, time.time())
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _review_forever(self) -> None:
        while True:
            await asyncio.sleep(_REVIEW_SECONDS)
            await self._review()

    async def _review(self) -> None:
        """Translate what waits for it, and write which acknowledgments have left."""
        self._together.look()
        await asyncio.to_thread(self._legs.flush)

    async def _close_intake(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._together.close()
        await asyncio.to_thread(self._thread.shutdown)
        await asyncio.to_thread(self._legs.flush)

    async def _close_store(self) -> None:
        await asyncio.to_thread(self.store.close)


def _rules(listener: ListenerSettings, settings: Sequence[PeerSettings]) -> list[PeerRule]:
    found = [
        PeerRule(
            one.name,
            networks(one.addresses),
            one.certificates,
            one.max_connections,
            one.bytes_per_second,
            one.messages_per_second,
        )
        for one in settings
    ]
    return [*found, PeerRule(networks=networks(listener.allow))] if listener.allow else found


def _tls(listener: ListenerSettings) -> ssl.SSLContext | None:
    if listener.tls_cert is None or listener.tls_key is None:
        return None
    return tls.listening(listener.tls_cert, listener.tls_key, listener.tls_client_ca)


def _channel_of(peer: PeerSettings, channel: Channel) -> Channel:
    """The channel of a peer: that of the listener, with what is the peer's own."""
    policy = replace(channel.policy, sending=peer.sending or channel.policy.sending)
    return replace(channel, policy=policy, acks=peer.acks or channel.acks)


def _channel(listener: ListenerSettings, config: Config) -> Channel:
    """What is particular to one listener. Raises ConfigError, TableError."""
    zone = translate_settings.zone(listener.timezone) if listener.timezone else None
    settings = translate_settings.of_feed(
        listener.timezone, listener.site, config.authorities, config.default_authority
    )
    policy = Policy(frozenset(config.policy.processing_ids), config.policy.unsupported == "reject", listener.sending)
    return Channel(
        listener.name,
        settings,
        policy,
        Answers(listener.charset, zone, listener.version),
        charset=listener.charset,
        acks=listener.acks,
    )
