"""Numbers and units as both sides write them: number and unit cells, FHIR Quantity (chapter 2A, NM and CWE; UCUM).

An amount whose unit is not understood is refused, not copied: it would reach a patient as a dose.
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from math import isfinite
from typing import TYPE_CHECKING, Any

from ketafhir.mapping import units
from ketafhir.mapping.codecs.base import escape, join, unescape
from ketafhir.mapping.context import Unreadable
from ketafhir.patterns import pattern
from ketafhir.therapy.values import Quantity

if TYPE_CHECKING:
    from fractions import Fraction

_NUMBER = pattern(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
UCUM_SYSTEM = "http://unitsofmeasure.org"


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
            raise unit_unknown(code or display, units.AMOUNTS | {"rate"})
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


def unit_unknown(sent: str, kinds: frozenset[str]) -> Unreadable:
    return Unreadable(
        "unit-unknown", "the unit is not understood", sent, f"send UCUM: {units.alternatives(kinds)}", "103"
    )
