"""The elements inside a resource, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def inside(value: Any) -> Iterator[Json]:
    """A resource and all elements within it, outer ones first."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from inside(one)
    elif isinstance(value, list):
        for one in value:
            yield from inside(one)


def references(value: Any) -> Iterator[str]:
    """Every Reference.reference inside a resource, as it stands."""
    for one in inside(value):
        reference = one.get("reference")
        if isinstance(reference, str):
            yield reference
