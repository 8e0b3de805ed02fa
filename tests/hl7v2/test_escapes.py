r"""Escape sequences: both directions, and nothing damaged on the way (`\.br\` least of all)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.hl7v2.er7 import DEFAULT, Separators, escape, unescape

ODD = Separators("$", "*", "+", "?", "%", "#")
SEPARATORS = [DEFAULT, ODD, Separators(truncation="#"), Separators(subcomponent="")]
# Texts that are all traps: separators, escape characters, and what stands in sequences.
TRAPS = st.text(st.sampled_from(list("\\?|^~&$*+%#FSTREPHNXZCM.brsp059ad \n\r\t\0\x1cé漢")), max_size=24)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"line 1\.br\line 2", "line 1\nline 2"),
        (r"\X0D\\X0A\\X00\\X7F\\X1C\\X09\ "[:-1], "\r\n\0\x7f\x1c\t"),
        (r"\XC3A9\ \Xc3a9\ \XE9\ \XE6BC A2\ ", "é é é \\XE6BC A2\\ "),
        (r"\H\bold\N\ plain", r"\H\bold\N\ plain"),
        (
            r"\.sp2\\.in+4\\.ti-2\\.ce\\.fi\\.nf\\.sp 3\ "[:-1],
            r"\.sp2\\.in+4\\.ti-2\\.ce\\.fi\\.nf\\.sp 3\ "[:-1],
        ),
        (r"\Zabc 12\ \C2842\ \M2442\ \M244242\ ", r"\Zabc 12\ \C2842\ \M2442\ \M244242\ "),
        (r"\.BR\x", "\nx"),
        ("\\", "\\"),
        ("\\\\", "\\\\"),
        (r"C:\dir\T\x", r"C:\dir&x"),
        (r"\XZZ\ \X1\ \X\ ", r"\XZZ\ \X1\ \X\ "),
        (r"a\F", r"a\F"),
        (r"\F\F\F\ "[:-1], "|F|"),
        ("", ""),
        ('""', '""'),
    ],
)
def test_decoded(raw: str, text: str) -> None:
    assert unescape(raw, DEFAULT) == text


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("a|b^c&d~e\\f", r"a\F\b\S\c\T\d\R\e\E\f"),
        ("line 1\nline 2", r"line 1\.br\line 2"),
        ("\r\n", r"\X0D\\.br\ "[:-1]),
        ("\x0b\x1c\0\x7f\t", r"\X0B\\X1C\\X00\\X7F\\X09\ "[:-1]),
        (r"C:\dir\file", r"C:\E\dir\E\file"),
        (r"\.br\ "[:-1], r"\E\.br\E\ "[:-1]),
        (r"\F\ "[:-1], r"\E\F\E\ "[:-1]),
        (r"\X41\ "[:-1], r"\E\X41\E\ "[:-1]),
        (r"\H\bold\N\ "[:-1], r"\H\bold\N\ "[:-1]),
        (r"\Za|b\ "[:-1], r"\E\Za\F\b\E\ "[:-1]),
        ("72.50 µg é 漢", "72.50 µg é 漢"),
    ],
)
def test_encoded(text: str, raw: str) -> None:
    assert escape(text, DEFAULT) == raw
    assert unescape(raw, DEFAULT) == text


@pytest.mark.parametrize("seps", SEPARATORS)
@given(text=st.one_of(st.text(), TRAPS))
def test_every_text_comes_back(seps: Separators, text: str) -> None:
    raw = escape(text, seps)
    assert unescape(raw, seps) == text
    assert escape(unescape(raw, seps), seps) == raw
    outside = set(raw)
    assert not outside & {
        seps.field,
        seps.component,
        seps.repetition,
        seps.subcomponent,
        "\r",
        "\n",
        "\x0b",
        "\x1c",
    }


@given(
    st.lists(
        st.sampled_from(
            [r"\F\ ", r"\S\ ", r"\T\ ", r"\R\ ", r"\E\ ", r"\.br\ ", r"\X0D\ ", r"\H\ ", r"\N\ ", r"\.sp\ ",
             r"\.in-2\ ", r"\Zx y\ ", r"\C2842\ ", "text", " ", "é"]
        ).map(lambda token: token[:-1] if token.startswith("\\") else token)
    ).map("".join)
)  # fmt: skip
def test_raw_text_of_whole_sequences_comes_back(raw: str) -> None:
    assert escape(unescape(raw, DEFAULT), DEFAULT) == raw


@given(TRAPS)
def test_no_raw_text_breaks_the_reader(raw: str) -> None:
    text = unescape(raw, DEFAULT)
    assert unescape(escape(text, DEFAULT), DEFAULT) == text


def test_without_an_escape_character_what_needs_one_is_refused() -> None:
    seps = Separators("|", "^", "~", "", "", "")
    assert unescape(r"a\F\b", seps) == r"a\F\b"
    assert escape(r"a\b & c", seps) == r"a\b & c"
    with pytest.raises(Refused) as caught:
        escape("a|b", seps)
    assert (caught.value.issues[0].code, caught.value.issues[0].where) == ("escape-missing", "MSH-2")
