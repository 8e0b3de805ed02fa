"""MLLP framing: any split of any stream gives the same blocks, in linear time and bounded memory."""

from __future__ import annotations

import random
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Permanent
from ketafhir.mllp.framing import END, HEAD_BYTES, VT, Found, Framer, Oversize, Truncated, wrap

MSG = b"MSH|^~\\&|PUMP|OR1|||20261103||RAS^O17|M1|P|2.5\rPID|1\r"


def feed_in_pieces(stream: bytes, cuts: list[int], max_bytes: int = 1 << 20) -> list[Found]:
    framer = Framer(max_bytes)
    found: list[Found] = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for begin, end in pairwise(edges):
        found += framer.feed(stream[begin:end])
    rest = framer.end()
    return [*found, rest] if rest else found


def byte_by_byte(stream: bytes, max_bytes: int) -> list[Found]:
    """The rules of framing.py once more, in the plainest way."""
    found: list[Found] = []
    block: bytes | None = None
    for at in range(len(stream)):
        byte = stream[at : at + 1]
        if byte == VT:
            if block:
                found.append(Truncated(block[:HEAD_BYTES], len(block)))
            block = b""
        elif block is not None:
            block += byte
            if block.endswith(END):
                payload, block = block[:-2], None
                whole = len(payload) <= max_bytes
                found.append(payload if whole else Oversize(payload[:HEAD_BYTES], len(payload)))
    if block:
        found.append(Truncated(block[:HEAD_BYTES], len(block)))
    return found


payloads = st.binary(max_size=60).map(lambda data: data.replace(VT, b"").replace(END, b""))
between = st.sampled_from([b"", b"", b"\r\n", b"\0\0", b"junk", b"\x1c\r", b"\x1c", b"\r"])
cut_lists = st.lists(st.integers(0, 2000), max_size=12)


@given(st.lists(st.tuples(between, payloads), max_size=8), cut_lists)
def test_any_split_of_any_frames_and_junk_gives_the_frames(parts: list[tuple[bytes, bytes]], cuts: list[int]):
    stream = b"".join(junk + VT + payload + END for junk, payload in parts)
    assert feed_in_pieces(stream, cuts) == [payload for _, payload in parts]


hostile = st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"a", b"MSH|", b"\0"]), max_size=80).map(b"".join)


@given(hostile, cut_lists, st.integers(0, 12))
def test_any_split_of_any_bytes_follows_the_rules(stream: bytes, cuts: list[int], max_bytes: int):
    assert feed_in_pieces(stream, cuts, max_bytes) == byte_by_byte(stream, max_bytes)


def test_a_hundred_thousand_random_frames():
    rng = random.Random(20261103)
    alphabet = bytes(set(range(256)) - {0x0B, 0x1C})
    pool = [bytes(rng.choices(alphabet, k=rng.randrange(0, 90))) for _ in range(500)]
    expected = [pool[rng.randrange(500)] for _ in range(100_000)]
    stream = b"".join([wrap(payload) + (b"\r\n" if len(payload) % 7 == 0 else b"") for payload in expected])
    framer, found, at = Framer(), [], 0
    while at < len(stream):
        size = rng.choice((1, 2, 3, 50, 1000, 65536))
        found += framer.feed(stream[at : at + size])
        at += size
    assert found == expected
    assert framer.end() is None
    assert framer.skipped == 0


def test_one_byte_at_a_time():
    framer = Framer()
    found = [item for byte in wrap(MSG) * 3 for item in framer.feed(bytes([byte]))]
    assert found == [MSG] * 3


def test_fs_without_cr_is_data_even_across_pieces():
    framer = Framer()
    assert framer.feed(VT + b"a\x1c") == []
    assert framer.feed(b"b\x1c\x1c") == []
    assert framer.feed(b"\rrest") == [b"a\x1cb\x1c"]


def test_vt_in_a_block_abandons_it_and_never_joins_two_messages():
    framer = Framer()
    assert framer.feed(VT + b"MSH|first") == []
    assert framer.feed(b"..." + wrap(MSG)) == [Truncated(b"MSH|first...", 12), MSG]
    assert framer.feed(VT + VT + wrap(MSG)) == [MSG]  # nothing was lost: nothing to report


def test_the_end_of_the_stream_inside_a_block():
    framer = Framer()
    framer.feed(VT + MSG + b"\x1c")
    assert framer.inside
    assert framer.end() == Truncated(MSG + b"\x1c", len(MSG) + 1)
    assert not framer.inside
    assert framer.end() is None
    assert framer.feed(b"\r" + wrap(MSG)) == [MSG]


def test_too_big_gives_its_head_and_the_next_message_is_whole():
    framer = Framer(max_bytes=10_000)
    big = MSG + b"A" * 20_000
    stream = wrap(big) + wrap(MSG)
    for size in (len(stream), 4095, 4097, 9_999, 10_001):
        found = [item for at in range(0, len(stream), size) for item in framer.feed(stream[at : at + size])]
        assert found == [Oversize(big[:HEAD_BYTES], len(big)), MSG]


def test_the_limit_itself_is_allowed():
    framer = Framer(max_bytes=5)
    assert framer.feed(wrap(b"12345") + wrap(b"123456")) == [b"12345", Oversize(b"123456", 6)]
    framer.feed(VT + b"123")
    assert framer.feed(b"45" + END) == [b"12345"]
    framer.feed(VT + b"123")
    assert framer.feed(b"456" + END) == [Oversize(b"123456", 6)]


def test_junk_is_counted_but_filler_is_not():
    framer = Framer()
    framer.feed(b"\r\n\0 " + wrap(MSG) + b"\r\n")
    assert framer.skipped == 0
    framer.feed(b"GET / HTTP/1.1\r\n\r\n")
    assert framer.skipped == len("GET / HTTP/1.1")
    assert not framer.inside


def test_memory_stays_bounded_while_a_block_never_ends():
    framer = Framer(max_bytes=1 << 20)
    piece = b"A" * 65536
    framer.feed(VT)
    tracemalloc.start()
    for _ in range(512):  # 32 MiB
        framer.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20
    assert framer.feed(END) == [Oversize(b"A" * HEAD_BYTES, 512 * 65536)]


@pytest.mark.parametrize("unit", [VT, VT + b"a", b"\x1c", VT + b"\x1c", END, b"\r"])
def test_no_stream_takes_more_than_linear_time(unit: bytes):
    stream = VT + unit * (300_000 // len(unit))
    framer = Framer()
    begin = time.process_time()
    framer.feed(stream)
    for byte in stream[:50_000]:
        framer.feed(bytes([byte]))
    assert time.process_time() - begin < 2.0  # a tenth of it as a rule; a rescan for each byte takes minutes


def test_wrap():
    assert wrap(MSG) == b"\x0b" + MSG + b"\x1c\r"
    assert wrap(b"") == b"\x0b\x1c\r"
    with pytest.raises(Permanent, match=r"holds VT \(0x0B\), here at byte 3"):
        wrap(b"MSH\x0b")
    with pytest.raises(Permanent, match=r"FS \(0x1C\)"):
        wrap(b"\x1c")
