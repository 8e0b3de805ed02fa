"""Segments from the events of infusion pumps (IHE PCD-10), and what pump and eMAR both tell as one.

An infusion is a series of delivery segments, each begun by DELIV_START and ended by DELIV_STOP or DELIV_COMP (IPEC supplement,
X.1). A pump that was off-line sends its events late, so they are put in order of their own time. A channel delivers from one
source at a time: each channel has its own line of events, and two pumps are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from ketafhir.plain import Plain, field, names, replace
from ketafhir.therapy import measures
from ketafhir.therapy.act_kinds import is_event
from ketafhir.therapy.records import Administration
from ketafhir.therapy.values import Quantity, Rate, Time

START, STOP, COMPLETE, CLEAR, RESET = "start", "stop", "complete", "clear", "reset"
KVO = "kvo"
"""The source of what keeps the vein open after the programmed volume: it delivers, and the infusion is complete."""
STRAY = "pump:"
"""Begins the infusion of an event that names no order: it falls to what its channel delivered last before it."""
_RANK = {STOP: 0, COMPLETE: 0, CLEAR: 1, START: 2}
"""What happens at once: a change of rate is STOP and then START."""
_DEAD = ("deleted", "refused", "not-given")


class Joined(Plain):
    """The acts of an infusion, with the segments its pumps told.

    `kept` is under which key an act or event is found that has become part of another, `events` are those of the pumps as
    told, each channel in order; `findings` are (code, text, key of the act).
    """

    acts: list[Administration] = field(default_factory=list)
    events: list[Administration] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    findings: list[tuple[str, str, str]] = field(default_factory=list)


def joined(told: Iterable[Administration], seconds: int) -> Joined:
    """Segments of the events of pumps, each joined with the eMAR's act of the same order that starts within `seconds`."""
    found = Joined()
    channels: dict[str, list[Administration]] = {}
    others = []
    for act in told:
        if act.delivery:
            channels.setdefault(act.channel, []).append(act)
        else:
            others.append(act)
    segments: list[Administration] = []
    for events in channels.values():
        segments += _segments(events, found)
        for event in events:
            found.kept.setdefault(event.key, event.key if event.delivery == START else "")
        found.events += sorted(events, key=_order)
    found.acts = _matched(segments, others, seconds, found)
    return found


def _order(act: Administration) -> tuple[Any, ...]:
    return _at(act), _RANK.get(act.delivery, 2), act.key


def _at(act: Administration) -> Decimal:
    return act.start.at if act.start else Decimal(0)


def _segments(events: list[Administration], found: Joined) -> list[Administration]:
    """The segments of one channel, and the events that end none of them."""
    made: list[Administration] = []
    running: Administration | None = None
    last = ""
    for event in sorted(events, key=_order):
        if event.delivery == START:
            running = event if event.end is None else None
            made.append(event)
            last = last if event.source == KVO and last == COMPLETE else START
            continue
        if event.delivery == RESET or (event.delivery == CLEAR and not made):
            continue
        if running is not None:
            ended = _ended(running, event)
            if last == COMPLETE:
                ended.state, ended.order_status = "completed", ""
            made[made.index(running)] = ended
            found.kept[event.key] = running.key
            running = None
            if event.delivery == CLEAR:
                made.append(_cleared(event, last))
        elif event.delivery == CLEAR:
            made.append(_cleared(event, last))
        else:
            made.append(event)
        last = event.delivery if event.delivery != CLEAR and last != COMPLETE else last
    return made


def _ended(segment: Administration, event: Administration) -> Administration:
    """A segment with the end, the outcome and the reason that an event told; a bolus with the volume it gave."""
    changes: dict[str, Any] = {"end": event.start, "state": event.state, "order_status": event.order_status}
    if event.delivery == CLEAR:
        changes["state"] = "stopped"
    changes["reasons"] = (*segment.reasons, *event.reasons)
    if segment.rate is None:
        changes["amount"] = event.amount or segment.amount
    for name in ("drug", "concentration"):
        changes[name] = getattr(segment, name) or getattr(event, name)
    return replace(segment, **changes)


def _cleared(event: Administration, last: str) -> Administration:
    """The program taken off: what was delivered to its end is completed, all else stopped."""
    if last == COMPLETE:
        return replace(event, state="completed")
    return replace(event, order_status="discontinued")


def _matched(
    segments: list[Administration], others: list[Administration], seconds: int, found: Joined
) -> list[Administration]:
    """One act for what pump and eMAR both tell: the nearest in time first, each once."""
    pairs = sorted(
        (abs(_at(own) - _at(other)), own.key, other.key)
        for own in segments
        for other in others
        if own.delivery == START and _alike(own, other) and abs(_at(own) - _at(other)) <= seconds
    )
    by_key = {act.key: act for act in (*segments, *others)}
    taken: dict[str, str] = {}
    for _, own, other in pairs:
        if own not in taken and other not in taken.values():
            taken[own] = other
    known = set(taken.values())
    acts = [one for one in others if one.key not in known]
    for one in segments:
        if one.key in taken:
            other_act = by_key[taken[one.key]]
            found.kept[other_act.key] = one.key
            acts.append(_merged(one, other_act, seconds, found))
        else:
            acts.append(one)
    return acts


