"""JSON written without orjson, for a command that writes one Bundle and ends: loading orjson takes longer than that.

Byte for byte what `fhir.json` writes with orjson, at a tenth of its speed; a test holds it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from _json import encode_basestring as _quoted  # the package json would load its reader too
except ImportError:  # a Python built without it
    from json.encoder import py_encode_basestring as _quoted


class Written:
    """A part of a document that can be written without being made: `write(told)` is its JSON text, `make(told)` what it is, for
    who looks into it."""

    __slots__ = ("make", "told", "write")

    def __init__(self, write: Callable[[Any], str], make: Callable[[Any], Any], told: Any) -> None:
        self.write, self.make, self.told = write, make, told


def text_of(value: Any) -> str:
    """The JSON text of a value. Raises TypeError for what JSON cannot hold."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(key)}:{text_of(part)}" for key, part in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([text_of(part) for part in value]) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return str(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Written):
        return value.write(value.told)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def decimal_text(number: Decimal) -> str:
    """The lexical form of a decimal: as read, and without an exponent where none was read.

    Raises TypeError for NaN and the infinities, which JSON does not have.
    """
    if type(number) is not Decimal:
        kept: str = getattr(number, "text", "")
        if kept:
            return kept
    text = str(number)
    if text.isdigit():
        return text
    if not number.is_finite():
        raise TypeError(f"{number} is no JSON number")
    return format(number, "f") if "E" in text else text
