"""Whether the process lives, whether it can take messages, and its numbers for Prometheus."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ketafhir.errors import StoreError
from ketafhir.service.rest import metrics
from ketafhir.service.rest.access import May
from ketafhir.service.rest.operations import FHIR_JSON, JSON, Answer, Ask, Operation, as_json

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

_SECONDS = 5.0
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def alive(backend: Backend, ask: Ask) -> Answer:
    """It answers: so it lives."""
    return as_json({"status": "alive"})


async def ready(backend: Backend, ask: Ask) -> Answer:
    """200 where messages can be taken and kept; 503 where not. A destination that is away stops nothing: what comes is kept
    for it, and a balancer that took the service away would only move the queue to the senders. It is told all the same."""
    checks = {"store": await _store(backend), "disk": _disk(backend), "destination": await backend.destination()}
    taken = not (checks["store"] or checks["disk"])
    status = "ready" if taken and not checks["destination"] else "degraded" if taken else "not ready"
    told = {name: reason or "ok" for name, reason in checks.items()}
    return as_json({"status": status, "checks": told}, 200 if taken else 503)


async def _store(backend: Backend) -> str:
    """A writing transaction of nothing: a file that can only be read, or a database that is away, does not begin one."""
    if backend.intake.measures.store_failing:
        reason = "the last message could not be stored"
    else:
        reason = ""
    try:
        async with asyncio.timeout(_SECONDS):
            await asyncio.to_thread(backend.store.learn_versions, "", {})
    except StoreError:
        return "it does not take anything"
    except TimeoutError:
        return "it does not answer"
    return reason


def _disk(backend: Backend) -> str:
    if backend.disk is None:
        return ""
    try:
        free = shutil.disk_usage(backend.disk).free
    except OSError:
        return "it cannot be read"
    return "" if free >= backend.free_bytes else "little space is left"


async def measured(backend: Backend, ask: Ask) -> Answer:
    """The text format of Prometheus."""
    return Answer(200, await asyncio.to_thread(metrics.text, backend), PROMETHEUS)


OPERATIONS: Sequence[Operation] = (
    Operation("GET", "/healthz", "Whether the process lives", None, alive, {200: (JSON,)}),
    Operation("GET", "/readyz", "Whether messages can be taken", None, ready, {200: (JSON,), 503: (JSON,)}),
    Operation(
        "GET", "/metrics", "Numbers for Prometheus", May.METRICS, measured, {200: (PROMETHEUS,), 503: (FHIR_JSON,)}
    ),
)
