"""Where the consistency checks run: on an order as it is told, on an infusion as it is folded (docs/errors.md).

A finding is told with the message that brings it about, and not again with later ones that change nothing about it. What
already happened is a warning; a program for a pump is refused by who writes it (`Mismatch.issue(to_pump=True)`).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ketafhir.errors import Issue
from ketafhir.mapping import codes
from ketafhir.plain import replace
from ketafhir.therapy import checks, measures, vials, volumes
from ketafhir.therapy.charts import Chart, Span
from ketafhir.therapy.checks import Limits, Mismatch
from ketafhir.therapy.fold import History, waste_group
from ketafhir.therapy.infusion import GIVEN, Act, Course
from ketafhir.therapy.lifecycle import order_of_infusion
from ketafhir.therapy.records import Observation, Order, Records
from ketafhir.therapy.values import Quantity
from ketafhir.therapy.volumes import Reading, Segment
from ketafhir.translate.kinds import is_weight, weights_of
from ketafhir.translate.order_mismatches import additive, give_mismatch, order_mismatches
from ketafhir.translate.ties import Moved
from ketafhir.translate.weighing import WITHDRAWN, note_weight

_COUNTER, _SEGMENT, _DRAWN = "mdc.vol-fluid-deliv-total", "keta.segment-volume", "keta.drawn-amount"
_FIELDS = {"C1": (25, 25), "C2": (23, 21), "C3": (23, 21), "C11": (25, 25), "C12": (23, 21)}
"""The field of RXE, and of RXO, that a finding about an order is told at."""


def infusions(history: History, new: Records, weights: list[Observation] | None = None) -> list[str]:
    """The infusions that records may change or say something about, of those known and those told.

    `weights` is `weights_of(new)`, where that is at hand.
    """
    weights = weights_of(new) if weights is None else weights
    found = dict.fromkeys(act.infusion for act in new.administrations.values())
    for act in new.administrations.values():
        found |= dict.fromkeys(history.channels.get(act.channel, ()))
    found |= dict.fromkeys(one.infusion for one in new.wastes.values() if one.infusion in history.infusions)
    for order in new.orders.values():
        found.update(dict.fromkeys(history.courses.get(order.key.rpartition("|")[0], ())))
    for one in new.observations.values():
        if one.part_of and one.part_of in history.infusions:
            found[one.part_of] = None
        if one.part_of and one.part_of in history.administrations:
            found[history.administrations[one.part_of][-1].infusion] = None
    for chart in filter(None, map(history.chart, {one.patient for one in weights})):
        found.update(dict.fromkeys(chart.spans))
    for infusion in list(found):  # of one order: what its pumps told may stand in another now
        found |= dict.fromkeys(history.courses.get(order_of_infusion(infusion), ()))
    return list(found)


def _identities(history: History, new: Records, weights: list[Observation]) -> list[str]:
    """The orders that records tell, and all of a patient who was weighed."""
    found = dict.fromkeys(key.rpartition("|")[0] for key, one in new.orders.items() if one.owned)
    for chart in filter(None, map(history.chart, {one.patient for one in weights})):
        found.update(dict.fromkeys(chart.orders))
    return list(found)


def note(
    history: History, new: Records, weights: list[Observation], after: dict[str, Course], gone: Iterable[Course] = ()
) -> list[Moved]:
    """Keep at hand what new records tell: orders and weights of a patient, infusions in time, counters of pumps. `gone` are
    infusions that are part of others now.

    Gives the infusions that ran at another time than was known.
    """
    for order in new.orders.values():
        chart = history.charts.get(order.patient, Chart())
        identity = order.key.rpartition("|")[0]
        if identity not in chart.orders:
            history.charts[order.patient] = replace(chart, orders=(*chart.orders, identity))
    for one in weights:
        note_weight(history, history.others.observations[one.key])
    for key, one in new.observations.items():
        if one.part_of and _is(one, _COUNTER):
            _note_counter(history, history.others.observations[key])
    moved = [_note_span(history, found, None) for found in gone]
    moved += [_note_span(history, found, span_of(found)) for found in after.values()]
    return [one for one in moved if one is not None]


def _note_span(history: History, found: Course, span: Span | None) -> Moved | None:
    patient = found.first.patient
    chart = history.charts.get(patient, Chart())
    known = chart.spans.get(found.key)
    if known == span:
        return None
    spans = {key: one for key, one in chart.spans.items() if key != found.key}
    if span is not None:
        spans[found.key] = span
    history.charts[patient] = replace(chart, spans=spans)
    return patient, known, span


def span_of(found: Course) -> Span | None:
    """When an infusion ran; None where it gave nothing at a rate, or its end is not known."""
    if found.start is None or not any(act.told.rate is not None and act.state in GIVEN for act in found.acts):
        return None
    if found.end is None and found.status not in ("running", "held"):
        return None
    return Span(found.key, found.first.visit, found.start.at, found.end.at if found.end else None)


def _note_counter(history: History, one: Observation) -> None:
    told = {key: reading for key, reading in history.counters.get(one.part_of, {}).items() if key != one.key}
    volume = measures.millilitres(one.value) if isinstance(one.value, Quantity) else None
    if volume is not None and one.effective is not None and one.status not in WITHDRAWN:
        assert isinstance(one.value, Quantity)
        told[one.key] = (one.effective.at, one.value.value if one.value.unit == "mL" else measures.rounded(volume))
    history.counters[one.part_of] = told


class Checking:
    """The checks around one message: `before` and `after` it is folded in."""

    def __init__(self, history: History, new: Records, weights: list[Observation], limits: Limits) -> None:
        self.history, self.new, self.limits = history, new, limits
        self.weights = weights
        self.infusions = infusions(history, new, weights)
        self.identities = _identities(history, new, weights)
        self.gives = [key for key, one in new.orders.items() if one.intent == "give"]
        self.earlier: list[Issue] = []

    def before(self, courses: dict[str, Course]) -> None:
        """Remember what was wrong already."""
        if courses or self.identities:
            self.earlier = self._all(courses)

    def note(self, courses: dict[str, Course], gone: Iterable[Course] = ()) -> list[Moved]:
        """What is at hand of a patient follows the records from here on; gives the infusions whose time has changed."""
        return note(self.history, self.new, self.weights, courses, gone)

    def after(self, courses: dict[str, Course]) -> list[Issue]:
        """What is wrong now and was not."""
        found = self._all(courses) if courses or self.identities else []
        found += self._segment_volumes(courses)
        return [one for one in dict.fromkeys(found) if one not in self.earlier]

    def _all(self, courses: dict[str, Course]) -> list[Issue]:
        found = [one for identity in self.identities for one in self._of_order(identity)]
        found += self._of_gives()
        for course in courses.values():
            found += self._of_infusion(course)
        if courses and self.history.others.dispenses:
            from ketafhir.translate import dispensed_lots

            found += dispensed_lots.ledger(self.history, courses.values())
        return found

    def _orders(self, identity: str) -> list[Order]:
        keys = (f"{identity}|{intent}" for intent in ("filler", "original"))
        return [self.history.order(key) for key in keys if key in self.history.orders]

    def _of_order(self, identity: str) -> list[Issue]:
        orders = self._orders(identity)
        if not orders:
            return []
        dosing = dosing_weight(self.history, [order.key for order in orders])
        chart = self.history.chart(orders[0].patient)
        last = chart.weight(orders[0].told[0]) if chart else None
        number = orders[0].filler or orders[0].placer
        at = 0 if orders[0].intent == "filler" else 1
        found = []
        for one in order_mismatches(orders[0], self.limits, dosing, last):
            where = f"{('RXE', 'RXO')[at]}-{_FIELDS[one.check][at]}" if one.check in _FIELDS else "OBX-5"
            found.append(one.issue(where, number.value if number else ""))
        return found

    def _of_gives(self) -> list[Issue]:
        """C2 of the give instructions that the message tells."""
        found = []
        for key in self.gives:
            if key in self.history.orders:
                give = self.history.order(key)
                wrong = give_mismatch(give, self.limits, dosing_weight(self.history, [key]))
                number = give.filler or give.placer
                found += [wrong.issue("RXG-15", number.value if number else "")] if wrong else []
        return found

    def _of_infusion(self, course: Course) -> list[Issue]:
        orders = self._orders(course.first.order)
        found = [
            one.issue(where, act.told.key)
            for act in course.acts
            if act.told.rate is not None and act.state in GIVEN
            for where, one in self._of_act(course, act, orders)
        ]
        ends = [
            (act.told.start, act.told.end) for act in course.acts if act.told.rate is not None and act.state in GIVEN
        ]
        crossed = volumes.overlap([(start, end) for start, end in ends if start is not None])
        if crossed:
            found.append(crossed.issue("RXA-4", course.key))
        chart = self.history.chart(course.first.patient)
        if chart and course.start and course.weight:
            wrong = checks.weight(course.weight, chart.weight(course.start.at), self.limits)
            found += [wrong.issue("OBX-5", course.key)] if wrong else []
        found += self._balance(course, orders)
        return found + self._counter(course)

    def _of_act(self, course: Course, act: Act, orders: list[Order]) -> list[tuple[str, Mismatch]]:
        per = act.told.concentration or course.concentration
        top = next((order.max_rate for order in orders if order.max_rate), None)
        one = checks.highest_rate(act.told.rate, top, self.limits, weight=course.weight, per=per)
        return [("RXA-6", one)] if one else []

    def _balance(self, course: Course, orders: list[Order]) -> list[Issue]:
        """C9 and C10: what was drawn for an infusion against what was given and wasted of it, once it is over."""
        if course.total is None:
            return []
        known = [
            self.history.others.wastes[key] for key in self.history.groups.get(waste_group(course.first.order), ())
        ]
        wastes = [one for one in known if one.infusion == course.key and not one.deleted and one.amount]
        if not wastes:
            return []
        drawn = self._drawn(course, orders)
        wasted = [measures.milligrams(one.amount) for one in wastes]
        if drawn is None or any(one is None for one in wasted):
            return []
        out = measures.rounded(sum((one for one in wasted if one is not None), Fraction(0)))
        given, lost = Quantity(course.total, "mg"), Quantity(out, "mg")
        held = Quantity(measures.rounded(drawn), "mg")
        found = [vials.waste(held, given, lost, None, self.limits)]
        lots = {act.told.lot for act in course.acts if act.told.lot}
        bag = "/".join(sorted(lots)) or course.first.order
        found += vials.ledger([vials.Draw(bag, bag, drawn, Fraction(course.total) + Fraction(out))])
        return [one.issue("OBX-5", course.key) for one in found if one]

    def _drawn(self, course: Course, orders: list[Order]) -> Fraction | None:
        """The mg drawn: as told for the infusion, else the drug of the order's mixture where one bag was used."""
        told = [
            measures.milligrams(one.value)
            for one in map(self.history.others.observations.get, self.history.groups.get(course.key, ()))
            if one and is_drawn(one) and one.status not in WITHDRAWN and isinstance(one.value, Quantity)
        ]
        if told:
            return sum((one for one in told if one is not None), Fraction(0)) if all(told) else None
        lots = {act.told.lot for act in course.acts if act.told.lot}
        return additive(orders[0]) if orders and len(lots) <= 1 else None

    def _counter(self, course: Course) -> list[Issue]:
        """C6 and C7 over the pump's counter."""
        told = self.history.counters.get(course.key)
        if not told:
            return []
        readings = sorted((Reading(at, Fraction(volume)) for at, volume in told.values()), key=lambda one: one.at)
        fallen = volumes.rollback(readings)
        found = [fallen.issue("OBX-5", course.key)] if fallen else []
        segments = segments_of(course)
        if segments is None:
            return found
        return found + [
            one.issue("OBX-5", str(measures.rounded(at))) for at, one in _unreconciled(segments, readings, self.limits)
        ]

    def _segment_volumes(self, courses: dict[str, Course]) -> list[Issue]:
        """C6 of the volumes that a message tells of single segments."""
        found = []
        for one in self.new.observations.values():
            if one.part_of and isinstance(one.value, Quantity) and _is(one, _SEGMENT):
                told = measures.millilitres(one.value)
                acts = [
                    (course, act) for course in courses.values() for act in course.acts if act.told.key == one.part_of
                ]
                segment = segment_of(*acts[0]) if acts else None
                if told is not None and segment and segment.end is not None:
                    wrong = volumes.volume([segment], Reading(segment.end, told), self.limits)
                    found += [wrong.issue("OBX-5", str(one.value.value))] if wrong else []
        return found


