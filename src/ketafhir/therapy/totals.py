"""What was given, as exact fractions: of one act, and of an infusion. A sum with one unknown part is unknown."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ketafhir.therapy import measures
from ketafhir.therapy.values import Quantity

if TYPE_CHECKING:
    from ketafhir.therapy.infusion import Act, Course
    from ketafhir.therapy.records import Order


def delivered(act: Act) -> tuple[Fraction, str] | None:
    """What one act gave, exactly, in the unit of its amount: rate times time, or the amount of a bolus. None: not known."""
    told = act.told
    if told.rate is None:
        return (Fraction(told.amount.value), told.amount.unit) if told.amount else None
    if told.rate.per is None or told.start is None or act.end is None or told.rate.per.unit not in measures.SECONDS:
        return None
    if not (told.start.has_clock and act.end.has_clock):
        return None
    interval = Fraction(told.rate.per.value) * measures.SECONDS[told.rate.per.unit]
    elapsed = Fraction(act.end.at - told.start.at)
    return Fraction(told.rate.amount.value) * elapsed / interval, told.rate.amount.unit


def add_up(found: Course, given: list[Act]) -> None:
    """Total drug, volume and running time; a sum with one unknown part is unknown."""
    drug: Fraction | None = Fraction(0)
    volume: Fraction | None = Fraction(0)
    seconds = Fraction(0)
    for act in given:
        if act.told.rate is not None and act.end is not None and act.told.start is not None:
            seconds += Fraction(act.end.at - act.told.start.at)
        amount = delivered(act)
        milligrams, millilitres = measures.drug_and_volume(
            amount,
            measures.concentration(act.told.concentration or found.concentration),
            measures.kilograms(found.weight),
        )
        drug = None if drug is None or milligrams is None else drug + milligrams
        volume = None if volume is None or millilitres is None else volume + millilitres
    found.total = None if drug is None else measures.rounded(drug)
    found.volume = None if volume is None else measures.rounded(volume)
    found.minutes = measures.rounded(seconds / 60)


def is_short(found: Course, order: Order | None, weight: Quantity | None) -> bool:
    """Whether less was given than ordered, where both are known (to the 0.001 that totals are written to)."""
    dose = order.dose if order else None
    if found.total is None or not isinstance(dose, Quantity):
        return False
    ordered = measures.milligrams(dose, weight)
    return ordered is not None and found.total < measures.rounded(ordered)
