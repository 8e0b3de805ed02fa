"""An infusion as the events that an eMAR charts, in order: the ground of both eMAR dialects and of the waste."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ketafhir.simulate import wire
from ketafhir.simulate.course import Course, Segment, plain
from ketafhir.simulate.visit import Visit
from ketafhir.simulate.wire import Sender, coded, obx, time, unit, xcn


@dataclass(slots=True, frozen=True)
class Event:
    """Something a nurse charts at a minute. `action` is new-bag, rate-change, rate-verify, paused, restarted, bolus or stopped.

    `segment` is the one that begins here; `rate` what runs (or ran); `total` the pump's counter in mL; `amount` mg of a bolus.
    """

    minute: int
    action: str
    reason: str = ""
    rate: Decimal | None = None
    segment: Segment | None = None
    total: Decimal | None = None
    amount: Decimal | None = None


def events(course: Course) -> list[Event]:
    """The events of a course, by their minutes; the stop is the last."""
    found = [Event(one.start, one.action, one.reason, one.rate, one) for one in course.segments]
    if course.pause:
        at, _, reason = course.pause
        ran = [one for one in course.segments if one.end <= at]
        found.append(
            Event(at, "paused", reason, ran[-1].rate, total=plain(sum((one.volume for one in ran), Decimal(0))))
        )
    if course.bolus:
        at, amount = course.bolus
        found.append(Event(at, "bolus", amount=amount))
    longest = max(course.segments, key=lambda one: one.minutes)
    if longest.minutes >= 30:
        middle = longest.start + longest.minutes // 2
        if not course.bolus or course.bolus[0] != middle:
            found.append(Event(middle, "rate-verify", rate=longest.rate))
    found.append(Event(course.end, "stopped", course.ending, total=course.volume))
    return sorted(found, key=lambda one: one.minute)


def waste(visit: Visit, facility: str, first: int, *, units: bool = False) -> list[str]:
    """OBX of what was wasted, from number `first` on: mg, mL, and who saw it."""
    course = visit.course
    assert course is not None
    at, nurse = visit.at(course.end + 9), xcn(visit.nurse, facility)
    measured = unit if units else wire.bare
    volume = plain(course.wasted / course.concentration)
    return [
        obx(
            first,
            "NM",
            coded("keta.waste-amount"),
            wire.number(course.wasted),
            measured("mg"),
            sub="1",
            at=at,
            by=nurse,
        ),
        obx(first + 1, "NM", coded("keta.waste-volume"), wire.number(volume), measured("ml"), sub="1", at=at, by=nurse),
        obx(first + 2, "XCN", coded("keta.waste-witness"), xcn(visit.witness, facility), sub="1", at=at, by=nurse),
    ]


def rxa(fields: dict[int, str]) -> str:
    """An RXA of its fields by number."""
    row = [""] * (max(fields) + 1)
    for number, value in fields.items():
        row[number] = value
    return "RXA|" + "|".join(row[1:])


def drug(visit: Visit, sender: Sender, entered: str, *, units: bool = False) -> dict[int, str]:
    """The fields of an RXA that are the same for every event of the infusion: drug, nurse, concentration, lot, entry."""
    course = visit.course
    assert course is not None
    return {
        1: "0", 2: "1", 5: coded("drug.ketamine"), 10: xcn(visit.nurse, sender.facility),
        13: wire.number(course.concentration), 14: (unit if units else wire.bare)("mg-per-ml"),
        15: f"SYN-K{2000 + visit.person.number % 700}", 16: f"{visit.at(1440):%Y%m%d}", 21: "A", 22: entered,
    }  # fmt: skip


def sent(visit: Visit, minute: int) -> str:
    """RXA-22 of an event of this minute."""
    return time(visit.at(minute, 20))
