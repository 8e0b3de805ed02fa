"""The timing of an order before 2.5, ORC-7, RXE-1 and RXG-3 (TQ; chapter 4, 4.3.1 and 4.5.4), read as the TQ1 that took its place.

A TQ that no TQ1 can tell whole (explicit times, a sequence of orders, several repetitions, a duration in other words) stays
as it is: preserved, not read. The way back is that of every TQ1; `--version 2.3` or 2.4 makes a TQ of it.
"""

from __future__ import annotations

import re

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.tree import Order as OrderGroup
from ketafhir.plain import replace
from ketafhir.translate.reading import Account, Reading

_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk"}
_duration = re.compile(r"([SMHDW])([1-9]\d*)", re.ASCII).fullmatch
_ORC, _RXE, _RXG = 7, 1, 3

Moved = list[tuple[Segment, Segment, list[Segment]]]
"""Segments that told a timing: as they came, without it, and the TQ1 that tell it."""


def with_tq1(group: OrderGroup, *, owned: bool) -> tuple[OrderGroup, Moved]:
    """The order with TQ1 in place of its ORC-7 and RXE-1, where it has no TQ1; an ORC that is not `owned` stays as it is.

    RXE-1 goes before the ORC-7 of the same order; with an RXO, ORC-7 is the timing of that.
    """
    if group.timings or group.encoding_timings:
        return group, []
    moved: Moved = []
    encoded = as_tq1(group.rxe, _RXE)
    if group.rxe is not None and encoded is not None:
        bare = _without(group.rxe, _RXE)
        moved.append((group.rxe, bare, [encoded]))
        group = replace(group, rxe=bare, encoding_timings=[encoded])
    ordered = as_tq1(group.orc, _ORC) if owned else None
    if group.orc is None or ordered is None:
        return group, moved
    told: list[Segment] = [] if encoded is not None and group.rxo is None else [ordered]
    if not told and encoded is not None and encoded.fields != ordered.fields:
        return group, moved  # it is preserved: RXE-1 says another
    bare = _without(group.orc, _ORC)
    moved.append((group.orc, bare, told or [encoded or ordered]))
    return replace(group, orc=bare, timings=told), moved


def orc_of_administrations(group: OrderGroup) -> Segment:
    """The ORC of a RAS, without an ORC-7 that is the timing of the order told in it (RXO or RXE with its drug)."""
    assert group.orc is not None
    details = [one.get(field) for one, field in ((group.rxo, 1), (group.rxe, 2)) if one is not None]
    if not details or any(drug in ("", '""') for drug in details):
        return group.orc
    moved = with_tq1(group, owned=True)[1]
    return next((bare for segment, bare, _ in moved if segment is group.orc), group.orc)


def with_tq1_of_gives(group: OrderGroup) -> tuple[OrderGroup, Moved]:
    """The order with TQ1 in place of each RXG-3 and of its ORC-7, where neither it nor its RXG has a TQ1.

    RXG-3 goes before ORC-7, which is the timing of the first RXG, as a TQ1 behind the ORC is; with an RXO it is that of the RXO.
    """
    if group.timings or any(give.timings for give in group.gives):
        return group, []
    moved: Moved = []
    gives = []
    for give in group.gives:
        told = as_tq1(give.rxg, _RXG)
        if told is not None:
            bare = _without(give.rxg, _RXG)
            moved.append((give.rxg, bare, [told]))
            give = replace(give, rxg=bare, timings=[told])
        gives.append(give)
    ordered = as_tq1(group.orc, _ORC) if group.rxo is None else None
    first = gives[0].timings
    if group.orc is not None and ordered is not None and all(one.fields == ordered.fields for one in first):
        bare = _without(group.orc, _ORC)
        moved.append((group.orc, bare, first or [ordered]))
        group = replace(group, orc=bare, timings=[] if first else [ordered])
    return replace(group, gives=gives), moved


def account(reading: Reading, moved: Moved) -> None:
    """Make the account speak of the segments that came."""
    made = {id(one) for _, _, timings in moved for one in timings}
    read = {id(one.segment) for one in reading.accounts if one.mapping is not None}
    accounts = [one for one in reading.accounts if id(one.segment) not in made]
    for segment, bare, timings in moved:
        accounts = [one._replace(segment=segment) if one.segment is bare else one for one in accounts]
        if any(id(one) in read for one in timings):
            accounts.append(Account(segment, reading.tables.mapping(f"{segment.name}_to_Timing")))
    reading.accounts[:] = accounts


def as_tq1(segment: Segment | None, field: int) -> Segment | None:
    """The TQ1 that tells the TQ of a field; none where there is no TQ, or more in it than a TQ1 has a place for."""
    text = segment.get(field) if segment is not None else ""
    if not text or '""' in text or "~" in text:
        return None
    parts = text.split("^") + [""] * 12
    quantity, interval, lasts, start, end, priority, condition, words, conjunction, sequence, occurrence, total = parts[
        :12
    ]
    duration = _duration(lasts)
    if any(parts[12:]) or sequence or occurrence or "&" in interval or (lasts and duration is None):
        return None
    cells = {
        1: "1", 2: quantity.replace("&", "^"), 3: interval,
        6: f"{duration[2]}^{_UNITS[duration[1]]}&&UCUM" if duration else "",
        7: start.replace("&", "^"), 8: end.replace("&", "^"), 9: priority, 10: condition, 11: words, 12: conjunction,
        14: total,
    }  # fmt: skip
    assert segment is not None
    return Segment("TQ1", ["TQ1", *(cells.get(number, "") for number in range(1, 15))], segment.line)


def _without(segment: Segment, field: int) -> Segment:
    fields = list(segment.fields)
    fields[field] = ""
    return Segment(segment.name, fields, segment.line, segment.occurrence)
