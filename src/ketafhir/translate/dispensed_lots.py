"""Check C10 over all bags and infusions of an order: what was dispensed of each lot (RXD-18) against what was given and wasted
of it (RXA-15). Differences are told with both numbers and never mended.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ketafhir.errors import Issue
from ketafhir.therapy import measures, vials
from ketafhir.therapy.checks import Mismatch
from ketafhir.therapy.fold import History, dispense_group, waste_group
from ketafhir.therapy.infusion import GIVEN, Act, Course
from ketafhir.therapy.records import Dispense
from ketafhir.therapy.vials import Draw

_GONE = frozenset(("cancel", "cancelled", "cancelled-asked", "declined", "deleted"))


def ledger(history: History, courses: Iterable[Course]) -> list[Issue]:
    """The findings of each order of these infusions for which lots were dispensed. `courses` are all infusions of their orders."""
    by_order: dict[str, list[Course]] = {}
    for course in courses:
        by_order.setdefault(course.first.order, []).append(course)
    found = []
    for order, some in by_order.items():
        keys = history.groups.get(dispense_group(order), ())
        told = [history.others.dispenses[key] for key in keys if key in history.others.dispenses]
        bags = [one for one in told if one.lot and one.status not in _GONE]
        if bags:
            last = max(some, key=lambda one: (one.start.at if one.start else 0, one.key))
            found += [one.issue("RXA-15", last.key) for one in _of_order(history, order, some, bags)]
    return found


def _of_order(history: History, order: str, courses: list[Course], bags: list[Dispense]) -> list[Mismatch]:
    held: dict[str, list[Fraction | None]] = {}
    for bag in bags:
        per = bag.concentration
        held.setdefault(bag.lot, []).append(measures.milligrams(bag.amount, None, per))
    draws: list[Draw] = []
    strange: dict[str, None] = {}
    for course in sorted(courses, key=lambda one: (one.start.at if one.start else 0, one.key)):
        for lot, taken in _taken(history, order, course).items():
            if lot not in held:
                strange[lot] = None
                continue
            amounts = [one for one in held[lot] if one is not None]
            if len(amounts) == len(held[lot]):
                draws.append(Draw(f"of lot {lot}", lot, sum(amounts, Fraction(0)), taken))
    known = ", ".join(held)
    found = [
        Mismatch("C10", "ledger-negative", "stop", f"lot {lot} was given, of the order was dispensed lot {known}")
        for lot in strange
    ]
    return found + vials.ledger(draws)


def _taken(history: History, order: str, course: Course) -> dict[str, Fraction]:
    """The mg of each lot that an infusion took; its waste too, where it is of one lot."""
    found: dict[str, Fraction] = {}
    for act in course.acts:
        if act.told.lot and act.state in GIVEN:
            found[act.told.lot] = found.get(act.told.lot, Fraction(0)) + (_given(course, act) or 0)
    if len(found) == 1:
        keys = history.groups.get(waste_group(order), ())
        wastes = [history.others.wastes[key] for key in keys if key in history.others.wastes]
        lost = [measures.milligrams(one.amount) for one in wastes if one.infusion == course.key and not one.deleted]
        found = {
            lot: given + sum((one for one in lost if one is not None), Fraction(0)) for lot, given in found.items()
        }
    return found


def _given(course: Course, act: Act) -> Fraction | None:
    """The mg of one act; None while it is not known."""
    told = act.told
    per = told.concentration or course.concentration
    if told.rate is None:
        return measures.milligrams(told.amount, course.weight, per)
    rate = measures.milligrams_per_hour(told.rate, course.weight, per)
    if rate is None or told.start is None or act.end is None:
        return None
    return rate * Fraction(act.end.at - told.start.at) / 3600
