"""Checks C6 to C8 over a whole infusion: the pump's counter against rate and time, and the order of segments in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from ketafhir.plain import Plain
from ketafhir.therapy.checks import Limits, Mismatch
from ketafhir.therapy.measures import rounded
from ketafhir.therapy.values import Time


class Segment(Plain):
    """A segment of constant rate: seconds since the epoch (`end` None: runs) and mL/h."""

    start: Decimal
    end: Decimal | None
    rate: Fraction


class Reading(Plain):
    """The counter of a pump, in mL, at a moment (seconds since the epoch)."""

    at: Decimal
    volume: Fraction


def delivered(segments: Iterable[Segment], at: Decimal) -> Fraction:
    """The mL that rate and time give up to a moment."""
    found = Fraction(0)
    for one in segments:
        end = at if one.end is None else min(one.end, at)
        if end > one.start:
            found += one.rate * Fraction(end - one.start) / 3600
    return found


def volume(
    segments: Sequence[Segment], reading: Reading, limits: Limits, *, earlier: Iterable[Reading] = ()
) -> Mismatch | None:
    """C6: a counter against rate times time; a difference that a missed pause would make is named.

    `earlier` readings of the same counter narrow down where it happened.
    """
    computed = delivered(segments, reading.at)
    if _agree(computed, reading.volume, limits):
        return None
    text = f"the pump tells {rounded(reading.volume)} mL, rate and time give {rounded(computed)} mL"
    since = max((one.at for one in earlier if _agreed(segments, one, limits, reading.at)), default=None)
    gaps = _gaps(segments, computed - reading.volume, since, reading.at)
    if gaps:
        text += f"; a missed pause of {' or '.join(gaps)} would explain it"
    return Mismatch("C6", "volume-unreconciled", "stop", text)


def _agree(computed: Fraction, told: Fraction, limits: Limits) -> bool:
    return abs(told - computed) <= max(Fraction(limits.volume_least), computed * Fraction(limits.volume_share) / 100)


def _agreed(segments: Sequence[Segment], one: Reading, limits: Limits, before: Decimal) -> bool:
    return one.at < before and _agree(delivered(segments, one.at), one.volume, limits)


def _gaps(segments: Sequence[Segment], missing: Fraction, since: Decimal | None, at: Decimal) -> list[str]:
    """Whole minutes of a running segment that make up the difference: the highest rate first."""
    found = {}
    for one in segments:
        start = one.start if since is None else max(one.start, since)
        end = at if one.end is None else min(one.end, at)
        if missing <= 0 or not one.rate or end <= start:
            continue
        minutes = missing * 60 / one.rate
        if minutes.denominator == 1 and minutes * 60 <= Fraction(end - start):
            found[one.rate] = f"{minutes} min at {rounded(one.rate)} mL/h"
    return [found[rate] for rate in sorted(found, reverse=True)]


def rollback(readings: Iterable[Reading], resets: Iterable[Decimal] = ()) -> Mismatch | None:
    """C7: inside one program the counter never falls; `resets` are the moments when it was cleared."""
    cleared = sorted(resets)
    for one, later in pairwise(sorted(readings, key=lambda reading: reading.at)):
        if later.volume < one.volume and not any(one.at <= at <= later.at for at in cleared):
            text = f"the pump tells {rounded(later.volume)} mL after {rounded(one.volume)} mL"
            return Mismatch("C7", "volume-rollback", "stop", text)
    return None


def overlap(periods: Iterable[tuple[Time, Time | None]]) -> Mismatch | None:
    """C8: segments follow each other; instants are compared, never local clocks."""
    told = sorted(periods, key=lambda period: period[0].at)
    for start, end in told:
        if end is not None and end.at < start.at:
            return Mismatch("C8", "segment-overlap", "stop", f"a segment from {start.iso} ends before, {end.iso}")
    for (_, end), (start, _) in pairwise(told):
        if end is not None and end.at > start.at:
            return Mismatch("C8", "segment-overlap", "stop", f"a segment ends {end.iso}, the next starts {start.iso}")
    return None


def minutes(start: Time, end: Time) -> Fraction:
    """The minutes between two moments, by their offsets."""
    return Fraction(end.at - start.at) / 60
