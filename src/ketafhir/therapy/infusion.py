"""The course of an infusion, derived from what was told of it (docs/mapping.md, docs/architecture.md).

A pure function of the acts: the same for any order of arrival. An open segment ends with the next event of its infusion;
that end is derived, never told. The parent's status comes from the last event; its total is summed exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from ketafhir.plain import Plain, field, replace
from ketafhir.therapy import measures
from ketafhir.therapy.act_kinds import HOLDING, is_check, is_closer, is_event, steers
from ketafhir.therapy.records import Administration, Order
from ketafhir.therapy.totals import add_up, is_short
from ketafhir.therapy.values import Coded, Quantity, Time

GIVEN = frozenset({"completed", "stopped", "superseded", "running", "unknown"})
"""The states of an act in which drug was given."""
_NOTGIVEN = {"refused", "not-given"}


class Act(Plain):
    """One child of the infusion as it stands now: the act with its derived state, and its end with whether that is derived."""

    told: Administration
    state: str
    end: Time | None
    end_derived: bool = False


class Finding(Plain):
    """Something in the course that needs a person's eye: a code, a text and the key of the act."""

    code: str
    text: str
    act: str


class Course(Plain):
    """An infusion: its children in order of start, the events that ended something, and what follows for the parent.

    `total` is the drug given in mg, `volume` in mL, `minutes` the running time: each None while it is not known.
    `concentration` and `weight` are those by which rates were reckoned where an act tells none of its own. `kept` is
    under which key an act or event of a pump is found ("": it ended nothing), by its own; `events` are those of the
    pumps as told (`therapy.pump`); `told_twice`: pump and eMAR tell one time in segments that are not one.
    """

    key: str
    first: Administration
    acts: list[Act] = field(default_factory=list)
    closers: list[Administration] = field(default_factory=list)
    status: str = "unknown"
    start: Time | None = None
    end: Time | None = None
    total: Decimal | None = None
    volume: Decimal | None = None
    minutes: Decimal = Decimal(0)
    concentration: Quantity | None = None
    weight: Quantity | None = None
    findings: list[Finding] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    events: list[Administration] = field(default_factory=list)
    told_twice: bool = False


def course(
    key: str,
    told: Iterable[Administration],
    order: Order | None,
    weight: Quantity | None = None,
    match_seconds: int = 60,
) -> Course:
    """The course of one infusion from everything told of it, in any order.

    `match_seconds`: an eMAR and a pump segment that start no further apart are one.
    """
    listed = list(told)
    kept: dict[str, str] = {}
    findings: list[Finding] = []
    events: list[Administration] = []
    if any(act.delivery for act in listed):
        from ketafhir.therapy.pump import joined, whole_of

        made = joined(listed, match_seconds)
        kept = {**made.kept, **{whole_of(act.key): key for act in listed if act.delivery}}
        listed, findings, events = made.acts, [Finding(*one) for one in made.findings], made.events
        listed = _of_one_drug(listed, order)
    acts = sorted(_numbered(listed, order), key=_place)
    own = [act for act in acts if act.parent is None] or [_stand_in(key, acts[0])]
    found = Course(
        key, next((act for act in own if not is_event(act)), own[0]), kept=kept, findings=findings, events=events
    )
    found.closers = [act for act in acts if is_event(act)]
    found.weight, found.concentration = weight, _concentration(acts, order)
    ends, followed = _ends(acts)
    last = last_event(acts)
    for act in acts:
        if not is_event(act):
            found.acts.append(_act(act, ends.get(act.key), act.key in followed, found))
    _parent(found, last, order, weight, match_seconds)
    for act in found.closers:
        if is_check(act) and act.rate is not None and act.start is not None:
            _check_rate(found, act, act.start)
    return found


def _stand_in(key: str, bolus: Administration) -> Administration:
    """What is known of an infusion of which only a bolus was told: the number of its order."""
    parent = bolus.parent
    assert parent is not None
    number = replace(parent, type="")
    placer, filler = (number, None) if parent.type == "PLAC" else (None, number)
    return replace(bolus, parent=None, order=key.rpartition("|")[0].rpartition("|")[0], placer=placer, filler=filler)


