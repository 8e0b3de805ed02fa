"""Messages in which every field is filled: each segment of a structure, each field with a value of its data type.

What decides (the drug, a status, a number) is taken from a golden case of the same message; every other field gets a value that
stands nowhere else in the message, so that it can be looked for on the other side.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import hl7apy

from golden.cases import ROOT
from ketafhir.errors import Refused
from ketafhir.hl7v2.er7 import Message, Segment, encode
from ketafhir.hl7v2.stream import split_messages
from ketafhir.hl7v2.structures import structure_of
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

VERSION = "2.5.1"
LATEST = "20270101000000-0500"
"""Its MSH-7: it is the newest word on everything."""
LEFT_EMPTY = {
    "RXA-18": "a reason of refusal beside a given dose is a contradiction",
}
GIVEN = {
    "RXO-2": "36", "RXO-3": "140", "RXO-4": "mg^^UCUM", "RXO-11": "50", "RXO-12": "mL^^UCUM", "RXO-17": "M40", "RXO-18": "1",
    "RXO-19": "mg/mL^^UCUM", "RXO-21": "54", "RXO-22": "mL/h^^UCUM",
    "RXE-3": "36", "RXE-4": "140", "RXE-5": "mg^^UCUM", "RXE-10": "50", "RXE-11": "mL^^UCUM", "RXE-22": "M40", "RXE-23": "54",
    "RXE-24": "mL/h^^UCUM", "RXE-25": "1", "RXE-26": "mg/mL^^UCUM",
    "DG1-21": "A",
    "TQ1-6": "40^min&&UCUM", "TQ1-7": "20260102030400-0500", "TQ1-13": "45^min&&UCUM",
}  # fmt: skip
"""Values that a codec must understand, or the message is refused."""
DECIDES = {("R42", "OBX"): "MDC_EVT_PUMP_VOL_COUNTERS_CLEARED"}
"""What a segment of a message must say, or the message is refused."""
DRUG_ORDERS = {"RXO", "RXR", "RXC", "NTE"}
"""What is read where a structure lets several kinds of order stand."""


def reference(name: str, kind: str) -> Any:
    """hl7apy's table of a message or segment, or None."""
    try:
        return hl7apy.load_reference(name, kind, VERSION)
    except hl7apy.exceptions.ChildNotFound:
        return None


class Sample(NamedTuple):
    """A golden message that is translated, and what was told before it."""

    message: Message
    before: tuple[Message, ...]


@cache
def samples() -> list[Sample]:
    """All golden messages that are translated."""
    found = []
    for file in sorted(ROOT.rglob("in.hl7")):
        session, before = Session(default()), []
        for data in split_messages(file.read_bytes()):
            try:
                message = parse(data)
                session.take(message)
            except Refused:
                continue
            found.append(Sample(message, tuple(before)))
            before.append(message)
    return found


def message_of(code: str, event: str) -> Sample:
    """The message of this type with each segment of its structure once, and every field filled; and what to tell before it."""
    structure = structure_of(code, event, VERSION)
    known, before = _known(code, event, structure)
    number = count(1)
    segments = []
    for name in _flat(reference(structure, "Message")):
        width = len(reference(name, "Segment")[1]) + 1
        fields = (known[name].fields if name in known else [name])[:width]
        fields += [""] * (width - len(fields))
        _fill(name, fields, number)
        if name == "MSH":
            fields[7], fields[9], fields[12] = LATEST, f"{code}^{event}^{structure}", VERSION
        segments.append(Segment(name, fields, len(segments) + 1, 1))
    return Sample(parse(encode(segments)), before)


def _known(code: str, event: str, structure: str) -> tuple[dict[str, Segment], tuple[Message, ...]]:
    """Of each segment the one with most fields: of this message type, else of its structure, else of any."""
    found: dict[str, Segment] = {}
    before: tuple[Message, ...] = ()
    near = [
        lambda one: (one.code, one.event) == (code, event),
        lambda one: structure_of(one.code, one.event, VERSION) == structure,
        lambda one: one.code == code,
        lambda one: True,
    ]
    for alike in near:
        best: dict[str, Segment] = {}
        for message, earlier in samples():
            for segment in message.segments if alike(message) else ():
                if DECIDES.get((event, segment.name), "") not in encode([segment]):
                    continue
                if segment.name not in best or _filled(segment) > _filled(best[segment.name]):
                    best[segment.name] = segment
                    before = earlier if segment.name == "ORC" and "ORC" not in found else before
        found = {**best, **found}
    return found, before


def _filled(segment: Segment) -> int:
    return sum(bool(field) for field in segment.fields)


def _flat(part: Any) -> Iterator[str]:
    """The segments of a structure in their order, each group once; of a choice those that order drugs."""
    for name, inner, _, kind, *_ in part[1]:
        if kind == "GRP":
            yield from _flat(inner)
        elif part[0] != "choice" or name in DRUG_ORDERS:
            yield name


def _fill(name: str, fields: list[str], number: Iterator[int]) -> None:
    for child, inner, *_ in reference(name, "Segment")[1]:
        field = int(child.rsplit("_", 1)[1])
        place = f"{name}-{field}"
        if not fields[field] and name != "MSH" and place not in LEFT_EMPTY:
            fields[field] = GIVEN.get(place) or value(inner, number)


def value(kind: Any, number: Iterator[int]) -> str:
    """A value of a data type of hl7apy, each leaf of which stands nowhere else."""
    if kind[0] == "sequence":
        return "^".join(_component(part[1], number) for part in kind[1]).rstrip("^")
    return leaf(kind[2], next(number))


def _component(kind: Any, number: Iterator[int]) -> str:
    if kind[0] == "sequence":
        return "&".join(leaf(part[1][2], next(number)) for part in kind[1])
    return leaf(kind[2], next(number))


def leaf(kind: str, number: int) -> str:
    """A value of a primitive type."""
    if kind in ("NM", "SI"):
        return str(880000 + number)
    day = f"2026{number // 28 % 12 + 1:02}{number % 28 + 1:02}"
    if kind == "DT":
        return day
    if kind == "TM":
        return f"{number % 24:02}{number % 60:02}"
    if kind in ("DTM", "TS"):
        return f"{day}{number % 24:02}{number % 60:02}00-0500"
    return f"Q{number}Q"
