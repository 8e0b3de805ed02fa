"""Draws that are the same on every machine and in every version of Python."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_BITS = 53


class Chance:
    """The draws of one patient: they depend on seed and number alone, never on how many other patients there are."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(f"ketafhir/{seed}/{number}")  # noqa: S311  # nothing is secret here

    def share(self) -> float:
        """A number from 0 to below 1."""
        return self._random.getrandbits(_BITS) / (1 << _BITS)

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self._random.getrandbits(_BITS) * (high - low + 1) // (1 << _BITS)

    def between(self, low: float, high: float) -> float:
        """A number from `low` to below `high`."""
        return low + self.share() * (high - low)

    def normal(self) -> float:
        """About the standard normal distribution, within 6 deviations: a sum of shares, as math.log may differ by machine."""
        return sum(self.share() for _ in range(12)) - 6.0

    def happens(self, percent: float) -> bool:
        """True in so many of a hundred draws."""
        return self.share() * 100 < percent

    def one_of(self, several: Sequence[T]) -> T:
        """One of them, all alike."""
        return several[self.whole(0, len(several) - 1)]
