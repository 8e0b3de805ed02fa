"""FHIR JSON, read and written with every number as it stood.

`72.50` is read as `Decimal("72.50")` and written as `72.50` (FHIR R4, datatypes: a decimal keeps its
precision). Where a Decimal would be written differently from what was read (`1e5`, `0.0000001`), a
`Verbatim` keeps the text. Integers stay `int`; a `float` is never made.
"""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from ketafhir.errors import Refused, refused
from ketafhir.fhir.writer import Written, decimal_text, text_of
from ketafhir.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    import orjson

__all__ = ["Verbatim", "copied", "decimal_text", "dumps", "fragments", "loads"]

MAX_DEPTH = 200  # FHIR needs about 30 levels; the limit of the Python stack must not be what decides
MAX_DIGITS = 400  # of one number, written out; a short "1e999999999" would otherwise take a gigabyte

_first = iter((True, True))  # documents that are written before orjson is worth loading
_REMEDY = "send FHIR R4 JSON, for example a Bundle, in UTF-8"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")
_STRING = pattern(rb'"(?:[^"\\]|\\.)*"')
_SURROGATE = pattern(rb"\\u[dD][89a-fA-F]")


class Verbatim(Decimal):
    """A Decimal that remembers the text it was read from, where `str` of the number would differ."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Verbatim:
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __reduce__(self) -> tuple[type[Verbatim], tuple[str]]:
        return (Verbatim, (self.text,))

    def __copy__(self) -> Verbatim:
        return self

    def __deepcopy__(self, memo: Any) -> Verbatim:
        return self


def loads(data: bytes | str) -> Any:
    """The JSON value in `data` (UTF-8, a byte order mark is dropped), numbers as `int` and `Decimal`.

    Raises Refused (`json-charset`, `json-depth`, `json-syntax`, `json-number`, `json-duplicate-key`), with
    place and remedy for what is not JSON, and for JSON that two readers could understand differently.
    """
    import json

    text, raw = _text_and_bytes(data)
    if _too_deep(raw):
        raise refused("json-depth", f"nested more than {MAX_DEPTH} levels deep", hint=_REMEDY)
    try:
        value = json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise refused("json-syntax", f"not JSON: {error.msg}", where=place, hint=_REMEDY) from error
    if _SURROGATE.search(raw):
        _check_surrogates(value)
    return value


def dumps(value: Any, *, indent: bool = False) -> bytes:
    """`value` as UTF-8 JSON in the order of its keys, decimals verbatim; `indent` takes two spaces a level.

    Raises TypeError for what JSON cannot hold (NaN, keys that are no text, objects of other types).
    """
    if not indent and "orjson" not in sys.modules and next(_first, False):
        return _encoded(text_of(value))
    import orjson

    if indent:
        return orjson.dumps(copied(value), default=fragments(), option=orjson.OPT_INDENT_2)
    return orjson.dumps(value, default=fragments())


@cache
def fragments() -> Callable[[Any], orjson.Fragment]:
    """How orjson writes a decimal (as it was read) and what is `Written`. TypeError is raised for anything else."""
    from orjson import Fragment

    def fragment(value: Any) -> orjson.Fragment:
        if type(value) is Written:
            return Fragment(value.write(value.told))
        if type(value) is Decimal:
            text = str(value)
            return Fragment(text if text.isdigit() else decimal_text(value))
        if isinstance(value, Decimal):
            return Fragment(decimal_text(value))
        raise TypeError(f"{type(value).__name__} is no JSON value")

    return fragment


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise TypeError("str is not valid UTF-8: surrogates not allowed") from error


def copied(value: Any) -> Any:
    """A copy of JSON that shares no object or array with it, and of which no part is only `Written`."""
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, list):
        return [copied(part) for part in value]
    return copied(value.make(value.told)) if isinstance(value, Written) else value


def _text_and_bytes(data: bytes | str) -> tuple[str, bytes]:
    try:
        if isinstance(data, str):
            return data.removeprefix("\ufeff"), data.encode("utf-8")
        return data.decode("utf-8-sig"), data
    except UnicodeDecodeError as error:
        value = error.object[error.start : error.start + 1].hex()
        raise _charset(f"byte {error.start}", value) from error
    except UnicodeEncodeError as error:
        raise _charset(f"character {error.start}", "") from error


def _charset(where: str, value: str) -> Refused:
    return refused("json-charset", "not UTF-8", where=where, value=value, hint="FHIR JSON is always UTF-8")


def _check_surrogates(value: Any) -> None:
    """Refuses half of a surrogate pair written as an escape, which no UTF-8 text can hold."""
    try:
        dumps(value)
    except TypeError as error:
        raise _charset("", "half of a \\ud800 surrogate pair") from error


def _too_deep(raw: bytes) -> bool:
    """Whether containers nest deeper than MAX_DEPTH. Brackets inside texts only cost a second, exact look."""
    return _deeper(raw.translate(_ALL_SQUARE, _NOT_BRACKETS)) and _deeper(
        _STRING.sub(b"", raw).translate(_ALL_SQUARE, _NOT_BRACKETS)
    )


def _deeper(brackets: bytes) -> bool:
    """Peels the innermost pairs off, a level each time, at the speed of `replace`."""
    for peeled in range(MAX_DEPTH):
        rest = brackets.replace(b"[]", b"")
        if len(rest) == len(brackets):
            return peeled + rest.count(b"[") > MAX_DEPTH
        brackets = rest
    return bool(brackets)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise _too_long(text) from error
    if abs(number.adjusted()) + len(text) > MAX_DIGITS:
        raise _too_long(text)
    return number if str(number) == text and "E" not in text else Verbatim(text)


def _integer(text: str) -> int | Decimal:
    """An int, but where it would not come out as read: `-0`, or more than the 64 bits a JSON writer takes."""
    if len(text) < 19 and text != "-0":
        return int(text)
    if len(text) > MAX_DIGITS:
        raise _too_long(text)
    return Verbatim(text)


def _too_long(text: str) -> Refused:
    return refused("json-number", f"a number of more than {MAX_DIGITS} digits", value=text[:24])


def _no_constant(name: str) -> NoReturn:
    raise refused("json-number", "JSON has no such number", value=name, hint="leave the element out")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                break
            seen.add(key)
        kind = members.get("resourceType")
        raise refused(
            "json-duplicate-key",
            "the same member stands twice in one object" + (f" ({kind})" if isinstance(kind, str) else ""),
            value=key,
            hint="readers disagree on which of them counts: send one",
        )
    return members
