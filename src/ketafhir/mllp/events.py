"""What happens to connections, in the log `ketafhir.mllp`: bounded, whoever connects and however often."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ketafhir.mllp.handler import Event

_EVERYDAY = frozenset({"opened", "closed", "idle"})
_BY_ANYBODY = frozenset({"crowded", "unknown", "junk"})  # nobody who may do that has been let in for it
_HOUR = 3600.0
_MOST = 1000  # addresses that are remembered
_log = logging.getLogger("ketafhir.mllp")


class EventLog:
    """An `OnEvent`. That connections come, go and fall silent is for debugging only.

    What anybody can bring about who finds the port is a warning once an hour for each address and kind, and for 1,000 of these
    an hour at most; the rest is for debugging, and for the metrics.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}  # when, the oldest first

    def __call__(self, event: Event) -> None:
        everyday = event.kind in _EVERYDAY or (event.kind in _BY_ANYBODY and not self._is_news(event))
        level = logging.DEBUG if everyday else logging.WARNING
        _log.log(level, "%s %s: %s", event.peer, event.kind, event.text)

    def _is_news(self, event: Event) -> bool:
        now = self._clock()
        while self._told and next(iter(self._told.values())) <= now - _HOUR:
            del self._told[next(iter(self._told))]
        key = (event.kind, event.peer.host)
        if key in self._told or len(self._told) >= _MOST:
            return False
        self._told[key] = now
        return True
