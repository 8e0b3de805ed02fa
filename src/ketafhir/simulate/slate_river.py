"""Slate River (mappings/sites/episode-at-end): one RAS^O17 when the patient leaves the chair, events counted in RXA-2."""

from __future__ import annotations

from decimal import Decimal

from ketafhir.mapping import codes
from ketafhir.simulate import wire
from ketafhir.simulate.administrations import Event, drug, events, rxa, waste
from ketafhir.simulate.chart import Chart, filler, parent, placer
from ketafhir.simulate.course import Course, plain
from ketafhir.simulate.visit import Rescue, Visit
from ketafhir.simulate.vitals import RECOVERY
from ketafhir.simulate.wire import Sender, Told, coded, later, obx, time, xcn

FACILITY = "SLATE"
_EVENTS = {
    "new-bag": "BAG^Bag hung", "rate-change": "RATE^Rate set", "rate-verify": "CHECK^Rate checked", "paused": "HOLD^Held",
    "restarted": "RESUME^Resumed", "stopped": "END^Ended", "bolus": "BOLUS^Bolus", "given": "GIVEN^Given",
}  # fmt: skip


class SlateRiver:
    """The messages of one patient."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._chart = Chart(visit, FACILITY)
        self._anes = Sender("ANES", FACILITY, visit.person, self._chart.office.visit, self._chart.office.place)

    def feed(self) -> list[Told]:
        """In order of sending."""
        told = self._chart.all()
        course = self._visit.course
        if course:
            end = course.end + RECOVERY + 5
            if self._visit.corrected:
                told.append(self._episode(course, 1, end, wrong=True))
                end += 30
            if self._visit.late:
                end += 16 * 60
            told.append(self._episode(course, 2, end))
        return sorted(told, key=lambda one: one.sent)

    def _episode(self, course: Course, number: int, minute: int, *, wrong: bool = False) -> Told:
        visit = self._visit
        entered = time(visit.at(minute))
        again = visit.corrected and not wrong
        found = events(course)
        begun = [one for one in found if one.segment][-1]
        segments = [f"ORC|RE|{placer(visit)}|{filler(visit)}||{'CM' if course.completed else 'DC'}"]
        for count, one in enumerate((one for one in found if one.amount is None), 1):
            segments += self._event(
                course, one, count, entered, wrong=wrong and one is begun, again=again and one is begun
            )
        segments += [row for one in found if one.amount is not None for row in self._bolus(one, entered)]
        for count, given in enumerate(visit.rescues, 1):
            segments += self._rescue(given, count, entered)
        before = [self._anes.pid, self._anes.pv1]
        return self._anes.message("RAS^O17^RAS_O17", str(number), later(visit.at(minute), 30), [*before, *segments])

    def _event(self, course: Course, one: Event, count: int, entered: str, *, wrong: bool, again: bool) -> list[str]:
        visit = self._visit
        fields = drug(visit, self._anes, entered)
        fields |= {2: str(count), 3: time(visit.at(one.minute)), 9: coded(one.reason) if one.reason else ""}
        if one.segment is not None:
            rate, volume = one.segment.rate, one.segment.volume
            if wrong:
                rate, volume = plain(rate / 2), plain(volume / 2)
            fields |= {4: time(visit.at(one.segment.end)), 6: wire.number(volume), 7: wire.bare("ml")}
            fields |= self._rate(rate) | {20: "CP" if self._ran_on(course, one) else "PA"}
        elif one.rate is not None:
            fields |= self._rate(one.rate)
        if again:
            fields[21] = "U"
        found = [rxa(fields), wire.RXR, _what(one.action)]
        return [*found, *waste(visit, FACILITY, 2)] if one.action == "stopped" else found

    def _bolus(self, one: Event, entered: str) -> list[str]:
        """By hand from the bag, under an order of its own."""
        visit = self._visit
        assert one.amount is not None
        fields = drug(visit, self._anes, entered) | {3: time(visit.at(one.minute)), 20: "CP"}
        fields |= {6: wire.number(one.amount), 7: wire.bare("mg")}
        order = f"ORC|RE|{placer(visit, '-B')}|{filler(visit, '-B')}||CM|||{parent(visit)}"
        return [order, rxa(fields), wire.RXR_PUSH, _what(one.action)]

    def _ran_on(self, course: Course, one: Event) -> bool:
        """Whether its segment ended as planned: another rate followed, or all was given."""
        segment = one.segment
        assert segment is not None
        if segment is course.segments[-1]:
            return course.completed
        return not (course.pause and course.pause[0] == segment.end)

    def _rate(self, rate: Decimal) -> dict[int, str]:
        return {11: wire.number(rate), 12: codes.code("ucum.ml-per-h").code}

    def _rescue(self, one: Rescue, count: int, entered: str) -> list[str]:
        visit = self._visit
        fields = {
            1: "0", 2: "1", 3: time(visit.at(one.minute)), 5: coded(one.drug), 6: wire.number(one.amount), 7: wire.bare("mg"),
            9: coded(one.reason), 10: xcn(visit.nurse, FACILITY), 20: "CP", 21: "A", 22: entered,
        }  # fmt: skip
        order = f"ORC|RE|{placer(visit, f'-{count}')}|{filler(visit, f'-{count}')}||CM"
        return [order, rxa(fields), wire.RXR_PUSH, _what("given")]


def _what(action: str) -> str:
    return obx(1, "CWE", "EVT^Event^99SLATE", f"{_EVENTS[action]}^99SLATE")
