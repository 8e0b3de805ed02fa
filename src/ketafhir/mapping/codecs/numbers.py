"""Amounts, rates and durations: number and unit cells <-> Quantity, Ratio (chapter 4A; UCUM).

A unit that is a rate is never an amount, and an amount whose unit is not understood is refused, not copied: both would
reach a patient as a dose.
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from math import isfinite
from typing import TYPE_CHECKING, Any

from ketafhir.mapping import units
from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.patterns import pattern
from ketafhir.therapy.values import Quantity, Rate

if TYPE_CHECKING:
    from fractions import Fraction

_NUMBER = pattern(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
UNKNOWN_AMOUNT = "999"  # HL7 v2 chapter 4A, RXA-6: "if the amount is not known, 999"
_TIME_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_INTERVAL = pattern(r"([SMHDWL])([1-9]\d*)", re.ASCII)


def read_number(text: str) -> Decimal:
    """A decimal with the digits as sent. HL7 NM allows a leading plus and a bare point; FHIR does not."""
    text = text.strip()
    if not _NUMBER.fullmatch(text) or len(text) > 60:
        raise Unreadable("number-unreadable", "not a number", text, "send digits with a decimal point", "102")
    text = text.lstrip("+")
    if text[0] == "." or text[:2] == "-.":
        text = text.replace(".", "0.", 1)
    text = text.rstrip(".") if text.endswith(".") else text
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text)
    whole, point, rest = digits.partition(".")
    return Decimal(sign + (whole.lstrip("0") or "0") + point + rest)


def read_amount(text: str) -> Decimal:
    """A number of a dose, a rate or a concentration: none is ever below zero. Raises Unreadable."""
    value = read_number(text)
    if value < 0:
        raise Unreadable("number-negative", "a dose or rate is never negative", text, "send the amount itself", "102")
    return value


def number_text(value: Decimal | int) -> str:
    """The digits of a number, never with an exponent."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def number_of(json: Any) -> Decimal:
    """A JSON number as Decimal."""
    if isinstance(json, float) and isfinite(json):
        return Decimal(repr(json))  # of a caller whose JSON reader made floats: the digits it shows
    if isinstance(json, bool) or not isinstance(json, (int, Decimal)):
        raise Unreadable("number-unreadable", "not a JSON number", str(json))
    return json if isinstance(json, Decimal) else Decimal(json)


def read_unit(text: str) -> tuple[units.Unit | None, str, str]:
    """The unit of a CWE (or bare text): (the unit or None, its display where it differs, the text as sent).

    Of the two triplets of a CWE the one that is UCUM counts, whichever stands first (IHE PCD sends both orders); two that say
    different units say none.
    """
    if "^" not in text:
        sent = unescape(text)
        found = units.find(sent)
        return found, sent if found and found.ucum != sent else "", sent
    parts = [unescape(part) for part in text.split("^")] + [""] * 6
    triplets = [(parts[0], parts[1], parts[2]), (parts[3], parts[4], parts[5])]
    triplets.sort(key=lambda one: one[2] not in ("UCUM", ""))
    known: list[tuple[units.Unit, str, str]] = []
    for code, display, _ in triplets:
        found = (units.find(code) if code else None) or (units.find(display) if display else None)
        if found:
            shown = display or code
            known.append((found, shown if shown != found.ucum else "", code or display))
    if known and all(one[0].ucum == known[0][0].ucum for one in known):
        return known[0]
    return None, "", next((part for part in parts if part), "") if not known else " or ".join(one[2] for one in known)


def write_unit(quantity: Quantity) -> str:
    """The unit as CWE: UCUM code, its display where it differs, and the system."""
    if not quantity.unit:
        return escape(quantity.display)
    return join([escape(quantity.unit), escape(quantity.display), "UCUM"])


def quantity_json(value: Quantity) -> dict[str, Any]:
    """Quantity: value, comparator, unit, and UCUM as system and code."""
    json: dict[str, Any] = {"value": value.value}
    if value.comparator:
        json["comparator"] = value.comparator
    if value.unit:
        json["unit"] = value.display or value.unit
        json["system"] = UCUM_SYSTEM
        json["code"] = value.unit
    elif value.display:
        json["unit"] = value.display
    return json


def read_quantity(json: Any, *, strict: bool = True) -> Quantity:
    """A FHIR Quantity. `strict`: its unit must be UCUM that the unit table knows (a dose, a rate)."""
    if not isinstance(json, dict) or "value" not in json:
        raise Unreadable("quantity-unreadable", "a Quantity without value", str(json))
    value = number_of(json["value"])
    code, display = str(json.get("code", "")), str(json.get("unit", ""))
    comparator = str(json.get("comparator", ""))
    if code and json.get("system", UCUM_SYSTEM) != UCUM_SYSTEM:
        code, display = "", display or code
    found = units.find(code) if code else units.find(display) if display else None
    if found is None:
        if strict and (code or display):
            raise _unit_unknown(code or display, units.AMOUNTS | {"rate"})
        return Quantity(value, code, display if display != code else "", comparator)
    return Quantity(value, found.ucum, display if display and display != found.ucum else "", comparator)


