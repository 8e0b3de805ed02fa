"""What was observed of a patient, found by time: observations and adverse events by slots of ten minutes."""

from __future__ import annotations

from collections.abc import Iterable

from ketafhir.therapy.records import AdverseEvent, Observation

SLOT = 600
"""Seconds: what was observed is found by slots of ten minutes."""
SLOTS_OF_A_DAY = 86400 // SLOT
Timed = Observation | AdverseEvent


def slot_of(one: Timed) -> int | None:
    """The slot of time of an observation or adverse event; None for one told for an order, an administration or a form."""
    if isinstance(one, AdverseEvent):
        began = one.at or one.start
        return None if began is None else int(began.at) // SLOT
    time = one.effective or one.group_time
    return None if time is None or one.order or one.part_of or one.response else int(time.at) // SLOT


def seen_group(patient: str, slot: int) -> str:
    """The name in `History.groups` of the headings of what was observed of a patient in one slot."""
    return f"{patient}|seen|{slot}"


def heading_of(one: Timed) -> str:
    """What an observation is told under: report, form or decision, else its blood pressure, else itself, as an event is."""
    if isinstance(one, AdverseEvent):
        return one.key
    return one.report or one.panel or one.key


def seen_groups(timed: Iterable[Timed]) -> dict[tuple[str, str], None]:
    """The slots that observations and adverse events fall in, each with the headings."""
    told = dict.fromkeys((one.patient, slot_of(one), heading_of(one)) for one in timed)
    return {(seen_group(patient, slot), heading): None for patient, slot, heading in told if slot is not None}
