"""MSH-18: what the bytes mean, and where they do not mean what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2 import charsets, er7


def message(msh_18: str = "") -> str:
    return rf"MSH|^~\&|A|B|C|D|2026||RAS^O17|1|P|2.5.1||||||{msh_18}" + "\rPID|1||1||Müller^Zoë\rOBX|1\rOBX|2||é\r"


def issue_of(data: bytes, charset: str | None = None) -> Issue:
    with pytest.raises(Refused) as caught:
        charsets.decode(data, charset)
    return caught.value.issues[0]


@pytest.mark.parametrize(
    ("msh_18", "codec"),
    [
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("UNICODE UTF-8", "utf-8"),
        ("unicode utf-8", "utf-8"),
        ("UNICODE", "utf-8"),
        ("UTF-8", "utf-8"),
        ("ISO-8859-1", "latin-1"),
        ("WINDOWS-1252", "cp1252"),
        ("8859/1~UNICODE UTF-8", "latin-1"),
        ("", "utf-8"),
        ("~8859/1", "utf-8"),
    ],
)
def test_the_declared_charset_both_ways(msh_18: str, codec: str) -> None:
    text = message(msh_18)
    assert charsets.decode(text.encode(codec)) == text
    assert charsets.encode(text) == text.encode(codec)


def test_msh_18_wins_over_the_setting() -> None:
    text = message("8859/1")
    assert charsets.decode(text.encode("latin-1"), "UTF-8") == text
    assert charsets.encode(text, "UTF-8") == text.encode("latin-1")


def test_the_setting_of_the_peer_serves_where_msh_18_is_empty() -> None:
    text = message()
    assert charsets.decode(text.encode("latin-1"), "8859/1") == text
    assert charsets.encode(text, "8859/1") == text.encode("latin-1")


def test_a_byte_order_mark_is_stripped() -> None:
    assert charsets.decode(b"\xef\xbb\xbf" + message().encode()) == message()


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_read_by_its_byte_order_mark(codec: str) -> None:
    mark = "" if codec == "utf-16" else "\ufeff"
    assert er7.parse(charsets.decode((mark + message("UNICODE UTF-16")).encode(codec))).control_id == "1"


def test_invalid_utf_8_names_byte_offset_and_segment() -> None:
    data = message().replace("Müller", "Muller").encode("utf-8").replace("é".encode(), b"\xe9")
    data = data.replace("Zoë".encode(), b"Zoe")
    issue = issue_of(data)
    assert (issue.code, issue.where, issue.hl7) == ("charset-violated", "OBX[2]", "102")
    assert f"0xE9 at offset {data.index(0xE9)}" in issue.text


def test_a_charset_that_the_bytes_violate_is_refused() -> None:
    issue = issue_of(message("ASCII").encode("latin-1"))
    assert issue.where == "PID"
    assert "ASCII" in issue.text
    assert issue_of(message("UNICODE UTF-8").encode("latin-1"), "8859/1").code == "charset-violated"
    assert issue_of(message("UNICODE UTF-16").encode()).where == "MSH-18"


def test_an_unknown_charset_says_which_are_taken() -> None:
    issue = issue_of(message("KLINGON").encode())
    assert (issue.code, issue.where, issue.value, issue.hl7) == (
        "charset-unknown",
        "MSH-18",
        "KLINGON",
        "103",
    )
    assert "8859/1" in issue.hint
    assert issue_of(message().encode(), "8859/12").where == "the charset setting"


def test_a_character_that_the_charset_lacks_is_refused_and_not_replaced() -> None:
    with pytest.raises(Refused) as caught:
        charsets.encode(message("8859/1") + "OBX|3||漢\r")
    issue = caught.value.issues[0]
    assert (issue.code, issue.where, issue.value) == ("charset-violated", "OBX[3]", "漢")
    assert "U+6F22" in issue.text


@pytest.mark.parametrize("data", [b"", b"MSH", b"MSH|", b"MSH\r", b"MSH|^", b"\xff", b"PID|1"])
def test_fragments_have_no_charset(data: bytes) -> None:
    assert charsets.msh_18(data) == ""


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_utf_8_comes_back(text: str) -> None:
    whole = message("UNICODE UTF-8") + text
    assert charsets.decode(charsets.encode(whole)) == whole


@given(st.binary())
def test_any_bytes_are_decoded_exactly_or_refused(data: bytes) -> None:
    data = message().encode() + data
    try:
        expected = data.decode("utf-8")
    except UnicodeDecodeError:
        assert issue_of(data).code == "charset-violated"
    else:
        assert charsets.decode(data) == expected
