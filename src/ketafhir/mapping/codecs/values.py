"""OBX-2, OBX-5 and OBX-6 <-> Observation.value[x] (v2-to-FHIR guide, OBX[Observation]; chapter 2A for the types)."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.codecs.coded import (
    coding_json,
    concept_json,
    read_coding,
    read_concept,
    read_cwe,
    write_cwe,
)
from ketafhir.mapping.codecs.numbers import (
    number_of,
    number_text,
    quantity_json,
    read_number,
    read_quantity,
    read_unit,
    write_unit,
)
from ketafhir.mapping.codecs.times import (
    dtm_beside,
    period_json,
    read_dtm,
    read_iso,
    read_period,
    write_dtm,
)
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
        c.warn("unit-unknown", "the unit is not understood: kept as sent, without a UCUM code", sent, "send UCUM")
        return Quantity(value, "", sent)
    return Quantity(value, found.ucum, display)


class ObservationValue(Codec):
    """The value of an OBX by its type. What the value does not say itself (CE for CWE, the unit's spelling, a leading zero) is
    preserved, and `as_sent` gives it back while the value is still the one it was sent with.
    """

    cells = 3
    fhir_type = "value[x]"
    companion = True

    def from_v2(self, c: Context, *cells: str) -> Value | None:
        kind, text, unit = cells
        if not text or text.isspace():
            if kind:
                c.keep("", kind)
            if unit:
                c.preserved.append(("OBX-6", unit))
            return None
        if kind in ("NM", "SN"):
            return self._number(kind, text, unit, c)
        if unit:
            c.preserved.append(("OBX-6", unit))
        usual = "ST"
        value: Value | None
        if kind in _CODES:
            usual = "CWE"
            value = self._coded(text, c)
        elif kind in _TIMES:
            usual = "DTM" if kind != "DT" else "DT"
            value = read_dtm(text, c)
        elif kind in _TEXTS:
            value = "\n".join(unescape(part) for part in text.split("~"))
            if value.isspace():  # repetitions of nothing
                return None
            if "~" in text:
                c.preserved.append(("OBX-5[*]", "~"))
        else:
            c.warn("value-type", f"values of type {kind or '(none)'} are kept as text", text[:60])
            value = text
        if kind != usual:
            c.keep("", kind)
        return value

    @staticmethod
    def _coded(text: str, c: Context) -> Coded | None:
        first, _, more = text.partition("~")
        before = len(c.preserved)
        value = read_cwe(first, c)
        for place in range(before, len(c.preserved)):  # read_cwe speaks of the first cell of the row
            where, part = c.preserved[place]
            c.preserved[place] = (where.replace("OBX-2", "OBX-5", 1), part)
        for number, rest in enumerate(more.split("~") if more else (), 2):
            c.preserved.append((f"OBX-5[{number}]", rest))
        return value

    @staticmethod
    def _number(kind: str, text: str, unit: str, c: Context) -> Value | None:
        value = soft_quantity(text, unit, c) if kind == "NM" else _structured(text, unit, c)
        if value is None:  # no usual form: the raw text, which goes back as it is
            c.keep("", kind)
            if unit:
                c.preserved.append(("OBX-6", unit))
            return text
        if isinstance(value, Quantity):
            if kind == "NM" and number_text(value.value) != text:
                c.preserved.append(("OBX-5", text))
            if unit and write_unit(value) != unit:
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
            return "Period", period_json(value)
        return "String", value

    def from_fhir(self, c: Context, json: Any) -> Value | None:
        (kind, body), beside = json
        if kind == "Quantity":
            return read_quantity(body, strict=False)
        if kind == "CodeableConcept":
            return read_concept(body)
        if kind == "Range":
            ends = [read_quantity(body[end], strict=False) if end in body else None for end in ("low", "high")]
            return Range(*ends)
        if kind == "Ratio":
            return Ratio(
                read_quantity(body["numerator"], strict=False),
                read_quantity(body["denominator"], strict=False),
            )
        if kind == "DateTime":
            return read_iso(body, beside, c)
        if kind == "Period":
            return read_period(body, c)
        if kind in ("String", "Time"):
            return str(body)
        if kind in ("Integer", "Decimal"):
            return Quantity(number_of(body))
        if kind == "Boolean":
            return "true" if body else "false"
        raise Unreadable(
            "value-type", f"a value of type {kind} is not read", hint="send Quantity, CodeableConcept, ..."
        )

    def beside(self, value: Any) -> dict[str, Any] | None:
        """The companion of valueDateTime, or None."""
        return dtm_beside(value) if isinstance(value, Time) else None


class Answer(ObservationValue):
    """The value of an OBX that answers a question <-> QuestionnaireResponse.item.answer.value[x].

    A code is a Coding, a number without unit (or of a score) an integer or decimal.
    """

    def from_v2(self, c: Context, *cells: str) -> Value | None:
        value = super().from_v2(c, *cells)
        if isinstance(value, Coded) and value.codings:
            value = Coded(value.codings[:1])
            first = cells[1].partition("~")[0]
            if write_cwe(value) != first:
                c.preserved.append(("OBX-5", first))
        elif isinstance(value, Quantity) and value.unit == _SCORE and not value.comparator:
            if write_unit(value) == cells[2]:
                c.preserved.append(("OBX-6", cells[2]))
            value = Quantity(value.value)
        return value

    def to_fhir(self, c: Context, value: Any) -> tuple[str, Any]:
        if isinstance(value, Coded):
            return ("Coding", coding_json(value.codings[0])) if value.codings else ("String", value.text)
        if isinstance(value, Quantity) and not (value.unit or value.display or value.comparator):
            whole = value.value.as_tuple().exponent == 0 and abs(value.value) <= _LARGEST
            return ("Integer", int(value.value)) if whole else ("Decimal", value.value)
        if isinstance(value, Range | Ratio | Period):
            return "String", " ".join(part for part in self.to_v2(c, value)[1:] if part)
        return super().to_fhir(c, value)

    def from_fhir(self, c: Context, json: Any) -> Value | None:
        kind, body = json[0]
        if kind == "Coding":
            if body.get("code"):
                return Coded((read_coding(body),))
            return str(body["display"]) if body.get("display") else None
        if kind == "Date":
            return read_iso(body, json[1], c)
        return super().from_fhir(c, json)


_SCORE = "{score}"
_LARGEST = 2**31 - 1  # of a FHIR integer


def as_sent(cells: dict[int, str], value: Any, preserved: tuple[tuple[str, str], ...]) -> Any:
    """Give OBX-2, OBX-5 and OBX-6 back as they were sent, as far as that still says `value`; gives the rest of `preserved`.

    An element that was changed on the FHIR side is never overwritten by what was sent before.
    """
    kept = []
    lines = False
    kind = next((text for place, text in preserved if place == "OBX-2"), None)
    for place, text in preserved:
        if place == "OBX-5[*]":
            lines = isinstance(value, str)
        elif place[:5] in ("OBX-5", "OBX-6", "OBX-2") and place[5:6] in ("", "[", "."):
            if _still(place, text, value, kind):
                kept.append((place, text))
        else:
            kept.append((place, text))
    if lines:
        cells[5] = "~".join(escape(part) for part in value.split("\n"))
    if kind == "SN" and isinstance(value, Quantity) and not value.comparator:
        cells[5] = "^" + cells[5]
    elif isinstance(value, str) and _is_raw(kind, value):
        cells[5] = value
    return tuple(kept)


def _is_raw(kind: str | None, value: str) -> bool:
    """Whether a text is the raw cell of a type that is not read."""
    if kind is None or kind in _TEXTS or kind in _CODES or kind in _TIMES:
        return False
    return not any(mark in value for mark in "|\r\n")


def _still(place: str, text: str, value: Any, kind: str | None) -> bool:
    """Whether a preserved part of OBX-2, OBX-5 or OBX-6 still belongs to the value."""
    if value is None:
        return True
    if place == "OBX-2":
        if isinstance(value, Quantity):
            return text == "SN" and not value.comparator
        if isinstance(value, str):
            return text in _TEXTS or text in _CODES or _is_raw(text, value)
        return text in (_CODES if isinstance(value, Coded) else _TIMES if isinstance(value, Time) else ())
    if place == "OBX-6":
        if not isinstance(value, Quantity):
            return not isinstance(value, Range)
        found, display, sent = read_unit(text)
        if found is None:
            return not value.unit and value.display == sent
        return (found.ucum, display) == (value.unit, value.display) or (not value.unit and found.ucum == _SCORE)
    if isinstance(value, Quantity):
        if place == "OBX-5.1":
            return kind == "SN" and not value.comparator
        return place == "OBX-5" and number_text(value.value) == _digits(text)
    if isinstance(value, Ratio):
        return place == "OBX-5.3"
    if isinstance(value, Coded):
        first = text.split("^")
        return place != "OBX-5" or (bool(value.codings) and unescape(first[0]) == value.codings[0].code)
    return False


def _digits(text: str) -> str:
    try:
        return number_text(read_number(text))
    except Unreadable:
        return ""


def _structured(text: str, unit: str, c: Context) -> Value | None:
    """SN: comparator, number, separator, number (chapter 2A.70). None for what is none of the usual forms."""
    comparator, first, separator, second = [*(unescape(part) for part in text.split("^")), "", "", "", ""][:4]
    if first and not separator and comparator in ("", "=", "<", "<=", ">", ">="):
        value = soft_quantity(first, unit, c)
        if comparator in ("", "="):
            c.keep("", "SN")
            if comparator:
                c.preserved.append(("OBX-5.1", comparator))
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
    return None
