"""Rates: an amount per time (RXA-6 over RXA-12) or a whole rate (RXE-23/-24: 54 mL/h) <-> Ratio, Quantity (chapter 4A; UCUM).

A rate is not rounded: one that is no finite decimal in a unit we know is refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ketafhir.mapping import units
from ketafhir.mapping.codecs.amounts import Amount
from ketafhir.mapping.codecs.intervals import INTERVAL, SECONDS, TIME_UNITS, write_interval
from ketafhir.mapping.codecs.numbers import finite, number_text, quantity_json, read_exact, unit_unknown
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Quantity, Rate


def whole_rate(rate: Rate) -> Quantity:
    """A rate as one quantity: 20 mL per 1 h is 20 mL/h, 36 mg per 40 min is 0.9 mg/min, 100 mL per 60 min is 100 mL/h.
    Raises Unreadable where that is no finite decimal: a rate is not rounded."""
    from fractions import Fraction

    if rate.per is None:
        return rate.amount
    unit = rate.per.unit
    if rate.per.value == 1 and units.find(f"{rate.amount.unit}/{unit}") is not None:
        return Quantity(rate.amount.value, f"{rate.amount.unit}/{unit}")
    for other in dict.fromkeys((unit, "h", "min")):
        text = f"{rate.amount.unit}/{other}"
        if unit in SECONDS and units.find(text) is not None:
            value = finite(Fraction(rate.amount.value) * SECONDS[other] / (Fraction(rate.per.value) * SECONDS[unit]))
            if value is not None:
                return Quantity(value, text)
    raise Unreadable(
        "rate-unreadable", "not a rate per one unit of time", f"{number_text(rate.per.value)} {rate.amount.unit}/{unit}"
    )


def read_ratio(kind: str, json: Any) -> Rate:
    """A FHIR rateRatio as amount per time."""
    if kind != "Ratio" or not isinstance(json, dict) or "numerator" not in json or "denominator" not in json:
        raise Unreadable("rate-unreadable", f"a rate of type {kind} is not read", hint="send rateRatio or rateQuantity")
    amount, per = read_exact(json["numerator"]), read_exact(json["denominator"])
    top, bottom = units.find(amount.unit), units.find(per.unit)
    if bottom is None or bottom.kind != "time" or per.value <= 0:
        raise Unreadable("rate-unreadable", "the denominator of a rate is no time", per.unit, "send h or min")
    if top is None or top.kind not in units.AMOUNTS:
        raise unit_unknown(amount.unit, units.AMOUNTS)
    return Rate(amount, per)


def split_rate(rate: Rate) -> tuple[Quantity, Quantity]:
    """A rate as amount and time: mL/h is mL per 1 h."""
    if rate.per is not None:
        return rate.amount, rate.per
    found = units.find(rate.amount.unit)
    if found is None or not found.per:
        raise unit_unknown(rate.amount.unit, frozenset({"rate"}))
    return Quantity(rate.amount.value, found.amount), Quantity(Decimal(1), found.per)


class CompoundRate(Amount):
    """Number and unit cells that are a whole rate (RXE-23/-24: 54 mL/h) <-> rateQuantity or rateRatio.

    FHIR: written as rateQuantity. A rateRatio from elsewhere is taken where its halves make a unit we know and the
    denominator is 1.
    """

    fhir_type = "Quantity"

    def __init__(self, vocab: str, maps: Any) -> None:
        super().__init__("rate", maps)

    def to_fhir(self, c: Context, value: Quantity) -> tuple[str, Any]:
        return "Quantity", quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        kind, body = json
        if kind == "Quantity":
            whole: Quantity = super().from_fhir(c, body)
            return whole
        rate = read_ratio(kind, body)
        assert rate.per is not None
        return whole_rate(rate)


class PerTime(Amount):
    """RXA-6 RXA-7 RXA-12 <-> rateRatio: the amount that goes over the time of RXA-12 (HL7 v2 chapter 4A, RXA-12).

    RXA-12 is S, M, H, D, W or L and a whole number. A whole rate in RXA-12 (54 mL/h) is a dialect a site must declare.
    """

    cells = 3
    fhir_type = "Ratio"

    def from_v2(self, c: Context, *cells: str) -> Rate | None:
        number, unit, interval = cells
        match = INTERVAL.fullmatch(interval)
        if not match:
            raise Unreadable(
                "rate-unreadable", "the time of a rate must be S, M, H, D, W or L and a whole number", interval,
                "send for example H1 (per hour) or M40 (over 40 minutes); a whole rate here is a way of writing that a site "
                "declares (rxa12 in its settings.csv)", "102",
            )  # fmt: skip
        amount = super().from_v2(c, number, unit)
        if amount is None or (not amount.unit and amount.value):
            raise Unreadable(
                "rate-unreadable", "a time (RXA-12) without the amount that goes over it", number, hl7="101"
            )
        return Rate(amount, Quantity(Decimal(match[2]), TIME_UNITS[match[1]]))

    def to_v2(self, c: Context, value: Rate) -> tuple[str, ...]:
        amount, per = split_rate(value)
        interval = write_interval(per)
        if not interval:
            raise Unreadable("rate-unwritable", "HL7v2 has no such time of a rate", f"{per.value} {per.unit}")
        return (*super().to_v2(c, amount), interval)

    def to_fhir(self, c: Context, value: Rate) -> tuple[str, Any]:
        if value.per is None:
            return "Quantity", quantity_json(value.amount)
        return "Ratio", {"numerator": quantity_json(value.amount), "denominator": quantity_json(value.per)}

    def from_fhir(self, c: Context, json: Any) -> Rate:
        kind, body = json
        if kind != "Quantity":
            return read_ratio(kind, body)
        whole = read_exact(body)
        found = units.find(whole.unit)
        if found is None or found.kind != "rate":
            raise unit_unknown(whole.unit, frozenset({"rate"}))
        return Rate(*split_rate(Rate(whole)))


class RatePeriod(CompoundRate):
    """A whole rate <-> maxDosePerPeriod (Ratio): 40 mL/h is 40 mL per 1 h."""

    fhir_type = "Ratio"

    def to_fhir(self, c: Context, value: Quantity) -> Any:
        amount, per = split_rate(Rate(value))
        return {"numerator": quantity_json(amount), "denominator": quantity_json(per)}

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        rate = read_ratio("Ratio", json)
        if rate.per is None or rate.per.value != 1 or rate.per.unit not in ("h", "min"):
            told = f"{number_text(rate.per.value)} {rate.per.unit}" if rate.per else ""
            raise Unreadable(
                "limit-is-no-rate", "a highest dose in a longer time is no highest rate: HL7v2 would tell another limit",
                told, "send it per 1 h or 1 min, if it is a rate",
            )  # fmt: skip
        return whole_rate(rate)
