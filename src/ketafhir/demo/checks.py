"""Holds what a server has against what a story expects, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ketafhir.demo.numbers import one_decimal
from ketafhir.demo.view import View

NOT_CHECKED = ("story", "title")
_MISSING = object()


class Difference(NamedTuple):
    """One value that is not as it should be; `where` names it as `expect.json` does
    (`B infusion.delivered_ml`).
    """

    where: str
    expected: str
    found: str

    def line(self) -> str:
        """The difference on one line."""
        return f"{self.where}: expected {self.expected}, the server has {self.found}"


class Compared(NamedTuple):
    """How many single values were held against each other, and those that differ."""

    values: int
    differences: list[Difference]


def against_story(name: str, expected: dict[str, Any], view: View) -> Compared:
    """A view against an `expect.json`.

    A key that a view does not have is a difference: it would never be checked.
    """
    found = asdict(view)
    told = {key: value for key, value in expected.items() if key not in NOT_CHECKED}
    marks = list(_compare(told, {key: found[key] for key in told if key in found}, ""))
    differences = [Difference(f"{name} {one.where}", one.expected, one.found) for one in marks if one]
    differences += [Difference(f"{name} {what}", "no more than one", "several") for what in view.extra]
    return Compared(len(marks), differences)


def sums(name: str, view: View) -> Compared:
    """What must be true of any infusion, whatever a story says: its parts make up its whole."""
    infusion, order, waste = view.infusion, view.order, view.waste
    if infusion is None:
        return Compared(0, [])
    pairs = [
        (
            "infusion.parent_mg (the parent's own total, against its segments)",
            infusion.delivered_mg,
            infusion.parent_mg,
        ),
        (
            "infusion.pump_volume_ml (the pump's volume, against the segments)",
            infusion.delivered_ml,
            infusion.pump_volume_ml,
        ),
    ]
    if order and waste and None not in (order.bag_mg, waste.mg, infusion.delivered_mg):
        whole = _plus(infusion.delivered_mg, waste.mg)
        pairs.append(("order.bag_mg (the bag, against delivered and wasted)", whole, order.bag_mg))
    wrong = [
        Difference(f"{name} {what}", _shown(expected), _shown(found))
        for what, expected, found in pairs
        if expected != found
    ]
    return Compared(len(pairs), wrong)


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal:
    assert one is not None
    assert other is not None
    return one + other


def _compare(expected: Any, found: Any, where: str) -> Iterator[Difference | None]:
    """One item for each single value: None where it agrees."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*expected, *found) if _is_count(expected) else expected):
            path = f"{where}.{key}" if where else str(key)
            yield from _compare(expected.get(key, 0), found.get(key, 0 if _is_count(expected) else _MISSING), path)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield Difference(where, f"{len(expected)} of them", f"{len(found)}: {_shown(found)}")
        for number, pair in enumerate(zip(expected, found, strict=False), 1):
            yield from _compare(*pair, f"{where}[{number}]")
    else:
        agrees = _same(expected, found)
        yield None if agrees else Difference(where, _shown(expected), _shown(found))


def _is_count(expected: dict[str, Any]) -> bool:
    """Counts by kind: a kind that is missing on one side is one of which there is none."""
    return bool(expected) and all(isinstance(value, int) for value in expected.values())


def _same(expected: Any, found: Any) -> bool:
    if expected is None or found is None or found is _MISSING:
        return expected is found
    if isinstance(found, (Decimal, int)):
        try:
            return Decimal(str(expected)) == found
        except InvalidOperation:
            return False
    instants = _instant(expected), _instant(found)
    if None not in instants:
        return instants[0] == instants[1]
    return bool(expected == found)


def _instant(text: Any) -> datetime | None:
    """A time with its offset; None for any other text."""
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "no such value (the key is unknown)"
    if value is None:
        return "none"
    if isinstance(value, Decimal):
        return one_decimal(value)
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value) or "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    return str(value)
