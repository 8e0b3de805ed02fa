"""Times as letter and whole number (chapter 4A: M40, H1), and durations: <-> Timing.repeat, Duration."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ketafhir.mapping.codecs.base import Codec, unescape
from ketafhir.mapping.codecs.numbers import (
    number_of,
    number_text,
    quantity_json,
    read_number,
    read_quantity,
    read_unit,
    unit_unknown,
    write_unit,
)
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.patterns import pattern
from ketafhir.therapy.values import Quantity

TIME_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
INTERVAL = pattern(r"([SMHDWL])([1-9]\d*)", re.ASCII)


def read_interval(text: str) -> Quantity:
    """A time as letter and whole number: M40 is 40 min. Raises Unreadable."""
    match = INTERVAL.fullmatch(unescape(text))
    if not match:
        raise Unreadable(
            "interval-unreadable", "not S, M, H, D, W or L and a whole number", text, "send for example M40", "102"
        )
    return Quantity(Decimal(match[2]), TIME_UNITS[match[1]])


def write_interval(time: Quantity) -> str:
    """A time as letter and whole number: 40 min is M40, 1.5 h is M90; "" where it is no whole number of any unit."""
    from fractions import Fraction

    for letter, unit in TIME_UNITS.items():
        if unit == time.unit and time.value > 0 and time.value == time.value.to_integral_value():
            return f"{letter}{int(time.value)}"
    if time.unit not in SECONDS or time.value <= 0:
        return ""
    seconds = Fraction(time.value) * SECONDS[time.unit]
    for letter, unit in (("H", "h"), ("M", "min"), ("S", "s")):
        number = seconds / SECONDS[unit]
        if number.denominator == 1:
            return f"{letter}{number.numerator}"
    return ""


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
            raise unit_unknown(sent, frozenset({"time"}))
        return Quantity(read_number(number), found.ucum, display)

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        return (f"{number_text(value.value)}^{write_unit(value).replace('^', '&')}",)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        return quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        return read_quantity(json)
