"""Vital signs through a visit: baseline, dose, time and the person's own unrest, read every 5 to 15 minutes."""

from __future__ import annotations

from dataclasses import dataclass

from ketafhir.simulate.body import effect_site, saturating
from ketafhir.simulate.chance import Chance
from ketafhir.simulate.course import Course
from ketafhir.simulate.person import Person

RECOVERY = 75
"""Minutes of watching after the end."""
_HIGHEST = (176, 104)
"""mm[Hg] that nobody passes but for a pause because of it: more would ask for one (180/110)."""


@dataclass(slots=True, frozen=True)
class Reading:
    """At a minute from the start (before it: negative). `moaas` and `pain` only where a nurse scored them."""

    minute: int
    systolic: int
    diastolic: int
    heart: int
    breaths: int
    oxygen: int
    moaas: int | None = None
    pain: int | None = None


@dataclass(slots=True, frozen=True)
class Effects:
    """Concentrations (ng/mL) minute by minute, and the readings; `dissociation` is the highest CADSS total."""

    concentrations: list[float]
    readings: list[Reading]
    dissociation: int


def effects(chance: Chance, person: Person, course: Course) -> Effects:
    """What the monitor and the nurse see, from before the start until the end of recovery."""
    last = course.end + RECOVERY
    given = course.per_minute()
    concentrations = effect_site(person, [*given, *[0.0] * (last + 1 - len(given))])
    unrest = _unrest(chance, last)
    interval = 5 if person.indication.protocol == "mood" else chance.one_of((10, 15))
    found = [
        _reading(person, course, concentrations, unrest, minute, number)
        for number, minute in enumerate(_minutes(course, interval, last))
    ]
    peak = max(concentrations)
    cadss = min(60, round(70 * person.dissociation * saturating(peak * peak, 60000.0)))
    return Effects(concentrations, found, cadss)


def _minutes(course: Course, interval: int, last: int) -> list[int]:
    """A reading before the start, at each interval, about a pause, at the end, and each quarter of an hour after it."""
    told = {-15, *range(0, course.end, interval), course.end, *range(course.end + 15, last + 1, 15)}
    if course.pause:
        at, again, _ = course.pause
        told |= {at, again, (at + again) // 2, *([at - 6] if at >= 6 else [])}
    return sorted(told)


def _unrest(chance: Chance, last: int) -> list[float]:
    """What wanders by itself, minute by minute: each drawn from the last."""
    found, value = [], 0.0
    for _ in range(last + 20):
        value = 0.9 * value + 0.6 * chance.normal()
        found.append(value)
    return found


def _reading(
    person: Person, course: Course, concentrations: list[float], unrest: list[float], minute: int, number: int
) -> Reading:
    now = concentrations[minute] if minute >= 0 else 0.0
    drift = unrest[minute + 15]
    effect = saturating(now * now, 180.0 * 180.0)
    systolic = person.systolic + 34 * person.pressor * effect + 2.2 * drift
    diastolic = person.diastolic + 20 * person.pressor * effect + 1.4 * drift
    systolic, diastolic = min(systolic, float(_HIGHEST[0])), min(diastolic, float(_HIGHEST[1]))
    if course.pause and course.pause[2] == "keta.reason-vital-sign":
        systolic, diastolic = _surge(course.pause, minute, systolic, diastolic)
    heart = person.heart + 18 * person.pressor * effect + 1.6 * unrest[-1 - minute % len(unrest)]
    nurse = number % 3 == 0
    relief = 5.5 * person.response * saturating(now, 90.0)
    pain = None
    if person.indication.protocol == "pain" and nurse:
        pain = max(0, min(10, round(4 + 6 * person.severity - relief)))
    return Reading(
        minute,
        round(systolic),
        min(round(diastolic), round(systolic) - 15),
        max(50, min(118, round(heart))),
        max(11, min(20, round(person.breaths + 0.5 * drift))),
        max(93, min(100, round(person.oxygen - 2 * effect + 0.3 * drift))),
        moaas=(4 if effect * person.dissociation > 0.55 else 5) if nurse else None,
        pain=pain,
    )


def _surge(pause: tuple[int, int, str], minute: int, systolic: float, diastolic: float) -> tuple[float, float]:
    """A rise that asks for a pause: two readings over the limit, 6 minutes apart, and down again before it goes on."""
    at, again, _ = pause
    if at - 6 <= minute <= at:
        return 182.0 + (minute - at + 6) * 0.5, 111.0 + (minute - at + 6) * 0.3
    if at < minute <= again:
        share = (minute - at) / (again - at)
        return 185.0 - 43 * share, 112.0 - 26 * share
    if minute > again:
        return min(systolic, 148.0), min(diastolic, 90.0)
    return systolic, diastolic
