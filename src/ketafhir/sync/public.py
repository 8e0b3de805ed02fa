"""A FHIR server that everybody may read: only synthetic data leave for it, and never faster than it can bear.

Such servers are for trying things out; what is written there the whole world can read, and nobody can take back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ketafhir.errors import refused
from ketafhir.store.protocol import Delivery, Store
from ketafhir.sync.courier import Begin, Carried, Courier

PER_SECOND = 1.8  # requests; two, with room for the clock of the other side
SYNTHETIC, PRODUCTION = "of-synthetic", "of-production"
"""Kinds of the keys by which the store knows whether a patient was told of for training or debugging (MSH-11 T, D), or else."""


class Pace:
    """Lets one pass at a time, so many a second, in the order of their coming."""

    def __init__(self, per_second: float = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self._apart = 1 / per_second
        self._clock = clock
        self._next = 0.0

    async def wait(self, request: Any = None) -> None:
        """Until it is this one's turn; as an event hook of httpx."""
        now = self._clock()
        at = max(now, self._next)
        self._next = at + self._apart
        await asyncio.sleep(at - now)


class SyntheticOnly:
    """A courier that takes only what is about patients of whom nothing but synthetic data were ever told."""

    def __init__(self, store: Store, courier: Courier) -> None:
        self._store = store
        self._courier = courier

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        """Raises Refused, before anything is sent, for anything else."""
        if not await asyncio.to_thread(self._synthetic, delivery):
            hint = "send it with MSH-11 T or D, for a patient of whom nothing else was ever told"
            raise refused("public-server", "the FHIR server is public, and this may be about a patient", hint=hint)
        return await self._courier.carry(delivery, begin)

    def _synthetic(self, delivery: Delivery) -> bool:
        detail = self._store.show(delivery.message_id)
        patients = {name for one in detail.deliveries if one.id == delivery.id for name in one.partitions}
        known = all(self._store.lookup(SYNTHETIC, name) for name in patients)
        return bool(patients) and known and not any(self._store.lookup(PRODUCTION, name) for name in patients)
