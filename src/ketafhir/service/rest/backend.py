"""What the operations work on: the parts of the running service."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ketafhir.service.arrivals import Answered, Channel
from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.service.processes import Attempts
from ketafhir.service.rest.access import Access
from ketafhir.store.protocol import Store
from ketafhir.translate.pump_orders import PumpOrders

MOST_TRANSLATIONS = 8  # that wait for their turn; they take the processor, one at a time


@dataclass
class Backend:
    """`channel` is the one that messages come through here, `channels` all by their names. `disk` is the folder whose space
    counts, None where the store is elsewhere. `destination` tells why the FHIR server cannot be reached, "" where it can;
    `attempts` how those at deliveries ended. `certificates`: by section and setting when the first of a file ends, in seconds
    since 1970."""

    store: Store
    intake: Intake
    take: Callable[[Channel, bytes, str], Awaitable[Answered]]
    legs: Legs
    wake: Callable[[], None]
    access: Access
    channels: Mapping[str, Channel]
    channel: Channel
    destination: Callable[[], Awaitable[str]]
    attempts: Callable[[], Attempts]
    disk: Path | None = None
    free_bytes: int = 0
    max_bytes: int = 16 * 1024 * 1024
    body_seconds: float = 30.0
    pump: Callable[[], PumpOrders | None] = lambda: None
    destinations: tuple[str, ...] = ("fhir",)
    certificates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    authorities: Mapping[str, str] = field(default_factory=dict)

    told_away: float = -math.inf  # when the log was told last that the store does not answer; monotonic
    translating: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "ketafhir-translate"))
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_TRANSLATIONS))
