"""What is at hand of a patient whatever message comes: orders, infusions in time, weights. It follows from the records."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ketafhir.plain import Plain, field
from ketafhir.therapy.values import Quantity


class Span(Plain):
    """When an infusion ran: seconds since the epoch. `end` None: it runs, or is held."""

    infusion: str
    visit: str
    start: Decimal
    end: Decimal | None = None

    def holds(self, at: Decimal, visit: str) -> bool:
        """Whether a moment of a visit lies in it, its ends included; a visit that was not told is no other one."""
        if at < self.start or (self.end is not None and at > self.end):
            return False
        return not visit or not self.visit or visit == self.visit


class Weight(Plain):
    """A body weight measured, and when (seconds since the epoch)."""

    at: Decimal
    value: Quantity


class Chart(Plain):
    """One patient: identities of orders, infusions by key, weights by the key of their observation."""

    orders: tuple[str, ...] = ()
    spans: dict[str, Span] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)

    def weight(self, until: Decimal) -> Quantity | None:
        """The last weight measured up to a moment."""
        known = [(one.at, key) for key, one in self.weights.items() if one.at <= until]
        return self.weights[max(known)[1]].value if known else None


def joined_charts(charts: Iterable[Chart]) -> Chart:
    """The charts of one person under several numbers as one."""
    out = Chart()
    for one in charts:
        out.orders = tuple(dict.fromkeys((*out.orders, *one.orders)))
        out.spans |= one.spans
        out.weights |= one.weights
    return out


Counters = dict[str, tuple[Decimal, Decimal]]
"""What a pump's counter told for one infusion: by key of the observation, when (seconds since the epoch) and how many mL."""
