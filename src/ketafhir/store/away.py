"""A store that fails, as one that works with it sees it: told when it goes and when it is back, not at each try between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class Away:
    """For the log of one user of a store; each has its own, since a full disk may fail one and not another."""

    def __init__(self, log: logging.Logger, goes_on: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`goes_on` is what goes on when the store is back."""
        self._log = log
        self._goes_on = goes_on
        self._clock = clock
        self._since: float | None = None

    @property
    def level(self) -> int:
        """Of what else is to be said of a failure: it is news only while the store is not known to be away."""
        return logging.ERROR if self._since is None else logging.DEBUG

    def failed(self, text: str, *values: object) -> None:
        """One more try has failed."""
        self._log.log(self.level, text, *values)
        if self._since is None:
            self._since = self._clock()

    def answered(self) -> None:
        """One has not."""
        if self._since is not None:
            self._log.warning("the store is back after %.0f s: %s", self._clock() - self._since, self._goes_on)
            self._since = None
