"""Messages out of a stream of many, without batch envelopes (HL7 v2 chapter 2, 2.10.3) and MLLP framing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_envelope = re.compile(rb"(?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])").match
_BOM = b"\xef\xbb\xbf"
# A message or an envelope segment begins after a line end, a framing byte or a byte order mark. An LF counts
# also in a message whose segments end in CR: files often hold one message a line.
# The name stands first in the pattern, and what must be before it behind: that is ten times as fast.
_START = re.compile(
    rb"(?:MSH|FHS|BHS|BTS|FTS)(?![A-Za-z0-9])(?:(?<![^\r\n\x0b\x1c]...)|(?<=\xef\xbb\xbf...))", re.DOTALL
)
_AROUND = b"\r\n\x0b\x1c"
_SLICE = 1 << 16


def split_messages(data: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """The messages in `data`, each from its MSH on, without line ends or framing bytes around it.

    FHS, BHS, BTS and FTS segments are skipped. Anything else outside a message comes out as it is, to be
    refused by `parse`: nothing is lost silently. At most one message (and one chunk) is held in memory.
    """
    return (part for part in split_batches(data) if not is_envelope(part))


def is_envelope(part: bytes) -> bool:
    """Whether it begins with FHS, BHS, BTS or FTS."""
    return _envelope(part) is not None


def split_batches(data: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """As `split_messages`, with the FHS, BHS, BTS and FTS segments in their places."""
    held = bytearray()
    searched = 0
    for chunk in _chunks(data):
        held += chunk
        starts = [m.start() for m in _START.finditer(held, searched) if m.end() < len(held)]
        # Three bytes of a name, and what stands before it, may be split between two chunks.
        searched = max(0, len(held) - 6)
        yield from _parts(held, starts)
        if starts:
            del held[: starts[-1]]
            searched = max(1, searched - starts[-1])
    starts = [m.start() for m in _START.finditer(held, searched)]
    yield from _parts(held, starts)
    yield from _part(bytes(held[starts[-1] if starts else 0 :]))


def _chunks(data: bytes | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(data, bytes):
        return (data[at : at + _SLICE] for at in range(0, len(data), _SLICE))
    return data


def _parts(held: bytearray, starts: list[int]) -> Iterator[bytes]:
    """What ends before each start, in order."""
    begin = 0
    for start in starts:
        yield from _part(bytes(held[begin:start]))
        begin = start


def _part(part: bytes) -> Iterator[bytes]:
    """The message of one part; of an envelope segment its line, and what follows it, which should be nothing."""
    if is_envelope(part):
        line, *after = re.split(rb"[\r\n]", part, maxsplit=1)
        yield line.strip(_AROUND)
        part = after[0] if after else b""
    part = part.removesuffix(_BOM).strip(_AROUND)
    if part.strip(b" \t\0") and part != _BOM:
        yield part
