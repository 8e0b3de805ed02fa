"""Consistency checks C1 to C13: numbers of a therapy against each other (docs/errors.md, docs/safety.md).

Pure and exact: quantities in, a `Mismatch` with both numbers out, or None. What is not told is not checked, and nothing is ever
repaired. The margins are data (`mappings/limits.csv`; a site has its own). C6 to C8 look at a whole infusion:
`therapy.volumes`; C9 and C10 at what was drawn up: `therapy.vials`.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

from ketafhir.errors import Issue
from ketafhir.plain import Plain
from ketafhir.therapy import measures
from ketafhir.therapy.measures import rounded
from ketafhir.therapy.values import Quantity, Rate, Time

Level = Literal["information", "warning", "stop"]


class Limits(Plain):
    """The margins of the checks and the thresholds of scores, as `mappings/limits.csv` says them, in the units given there."""

    concentration_ok: Decimal
    concentration_stop: Decimal
    order_ok: Decimal
    order_stop: Decimal
    protocol_dose_min: Decimal
    protocol_dose_max: Decimal
    protocol_rate_min: Decimal
    protocol_rate_intensive: Decimal
    protocol_rate_max: Decimal
    guideline_total: Decimal
    guideline_minutes: Decimal
    weight_warn: Decimal
    weight_stop: Decimal
    weight_pound: Decimal
    weight_pound_margin: Decimal
    pump_margin: Decimal
    volume_share: Decimal
    volume_least: Decimal
    waste_margin: Decimal
    hydrochloride: Decimal
    unit_margin: Decimal
    rate_max: Decimal
    clock_skew: Decimal
    cutoff_gad7: Decimal
    cutoff_pcl5: Decimal
    cutoff_auditc: Decimal
    cutoff_dast10: Decimal
    cutoff_cadss: Decimal
    cutoff_bsrs5: Decimal
    moaas_act: Decimal
    moaas_stop: Decimal
    rass_stop: Decimal
    rass_agitation: Decimal
    poss_act: Decimal
    poss_stop: Decimal
    aldrete_met: Decimal
    padss_met: Decimal


class Mismatch(Plain):
    """What a check found. `check` is its name (C1), `code` the code of the issue; `level` stop: a pump must not be told this."""

    check: str
    code: str
    level: Level
    text: str

    def issue(self, where: str = "", value: str = "", *, to_pump: bool = False) -> Issue:
        """The issue: an error where an order to a pump must be refused, else a warning of what was told already."""
        if to_pump and self.level == "stop":
            return Issue("error", self.code, f"{self.check}: {self.text}", where=where, value=value)
        severity: Literal["information", "warning"] = "information" if self.level == "information" else "warning"
        return Issue(severity, self.code, f"{self.check}: {self.text}", where=where, value=value)


class Program(Plain):
    """What an order says of a pump's program, or what a pump was programmed to. None: not told.

    `drug` and `patient` are keys to be compared as they are; `volume` is the volume to be infused.
    """

    patient: str = ""
    drug: str = ""
    concentration: Quantity | None = None
    rate: Rate | Quantity | None = None
    volume: Quantity | None = None
    weight: Quantity | None = None


def concentration(
    told: Quantity | None, drug: Quantity | None, final: Quantity | None, limits: Limits
) -> Mismatch | None:
    """C1: the concentration told against drug divided by final volume."""
    label, milligrams, millilitres = (
        measures.concentration(told),
        measures.milligrams(drug),
        measures.millilitres(final),
    )
    if not label or milligrams is None or not millilitres:
        return None
    made = milligrams / millilitres
    text = (
        f"{rounded(label)} mg/mL is told, {rounded(milligrams)} mg in {rounded(millilitres)} mL are {rounded(made)} mg/mL "
        f"({_percent(made, label)})"
    )
    return _graded("C1", "conc-mismatch", made, label, limits.concentration_ok, limits.concentration_stop, text)


def order(
    rate: Rate | Quantity | None,
    dose: Quantity | None,
    over: Quantity | None,
    limits: Limits,
    *,
    weight: Quantity | None = None,
    per: Quantity | None = None,
    highest: Rate | Quantity | None = None,
) -> Mismatch | None:
    """C2: the rate told against the one that gives the dose over its time (or the dose rate, `over` None).

    `per` is the concentration. An order with a `highest` rate is titrated: what is needed may lie between the two.
    """
    told, needed, unit = rates(rate, dose, over, weight, per)
    if told is None or not needed:
        return None
    top = rates(highest, dose, over, weight, per)[0]
    if top is not None and told < needed <= top * (1 + Fraction(limits.order_ok) / 100):
        return None
    dosed = f"{dose.value} {dose.unit}" if dose else ""
    text = f"{rounded(told)} {unit} is told, {dosed} needs {rounded(needed)} {unit} ({_percent(told, needed)})"
    return _graded("C2", "order-inconsistent", told, needed, limits.order_ok, limits.order_stop, text)


def rates(
    rate: Rate | Quantity | None,
    dose: Quantity | None,
    over: Quantity | None,
    weight: Quantity | None,
    per: Quantity | None,
) -> tuple[Fraction | None, Fraction | None, str]:
    """The rate told and the rate that a dose over a time needs, in mL/h, else in mg/h, with that unit."""
    for unit, of_rate, of_amount in (
        ("mL/h", measures.millilitres_per_hour, measures.millilitres),
        ("mg/h", measures.milligrams_per_hour, measures.milligrams),
    ):
        told = of_rate(rate, weight, per)
        if measures.is_rate(dose):
            needed = of_rate(dose, weight, per)
        else:
            amount, minutes = of_amount(dose, weight, per), measures.minutes(over)
            needed = amount * 60 / minutes if amount is not None and minutes else None
        if told is not None and needed is not None:
            return told, needed, unit
    return None, None, ""


def protocol(
    rate: Rate | Quantity | None,
    dose: Quantity | None,
    over: Quantity | None,
    limits: Limits,
    *,
    weight: Quantity | None = None,
    per: Quantity | None = None,
) -> list[Mismatch]:
    """C3: ketamine per kg and hour, and per kg, within the protocol; the least total of a long infusion (information)."""
    found = []
    kilograms, minutes = measures.kilograms(weight), measures.minutes(over)
    total = None if measures.is_rate(dose) else measures.milligrams(dose, weight, per)
    hourly = measures.milligrams_per_hour(dose if measures.is_rate(dose) else rate, weight, per)
    if hourly is None and total is not None and minutes:
        hourly = total * 60 / minutes
    if kilograms and hourly:
        found += _dose_rate(hourly / kilograms, hourly, limits)
    if kilograms and total:
        found += _dose(total / kilograms, limits)
    if (
        total is not None
        and minutes is not None
        and minutes >= limits.guideline_minutes
        and total < limits.guideline_total
    ):
        text = f"{rounded(total)} mg over {rounded(minutes)} min; the guideline suggests {limits.guideline_total} mg or more"
        found.append(Mismatch("C3", "below-guideline-minimum", "information", text))
    return found


def _dose_rate(told: Fraction, hourly: Fraction, limits: Limits) -> list[Mismatch]:
    shown = f"{rounded(told)} mg/kg/h ({rounded(hourly)} mg/h)"
    if not limits.protocol_rate_min <= told <= limits.protocol_rate_max:
        text = f"{shown} is outside the protocol, {limits.protocol_rate_min} to {limits.protocol_rate_max} mg/kg/h"
        return [Mismatch("C3", "dose-out-of-protocol", "stop", text)]
    if told > limits.protocol_rate_intensive:
        text = f"{shown} is above {limits.protocol_rate_intensive} mg/kg/h"
        return [Mismatch("C3", "needs-intensive-monitoring", "warning", text)]
    return []


def _dose(told: Fraction, limits: Limits) -> list[Mismatch]:
    if limits.protocol_dose_min <= told <= limits.protocol_dose_max:
        return []
    text = (
        f"{rounded(told)} mg/kg is outside the protocol, {limits.protocol_dose_min} to {limits.protocol_dose_max} mg/kg"
    )
    return [Mismatch("C3", "dose-out-of-protocol", "stop", text)]


def weight(dosing: Quantity | None, last: Quantity | None, limits: Limits) -> Mismatch | None:
    """C4: the dosing weight against the last weight measured; pounds entered as kilograms are named."""
    told, known = measures.kilograms(dosing), measures.kilograms(last)
    if not told or not known:
        return None
    ratio = max(told, known) / min(told, known)
    text = f"a dosing weight of {rounded(told)} kg, last measured {rounded(known)} kg ({_percent(told, known)})"
    if abs(ratio - Fraction(limits.weight_pound)) <= Fraction(limits.weight_pound_margin):
        return Mismatch("C4", "weight-suspect", "stop", f"{text}: lb entered as kg?")
    return _graded("C4", "weight-suspect", told, known, limits.weight_warn, limits.weight_stop, text)


def pump(ordered: Program, programmed: Program, limits: Limits) -> list[Mismatch]:
    """C5: each thing that the order and the program both tell; drug and patient exactly, numbers within a margin."""
    found = []
    for name, one, other in (
        ("patient", ordered.patient, programmed.patient),
        ("drug", ordered.drug, programmed.drug),
    ):
        if one and other and one != other:
            found.append(_pump(f"the {name} of the order is {one}, of the pump {other}"))
    per, heavy = ordered.concentration, ordered.weight
    for name, unit, told, set_to in (
        ("concentration", "mg/mL", measures.concentration(per), measures.concentration(programmed.concentration)),
        ("rate", *_comparable(ordered, programmed)),
        ("VTBI", "mL", measures.millilitres(ordered.volume), measures.millilitres(programmed.volume)),
        ("weight", "kg", measures.kilograms(heavy), measures.kilograms(programmed.weight)),
    ):
        if told is not None and set_to is not None and abs(set_to - told) * 100 > told * Fraction(limits.pump_margin):
            found.append(
                _pump(f"the {name} of the order is {rounded(told)} {unit}, of the pump {rounded(set_to)} {unit}")
            )
    return found


def _comparable(ordered: Program, programmed: Program) -> tuple[str, Fraction | None, Fraction | None]:
    """The two rates in one unit, by the weight and concentration of the order."""
    heavy, per = ordered.weight, ordered.concentration
    for unit, of_rate in (("mL/h", measures.millilitres_per_hour), ("mg/h", measures.milligrams_per_hour)):
        told, set_to = of_rate(ordered.rate, heavy, per), of_rate(programmed.rate, heavy, per)
        if told is not None and set_to is not None:
            return unit, told, set_to
    return "", None, None


def _pump(text: str) -> Mismatch:
    return Mismatch("C5", "pump-order-mismatch", "stop", text)


def unit(
    told: Fraction | None,
    expected: Fraction | None,
    limits: Limits,
    *,
    weight: Quantity | None = None,
    per: Quantity | None = None,
) -> Mismatch | None:
    """C11: a number that differs from the one expected by just what a mistaken unit makes: per kg, by volume, ug, salt."""
    if not told or not expected or told == expected:
        return None
    kilograms, strength = measures.kilograms(weight), measures.concentration(per)
    for factor, what in (
        (kilograms, "an amount per kg and an amount"),
        (strength if strength != 1 else None, "mL and mg"),
        (Fraction(1000), "ug and mg"),
        (Fraction(limits.hydrochloride), "hydrochloride and base"),
    ):
        for ratio in (told / expected, expected / told):
            if factor and abs(ratio - factor) * 100 <= factor * Fraction(limits.unit_margin):
                text = f"{rounded(told)} is told where {rounded(expected)} is expected: {what} mistaken for each other?"
                return Mismatch("C11", "unit-suspect", "stop", text)
    return None


STRENGTHS = (Fraction(10), Fraction(50), Fraction(100))
"""mg of ketamine base in 1 mL of the products sold."""


def base_strength(told: Quantity | None, limits: Limits) -> tuple[Fraction | None, Mismatch | None]:
    """C11: a strength as base in mg/mL. One that is a product's strength as hydrochloride is told as such, with the base."""
    strength = measures.concentration(told)
    for base in STRENGTHS:
        salt = base * Fraction(limits.hydrochloride)
        if strength is not None and abs(strength - salt) * 1000 <= salt:
            text = f"{rounded(strength)} mg/mL is {rounded(base)} mg/mL of base told as hydrochloride"
            return base, Mismatch("C11", "unit-suspect", "stop", text)
    return strength, None


