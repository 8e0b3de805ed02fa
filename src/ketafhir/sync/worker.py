"""Carries deliveries from the store to a destination: claim, mark in flight, send, judge the answer, settle.

Nothing is retried in memory (but a lost race for a version, `sync.courier`): every other wait is a row in
the store that anybody can see, and that survives this process. What is repeated because its outcome was not
known does no harm, since every write is idempotent.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ketafhir.errors import Permanent, Refused, StoreError, Transient
from ketafhir.store.away import Away
from ketafhir.store.protocol import Delivery, LeaseLost, NotAllowed, Settlement, Store, dead, park, retry
from ketafhir.store.states import CLAIMED, DEAD, DONE, INFLIGHT, PARKED, QUEUED
from ketafhir.sync.circuit import Circuit
from ketafhir.sync.courier import Courier
from ketafhir.sync.outage import Outage
from ketafhir.sync.outcome import REPLACED, Disposition
from ketafhir.sync.retry import RetryPolicy, settlement

_DRAIN_POLL, _BUSY_POLL = 0.02, 0.2

_log = logging.getLogger("ketafhir.sync")
_T = TypeVar("_T")


class Worker:
    """Serves one destination, up to `parallel` patients at a time.

    `name` is this worker's own across restarts: what a dead process of that name held is taken back at the
    start. The lease must outlive the longest request. Store calls are made in threads.
    """

    def __init__(
        self,
        store: Store,
        courier: Courier,
        destination: str,
        *,
        name: str = "worker",
        parallel: int = 4,
        poll_seconds: float = 1.0,
        lease_seconds: float = 180.0,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._courier = courier
        self.destination = destination
        self._name = name
        self._parallel = parallel
        self._poll = poll_seconds
        self._lease = lease_seconds
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._chance = chance
        self._circuit = Circuit(destination, self._policy, clock, chance)
        self._outage = Outage()
        self._away = Away(_log, f"deliveries to {destination} go on")
        self._tasks: dict[asyncio.Task[None], int] = {}  # what is under way, with the delivery of each
        self._claiming = 0  # tasks whose end may bring another delivery
        self._in_doubt = False  # whether a claim was made whose answer did not come
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()  # nothing is held any more
        # That were settled, by the state they left their delivery in; and REPLACED, of those that wrote.
        self.attempts: Counter[str] = Counter()
        self._stopping = False

    async def run(self, grace: float = 30.0) -> None:
        """Works until `stop`, then at most `grace` seconds on what is under way; the rest keeps its lease.

        A store that fails is logged and waited out.
        """
        try:
            await self._begin()
            while not self._stopping:
                self._wake.clear()
                await self._start_deliveries()
                await self._idle()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace)
        finally:
            late = list(self._tasks)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def stop(self) -> None:
        """No more claims; `run` returns when what is under way is settled."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """There is something new. Called in the event loop; from a thread by `loop.call_soon_threadsafe`."""
        self._wake.set()

    async def drain(self, timeout: float = 60.0) -> None:
        """Waits until nothing of the destination is queued, claimed or in flight.

        Raises Permanent as soon as something is parked or dead, and Transient after `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not await self._drained():
                    self._ended.clear()
                    await _at_most(self._ended, _BUSY_POLL if self._tasks else _DRAIN_POLL)
        except TimeoutError:
            raise Transient(f"not drained within {timeout:g} s: {await self._reasons(QUEUED)}") from None

    async def _drained(self) -> bool:
        counts = (await asyncio.to_thread(self._store.backlog, self.destination)).deliveries
        for state in (PARKED, DEAD):
            if counts[state]:
                raise Permanent(f"{counts[state]} {state}: {await self._reasons(state)}")
        return not (counts[QUEUED] or counts[CLAIMED] or counts[INFLIGHT])

    async def _reasons(self, state: str) -> str:
        page = self._store.page
        rows = await asyncio.to_thread(page, state=state, destination=self.destination, limit=3)
        return "; ".join(f"message {row.message_id}: {row.reason or state}" for row in rows) or "nothing queued"

    # --- taking up work

    async def _begin(self) -> None:
        """Take back what a process of this name held, once it is certain that it is gone."""
        told = False
        while not self._stopping:
            try:
                if await asyncio.to_thread(self._store.occupy, self._name):
                    await asyncio.to_thread(self._store.reclaim, self._name)
                    self._away.answered()
                    return
                if not told:
                    _log.warning("another process works as %s: nothing is delivered before it has ended", self._name)
                    told = True
            except StoreError as error:
                self._away.failed("nothing is delivered to %s, the store does not answer: %s", self.destination, error)
            await self._idle()

    async def _idle(self) -> None:
        await _at_most(self._wake, min(self._poll, self._circuit.remaining or self._poll))

    async def _start_deliveries(self) -> None:
        try:
            if self._in_doubt:
                await self._clear_doubt()
            while len(self._tasks) < self._circuit.width(self._parallel):
                delivery = await asyncio.to_thread(self._store.claim, self._name, self._lease, self.destination)
                self._away.answered()
                if delivery is None:
                    return
                if self._stopping:
                    await asyncio.to_thread(self._store.give_back, delivery)
                    return
                self._start(delivery)
        except StoreError as error:
            self._in_doubt = True
            self._away.failed("nothing can be claimed for %s: %s", self.destination, error)

    async def _clear_doubt(self) -> None:
        """A store that failed may have written a claim and died before it said so: nobody would know of it before the lease
        ends. The name is taken anew, since a lock ends with the store that held it; as long as it is not to be had, the leases
        stand. A claim of ours that is still to be answered looks the same: it is waited for, and in doubt none is begun."""
        if self._claiming:
            return
        if not await asyncio.to_thread(self._store.occupy, self._name):
            return
        freed = await asyncio.to_thread(self._store.reclaim, self._name, frozenset(self._tasks.values()))
        self._in_doubt = False
        if freed:
            _log.warning("%d claims had been written when the store failed: they are free again", freed)

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._deliver(delivery))
        self._tasks[task] = delivery.id

        def finished(task: asyncio.Task[None]) -> None:
            del self._tasks[task]
            self._wake.set()
            if not self._tasks:
                self._ended.set()

        task.add_done_callback(finished)

    # --- one delivery

    async def _deliver(self, delivery: Delivery) -> None:
        ending: Settlement | None = None
        try:
            ending = await self._attempted(delivery)
            if self._stopping or self._in_doubt or len(self._tasks) > self._circuit.width(self._parallel):
                await self._settle(delivery, ending)
            else:
                await self._settle_and_go_on(delivery, ending)
        except LeaseLost:
            _log.warning("delivery %d went to another worker", delivery.id, extra=_about(delivery))
        except StoreError as error:
            _log.error("delivery %d waits for the store: %s", delivery.id, error, extra=_about(delivery))
            await self._when_the_store_is_back(delivery, ending)

    async def _when_the_store_is_back(self, delivery: Delivery, ending: Settlement | None) -> None:
        """What was learned is written when it can be, else its patients would wait for the end of the lease."""
        while not self._stopping:
            await asyncio.sleep(self._poll)
            try:
                if ending is None:
                    await asyncio.to_thread(self._let_go, delivery)
                else:
                    await self._settle(delivery, ending)
                return
            except (LeaseLost, NotAllowed):
                return  # it was written after all, or went to another worker
            except StoreError:
                continue

    def _let_go(self, delivery: Delivery) -> None:
        """Back to the queue: unsent, or it may have been done."""
        try:
            self._store.give_back(delivery)
        except NotAllowed:
            unknown = retry(self._clock(), "the store failed in mid-attempt", kind=Disposition.AMBIGUOUS.value)
            self._store.settle(delivery, unknown)

    async def _attempted(self, delivery: Delivery) -> Settlement:
        async def begin() -> None:
            await asyncio.to_thread(self._store.mark_inflight, delivery, self._lease)

        try:
            result = await self._courier.carry(delivery, begin)
        except Refused as error:
            return dead(f"never sent: {error.issues[0].code}", kind=Disposition.REJECTED.value)
        except StoreError:
            raise
        except Exception as error:
            # A fault of ours must stop this patient and not the channel. Its text may quote the payload.
            _log.error("delivery %d: %s", delivery.id, type(error).__name__, extra=_about(delivery))
            return park(f"a fault of ours: {type(error).__name__}", kind="fault")
        self._circuit.tell(result.outcome, len(self._tasks))
        ending = settlement(
            result.outcome,
            attempts=delivery.attempts,
            rejections=delivery.rejections,
            versions=result.versions,
            policy=self._policy,
            now=self._clock(),
            chance=self._chance,
            out=self._outage.tell(delivery.id, result.outcome),
        )
        if ending.state != DONE or not result.replaced:
            return ending
        self.attempts[REPLACED] += 1
        text = f"done in place of what somebody else had written: {result.replaced}"
        _log.warning("message %d is %s", delivery.message_id, text, extra=_about(delivery))
        return replace(ending, reason=text)

    async def _settle(self, delivery: Delivery, ending: Settlement) -> None:
        await asyncio.to_thread(self._store.settle, delivery, ending)
        self._tell(delivery, ending)

    async def _settle_and_go_on(self, delivery: Delivery, ending: Settlement) -> None:
        """The end of one delivery and the claim of the next are one commit."""
        write = self._store.settle_and_claim
        self._claiming += 1
        try:
            following = await asyncio.to_thread(write, delivery, ending, self._name, self._lease)
            self._tell(delivery, ending)
            if following is not None and self._stopping:
                await asyncio.to_thread(self._store.give_back, following)
            elif following is not None:
                self._start(following)
        except (LeaseLost, NotAllowed):
            raise
        except StoreError:
            self._in_doubt = True
            raise
        finally:
            self._claiming -= 1

    def _tell(self, delivery: Delivery, ending: Settlement) -> None:
        self.attempts[ending.state] += 1
        level = logging.WARNING if ending.state in (PARKED, DEAD) else logging.DEBUG
        told = (delivery.message_id, ending.state, self.destination, ending.reason or ending.status)
        _log.log(level, "message %d is %s for %s: %s", *told, extra=_about(delivery))


def _about(delivery: Delivery) -> dict[str, int]:
    """By what the log can be searched for a message."""
    return {"message_id": delivery.message_id}


async def _at_most(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
