"""Exact arithmetic of doses and rates: quantities as fractions of mg, mL, kg, minutes, mg/h and mL/h (UCUM units).

Each function gives None where the quantity is not told, is of another kind, or needs a weight or concentration that is not
known: what is not known is never guessed.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from ketafhir.therapy.values import Quantity, Rate

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "wk": 604800}
_MILLIGRAMS = {"mg": Fraction(1), "g": Fraction(1000), "ug": Fraction(1, 1000), "ng": Fraction(1, 1_000_000)}
_MILLILITRES = {"mL": Fraction(1), "L": Fraction(1000)}
_KILOGRAMS = {"kg": Fraction(1), "g": Fraction(1, 1000), "[lb_av]": Fraction(45359237, 100_000_000)}


def kilograms(weight: Quantity | None) -> Fraction | None:
    """A weight in kg."""
    return _in(weight, _KILOGRAMS)


def minutes(time: Quantity | None) -> Fraction | None:
    """A duration in minutes."""
    if time is None or time.comparator or time.unit not in SECONDS:
        return None
    return Fraction(time.value) * SECONDS[time.unit] / 60


def concentration(told: Quantity | None) -> Fraction | None:
    """A concentration in mg/mL; None also of 0."""
    if told is None or told.comparator or not told.value:
        return None
    mass, _, volume = told.unit.partition("/")
    if mass not in _MILLIGRAMS or volume not in _MILLILITRES:
        return None
    return Fraction(told.value) * _MILLIGRAMS[mass] / _MILLILITRES[volume]


def drug_and_volume(
    amount: tuple[Fraction, str] | None, per_millilitre: Fraction | None, weight: Fraction | None
) -> tuple[Fraction | None, Fraction | None]:
    """An amount (number and unit; `/kg` by weight) as mg and as mL, each where it can be known."""
    if amount is None:
        return None, None
    value, unit = amount
    if unit.endswith("/kg") and weight is not None:
        value, unit = value * weight, unit.removesuffix("/kg")
    if unit in _MILLIGRAMS:
        milligrams = value * _MILLIGRAMS[unit]
        return milligrams, milligrams / per_millilitre if per_millilitre else None
    if unit in _MILLILITRES:
        millilitres = value * _MILLILITRES[unit]
        return (millilitres * per_millilitre if per_millilitre else None), millilitres
    return None, None


def milligrams(amount: Quantity | None, weight: Quantity | None = None, per: Quantity | None = None) -> Fraction | None:
    """An amount in mg: of a mass, of a mass per kg by `weight`, of a volume by the concentration `per`."""
    if amount is None or amount.comparator:
        return None
    told = (Fraction(amount.value), amount.unit)
    return drug_and_volume(told, concentration(per), kilograms(weight))[0]


def millilitres(
    amount: Quantity | None, weight: Quantity | None = None, per: Quantity | None = None
) -> Fraction | None:
    """An amount in mL, as `milligrams`."""
    if amount is None or amount.comparator:
        return None
    told = (Fraction(amount.value), amount.unit)
    return drug_and_volume(told, concentration(per), kilograms(weight))[1]


def milligrams_per_hour(
    rate: Rate | Quantity | None, weight: Quantity | None = None, per: Quantity | None = None
) -> Fraction | None:
    """A rate in mg/h: `20 mL` per `1 h`, or a quantity of a whole rate such as mL/h or ug/kg/min."""
    return _per_hour(rate, weight, per)[0]


def millilitres_per_hour(
    rate: Rate | Quantity | None, weight: Quantity | None = None, per: Quantity | None = None
) -> Fraction | None:
    """A rate in mL/h, as `milligrams_per_hour`."""
    return _per_hour(rate, weight, per)[1]


def is_rate(amount: Quantity | None) -> bool:
    """Whether the unit is an amount per time."""
    return amount is not None and amount.unit.rpartition("/")[2] in SECONDS and "/" in amount.unit


def _per_hour(
    rate: Rate | Quantity | None, weight: Quantity | None, per: Quantity | None
) -> tuple[Fraction | None, Fraction | None]:
    if rate is None:
        return None, None
    whole = rate.amount if isinstance(rate, Rate) else rate
    value, unit = Fraction(whole.value), whole.unit
    if isinstance(rate, Rate) and rate.per is not None:
        length, time = Fraction(rate.per.value), rate.per.unit
    else:
        unit, _, time = unit.rpartition("/")
        length = Fraction(1)
    if whole.comparator or time not in SECONDS or length <= 0:
        return None, None
    hourly = value * 3600 / (length * SECONDS[time])
    return drug_and_volume((hourly, unit), concentration(per), kilograms(weight))


def _in(quantity: Quantity | None, units: dict[str, Fraction]) -> Fraction | None:
    if quantity is None or quantity.comparator or quantity.unit not in units:
        return None
    return Fraction(quantity.value) * units[quantity.unit]


def rounded(value: Fraction) -> Decimal:
    """To 0.001, half to even, without trailing zeros: how sums are written and numbers shown."""
    exact = round(value, 3)
    number = Decimal(exact.numerator) / Decimal(exact.denominator)
    number = number.quantize(Decimal("0.001"), rounding=ROUND_HALF_EVEN).normalize()
    return number if number.as_tuple().exponent <= 0 else number.quantize(Decimal(1))  # type: ignore[operator]  # finite
