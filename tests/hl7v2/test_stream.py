"""Many messages in one file or stream."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.batch import counted
from ketafhir.hl7v2.stream import split_batches, split_messages

A = rb"MSH|^~\&|A||||2026||RAS^O17|1|P|2.5" + b"\rPID|1||x"
B = rb"MSH|^~\&|B||||2026||RAS^O17|2|P|2.5" + b"\rNTE|1||see MSH| and xMSH| and \xc2\xbfMSH|"
BATCH = b"FHS|^~\\&|F\rBHS|^~\\&|B\r%b\r%b\rBTS|2\rFTS|1\r" % (A, B)
MLLP = b"\x0b%b\r\x1c\r\x0b%b\r\x1c\r" % (A, B)


@pytest.mark.parametrize(
    "data",
    [
        A + b"\r" + B + b"\r",
        A + b"\r" + B,
        A + b"\n" + B + b"\n",
        A + b"\r\n\r\n" + B,
        BATCH,
        MLLP,
        b"\xef\xbb\xbf" + A + b"\r\xef\xbb\xbf" + B,
        b"\r\n\n" + A + b"\r\x1c\r" + B,
        BATCH.replace(b"BTS|2\r", b"").replace(b"FTS|1\r", b"FTS"),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 1000])
def test_each_message_whatever_stands_between(data: bytes, size: int) -> None:
    chunks = [data[at : at + size] for at in range(0, len(data), size)] if size else data
    assert list(split_messages(chunks)) == [A, B]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_line_ends_of_the_messages_are_kept(end: bytes) -> None:
    one, two = A.replace(b"\r", end), B.replace(b"\r", end)
    assert list(split_messages(one + end + two + end)) == [one, two]


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\x0b\x1c\r", b"FHS|^~\\&|\rBHS|\rBTS|0\rFTS|0", b"\xef\xbb\xbf", b"FTS"]
)
def test_nothing_in_nothing(data: bytes) -> None:
    assert list(split_messages(data)) == []


@pytest.mark.parametrize("junk", [b"hello", b'{"resourceType":"Bundle"}', b"PID|1||x"])
def test_what_is_no_message_is_handed_on_to_be_refused(junk: bytes) -> None:
    first, second = split_messages(junk + b"\r" + A)
    assert (first, second) == (junk, A)
    with pytest.raises(Refused):
        er7.parse(first.decode())
    assert list(split_messages(b"BHS|^~\\&|\r" + junk + b"\r" + A)) == [junk, A]
    assert list(split_messages(junk)) == [junk]


def test_a_stream_needs_the_memory_of_one_message() -> None:
    chunks = (A + b"\r" for _ in range(20_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in split_messages(chunks)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


BODIES = st.lists(
    st.binary(max_size=20).map(lambda b: b.replace(b"MSH", b"").strip(b"\r\n\x0b\x1c\xef\xbb\xbf")),
    max_size=4,
)


@given(BODIES, st.integers(1, 40))
def test_the_chunks_do_not_matter(bodies: list[bytes], size: int) -> None:
    data = b"\r".join(A + b"|" + body for body in bodies)
    whole = list(split_messages(data))
    assert list(split_messages(data[at : at + size] for at in range(0, len(data), size))) == whole


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (b"BTS|2\rFTS|1\r", []),
        (b"BTS\rFTS\r", []),
        (b"BTS|3\rFTS|1\r", ["BTS-1 tells 3 messages, 2 came"]),
        (b"BTS|1^x\rFTS|1\r", ["BTS-1 tells no number of messages, 2 came"]),
        (b"BTS|2\rFTS|2\r", ["FTS-1 tells 2 batches, 1 came"]),
        (b"BTS|2\rBHS|^~\\&|\rBTS|1\rFTS|1\r", ["BTS[2]-1 tells 1 messages, 0 came", "FTS-1 tells 1 batches, 2 came"]),
    ],
)
def test_the_counts_of_batches_are_compared(end: bytes, told: list[str]) -> None:
    issues: list[Issue] = []
    data = BATCH.replace(b"BTS|2\rFTS|1\r", end)
    assert list(counted(split_batches(data), issues)) == [A, B]
    assert [(one.severity, one.code, one.text) for one in issues] == [("warning", "batch-count", text) for text in told]


def test_what_only_looks_like_an_envelope_is_not_lost() -> None:
    assert list(split_messages(b"FHSX|1\r" + A)) == [b"FHSX|1", A]
