"""`Plain` classes behave as the slotted dataclasses they stand for."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from ketafhir.plain import Plain, copier, field


class Point(Plain):
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


class Named(Point):
    """A subclass without fields of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(1)
        self.name = name


def test_it_is_made_compared_and_shown_like_a_dataclass() -> None:
    one = Point(1, tags=["a"])
    assert (one.x, one.y, one.tags) == (1, 0, ["a"])
    assert one == Point(1, 0, ["a"])
    assert one != Point(2)
    assert one != (1, 0, ["a"])
    assert repr(one) == "Point(x=1, y=0, tags=['a'])"
    assert Point(1).tags is not Point(1).tags


def test_dataclasses_know_it() -> None:
    assert is_dataclass(Point)
    assert [part.name for part in fields(Point)] == ["x", "y", "tags"]
    assert replace(Point(1), y=5) == Point(1, 5)


def test_it_has_slots_and_no_hash() -> None:
    one: Any = Point(1)
    with pytest.raises(AttributeError):
        one.z = 1
    with pytest.raises(TypeError):
        hash(one)
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]  # x has no default


def test_a_subclass_keeps_its_own_init() -> None:
    first, second = Named("a"), Named("b")
    assert (first.x, first.name, second.name) == (1, "a", "b")
    assert Point(7).x == 7


def test_a_copier_copies_all_but_what_is_given() -> None:
    copy = copier(Point, "y", "x")
    one = Point(1, 2, ["a"])
    other = copy(one, 3, 4)
    assert (other, type(other)) == (Point(4, 3, ["a"]), Point)
    assert other.tags is one.tags
    assert one == Point(1, 2, ["a"])
