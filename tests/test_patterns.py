"""A pattern that is compiled late does what one compiled at once does."""

from __future__ import annotations

import re

import pytest

from ketafhir.patterns import pattern


def test_it_is_compiled_when_it_is_used_and_not_before() -> None:
    broken = pattern("(")
    late, early = pattern(r"(\d+)-x", re.ASCII), re.compile(r"(\d+)-x", re.ASCII)
    assert late.sub(r"\1", "12-x 3-x") == early.sub(r"\1", "12-x 3-x") == "12 3"
    assert late.fullmatch("٣-x") is None
    assert (late.pattern, late.flags) == (early.pattern, early.flags)
    assert pattern(rb"a+").findall(b"aab a") == [b"aa", b"a"]
    with pytest.raises(re.error):
        broken.search("x")
