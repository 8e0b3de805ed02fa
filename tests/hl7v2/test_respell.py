"""A message in other separators says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.respell import respelled

ODD = er7.Separators("$", "*", "+", "?", "%")
CUT = er7.Separators(truncation="#")


def message(text: str, separators: er7.Separators) -> er7.Message:
    """With `text` in PID-5.1 and its twin in PID-5.2, each twice."""
    name = er7.join_components([er7.escape(text, separators)] * 2, separators)
    fields = ["PID", "", "", "", "", er7.join_repetitions([name, name], separators)]
    return er7.Message(
        [er7.Segment("MSH", ["MSH", separators.field, separators.msh2]), er7.Segment("PID", fields)], separators
    )


def told(found: er7.Message) -> list[list[str]]:
    seps = found.separators
    return [
        [er7.unescape(part, seps) for part in er7.components(one, seps)]
        for one in er7.repetitions(found.segments[1].get(5), seps)
    ]


@pytest.mark.parametrize("to", [ODD, CUT, er7.DEFAULT])
@pytest.mark.parametrize("own", [ODD, CUT, er7.DEFAULT])
@given(text=st.text("ab|^~\\&$*+?%#", max_size=12))
def test_the_content_stays_and_the_header_says_how(own: er7.Separators, to: er7.Separators, text: str) -> None:
    text = f"x{text}x"
    found = respelled(message(text, own), to)
    assert told(found) == [[text, text], [text, text]]
    assert found.segments[0].fields == ["MSH", to.field, to.msh2]
    assert found.separators is to


def test_without_an_escape_character_what_looks_like_a_separator_is_a_blank() -> None:
    found = respelled(message("a$b", er7.DEFAULT), er7.Separators("$", "*", "+", "", ""))
    assert told(found) == [["a b", "a b"]] * 2