def _alike(own: Administration, other: Administration) -> bool:
    """A segment beside a segment, a bolus beside a bolus; nothing that was not given."""
    if other.state in _DEAD or is_event(other):
        return False
    return (own.rate is None) == (other.rate is None)


def _merged(own: Administration, other: Administration, seconds: int, found: Joined) -> Administration:
    """The pump's segment, with what only the eMAR knows. Two rates or two ends are told with both numbers; the pump counts."""
    _compare_rates(own, other, found)
    if own.end and other.end and abs(own.end.at - other.end.at) > seconds:
        _differ(found, own, "ends", own.end.iso, other.end.iso)
    changes: dict[str, Any] = {}
    for name in names(own):
        if getattr(own, name) in (None, "", (), ("", "")):
            changes[name] = getattr(other, name)
    changes["reasons"] = own.reasons + tuple(one for one in other.reasons if one not in own.reasons)
    if own.end is None and other.end is not None:
        changes |= {"state": other.state, "order_status": other.order_status}
    elif other.order_status in ("held", "discontinued", "completed") and own.end is not None:
        changes["order_status"] = other.order_status
    if own.drug is not None and other.drug is not None and not own.drug.codings:
        changes["drug"] = other.drug  # the same drug: a label of the pump's library, and a code
    return replace(own, **changes)


def _compare_rates(own: Administration, other: Administration, found: Joined) -> None:
    """Two rates in one unit; by the concentration of either where one is of drug and one of volume."""
    per = own.concentration or other.concentration
    for unit, of_rate in (("mL/h", measures.millilitres_per_hour), ("mg/h", measures.milligrams_per_hour)):
        pump, charted = of_rate(own.rate, None, per), of_rate(other.rate, None, per)
        if pump is not None and charted is not None:
            if pump != charted:
                rates = f"{measures.rounded(pump)} {unit}", f"{measures.rounded(charted)} {unit}"
                _differ(found, own, "rates", *rates)
            return


def _differ(found: Joined, act: Administration, what: str, own: str, other: str) -> None:
    text = f"pump and eMAR tell one segment with different {what}: {own} and {other}; the pump's counts"
    found.findings.append(("pump-differs", text, act.key))


def placed(acts: Iterable[Administration], seconds: int) -> list[Administration]:
    """The acts of an order with what its pumps told in the infusions that its eMAR charts.

    A pump knows no give sub-ID (RXA-1): of what is charted under one, it tells the infusion charted last at the time, begun up to
    `seconds` after; before any, the first. What ends a segment goes where the segment is. All visits of an order are one for a
    pump that names none.
    """
    listed = list(acts)
    charted = [
        one for one in listed if not one.delivery and one.parent is None and one.start and one.state not in _DEAD
    ]
    owner: dict[str, str] = {}
    found = []
    for act in sorted(listed, key=_order):
        if not act.delivery or act.infusion.startswith(STRAY):
            found.append(act)
            continue
        beside = [one for one in charted if one.order == act.order and (one.visit == act.visit or not act.visit)]
        own = owner.get(act.channel) if act.delivery != START else None
        if own is None and beside:
            before = [one for one in beside if _at(one) <= _at(act) + seconds]
            own = (max(before, key=_order) if before else min(beside, key=_order)).infusion
        if act.delivery == START:
            owner[act.channel] = own or act.infusion
        found.append(act if own in (None, act.infusion) else replace(act, infusion=own))
    return found


def is_stray(act: Administration) -> bool:
    """Whether an event names no order, and so falls to what its channel delivered last before it."""
    return act.delivery not in ("", START) and act.infusion.startswith(STRAY)


def with_strays(
    acts: Iterable[Administration], infusion: str, survivors: Mapping[str, str] | None = None
) -> list[Administration]:
    """The acts of an infusion, strays included. `acts` are all of its channels, of any infusion.

    A stray never falls to the infusion of another patient, whatever the channel delivered to him: `survivors` says who is whom.
    """
    stays = survivors or {}

    def place(act: Administration) -> tuple[str, str]:
        return act.channel, stays.get(act.patient, act.patient)

    listed = list(acts)
    starts: dict[tuple[str, str], list[Administration]] = {}
    for act in listed:
        if act.delivery == START:
            starts.setdefault(place(act), []).append(act)
    found = []
    for act in listed:
        if not is_stray(act):
            if act.infusion == infusion:
                found.append(act)
            continue
        before = [one for one in starts.get(place(act), ()) if _at(one) <= _at(act)]
        owner = max(before, key=_order, default=None)
        if owner is not None and owner.infusion == infusion:
            found.append(act)
    return found


def key_of(channel: str, event: str, at: Time) -> str:
    """The identity of an event: channel, time and what it was. A segment has that of its start."""
    moment = format(at.at.normalize(), "f")
    return f"{channel}@{moment}" if event == START else f"{channel}@{moment}#{event}"


def whole_of(key: str) -> str:
    """What stands for the whole infusion that an event is of, before it is known which that is."""
    return f"{key}|whole"


def nothing(unit: str = "mL") -> Rate:
    """The rate of an event that only ends what runs."""
    return Rate(Quantity(Decimal(0), unit), Quantity(Decimal(1), "h"))
