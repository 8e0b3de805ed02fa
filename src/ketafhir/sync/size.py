"""How many entries go into one request: what has no answer in time may have been too much at once."""

from __future__ import annotations

from collections.abc import Callable

from ketafhir.sync.outcome import Disposition, Outcome

MOST = 200  # about 400 entries are known to run out of time on common servers
_LEAST = 50  # what a server does not do in time even so, has another reason
_REMEMBERED = 3600.0  # seconds; it may have been a bad hour
_TOO_LATE = (408, 504)


class Size:
    """Of one server: at most `most`, and half of what had no answer for an hour after that, down to 50."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._less = most
        self._until = 0.0

    @property
    def most(self) -> int:
        """Entries of one request, now."""
        return self._less if self._clock() < self._until else self._most

    def tell(self, entries: int, outcome: Outcome) -> None:
        """A request of so many entries has ended so."""
        silent = outcome.disposition is Disposition.AMBIGUOUS and outcome.status is None
        if (silent or outcome.status in _TOO_LATE) and entries > _LEAST:
            self._less = max(_LEAST, (entries + 1) // 2)
            self._until = self._clock() + _REMEMBERED
