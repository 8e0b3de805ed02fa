"""Which acknowledgments a message asks for, and which message one answers (HL7 v2 chapter 2, 2.9).

Read from the bytes of MSH, MSA and ERR alone, whatever the charset: what a sender needs to know, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

Wait: TypeAlias = Literal["none", "perhaps", "certain"]

# HL7 table 0155. ER answers only a failure and SU only a success, so that silence is an answer too. What the table does not
# have is taken for AL: a message is not done because nobody waited for its answer.
_WAITS: dict[bytes, Wait] = {b"": "none", b"NE": "none", b"AL": "certain", b"ER": "perhaps", b"SU": "perhaps"}
_NULL = b'""'
_PLACE = re.compile(
    rb"[A-Z][A-Z0-9]{2}(\^\d{0,4}){0,5}"
)  # ERL: segment, sequence, field, repetition, component, subcomponent
_CODE = re.compile(rb"\d{1,6}|[EWIF]")  # tables 0357 and 0516; a word could be a name
_MOST = 5  # ERR segments that are told


class Choreography(NamedTuple):
    """How surely an answer comes, and after a CA a second one (the application acknowledgment)."""

    first: Wait
    second: Wait


def choreography(message: bytes) -> Choreography:
    """What MSH-15 and MSH-16 of `message` ask for. Both empty is the original mode: one answer."""
    accept, application = (_msh(message, number).upper().replace(_NULL, b"") for number in (15, 16))
    if not accept and not application:
        return Choreography("certain", "none")
    waits = _WAITS.get(accept, "certain"), _WAITS.get(application, "certain")
    first: Wait = "certain" if "certain" in waits else "perhaps" if "perhaps" in waits else "none"
    return Choreography(first, waits[1])


def answers(message: bytes) -> Callable[[bytes], bool]:
    """A test of whether a reply answers `message`: its MSA-2 is the message's MSH-10."""
    control_id = _msh(message, 10)
    return lambda reply: _msa(reply, 2) == control_id and bool(code(reply))


def application(reply: bytes) -> bool:
    """Whether a reply is of the application: a CA that comes once more is none."""
    return code(reply) != "CA"


def code(reply: bytes) -> str:
    """MSA-1 (AA, AE, AR, CA, CE, CR), or nothing where there is no MSA."""
    return _msa(reply, 1).decode("ascii", "replace")


def reasons(reply: bytes) -> str:
    """What the ERR segments say by codes: place (ERR-2, before 2.5 in ERR-1), condition (ERR-3) and severity (ERR-4), such as
    "PID^1^5 101 E". Texts are left out: they may quote the message."""
    told = [_reason(segment) for segment in _segments(reply) if segment[:3] == b"ERR" and len(segment) > 3]
    return "; ".join([one for one in told if one][:_MOST])


def _reason(segment: bytes) -> str:
    fields = segment.split(segment[3:4])
    place, condition, severity = (_at(fields, number).split(b"~")[0] for number in (2, 3, 4))
    if not place:  # ELD: segment, sequence, field position, and the code with its text
        parts = _at(fields, 1).split(b"~")[0].split(b"^")
        place, condition = b"^".join(parts[:3]), condition or _at(parts, 3).split(b"&")[0]
    told = [place] if _PLACE.fullmatch(place) else []
    told += [one for one in (condition.split(b"^")[0], severity) if _CODE.fullmatch(one)]
    return " ".join(one.decode("ascii") for one in told)


def readable(reply: bytes) -> str:
    """The MSA and ERR segments of a reply on one line that is safe to print."""
    parts = [part for part in _segments(reply) if part[:3] in (b"MSA", b"ERR")]
    text = "  ".join(part.decode("utf-8", "backslashreplace") for part in parts)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _segments(message: bytes) -> list[bytes]:
    return message.replace(b"\n", b"\r").split(b"\r")


def _msh(message: bytes, number: int) -> bytes:
    """MSH-`number`, from 3 on. MSH-1 is the separator itself: the count is one less than elsewhere."""
    header = _segments(message[:4096])[0]
    return _at(header.split(header[3:4] or b"|"), number - 1)


def _msa(reply: bytes, number: int) -> bytes:
    for segment in _segments(reply):
        if (
            segment.startswith(b"MSA") and len(segment) > 3
        ):  # what its MSH says stands here too, whatever came before that
            return _at(segment.split(segment[3:4]), number)
    return b""


def _at(fields: list[bytes], index: int) -> bytes:
    return fields[index].strip() if index < len(fields) else b""
