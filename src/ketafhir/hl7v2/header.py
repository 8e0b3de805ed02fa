"""The MSH of bytes that may be no message at all: cut, too long, in an unknown charset. Never raises.

An acknowledgement must say which message it is about (MSA-2) also when that message cannot be read.
"""

from __future__ import annotations

from ketafhir.errors import Refused
from ketafhir.hl7v2.er7 import DEFAULT, Segment, Separators, escape, separators_of

# More than any MSH needs; an oversize message is looked at no further.
_LOOKED_AT = 1 << 16
_LONGEST_ECHO = 1024
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)))


def read_header(data: bytes, name: str = "MSH") -> tuple[Segment, Separators]:
    """The MSH (or the FHS, BHS: `name`) in `data` as far as it can be read, and its separators; an empty one and ours
    without it.

    The fields are raw texts for those separators, without control characters, shortened to 1024 characters.
    """
    head = data[:_LOOKED_AT].replace(b"\0", b"")  # UTF-16 leaves NULs between the bytes of ASCII
    start = head.find(name.encode())
    if start < 0:
        return Segment(name, [name]), DEFAULT
    line = _text(head[start:].replace(b"\n", b"\r").split(b"\r", 1)[0])
    try:
        seps = separators_of("MSH" + line[3:])
        written = [_shortened(field) for field in line.split(seps.field)]
    except Refused:
        seps = DEFAULT
        written = [escape(_shortened(field), seps) for field in line.split(line[3:4] or "|")]
    return Segment(name, [written[0], seps.field, *written[1:]]), seps


def recover_control_id(data: bytes) -> str:
    """MSH-10 as it was sent (raw, without controls), from the first bytes of anything; '' without it."""
    return read_header(data)[0].get(10)


def without_controls(text: str) -> str:
    """The text without C0, DEL and C1 control characters."""
    return text.translate(_CONTROLS)


def _shortened(field: str) -> str:
    return without_controls(field)[:_LONGEST_ECHO]


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
