"""Fixed values, patterns and the discriminators of slices (R4 profiling.html#discriminator)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ketafhir.fhir.profile.compiler import Node

Match = Callable[[Any], bool]


def equal(value: Any, wanted: Any) -> bool:
    """Whether a value is that of fixed[x]: the same, and nothing beside it."""
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(equal(value[k], wanted[k]) for k in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and len(value) == len(wanted) and all(map(equal, value, wanted))
    return _same(value, wanted)


def has_pattern(value: Any, wanted: Any) -> bool:
    """Whether a value has all that pattern[x] has; it may have more."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(k in value and has_pattern(value[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(has_pattern(one, need) for one in value) for need in wanted)
    return _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, (int, Decimal)):
        return isinstance(value, (int, Decimal)) and value == wanted
    return bool(value == wanted)


def matcher(node: Node, by: Iterable[Iterable[str]]) -> Match:
    """Whether a value belongs to a slice, by the discriminators of its element."""
    tests = [test for kind, path in by for test in [_test(node, kind, path)] if test is not None]

    def match(value: Any) -> bool:
        return all(test(value) for test in tests)

    return match if tests else lambda value: False


def _test(node: Node, kind: str, path: str) -> Match | None:
    if kind not in ("value", "pattern"):
        return None
    steps = [] if path == "$this" else path.split(".")
    wanted = list(_wanted(node, steps))
    if path == "url" and not wanted:
        wanted = [("fixed", url) for kind_ in node.rules.get("types", ()) for url in kind_.get("profiles", ())]
    if not wanted:
        return None

    def test(value: Any) -> bool:
        found = list(_values(value, steps))
        return all(
            any(equal(one, want) if how == "fixed" else has_pattern(one, want) for one in found) for how, want in wanted
        )

    return test


def _wanted(node: Node, steps: list[str]) -> Iterator[tuple[str, Any]]:
    """The fixed values and patterns that a slice sets at a path, itself or in what it slices on the way."""
    if not steps:
        for how in ("fixed", "pattern"):
            if how in node.rules:
                yield how, node.rules[how]
        # A concept may be set by its coding, an identifier by its parts.
        if not {"fixed", "pattern"} & node.rules.keys():
            for name, child in node.children.items():
                for _, want in _wanted(child, []):
                    yield "pattern", {name: [want] if child.rules["max"] != "1" else want}
        return
    below = node.children.get(steps[0])
    if below is None:
        if "pattern" in node.rules:
            yield from (("pattern", one) for one in _values(node.rules["pattern"], steps))
        return
    yield from _wanted(below, steps[1:])
    for one in below.slices.values():
        yield from _wanted(one, steps[1:])


def _values(value: Any, steps: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _values(one, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from _values(value[steps[0]], steps[1:])
