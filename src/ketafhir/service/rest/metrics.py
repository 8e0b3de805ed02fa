"""The numbers for Prometheus, made when they are asked for: from the store, and from what this process has counted.

Labels are names of the configuration, states, codes and table rows; nothing of a message is ever one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from ketafhir.service.measures import Histogram
from ketafhir.store.states import DEAD, DONE, PARKED, QUEUED
from ketafhir.sync.outcome import REPLACED

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend


def text(backend: Backend) -> bytes:
    """All of them, in the text format. Raises StoreError."""
    collectors = CollectorRegistry()
    collectors.register(_Numbers(backend))
    found: bytes = generate_latest(collectors)
    return found


class _Numbers:
    """A collector in the sense of prometheus_client."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def describe(self) -> list[Any]:
        """Nothing is asked of the store before it must be."""
        return []

    def collect(self) -> Iterator[Any]:
        """Each family once."""
        yield from _of_deliveries(self._backend)
        intake = self._backend.intake
        messages = CounterMetricFamily("ketafhir_messages", "Messages by what became of them", labels=["outcome"])
        for outcome, count in sorted(intake.counts.items()):
            messages.add_metric([outcome], count)
        yield messages
        yield _latency(intake.measures.latency())
        yield from _of_findings(intake.measures.findings())
        connections = CounterMetricFamily(
            "ketafhir_connections", "What happened to connections of MLLP", labels=["listener", "event"]
        )
        for labels, count in sorted(intake.measures.connections().items()):
            connections.add_metric(list(labels), count)
        yield connections
        failing = GaugeMetricFamily("ketafhir_store_failing", "1 where the last message could not be stored")
        failing.add_metric([], float(intake.measures.store_failing))
        yield failing
        yield _of_certificates(self._backend.certificates)


def _of_deliveries(backend: Backend) -> Iterator[Any]:
    depth = GaugeMetricFamily(
        "ketafhir_deliveries", "Deliveries that are not done, by state", labels=["destination", "state"]
    )
    attempts = CounterMetricFamily(
        "ketafhir_attempts",
        "Attempts that ended, by the state they left their delivery in",
        labels=["destination", "state"],
    )
    oldest = GaugeMetricFamily(
        "ketafhir_oldest_open_seconds", "Age of the oldest delivery that is open; 0 without any", labels=["destination"]
    )
    waiting = GaugeMetricFamily("ketafhir_untranslated", "Messages that wait for their translation")
    stopped = GaugeMetricFamily(
        "ketafhir_destination_paused", "1 where an operator has paused it", labels=["destination"]
    )
    failing = GaugeMetricFamily(
        "ketafhir_destination_waiting",
        "1 for the kind of failure after which the oldest open delivery waits",
        labels=["destination", "kind"],
    )
    now = time.time()
    paused = {one.destination for one in backend.store.paused()}
    for number, name in enumerate(backend.destinations):
        stopped.add_metric([name], float(name in paused))
        counts = backend.store.backlog(name)
        if not number:
            waiting.add_metric([], counts.untranslated)
        for state, count in counts.deliveries.items():
            depth.add_metric([name, state], count)
        if counts.failed:
            failing.add_metric([name, counts.failed], 1.0)
        oldest.add_metric([name], max(0.0, now - counts.oldest) if counts.oldest is not None else 0.0)
    replaced = CounterMetricFamily(
        "ketafhir_replaced", "Deliveries done in place of what somebody else had written", labels=["destination"]
    )
    ended = backend.attempts()
    for name in backend.destinations:
        replaced.add_metric([name], ended.get((name, REPLACED), 0))
        for state in (DONE, QUEUED, PARKED, DEAD):
            attempts.add_metric([name, state], ended.get((name, state), 0))
    yield from (depth, attempts, replaced, oldest, waiting, failing, stopped)


def _of_certificates(found: Mapping[tuple[str, str], float]) -> Any:
    ends = GaugeMetricFamily(
        "ketafhir_certificate_expiry_timestamp_seconds",
        "When the first certificate of the file ends, as it was read at the start",
        labels=["section", "setting"],
    )
    for labels, moment in found.items():
        ends.add_metric(list(labels), moment)
    return ends


def _latency(found: Histogram) -> Any:
    family = HistogramMetricFamily("ketafhir_ack_seconds", "From the last byte of a message to its acknowledgment")
    total, buckets = 0, []
    for bound, count in zip((*map(str, found.bounds), "+Inf"), found.counts, strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric([], buckets, found.sum)
    return family


def _of_findings(found: dict[tuple[str, str, str], int]) -> Iterator[Any]:
    broken = CounterMetricFamily("ketafhir_profile_broken", "Bundles held back because they break their profiles")
    broken.add_metric([], sum(count for (_, code, _), count in found.items() if code == "profile-broken"))
    findings = CounterMetricFamily(
        "ketafhir_findings", "Findings by severity, code and table row", labels=["severity", "code", "row"]
    )
    for labels, count in sorted(found.items()):
        findings.add_metric(list(labels), count)
    yield from (broken, findings)
