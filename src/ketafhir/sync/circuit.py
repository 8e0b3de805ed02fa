"""Whether a destination is worth a try: after a failure of its own it is left alone for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ketafhir.sync.outcome import PAUSES_DESTINATION, Outcome
from ketafhir.sync.retry import RetryPolicy

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

    @property
    def remaining(self) -> float:
        """Seconds until the next try; 0 when there is nothing to wait for."""
        return max(0.0, self._until - self._clock())

    def width(self, parallel: int) -> int:
        """How many deliveries may be under way."""
        if self.remaining:
            return 0
        return 1 if self._failures else parallel

    def tell(self, outcome: Outcome) -> None:
        """One more attempt has ended so. Any answer of the server about the payload ends the pause."""
        if outcome.disposition not in PAUSES_DESTINATION:
            if self._failures:
                _log.warning("destination %s answers again", self._destination)
            self._failures = 0
            self._until = 0.0
            return
        if not self._failures:
            _log.warning("destination %s is paused: %s", self._destination, outcome.text)
        self._failures += 1
        wait = max(outcome.after or 0.0, self._policy.wait(self._failures, self._chance()))
        self._until = self._clock() + wait
