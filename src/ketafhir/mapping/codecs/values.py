"""OBX-2, OBX-5 and OBX-6 <-> Observation.value[x] (v2-to-FHIR guide, OBX[Observation]; chapter 2A for the types)."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.codecs.coded import concept_json, read_concept, read_cwe, write_cwe
from ketafhir.mapping.codecs.numbers import (
    number_text,
    quantity_json,
    read_number,
    read_quantity,
    read_unit,
    write_unit,
)
from ketafhir.mapping.codecs.times import read_dtm, read_iso, write_dtm
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Coded, Period, Quantity, Range, Ratio, Time, Value

_TEXTS = {"ST", "TX", "FT"}
_CODES = {"CWE", "CE", "CNE", "CF", "IS", "ID"}
_TIMES = {"DTM", "TS", "DT"}


def soft_quantity(number: str, unit: str, c: Context) -> Quantity:
    """A measured number: a unit that is not understood stays as sent, with a warning."""
    value = read_number(number)
    if not unit:
        return Quantity(value)
    found, display, sent = read_unit(unit)
    if found is None:
        c.warn(
            "unit-unknown", "the unit is not understood: kept as sent, without a UCUM code", sent, "send UCUM"
        )
        return Quantity(value, "", sent)
    return Quantity(value, found.ucum, display)


class ObservationValue(Codec):
    """The value of an OBX by its type. A type that is not the usual one of its value (CE, TX, ...) is preserved."""

    cells = 3
    fhir_type = "value[x]"

    def from_v2(self, c: Context, *cells: str) -> Value | None:
        kind, text, unit = cells
        if not text or text == '""':
            if kind:
                c.keep("", kind)
            return None
        if kind == "NM":
            return soft_quantity(text, unit, c)
        if kind == "SN":
            return _structured(text, unit, c)
        usual = "ST"
        value: Value | None
        if kind in _CODES:
            usual = "CWE"
            first, _, more = text.partition("~")
            for place, rest in enumerate(more.split("~") if more else (), 2):
                c.preserved.append((f"OBX-5[{place}]", rest))
            value = read_cwe(first, c)
        elif kind in _TIMES:
            usual = "DTM" if kind != "DT" else "DT"
            value = read_dtm(text, c)
        elif kind in _TEXTS:
            value = "\n".join(unescape(part) for part in text.split("~"))
        else:
            c.warn(
                "value-type",
                f"values of type {kind or '(none)'} are kept as text",
                text if len(text) < 60 else "",
            )
            value = text
        if kind != usual:
            c.keep("", kind)
        if unit:
            c.preserved.append(("OBX-6", unit))
        return value

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        if isinstance(value, Quantity):
            if value.comparator:
                return "SN", f"{value.comparator}^{number_text(value.value)}", write_unit(value)
            return "NM", number_text(value.value), write_unit(value)
        if isinstance(value, Coded):
            return "CWE", write_cwe(value), ""
        if isinstance(value, Range):
            low, high = value.low, value.high
            ends = ["" if end is None else number_text(end.value) for end in (low, high)]
            return (
                "SN",
                join(["", ends[0], "-", ends[1]]),
                write_unit(low or high or Quantity(read_number("0"))),
            )
        if isinstance(value, Ratio):
            return (
                "SN",
                join(["", number_text(value.numerator.value), ":", number_text(value.denominator.value)]),
                "",
            )
        if isinstance(value, Time):
            return "DTM" if len(value.iso) > 10 else "DT", write_dtm(value), ""
        if isinstance(value, Period):
            ends = [write_dtm(end) if end else "" for end in (value.start, value.end)]
            return "DR", join(ends), ""
        return "ST", escape(value), ""

    def to_fhir(self, c: Context, value: Any) -> tuple[str, Any]:
        if isinstance(value, Quantity):
            return "Quantity", quantity_json(value)
        if isinstance(value, Coded):
            return "CodeableConcept", concept_json(value)
        if isinstance(value, Range):
            ends = (("low", value.low), ("high", value.high))
            return "Range", {name: quantity_json(end) for name, end in ends if end}
        if isinstance(value, Ratio):
            top, bottom = quantity_json(value.numerator), quantity_json(value.denominator)
            return "Ratio", {"numerator": top, "denominator": bottom}
        if isinstance(value, Time):
            return "DateTime", value.iso
        if isinstance(value, Period):
            halves = (("start", value.start), ("end", value.end))
            return "Period", {name: end.iso for name, end in halves if end}
        return "String", value

    def from_fhir(self, c: Context, json: Any) -> Value | None:
        kind, body = json
        if kind == "Quantity":
            return read_quantity(body, strict=False)
        if kind == "CodeableConcept":
            return read_concept(body)
        if kind == "Range":
            ends = [
                read_quantity(body[end], strict=False) if end in body else None for end in ("low", "high")
            ]
            return Range(*ends)
        if kind == "Ratio":
            return Ratio(
                read_quantity(body["numerator"], strict=False),
                read_quantity(body["denominator"], strict=False),
            )
        if kind == "DateTime":
            return read_iso(body, None, c)
        if kind == "Period":
            return Period(
                *(read_iso(body[end], None, c) if end in body else None for end in ("start", "end"))
            )
        if kind in ("String", "Time"):
            return str(body)
        if kind in ("Integer", "Decimal"):
            return Quantity(read_number(str(body)))
        if kind == "Boolean":
            return "true" if body else "false"
        raise Unreadable(
            "value-type", f"a value of type {kind} is not read", hint="send Quantity, CodeableConcept, ..."
        )


def _structured(text: str, unit: str, c: Context) -> Value:
    """SN: comparator, number, separator, number (chapter 2A.70)."""
    comparator, first, separator, second = [*(unescape(part) for part in text.split("^")), "", "", "", ""][:4]
    if first and not separator and comparator in ("", "=", "<", "<=", ">", ">="):
        value = soft_quantity(first, unit, c)
        if comparator in ("", "="):
            c.keep("", "SN")
        else:
            value.comparator = comparator
        return value
    if separator == "-" and not comparator:
        low = soft_quantity(first, unit, c) if first else None
        return Range(low, soft_quantity(second, unit, c) if second else None)
    if separator in (":", "/") and first and second and not comparator and not unit:
        if separator == "/":
            c.preserved.append(("OBX-5.3", "/"))
        return Ratio(Quantity(read_number(first)), Quantity(read_number(second)))
    c.keep("", "SN")
    c.preserved.append(("OBX-5", text))
    if unit:
        c.preserved.append(("OBX-6", unit))
    return " ".join(part for part in (comparator, first, separator, second) if part)
