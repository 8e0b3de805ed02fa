"""Delivering, put together: store -> workers -> FHIR server and receivers, in the process that listens or beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence

from ketafhir.config import PASSWORD_VARIABLE, TOKEN_VARIABLE, Config, FhirSettings, ReceiverSettings
from ketafhir.config.public import is_public
from ketafhir.mllp import tls
from ketafhir.mllp.address import parse_address
from ketafhir.mllp.sender import Sender
from ketafhir.service.processes import Attempts, line_of
from ketafhir.service.shadow import ShadowCourier
from ketafhir.service.translating import FHIR
from ketafhir.store.opening import open_store
from ketafhir.store.protocol import Store
from ketafhir.sync.client import FhirClient, Timeouts
from ketafhir.sync.courier import Courier, FhirCourier
from ketafhir.sync.hl7_courier import AckPolicy, Hl7Courier
from ketafhir.sync.opening import Access, open_client
from ketafhir.sync.public import Pace, SyntheticOnly
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.scopes import USUAL
from ketafhir.sync.signin import SmartClient
from ketafhir.sync.worker import Worker
from ketafhir.translate.settings import of_feed

_log = logging.getLogger("ketafhir.service")
_TOLD_EVERY = 1.0  # seconds, while there is something new to be told
_PUBLIC = Pace()  # one for all clients of this process


def access_to(fhir: FhirSettings) -> Access:
    """How the settings reach the FHIR server."""
    smart = None
    if fhir.key_file is not None:
        smart = SmartClient(
            fhir.client_id, fhir.key_file, fhir.scope or USUAL, fhir.key_id, fhir.token_url, fhir.origins
        )
    return Access(
        fhir.url,
        fhir.auth,
        fhir.token_file,
        _given(TOKEN_VARIABLE),
        fhir.username,
        fhir.password_file,
        _given(PASSWORD_VARIABLE),
        smart,
        fhir.tls_ca,
        fhir.tls_cert,
        fhir.tls_key,
        Timeouts(fhir.connect_timeout, fhir.read_timeout, fhir.write_timeout, total=fhir.total_timeout),
        max(16, 2 * fhir.parallel),
        _PUBLIC if is_public(fhir.url, fhir.public_hosts) else None,
    )


def _given(variable: str) -> str | None:
    return variable if os.environ.get(variable) else None


class Delivering:
    """The workers of this process, one for each destination; the FHIR server's is the first."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    def wake(self) -> None:
        """There is something new."""
        for worker in self._workers:
            worker.wake()

    def attempts(self) -> Attempts:
        """As `Worker.attempts`, of all of them."""
        return {(one.destination, state): count for one in self._workers for state, count in one.attempts.items()}

    async def drain(self, timeout: float) -> None:
        """As `Worker.drain`, of all of them."""
        for worker in self._workers:
            await worker.drain(timeout)


def _carrier(receiver: ReceiverSettings) -> Hl7Courier:
    address = parse_address(receiver.address)
    context = tls.connecting(receiver.tls_ca, receiver.tls_cert, receiver.tls_key) if address.encrypted else None
    senders = [
        Sender(address.host, address.port, reply_timeout=receiver.reply_timeout, tls=context)
        for _ in range(receiver.connections)
    ]
    return Hl7Courier(senders, AckPolicy(receiver.on_error, receiver.on_reject, receiver.on_silence), receiver.pause)


def destination(config: Config) -> str:
    """Where Bundles go."""
    return config.destinations[0]


def _to_fhir(config: Config, store: Store) -> tuple[FhirClient | None, Courier]:
    if config.fhir.mode == "shadow":
        feeds = {
            one.name: (of_feed(one.timezone, one.site, config.authorities, config.default_authority), one.charset)
            for one in config.listeners
        }
        return None, ShadowCourier(store, config.fhir.shadow_directory, feeds)
    client = open_client(access_to(config.fhir))
    fhir = config.fhir
    courier = FhirCourier(store, client, FHIR, fhir.write, fhir.transaction_entries, fhir.on_conflict)
    if is_public(config.fhir.url, config.fhir.public_hosts):
        return client, SyntheticOnly(store, courier)
    return client, courier


@contextlib.asynccontextmanager
async def working(config: Config, store: Store, number: int) -> AsyncIterator[Delivering]:
    """Workers that deliver until the block ends, and then end what is under way."""
    fhir, delivery = config.fhir, config.delivery
    policy = RetryPolicy(
        first=delivery.wait,
        longest=delivery.longest_wait,
        patience=delivery.attempts,
        parked=delivery.parked_wait,
        rejections=delivery.rejections,
        limit=delivery.limit,
    )
    name = f"{socket.gethostname()}/{number}"
    lease = max(180.0, 2 * fhir.total_timeout)
    client, courier = _to_fhir(config, store)
    to = destination(config)
    worker = Worker(store, courier, to, name=name, parallel=fhir.parallel, lease_seconds=lease, policy=policy)
    carriers = {one.name: _carrier(one) for one in config.receivers}
    workers = [worker]
    for one in config.receivers:
        # One process of all serves a receiver, on however many machines they are: the name is the same for all.
        name, lease = f"receiver/{one.name}", max(180.0, 4 * one.reply_timeout)
        carrier = carriers[one.name]
        workers.append(
            Worker(store, carrier, one.name, name=name, parallel=one.connections, lease_seconds=lease, policy=policy)
        )
    running = [asyncio.create_task(each.run(), name="worker") for each in workers]
    for task in running:
        task.add_done_callback(_ended)
    try:
        yield Delivering(workers)
    finally:
        for each in workers:
            each.stop()
        await asyncio.wait(running)
        if client is not None:
            await client.aclose()
        for carrier in carriers.values():
            await carrier.aclose()


async def deliver(config: Config, number: int, stopping: asyncio.Event) -> None:
    """Worker process `number`, beside one that listens: standard input wakes it, and its end ends it. Standard output tells
    how its attempts ended."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    store = await asyncio.to_thread(open_store, config.store.place)
    try:
        async with working(config, store, number) as worker:

            async def listen() -> None:
                while await reader.read(1024):
                    worker.wake()
                stopping.set()

            tasks = [asyncio.create_task(listen()), asyncio.create_task(_tell(worker))]
            await stopping.wait()
            for task in tasks:
                task.cancel()
        _write(worker)
    finally:
        await asyncio.to_thread(store.close)


async def _tell(worker: Delivering) -> None:
    told: Attempts = {}
    while True:
        await asyncio.sleep(_TOLD_EVERY)
        if (now := worker.attempts()) != told:
            _write(worker)
            told = now


def _write(worker: Delivering) -> None:
    with contextlib.suppress(OSError):  # the one that listens is gone
        os.write(sys.stdout.fileno(), line_of(worker.attempts()))


def _ended(worker: asyncio.Task[None]) -> None:
    error = None if worker.cancelled() else worker.exception()
    if error is not None:
        _log.critical("nothing is delivered any more: %s; restart the service", type(error).__name__)