def highest_rate(
    rate: Rate | Quantity | None,
    ordered: Rate | Quantity | None,
    limits: Limits,
    *,
    weight: Quantity | None = None,
    per: Quantity | None = None,
) -> Mismatch | None:
    """C12: a rate against the highest that the order allows, and that the site allows."""
    told = measures.millilitres_per_hour(rate, weight, per)
    for name, one, top in (
        ("order", told, measures.millilitres_per_hour(ordered, weight, per)),
        ("site", told, Fraction(limits.rate_max)),
    ):
        if one is not None and top is not None and one > top:
            return Mismatch(
                "C12", "rate-over-max", "stop", f"{rounded(one)} mL/h, the {name} allows {rounded(top)} mL/h"
            )
    drug = measures.milligrams_per_hour(rate, weight, per)
    allowed = measures.milligrams_per_hour(ordered, weight, per)
    if told is None and drug is not None and allowed is not None and drug > allowed:
        text = f"{rounded(drug)} mg/h, the order allows {rounded(allowed)} mg/h"
        return Mismatch("C12", "rate-over-max", "stop", text)
    return None


def clock(device: Time, receipt: Time, limits: Limits) -> Mismatch | None:
    """C13: the clock of a device against the time of receipt, or an event against the message that tells it."""
    skew = Fraction(device.at - receipt.at)
    if abs(skew) <= Fraction(limits.clock_skew) * 60:
        return None
    text = f"the sender says {device.iso}, told at {receipt.iso}: {rounded(abs(skew) / 60)} min apart"
    return Mismatch("C13", "clock-skew", "warning", text)


def _percent(value: Fraction, reference: Fraction) -> str:
    share = round((value - reference) / reference * 100, 2)
    return f"{'+' if share > 0 else ''}{rounded(share)} %"


def _graded(
    check: str, code: str, value: Fraction, reference: Fraction, ok: Decimal, stop: Decimal, text: str
) -> Mismatch | None:
    """By the share of the reference that two numbers differ: nothing, a warning, or a stop."""
    off = abs(value - reference) * 100
    if off <= reference * Fraction(ok):
        return None
    return Mismatch(check, code, "stop" if off > reference * Fraction(stop) else "warning", text)
