"""The events of an infusion in order of time, in a few words each: for the table and for the picture."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ketafhir.demo.elements import moment
from ketafhir.demo.numbers import one_decimal, plain
from ketafhir.demo.view import Infusion, View

_LETTER, _GAP = 0.0078, 0.02  # of the width of a picture, at the size that events are written in
ENDINGS = {"completed": "complete", "stopped": "stop", "on-hold": "hold"}


class Event(NamedTuple):
    """`kind` is start, rate, pause, resume, end, bolus or waste."""

    time: str
    kind: str
    text: str


def events(view: View) -> list[Event]:
    """What happened, from first to last."""
    found = _of_infusion(view.infusion) if view.infusion else []
    found += [Event(one.time, "bolus", f"{one.drug.display} {plain(one.mg)} mg") for one in view.boluses]
    if view.waste and view.waste.time:
        found.append(Event(view.waste.time, "waste", f"waste {one_decimal(view.waste.mg)} mg"))
    return sorted(found, key=lambda one: moment(one.time))


def _of_infusion(infusion: Infusion) -> list[Event]:
    paused = {moment(one.end) for one in infusion.pauses}
    found = [Event(one.start, "pause", "pause") for one in infusion.pauses]
    for number, segment in enumerate(infusion.segments):
        kind = "resume" if moment(segment.start) in paused else "rate" if number else "start"
        found.append(Event(segment.start, kind, f"{kind} {plain(segment.rate_ml_per_h)} mL/h"))
    if infusion.end:
        found.append(Event(infusion.end, "end", ENDINGS.get(infusion.status, infusion.status)))
    return found


class Placed(NamedTuple):
    """An event in a picture: its text stands on `level` (0 is the topmost), left or right of its point in time."""

    event: Event
    text: str
    level: int
    left: bool


def arrange(told: Iterable[Event], first: datetime, last: datetime) -> list[Placed]:
    """Each event on the first level where its text does not run into another, from `first` to `last`."""
    free: list[float] = []
    placed = []
    for one in told:
        at = moment(one.time)
        text = f"{at:%H:%M} {one.text}"
        point = (at - first) / (last - first)
        width = len(text) * _LETTER + _GAP
        left = point + width > 1
        begins, ends = (point - width, point + _GAP / 2) if left else (point, point + width)
        level = next((number for number, until in enumerate(free) if until <= begins), len(free))
        free[level : level + 1] = [ends]
        placed.append(Placed(one, text, level, left))
    return placed
