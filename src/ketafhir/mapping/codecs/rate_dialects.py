"""Rates as some systems write them in an RXA, in place of RXA-6 over the time of RXA-12: dialects that a site declares
(`rxa12` in docs/tables.md). Into the same rateRatio: 54 mL/h is 54 mL per 1 h."""

from __future__ import annotations

import re

from ketafhir.mapping import units
from ketafhir.mapping.codecs.base import escape, unescape
from ketafhir.mapping.codecs.numbers import number_text, read_amount
from ketafhir.mapping.codecs.rates import PerTime, split_rate, whole_rate
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Quantity, Rate

_WHOLE = re.compile(r"\s*([+-]?[\d.]+)\s*(\S.*?)\s*", re.ASCII)
_HINT = "send number and unit such as 54 mL/h, or change the setting rxa12 of the site"


def _rate(number: str, unit: str, told: str) -> Rate:
    """Number and unit of a rate. Raises Unreadable."""
    found = units.find(unit)
    if found is None or found.kind != "rate":
        known = units.alternatives(frozenset({"rate"}))
        raise Unreadable("rate-unreadable", "not the unit of a rate", told, f"{_HINT}; units are {known}", "103")
    return Rate(*split_rate(Rate(Quantity(read_amount(number), found.ucum))))


def _whole(value: Rate) -> Quantity:
    try:
        return whole_rate(value)
    except Unreadable as error:
        raise Unreadable("rate-unwritable", "no finite number per hour or minute", error.value) from None


class RateText(PerTime):
    """RXA-12 as a whole rate (`54 mL/h`, `100mg/min`) <-> rateRatio; a rateQuantity is taken too."""

    cells = 1

    def from_v2(self, c: Context, *cells: str) -> Rate:
        told = unescape(cells[0])
        match = _WHOLE.fullmatch(told)
        if not match:
            raise Unreadable("rate-unreadable", "not a whole rate in RXA-12", told, _HINT, "102")
        return _rate(match[1], match[2], told)

    def to_v2(self, c: Context, value: Rate) -> tuple[str, ...]:
        whole = _whole(value)
        return (escape(f"{number_text(whole.value)} {whole.unit}"),)


class RatePair(PerTime):
    """RXA-11 as the number of a rate, RXA-12 as its unit <-> rateRatio; neither makes a rate alone."""

    cells = 2

    def from_v2(self, c: Context, *cells: str) -> Rate:
        number, unit = map(unescape, cells)
        if not number or not unit:
            raise Unreadable(
                "rate-unreadable", "the number of a rate (RXA-11) without its unit (RXA-12), or the reverse",
                number or unit, "send both, or change the setting rxa12 of the site", "101",
            )  # fmt: skip
        return _rate(number, unit, unit)

    def to_v2(self, c: Context, value: Rate) -> tuple[str, ...]:
        whole = _whole(value)
        return number_text(whole.value), escape(whole.unit)
