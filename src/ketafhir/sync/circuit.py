"""Whether a destination is worth a try, and how many at a time.

After a failure of its own it is left alone for a while. What it can take at a time is found out as TCP does:
each sign that it is too much halves it, each success adds a little.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ketafhir.sync.outcome import PAUSES_DESTINATION, Disposition, Outcome
from ketafhir.sync.retry import RetryPolicy

_TOO_MUCH = frozenset({Disposition.THROTTLED, Disposition.UNAVAILABLE, Disposition.AMBIGUOUS, Disposition.TRANSIENT})
_log = logging.getLogger("ketafhir.sync")


class Circuit:
    """One destination as one worker sees it. After a pause a single delivery goes first.

    It is logged when a destination goes and when it comes back, not at each try between.
    """

    def __init__(
        self, destination: str, policy: RetryPolicy, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._destination = destination
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._until = 0.0
        self._most = float("inf")  # at a time, of what the settings allow

    @property
    def remaining(self) -> float:
        """Seconds until the next try; 0 when there is nothing to wait for."""
        return max(0.0, self._until - self._clock())

    def width(self, parallel: int) -> int:
        """How many deliveries may be under way."""
        if self.remaining:
            return 0
        return 1 if self._failures else max(1, int(min(self._most, parallel)))

    def tell(self, outcome: Outcome, under_way: int = 1) -> None:
        """One more attempt has ended so, of `under_way`. Any answer about the payload ends the pause."""
        if outcome.disposition in _TOO_MUCH:
            self._most = max(1.0, min(self._most, under_way) / 2)
        elif self._most < float("inf"):
            self._most += 1 / self._most
        if outcome.disposition not in PAUSES_DESTINATION:
            if self._failures:
                _log.warning("destination %s answers again", self._destination)
            self._failures = 0
            self._until = 0.0
            return
        if not self._failures:
            _log.warning("destination %s takes nothing, all waits for it: %s", self._destination, outcome.text)
        self._failures += 1
        wait = max(outcome.after or 0.0, self._policy.wait(self._failures, self._chance()))
        self._until = self._clock() + wait