def read_exact(json: Any) -> Quantity:
    """The Quantity of a dose, a rate or one of its halves: a number that is not negative, with its unit. Raises Unreadable."""
    value = read_quantity(json)
    if value.comparator:
        raise Unreadable("dose-unreadable", "a dose or rate must be a number", f"{value.comparator}{json['value']}")
    if value.value and not value.unit:
        raise Unreadable(
            "dose-unreadable", "a dose or rate without UCUM unit", number_text(value.value),
            f"send UCUM: {units.alternatives(units.AMOUNTS)}", "101",
        )  # fmt: skip
    if value.value < 0:
        raise Unreadable("number-negative", "a dose or rate is never negative", number_text(value.value), hl7="102")
    return value


def _unit_unknown(sent: str, kinds: frozenset[str]) -> Unreadable:
    return Unreadable(
        "unit-unknown", "the unit is not understood", sent, f"send UCUM: {units.alternatives(kinds)}", "103"
    )


UCUM_SYSTEM = "http://unitsofmeasure.org"


class Amount(Codec):
    """Number and unit cells <-> Quantity, for a dose or volume: an amount of drug, never a rate.

    `vocab` names the kinds of unit taken, separated by blanks (default: those a drug is given in). 0 needs no unit;
    999 without unit says that the amount is not known (chapter 4A, RXA-6) and is no number.
    """

    cells = 2
    fhir_type = "Quantity"

    def __init__(self, vocab: str, maps: Any) -> None:
        super().__init__(vocab, maps)
        self.kinds = frozenset(vocab.split()) if vocab else units.AMOUNTS

    def from_v2(self, c: Context, *cells: str) -> Any:
        number, unit = cells
        if not number:
            return None
        value = read_amount(number)
        if not unit:
            if number == UNKNOWN_AMOUNT:
                return None
            if not value:
                return Quantity(value)
            raise Unreadable(
                "unit-missing",
                "an amount without unit",
                number,
                f"send UCUM: {units.alternatives(self.kinds)}",
                "101",
            )
        found, display, sent = read_unit(unit)
        self._check(found, sent)
        assert found is not None
        return Quantity(value, found.ucum, display)

    def _check(self, found: units.Unit | None, sent: str) -> None:
        if found is None:
            raise _unit_unknown(sent, self.kinds)
        if found.kind not in self.kinds:
            if found.kind == "rate":
                raise Unreadable(
                    "unit-is-rate", "the unit of an amount is a rate: it is not copied as a dose", sent,
                    f"send the amount ({found.amount}) with the time it goes over (a rate of {found.amount} per "
                    f"{found.per} is amount, unit {found.amount} and per-time {found.per[0].upper()}1)", "103",
                )  # fmt: skip
            raise Unreadable(
                "unit-wrong-kind", f"a unit of {found.kind}", sent,
                f"send one of {units.alternatives(self.kinds)}", "103",
            )  # fmt: skip

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        return number_text(value.value), write_unit(value)

    def to_fhir(self, c: Context, value: Any) -> Any:
        return quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Any:
        value = read_exact(json)
        if value.unit:
            self._check(units.find(value.unit), value.unit)
        return value


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
        if unit in _SECONDS and units.find(text) is not None:
            value = finite(Fraction(rate.amount.value) * _SECONDS[other] / (Fraction(rate.per.value) * _SECONDS[unit]))
            if value is not None:
                return Quantity(value, text)
    raise Unreadable(
        "rate-unreadable", "not a rate per one unit of time", f"{number_text(rate.per.value)} {rate.amount.unit}/{unit}"
    )


def finite(number: Fraction) -> Decimal | None:
    """The fraction as a decimal, where it is one."""
    rest = number.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return None
    with localcontext() as exact:
        exact.prec = 200
        return Decimal(number.numerator) / Decimal(number.denominator)


def read_ratio(kind: str, json: Any) -> Rate:
    """A FHIR rateRatio as amount per time."""
    if kind != "Ratio" or not isinstance(json, dict) or "numerator" not in json or "denominator" not in json:
        raise Unreadable("rate-unreadable", f"a rate of type {kind} is not read", hint="send rateRatio or rateQuantity")
    amount, per = read_exact(json["numerator"]), read_exact(json["denominator"])
    top, bottom = units.find(amount.unit), units.find(per.unit)
    if bottom is None or bottom.kind != "time" or per.value <= 0:
        raise Unreadable("rate-unreadable", "the denominator of a rate is no time", per.unit, "send h or min")
    if top is None or top.kind not in units.AMOUNTS:
        raise _unit_unknown(amount.unit, units.AMOUNTS)
    return Rate(amount, per)