def _check_rate(found: Course, check: Administration, at: Time) -> None:
    """What was looked at must be what runs."""
    running = [act.told for act in found.acts if act.told.rate is not None and act.state in GIVEN and _runs(act, at)]
    if not running:
        found.findings.append(
            Finding("rate-verify-differs", "a rate was verified where none is known to run", check.key)
        )
        return
    for per_hour, unit in ((measures.millilitres_per_hour, "mL/h"), (measures.milligrams_per_hour, "mg/h")):
        seen, *told = (per_hour(act.rate, found.weight, act.concentration or found.concentration)
                       for act in (check, *running))  # fmt: skip
        if seen is not None and None not in told:
            if seen not in told:
                text = f"{measures.rounded(seen)} {unit} was verified, and {measures.rounded(told[0] or seen)} {unit} is what runs"
                found.findings.append(Finding("rate-verify-differs", text, check.key))
            return


def _runs(act: Act, at: Time) -> bool:
    start = act.told.start
    return start is not None and start.at <= at.at and (act.end is None or at.at <= act.end.at)


def _of_one_drug(acts: list[Administration], order: Order | None) -> list[Administration]:
    """A pump may not tell its drug in every event, and tells it by a label: then it is that of the others of the infusion, or
    of the order."""
    ordered = order.drug if order else None
    drug = next((act.drug for act in acts if act.drug), None) or ordered
    found = []
    for act in acts:
        own = act.drug or drug
        if act.delivery and own and ordered and not own.codings and _names(ordered, own.text):
            own = ordered
        found.append(act if own is act.drug else replace(act, drug=own))
    return found


def _names(drug: Coded, label: str) -> bool:
    """Whether a label names a drug."""
    return any(one and one.casefold() in label.casefold() for one in (drug.text, *(c.display for c in drug.codings)))


def _numbered(acts: list[Administration], order: Order | None) -> list[Administration]:
    """The acts with every number their order is known by: a message may tell one of two."""
    known: list[Administration | Order] = [act for act in acts if act.parent is None]
    if order is not None:
        known.append(order)
    placer = next((one.placer for one in known if one.placer), None)
    filler = next((one.filler for one in known if one.filler), None)
    return [
        act
        if act.parent is not None or ((act.placer or not placer) and (act.filler or not filler))
        else replace(act, placer=act.placer or placer, filler=act.filler or filler)
        for act in acts
    ]


def _place(act: Administration) -> tuple[Any, ...]:
    """Acts in order of start; what starts at once, in order of the counters. A pump stops before it starts anew."""
    return _at(act.start), act.delivery == "start", [(len(number), number) for number in act.counters], act.key


def _alive(acts: Iterable[Administration]) -> list[Administration]:
    return [act for act in acts if act.state not in ("deleted", *_NOTGIVEN)]


def _ends(acts: list[Administration]) -> tuple[dict[str, Administration], set[str]]:
    """What ends each open segment: the next event; and the segments that were over when one came."""
    events = [act for act in _alive(acts) if steers(act) and act.start is not None]
    found: dict[str, Administration] = {}
    followed = set()
    for act, later in _next_events(events):
        if is_closer(act) or later.start is None:
            continue
        if act.end is None:
            found[act.key] = later
        elif act.end.at <= later.start.at:
            followed.add(act.key)
    return found, followed


def _next_events(events: list[Administration]) -> Iterator[tuple[Administration, Administration]]:
    """Each event with the next of its infusion; that of a pump's channel is never ended by another channel."""
    if not any(act.channel for act in events):
        yield from pairwise(events)
        return
    for at, act in enumerate(events):
        for later in events[at + 1 :]:
            if later.channel == act.channel or not (later.channel and act.channel):
                yield act, later
                break


def _at(time: Time | None) -> Decimal:
    return time.at if time else Decimal(0)


def last_event(acts: list[Administration]) -> Administration | None:
    """The event that says how the infusion stands: of the segments and closers the last, else the last of the boluses."""
    alive = [act for act in _alive(acts) if not is_check(act)]
    segments = [act for act in alive if steers(act)]
    return max(segments or alive, key=_place, default=None)


