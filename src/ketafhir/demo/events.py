"""The events of an infusion in order of time, in a few words each: for the table and for the picture."""

from __future__ import annotations

from typing import NamedTuple

from ketafhir.demo.elements import moment
from ketafhir.demo.numbers import one_decimal, plain
from ketafhir.demo.view import Infusion, View

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