class PerTime(Amount):
    """RXA-6 RXA-7 RXA-12 <-> rateRatio: the amount that goes over the time of RXA-12 (HL7 v2 chapter 4A, RXA-12).

    RXA-12 is S, M, H, D, W or L and a whole number. A whole rate in RXA-12 (54 mL/h) is a dialect a site must declare.
    """

    cells = 3
    fhir_type = "Ratio"

    def from_v2(self, c: Context, *cells: str) -> Rate | None:
        number, unit, interval = cells
        match = _INTERVAL.fullmatch(interval)
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
        return Rate(amount, Quantity(Decimal(match[2]), _TIME_UNITS[match[1]]))

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
            raise _unit_unknown(whole.unit, frozenset({"rate"}))
        return Rate(*split_rate(Rate(whole)))


def write_interval(time: Quantity) -> str:
    """A time as letter and whole number: 40 min is M40, 1.5 h is M90; "" where it is no whole number of any unit."""
    from fractions import Fraction

    for letter, unit in _TIME_UNITS.items():
        if unit == time.unit and time.value > 0 and time.value == time.value.to_integral_value():
            return f"{letter}{int(time.value)}"
    if time.unit not in _SECONDS or time.value <= 0:
        return ""
    seconds = Fraction(time.value) * _SECONDS[time.unit]
    for letter, unit in (("H", "h"), ("M", "min"), ("S", "s")):
        number = seconds / _SECONDS[unit]
        if number.denominator == 1:
            return f"{letter}{number.numerator}"
    return ""


def split_rate(rate: Rate) -> tuple[Quantity, Quantity]:
    """A rate as amount and time: mL/h is mL per 1 h."""
    if rate.per is not None:
        return rate.amount, rate.per
    found = units.find(rate.amount.unit)
    if found is None or not found.per:
        raise _unit_unknown(rate.amount.unit, frozenset({"rate"}))
    return Quantity(rate.amount.value, found.amount), Quantity(Decimal(1), found.per)


def read_interval(text: str) -> Quantity:
    """A time as letter and whole number: M40 is 40 min. Raises Unreadable."""
    match = _INTERVAL.fullmatch(unescape(text))
    if not match:
        raise Unreadable(
            "interval-unreadable", "not S, M, H, D, W or L and a whole number", text, "send for example M40", "102"
        )
    return Quantity(Decimal(match[2]), _TIME_UNITS[match[1]])


class Interval(Codec):
    """RXE-22: S, M, H, D, W or L and a number <-> how long (FHIR Timing.repeat.duration and durationUnit)."""

    fhir_type = "Timing"

    def from_v2(self, c: Context, *cells: str) -> Quantity:
        return read_interval(cells[0])

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        interval = write_interval(value)
        if not interval:
            raise Unreadable("interval-unwritable", "HL7v2 has no such interval", f"{value.value} {value.unit}")
        return (interval,)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        return {"duration": value.value, "durationUnit": value.unit}

    def from_fhir(self, c: Context, json: Any) -> Quantity | None:
        if not isinstance(json, dict) or "duration" not in json:
            return None
        return Quantity(number_of(json["duration"]), str(json.get("durationUnit", "")))


class Duration(Codec):
    """CQ (TQ1-6 service duration: 40^min) <-> Duration."""

    fhir_type = "Duration"

    def from_v2(self, c: Context, *cells: str) -> Quantity:
        number, _, unit = cells[0].partition("^")
        found, display, sent = read_unit(unit.replace("&", "^"))
        if found is None or found.kind != "time":
            raise _unit_unknown(sent, frozenset({"time"}))
        return Quantity(read_number(number), found.ucum, display)

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        return (f"{number_text(value.value)}^{write_unit(value).replace('^', '&')}",)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        return quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        return read_quantity(json)


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


class Concentration(Codec):
    """Number and unit cells (RXA-13/-14, RXE-25/-26: 1 mg/mL) <-> Ratio (1 mg in 1 mL)."""

    cells = 2
    fhir_type = "Ratio"
    _kinds = frozenset({"concentration"})

    def from_v2(self, c: Context, *cells: str) -> Quantity | None:
        number, unit = cells
        if not number:
            return None
        found, display, sent = read_unit(unit)
        if found is None or found.kind not in self._kinds:
            raise _unit_unknown(sent, self._kinds)
        return Quantity(read_amount(number), found.ucum, display)

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        return number_text(value.value), write_unit(value)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        mass, _, volume = value.unit.partition("/")
        one = Decimal(1)
        return {
            "numerator": quantity_json(Quantity(value.value, mass)),
            "denominator": quantity_json(Quantity(one, volume)),
        }

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        top = read_quantity(json.get("numerator") if isinstance(json, dict) else None)
        bottom = read_quantity(json.get("denominator"))
        text = f"{top.unit}/{bottom.unit}"
        found = units.find(text)
        if bottom.value != 1 or found is None or found.kind not in self._kinds:
            raise _unit_unknown(text, self._kinds)
        return Quantity(top.value, found.ucum)
