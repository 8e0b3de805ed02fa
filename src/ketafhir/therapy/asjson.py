"""Records as JSON and back: what `--to therapy` prints and the store keeps.

A dataclass is an object of its fields that say anything; a field of several types carries its type in `type`. Decimals and
times are texts, exactly as in the record.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, MutableMapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from ketafhir.therapy import records, values
from ketafhir.therapy.fold import History
from ketafhir.therapy.lifecycle import order_of

_EMPTY: tuple[Any, ...] = (None, "", (), [], {}, False)


def dump(value: Any, *, typed: bool = False) -> Any:
    """JSON of a record, value or container of these."""
    kind: Any = type(value)
    if kind is str or value is None:  # most of what there is
        return value
    if _is_record(kind):
        json: dict[str, Any] = {"type": kind.__name__} if typed else {}
        _dumper(kind)(value, json)
        return json
    if isinstance(value, (tuple, list)):
        return [dump(one) for one in value]
    if isinstance(value, dict):
        return {key: dump(one) for key, one in value.items()}
    if isinstance(value, Decimal):
        return str(value)
    return value


@cache
def _dumper(kind: type) -> Callable[[Any, dict[str, Any]], None]:
    """Puts the fields of a record that say anything into JSON: a compiled function, since every message has hundreds of them."""
    scope: dict[str, Any] = {"_dump": dump, "_says": _says}
    lines = []
    for number, (name, several, default) in enumerate(_plan(kind)):
        scope[f"_{number}"] = default
        lines += [
            f"one = value.{name}",
            f"if one is not _{number}:",
            " if one.__class__ is str:",
            f"  if one != _{number}: json[{name!r}] = one",
            f" elif _says(one, _{number}): json[{name!r}] = _dump(one, typed={several})",
        ]
    exec("\n ".join(["def dumped(value, json):", *(lines or ["pass"])]), scope)  # noqa: S102  # made of names of fields
    return scope["dumped"]  # type: ignore[no-any-return]


def _says(one: Any, default: Any) -> bool:
    return one != default or (one not in _EMPTY and default in _EMPTY)


@cache
def _is_record(kind: type) -> bool:
    return is_dataclass(kind)


@cache
def _plan(kind: type) -> tuple[tuple[str, bool, Any], ...]:
    """Field names, whether the type must be told, and the default."""
    told = hints(kind)
    made = kind() if all(_optional(part) for part in fields(kind)) else None
    return tuple(
        (
            part.name,
            _several(told[part.name]),
            getattr(made, part.name) if made is not None else _default(part),
        )
        for part in fields(kind)
    )


def _optional(part: Any) -> bool:
    from dataclasses import MISSING

    return part.default is not MISSING or part.default_factory is not MISSING


def _default(part: Any) -> Any:
    return part.default if _optional(part) else None


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, resolved."""
    return get_type_hints(kind, {**vars(values), **vars(records), **vars(sys.modules[kind.__module__])})


def _classes(hint: Any) -> list[Any]:
    """The types a hint allows, without None."""
    if get_origin(hint) in (Union, types.UnionType):
        return [one for one in get_args(hint) if one is not type(None)]
    return [hint]


def _several(hint: Any) -> bool:
    return sum(1 for one in _classes(hint) if is_dataclass(one)) > 1


def load(kind: Any, json: Any) -> Any:
    """The value of type `kind` that `dump` wrote. Raises KeyError, TypeError or ValueError for what it did not write."""
    return None if json is None else _loader(kind)(json)


@cache
def _loader(hint: Any) -> Callable[[Any], Any]:
    """What loads a value of this type from JSON that is not null."""
    kind, *others = _classes(hint)
    if others:
        return _one_of([one for one in (kind, *others) if is_dataclass(one)])
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return lambda json: tuple([load(inner[0], one) for one in json])
    if origin is tuple:
        return lambda json: tuple([load(part, one) for part, one in zip(inner, json, strict=True)])
    if origin in (dict, MutableMapping):
        return lambda json: {key: load(inner[1], one) for key, one in json.items()}
    if kind is Decimal:
        return Decimal
    return _record(kind) if is_dataclass(kind) else lambda json: json


def _one_of(kinds: list[Any]) -> Callable[[Any], Any]:
    """One of several classes, told by `type`; what is no object stays as it is."""

    def loaded(json: Any) -> Any:
        if not isinstance(json, dict):
            return json
        name = json.get("type")
        return load(next(one for one in kinds if len(kinds) == 1 or one.__name__ == name), json)

    return loaded


def _record(kind: Any) -> Callable[[Any], Any]:
    told = hints(kind)
    return lambda json: kind(**{key: load(told[key], one) for key, one in json.items() if key != "type" or key in told})


def dump_history(history: History) -> Any:
    """A history for the store."""
    return dump(history)


def load_history(json: Any) -> History:
    """A history from the store."""
    found: History = load(History, json)
    for key in found.orders:  # of a store that was written before this index was
        if key not in found.ordered.get(order_of(key), ()):
            found.ordered[order_of(key)] = (*found.ordered.get(order_of(key), ()), key)
    return found
