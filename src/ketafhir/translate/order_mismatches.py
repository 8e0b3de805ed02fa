"""The consistency checks of one order, or of one give instruction, by itself (docs/errors.md): C1 to C4, C11 and C12."""

from __future__ import annotations

from fractions import Fraction

from ketafhir.mapping import codes
from ketafhir.therapy import checks, measures
from ketafhir.therapy.checks import Limits, Mismatch
from ketafhir.therapy.records import Order
from ketafhir.therapy.values import Coded, Quantity


def order_mismatches(
    order: Order, limits: Limits, dosing: Quantity | None, last: Quantity | None = None
) -> list[Mismatch]:
    """C1 to C4, C11 and C12 of one order: `dosing` is the weight it was made with, `last` the last one measured."""
    dose = order.dose if isinstance(order.dose, Quantity) else None
    per = order.concentration
    drug = additive(order)
    found = [
        checks.concentration(
            per, Quantity(measures.rounded(drug), "mg") if drug is not None else None, order.volume, limits
        ),
        checks.order(order.rate, dose, order.over, limits, weight=dosing, per=per, highest=order.max_rate),
        checks.weight(dosing, last, limits),
        checks.highest_rate(order.rate, order.max_rate, limits, weight=dosing, per=per),
    ]
    if is_ketamine(order.drug):
        found += checks.protocol(order.rate, dose, order.over, limits, weight=dosing, per=per)
        found.append(checks.base_strength(per, limits)[1])
    if found[1] is not None and found[1].level == "stop":
        found.append(_mistaken(order, dose, limits, dosing))
    return [one for one in found if one is not None]


def concentration_of(give: Order) -> Quantity | None:
    """mg/mL of the bag of a give instruction, exactly where that is a decimal, else to six places: the checks have margins."""
    if give.strength is None:
        return give.concentration
    mass, volume = measures.milligrams(give.strength.numerator), measures.millilitres(give.strength.denominator)
    if mass is None or not volume:
        return None
    exact = mass / volume
    number = type(give.strength.numerator.value)
    return Quantity(number(round(exact * 1_000_000)) / number(1_000_000), "mg/mL")


def give_mismatch(give: Order, limits: Limits, dosing: Quantity | None) -> Mismatch | None:
    """C2 of one give instruction: its rate against its dose over RXG-14, else over TQ1-13."""
    dose = give.dose if isinstance(give.dose, Quantity) else None
    over = give.over or give.occurrence_duration
    return checks.order(give.rate, dose, over, limits, weight=dosing, per=concentration_of(give))


def _mistaken(order: Order, dose: Quantity | None, limits: Limits, dosing: Quantity | None) -> Mismatch | None:
    """C11: whether a rate that does not fit the dose is one in another unit."""
    told, needed, _ = checks.rates(order.rate, dose, order.over, dosing, order.concentration)
    return checks.unit(told, needed, limits, weight=dosing, per=order.concentration)


def additive(order: Order) -> Fraction | None:
    """The mg of the order's drug in its mixture; None where it is not told."""
    told = [one for one in order.ingredients if one.kind != "base" and one.amount is not None]
    same = [one for one in told if one.drug and order.drug and _same(one.drug, order.drug)] or told
    amounts = [measures.milligrams(one.amount) for one in same]
    return amounts[0] if len(amounts) == 1 else None


def _same(one: Coded, other: Coded) -> bool:
    return any(other.has(coding.system, coding.code) for coding in one.codings)


def is_ketamine(drug: Coded | None) -> bool:
    """Whether a drug is ketamine, by its code or its name; esketamine is another."""
    if drug is None:
        return False
    for coding in drug.codings:
        known = codes.find(coding.system, coding.code)
        if known and known.name.startswith("drug.ketamine"):
            return True
    words = " ".join((drug.text, *(coding.display for coding in drug.codings))).lower()
    return "ketamine" in words.replace("esketamine", "")
