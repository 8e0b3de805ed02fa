"""MLLP blocks in a stream of bytes: `<VT> payload <FS><CR>` (HL7 MLLP Release 1); no input or output.

One `Framer` belongs to one connection and to one direction of it. It never looks into a payload. Release 1
forbids VT and FS in a payload, so what they mean where they should not be is decided here once:

* bytes outside of a block are skipped and, unless they are CR, LF, NUL or blanks, counted;
* FS that CR does not follow is data;
* VT inside a block begins a new one: the sender gave up on the earlier block, which is reported as
  `Truncated`. Taking the VT as data would join the messages of two patients into one. A payload that holds
  VT as data is hence refused.

UTF-16 and UTF-32 cannot be carried: their code units contain the bytes of VT, FS and CR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ketafhir.errors import Permanent

VT = b"\x0b"
FS = b"\x1c"
END = b"\x1c\r"
_FILLER = b"\r\n\0\t "

MAX_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 4096  # enough of a message for its MSH, from which an AR can be made

Frame: TypeAlias = bytes
"""The payload of one whole block, without VT, FS and CR."""


@dataclass(slots=True, frozen=True)
class Oversize:
    """A block that ended after more than `max_bytes`: its first 4 KiB and its size in bytes."""

    head: bytes
    size: int


@dataclass(slots=True, frozen=True)
class Truncated:
    """A block that never ended: its first 4 KiB and how many bytes of it came."""

    head: bytes
    size: int


Found: TypeAlias = Frame | Oversize | Truncated


class Framer:
    """Cuts what arrives, in any pieces, into blocks. Linear time; memory of `max_bytes` and one piece."""

    __slots__ = ("_after_fs", "_held", "_inside", "_size", "max_bytes", "skipped")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.skipped = 0  # bytes outside of blocks that are not mere filler
        self._held = bytearray()  # the open block so far; only its head once it is too big
        self._size = 0
        self._inside = False
        self._after_fs = False  # the last piece ended in FS: data or the end, as the next byte tells

    @property
    def inside(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Found]:
        """Take the next bytes of the stream; give back, in order, the blocks that they end or abandon."""
        found: list[Found] = []
        at, stop = 0, len(data)
        end = -1  # of the open block; remembered, so that many VT before one end do not make many searches
        while at < stop:
            if not self._inside:
                at = self._begin(data, at)
                continue
            if self._after_fs:
                at += self._settle_fs(data[at] == 0x0D, found)
                continue
            if end < at:
                end = data.find(END, at)
                end = stop if end < 0 else end
            again = data.find(VT, at, end)
            if again >= 0:
                self._keep(data[at:again])
                self._abandon(found)
                at = again + 1
            elif end < stop:
                found.append(self._complete(data[at:end]))
                at = end + 2
            else:
                self._after_fs = data[-1] == 0x1C
                self._keep(data[at : stop - 1] if self._after_fs else data[at:])
                at = stop
        return found

    def end(self) -> Truncated | None:
        """The stream has ended: what was left of a block, if one was open."""
        found: list[Found] = []
        if self._inside:
            if self._after_fs:
                self._keep(FS)
            self._abandon(found)
        self._inside = self._after_fs = False
        return found[0] if found and isinstance(found[0], Truncated) else None

    def _begin(self, data: bytes, at: int) -> int:
        start = data.find(VT, at)
        junk = data[at:] if start < 0 else data[at:start]
        self.skipped += len(junk.strip(_FILLER))
        self._inside = start >= 0
        return len(data) if start < 0 else start + 1

    def _settle_fs(self, ended: bool, found: list[Found]) -> int:
        """Decide on the FS held back; return how many bytes of the new piece that used up."""
        self._after_fs = False
        if ended:
            found.append(self._complete(b""))
            return 1
        self._keep(FS)
        return 0

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self.max_bytes:
            self._held += part
        else:
            del self._held[HEAD_BYTES:]
            self._held += part[: HEAD_BYTES - len(self._held)]

    def _complete(self, last: bytes) -> Found:
        self._inside = False
        if not self._size and len(last) <= self.max_bytes:
            return last
        self._keep(last)
        size, held = self._take()
        return bytes(held) if size <= self.max_bytes else Oversize(bytes(held), size)

    def _abandon(self, found: list[Found]) -> None:
        size, held = self._take()
        if size:
            found.append(Truncated(bytes(held[:HEAD_BYTES]), size))

    def _take(self) -> tuple[int, bytearray]:
        taken = self._size, self._held
        self._size, self._held = 0, bytearray()
        return taken


def wrap(payload: bytes) -> bytes:
    """The block that carries `payload`. Raises `Permanent` where that holds VT or FS."""
    for byte, name in ((VT, "VT (0x0B)"), (FS, "FS (0x1C)")):
        if byte in payload:
            raise Permanent(f"MLLP cannot carry a message that holds {name}, here at byte {payload.index(byte)}")
    return VT + payload + END
