"""The primitive types of FHIR R4 (datatypes.html): each a function from a JSON value to what is wrong with it, or ""."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

Primitive = Callable[[Any], str]
_MOST_TEXT = 1024 * 1024
_DATE = re.compile(r"([1-9]\d{3}|0\d{3})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?")
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_OFFSET = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_CLOCK = re.compile(f"T{_TIME}{_OFFSET}")
_PATTERNS = {
    "code": r"\S+( \S+)*",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "uri": r"\S+",
    "url": r"\S+",
    "canonical": r"\S+",
    "oid": r"urn:oid:[0-2](\.(0|[1-9]\d*))+",
    "uuid": r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time": _TIME,
    "base64Binary": r"\s*([0-9a-zA-Z+/=]\s*){4,}",
}


def _text(value: Any) -> str:
    if type(value) is str:
        return "" if value and len(value) <= _MOST_TEXT and not value.isspace() else "is empty"
    return "must be a text"


def _boolean(value: Any) -> str:
    return "" if value is True or value is False else "must be true or false"


def _decimal(value: Any) -> str:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return ""
    return "must be a number"


def _integer(low: int) -> Primitive:
    def check(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return "must be a whole number"
        if isinstance(value, Decimal) and value.as_tuple().exponent != 0:
            return "must be a whole number"
        return "" if low <= value < 2**31 else f"must be a whole number from {low} to {2**31 - 1}"

    return check


def _pattern(name: str) -> Primitive:
    matches = re.compile(_PATTERNS[name], re.ASCII).fullmatch  # what no other validator takes for white space is none

    def check(value: Any) -> str:
        if type(value) is not str:
            return "must be a text"
        return "" if matches(value) else f"is no {name}"

    return check


def _date(value: Any) -> str:
    if type(value) is not str:
        return "must be a text"
    match = _DATE.fullmatch(value)
    if match is None:
        return "is no date: YYYY, YYYY-MM or YYYY-MM-DD"
    return "" if match[3] is None or _exists(match) else "is no day of the calendar"


def _exists(match: re.Match[str]) -> bool:
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return False
    return True


def _date_time(value: Any) -> str:
    if type(value) is str and len(value) > 10:
        return _instant(value)
    return _date(value)


def _instant(value: Any) -> str:
    if type(value) is not str:
        return "must be a text"
    if len(value) < 20 or _CLOCK.fullmatch(value, 10) is None:
        return "is no time with seconds and offset: YYYY-MM-DDThh:mm:ss+zz:zz"
    return _date(value[:10])


PRIMITIVES: dict[str, Primitive] = {
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer(-(2**31)),
    "positiveInt": _integer(1),
    "unsignedInt": _integer(0),
    "string": _text,
    "markdown": _text,
    "xhtml": _text,
    "date": _date,
    "dateTime": _date_time,
    "instant": _instant,
    **{name: _pattern(name) for name in _PATTERNS},
}
