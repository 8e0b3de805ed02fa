"""What the service counts while it works, for the metrics: numbers and fixed words, nothing of a message.

Written in the threads of the service, read when somebody asks; a lock keeps a sum and its parts together.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from ketafhir.errors import Issue

ACK_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds, the upper bounds of the histogram."""


class Histogram:
    """How many took at most each of the bounds, and longer."""

    def __init__(self, bounds: tuple[float, ...] = ACK_BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Measures:
    """The counts of one process since it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latency = Histogram()
        self._findings: Counter[tuple[str, str, str]] = Counter()
        self._connections: Counter[tuple[str, str]] = Counter()
        self._store_failing = False

    def connection(self, listener: str, kind: str) -> None:
        """Something has happened to a connection: the name of the listener, and a `mllp.handler.Kind`."""
        with self._lock:
            self._connections[listener, kind] += 1

    def answered(self, seconds: float) -> None:
        """A message was acknowledged that long after it had come."""
        with self._lock:
            self._latency.observe(seconds)

    def found(self, issues: Iterable[Issue]) -> None:
        """The findings of a message, by severity, code and table row: words of ours, never values."""
        with self._lock:
            self._findings.update((one.severity, one.code, one.row) for one in issues)

    def store(self, failing: bool) -> None:
        """Whether the last message could not be stored."""
        self._store_failing = failing

    @property
    def store_failing(self) -> bool:
        """The last message that came could not be stored."""
        return self._store_failing

    def latency(self) -> Histogram:
        """A copy, as it stands."""
        with self._lock:
            copy = Histogram(self._latency.bounds)
            copy.counts, copy.sum = list(self._latency.counts), self._latency.sum
            return copy

    def connections(self) -> dict[tuple[str, str], int]:
        """How often each (listener, kind)."""
        with self._lock:
            return dict(self._connections)

    def findings(self) -> dict[tuple[str, str, str], int]:
        """How often each (severity, code, table row)."""
        with self._lock:
            return dict(self._findings)