def dosing_weight(history: History, orders: list[str]) -> Quantity | None:
    """The weight told with orders (their keys), the newest."""
    told = [history.others.observations[key] for order in orders for key in history.groups.get(order, ())]
    weights = [one for one in told if one.order in orders and is_weight(one) and isinstance(one.value, Quantity)]
    newest = max(weights, key=lambda one: one.told, default=None)
    return newest.value if newest and isinstance(newest.value, Quantity) else None


def segments_of(course: Course) -> list[Segment] | None:
    """The segments of what was given in mL/h; None where one of them cannot be told so."""
    acts = [act for act in course.acts if act.told.rate is not None and act.state in GIVEN]
    if course.told_twice:
        acts = [act for act in acts if act.told.delivery]  # the pump's, which its counter counts
    segments = [segment_of(course, act) for act in acts]
    return [one for one in segments if one] if all(segments) else None


def segment_of(course: Course, act: Act) -> Segment | None:
    """A segment as seconds and mL/h; None where that cannot be told."""
    told = act.told
    rate = measures.millilitres_per_hour(told.rate, course.weight, told.concentration or course.concentration)
    if rate is None or told.start is None or (act.end is None and act.state != "running"):
        return None
    return Segment(told.start.at, act.end.at if act.end else None, rate)


def _unreconciled(segments: list[Segment], readings: list[Reading], limits: Limits) -> list[tuple[Fraction, Mismatch]]:
    """C6 of each reading; one that is as far off as the one before says nothing new."""
    found = []
    off: Fraction | None = None
    for at, one in enumerate(readings):
        wrong = volumes.volume(segments, one, limits, earlier=readings[:at])
        if wrong is None:
            off = None
            continue
        now = volumes.delivered(segments, one.at) - one.volume
        if off is None or abs(now - off) > Fraction(limits.volume_least):
            found.append((one.volume, wrong))
        off = now
    return found


def is_drawn(one: Observation) -> bool:
    """Whether an observation is the drug drawn up for an infusion."""
    return bool(one.part_of) and _is(one, _DRAWN)


def _is(one: Observation, name: str) -> bool:
    code = codes.code(name)
    return one.code is not None and one.code.has(code.system, code.code)