def _act(act: Administration, ended_by: Administration | None, followed: bool, found: Course) -> Act:
    derived = ended_by.start if ended_by is not None else None
    end = act.end or derived
    state = act.state
    if not state:
        if (
            ended_by is not None
            and ended_by.event is not None
            and is_closer(ended_by)
            and ended_by.state != "completed"
        ):
            state = "stopped"  # as where its own RXA says PA
        elif followed or (derived is not None and act.end is None):
            state = "superseded"
        elif act.event is not None and act.event.action in ("bolus", "given"):
            state = "completed"
        elif act.order_status == "running" and act.end is None:
            state = "running"
        elif act.order_status == "completed":
            state = "completed"
        else:
            state = "unknown"
            found.findings.append(
                Finding("status-unknown", "neither the administration nor its order says how it ended", act.key)
            )
    return Act(act, state, end, derived is not None and act.end is None)


def _told_twice(found: Course, given: list[Act], seconds: int) -> bool:
    """Whether a pump and an eMAR tell segments of one time that are not one (`match_seconds`): then no sum is known."""
    segments = [act for act in given if act.told.rate is not None and act.told.start is not None]
    pumped = [act for act in segments if act.told.delivery]
    charted = [act for act in segments if not act.told.delivery]
    for one in pumped:
        for other in charted:
            start = max(_at(one.told.start), _at(other.told.start))
            ends = [act.end.at for act in (one, other) if act.end is not None]
            if not ends or min(ends) - start > seconds:
                told = [
                    f"{act.told.start.iso} to {act.end.iso if act.end else 'now'}"
                    for act in (one, other)
                    if act.told.start
                ]
                text = (
                    f"the pump tells a segment {told[0]}, the eMAR another {told[1]}, which do not start within {seconds} s "
                    "of each other: whether they are one is not known, and no total is written"
                )
                found.findings.append(Finding("pump-overlap", text, other.told.key))
                return True
    return False


def _parent(
    found: Course, last: Administration | None, order: Order | None, weight: Quantity | None, seconds: int
) -> None:
    alive = [act for act in found.acts if act.state != "deleted"]
    given = [act for act in alive if act.state in GIVEN]
    starts = [act.told.start for act in (given or alive or found.acts) if act.told.start]
    found.start = min(starts, key=lambda time: time.at, default=found.first.start)
    if not found.acts:
        found.status = "unknown"  # what ended has not been told yet
    elif not alive:
        found.status = "deleted"
    elif not given or last is None:
        found.status = "refused" if any(act.state == "refused" for act in alive) else "not-given"
    else:
        add_up(found, given)
        if found.events and _told_twice(found, given, seconds):
            found.told_twice, found.total, found.volume = True, None, None
        found.status = _status(found, last, given, is_short(found, order, weight))
        if all(act.told.parent is not None for act in given):
            found.status = "unknown"  # a bolus from an infusion of which nothing else is known
    if found.status in ("completed", "stopped"):
        ends = [act.end or (act.told.start if act.told.rate is None else None) for act in given]
        found.end = max((end for end in ends if end), key=lambda time: time.at, default=None) if all(ends) else None
    else:
        found.total = None


def _status(found: Course, last: Administration, given: list[Act], short: bool) -> str:
    """From the last event, not from any PA before it. Of one that only ends what runs, the order says more than RXA-20."""
    closer = is_closer(last)
    state = last.state if closer else next(act.state for act in given if act.told is last)
    over = last.order_status in ("discontinued", "completed")
    held = last.order_status == "held" or (last.order_control in HOLDING and not over)
    if closer and (held or last.order_status == "discontinued"):
        return "held" if held else "stopped"
    if state == "running":
        return "running"
    if state == "completed" or (closer and not state and last.order_status == "completed"):
        return "stopped" if short else "completed"
    if state == "unknown":
        return "unknown"
    if state == "superseded" and last.delivery:
        return "running"  # a pump between two rates: what it stopped goes on (delivery status transitioning)
    if held:
        return "held"
    if over:
        return "stopped"
    found.findings.append(
        Finding(
            "pause-or-stop",
            "ended without the order saying whether it is held or discontinued: taken as held",
            last.key,
        )
    )
    return "held"


def _concentration(acts: list[Administration], order: Order | None) -> Quantity | None:
    """The first that an act tells, else the order's."""
    told = next((act.concentration for act in _alive(acts) if act.concentration), None)
    return told or (order.concentration if order else None)


def view(act: Act) -> Administration:
    """The act as a record with its derived state and end, as FHIR shows it."""
    return replace(act.told, state=act.state, end=act.end)
