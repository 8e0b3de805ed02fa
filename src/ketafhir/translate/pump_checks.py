"""What a pump says against what follows from it: its program against the order (C5), its volumes against rate and time (C6), its
counter against itself (C7). Differences are told with both numbers and never mended.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from ketafhir.errors import Issue
from ketafhir.mapping import codes
from ketafhir.plain import replace
from ketafhir.therapy import checks, measures, volumes
from ketafhir.therapy.checks import Limits, Mismatch, Program
from ketafhir.therapy.infusion import Course
from ketafhir.therapy.pump import RESET, START, STOP
from ketafhir.therapy.records import Administration, Observation, Order, Records
from ketafhir.therapy.values import Coded, Quantity
from ketafhir.therapy.volumes import Reading, Segment
from ketafhir.translate.checking import segment_of, segments_of
from ketafhir.translate.order_mismatches import is_ketamine
from ketafhir.translate.pump_terms import MDC, meaning

PRIMARY = "primary"


def check(
    new: Records, courses: dict[str, Course], orders: Callable[[str], list[Order]], limits: Limits
) -> list[Issue]:
    """Warnings for the events of pumps in one message."""
    found = []
    for event in new.administrations.values():
        course = next((one for one in courses.values() if event.key in one.kept), None)
        if course is None or not event.delivery:
            continue
        gives = _gives(event, course, courses)
        goes_on = _goes_on(event, course, gives)
        told: list[Mismatch | None] = [_counter(event, gives, limits), _segment(event, course, limits)]
        told.append(volumes.rollback(_readings(event, gives), _resets(event, gives)))
        if event.delivery == START and event.source == PRIMARY and event.rate is not None:
            number = event.placer or event.filler
            known = next(iter(orders(number.key if number else "")), None)
            told += _program(event, course, known, new, limits, first=not goes_on) if known else []
        found += [one.issue("OBX-5", "") for one in told if one is not None]
    return found


def _gives(event: Administration, course: Course, courses: dict[str, Course]) -> list[Course]:
    """The infusions of the order that the channel has delivered: its counter counts all of them, whatever their give sub-ID."""
    others = [
        one
        for one in courses.values()
        if one is not course
        and one.first.order == course.first.order
        and any(act.channel == event.channel for act in one.events)
    ]
    return [course, *others]


def _goes_on(event: Administration, course: Course, gives: list[Course]) -> bool:
    """Whether the channel has delivered for this order before, under another give sub-ID."""
    begun = min((one.start.at for one in _same(event, [course]) if one.start), default=None)
    return begun is not None and any(one.start is not None and one.start.at < begun for one in _same(event, gives[1:]))


def _same(event: Administration, gives: list[Course]) -> list[Administration]:
    """The events of the channel, up to this one."""
    at = event.start.at if event.start else Decimal(0)
    told = (one for course in gives for one in course.events)
    return [one for one in told if one.channel == event.channel and one.start and one.start.at <= at]


def _readings(event: Administration, gives: list[Course]) -> list[Reading]:
    return [
        Reading(one.start.at, Fraction(one.counter.value)) for one in _same(event, gives) if one.counter and one.start
    ]


def _resets(event: Administration, gives: list[Course]) -> list[Decimal]:
    """When the counter began again: it was cleared, or the program was taken off."""
    return [one.start.at for one in _same(event, gives) if one.start and one.delivery not in (START, STOP, "complete")]


def _counter(event: Administration, gives: list[Course], limits: Limits) -> Mismatch | None:
    """C6 over the infusions of a channel, since its counter was cleared last."""
    if event.counter is None or event.start is None or event.delivery == RESET:
        return None
    segments: list[Segment] = []
    for course in gives:
        told = segments_of(course)
        if told is None:
            return None
        segments += told
    since = max((at for at in _resets(event, gives) if at < event.start.at), default=None)
    begun = [replace(one, start=max(one.start, since)) for one in segments] if since is not None else segments
    given = [_boluses(course, since, event.start.at) for course in gives]
    boluses = [one for one in given if one is not None]
    if len(boluses) < len(gives):
        return None
    readings = _readings(event, gives)
    earlier = [one for one in readings if since is None or one.at > since]
    reading = Reading(event.start.at, Fraction(event.counter.value) - sum(boluses, Fraction(0)))
    return volumes.volume(begun, reading, limits, earlier=earlier)


def _boluses(course: Course, since: Decimal | None, until: Decimal) -> Fraction | None:
    """The mL of the boluses in between; None where one is not known."""
    total = Fraction(0)
    for act in course.acts:
        told = act.told
        if told.rate is None and told.delivery and told.start and (since or 0) <= told.start.at < until:
            volume = measures.millilitres(told.amount) if told.amount else None
            if volume is None:
                return None
            total += volume
    return total


def _segment(event: Administration, course: Course, limits: Limits) -> Mismatch | None:
    """C6 over the segment that an event ends."""
    if event.amount is None or event.delivery == START:
        return None
    act = next((one for one in course.acts if one.told.key == course.kept.get(event.key)), None)
    if act is None or act.told.rate is None or act.end is None:
        return None
    segment: Segment | None = segment_of(course, act)
    return volumes.volume([segment], Reading(act.end.at, Fraction(event.amount.value)), limits) if segment else None


def _program(
    event: Administration, course: Course, order: Order, new: Records, limits: Limits, *, first: bool
) -> list[Mismatch | None]:
    """C5: drug, concentration and weight at every start; rate and volume at the first: they are meant to change after it."""
    told = [one for one in new.observations.values() if one.part_of == event.key]
    ordered = Program(drug=_drug(order.drug), concentration=order.concentration, weight=course.weight)
    programmed = Program(drug=_drug(event.drug), concentration=event.concentration, weight=_value(told, "weight"))
    if first and event.key == course.first.key:
        dose = order.dose if isinstance(order.dose, Quantity) else None
        volume = measures.millilitres(dose, course.weight, order.concentration)
        ordered.volume = Quantity(measures.rounded(volume), "mL") if volume is not None else None
        ordered.rate, programmed.rate = order.rate, event.rate
        programmed.volume = _value(told, "volume-to-infuse")
    return list(checks.pump(ordered, programmed, limits))


def _drug(drug: Coded | None) -> str:
    """A drug to be compared: a label of a pump's library and a code of ketamine are one."""
    if drug is None:
        return ""
    return codes.code("drug.ketamine").display if is_ketamine(drug) else drug.label.casefold()


def _value(told: list[Observation], means: str) -> Quantity | None:
    for one in told:
        named = one.code.codings if one.code else ()
        if isinstance(one.value, Quantity) and any(c.system == MDC and meaning(c.display) == means for c in named):
            return one.value
    return None
