"""Cedar Ridge (mappings/sites/event-per-message): one RAS^O17 for each thing a nurse charts, in words in RXA-9."""

from __future__ import annotations

from ketafhir.simulate import wire
from ketafhir.simulate.administrations import Event, drug, events, rxa, sent, waste
from ketafhir.simulate.chart import Chart, filler, parent, placer
from ketafhir.simulate.course import plain
from ketafhir.simulate.visit import Rescue, Visit
from ketafhir.simulate.wire import Sender, Told, coded, later, obx, time, unit, xcn

FACILITY = "CEDAR"
_WORDS = {
    "new-bag": "New Bag", "rate-change": "Rate Change", "rate-verify": "Rate Verify", "paused": "Paused", "restarted": "Restarted",
    "stopped": "Stopped", "bolus": "Bolus", "given": "Given",
}  # fmt: skip
_LATE = 40 * 60
"""Seconds."""


class CedarRidge:
    """The messages of one patient."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._chart = Chart(visit, FACILITY)
        self._mar = Sender("MAR", FACILITY, visit.person, self._chart.office.visit, self._chart.office.place)
        self._number = 0

    def feed(self) -> list[Told]:
        """In order of sending."""
        told = self._chart.all()
        if self._visit.course:
            told += self._given()
        return sorted(told, key=lambda one: one.sent)

    def _given(self) -> list[Told]:
        visit, told = self._visit, []
        assert visit.course is not None
        found = events(visit.course)
        begun = [one for one in found if one.segment]
        late = begun[len(begun) // 2] if visit.late else None
        for one in found:
            if visit.corrected and one is begun[-1]:
                told += self._corrected(one)
            else:
                told.append(self._event(one, delay=_LATE if one is late else 0))
        told += [self._rescue(number, one) for number, one in enumerate(visit.rescues, 1)]
        return [*told, self._wasted(found[-1])]

    def _message(self, order: tuple[str, str, str], seconds: int, minute: int, segments: list[str]) -> Told:
        self._number += 1
        moment = later(self._visit.at(minute), 30 + seconds)
        before = [self._mar.pid, self._mar.pv1, f"ORC|RE|{order[0]}|{order[1]}||IP|||{order[2]}".rstrip("|")]
        return self._mar.message("RAS^O17^RAS_O17", f"{self._number:02}", moment, [*before, *segments])

    def _fields(self, one: Event) -> dict[int, str]:
        visit = self._visit
        reason = f"~{coded(one.reason)}" if one.reason else ""
        fields = drug(visit, self._mar, sent(visit, one.minute))
        fields |= {3: time(visit.at(one.minute)), 9: f"^{_WORDS[one.action]}{reason}"}
        if one.rate is not None:
            fields[12] = f"{wire.number(one.rate)} {wire.bare('ml-per-h')}"
        if one.amount is not None:
            fields |= {6: wire.number(one.amount), 7: wire.bare("mg")}
        if one.action == "stopped":
            fields[6] = "0"
            assert visit.course is not None
            if visit.course.completed:
                fields[20] = "CP"
        return fields

    def _event(self, one: Event, *, delay: int = 0) -> Told:
        segments = [rxa(self._fields(one)), wire.RXR_PUSH if one.amount is not None else wire.RXR]
        if one.total is not None:
            at = self._visit.at(one.minute)
            segments.append(obx(1, "NM", coded("mdc.vol-fluid-deliv-total"), wire.number(one.total), unit("ml"), at=at))
        return self._message(self._order(one), delay, one.minute, segments)

    def _order(self, one: Event) -> tuple[str, str, str]:
        """ORC-2, -3 and -8: a bolus has an order of its own under that of the infusion."""
        if one.amount is None:
            return placer(self._visit), filler(self._visit), ""
        return placer(self._visit, "-B"), filler(self._visit, "-B"), parent(self._visit)

    def _corrected(self, one: Event) -> list[Told]:
        """A rate charted wrong, and put right two minutes later (RXA-21 U)."""
        assert one.rate is not None
        order = self._order(one)
        wrong = self._fields(one) | {12: f"{wire.number(plain(one.rate / 2))} {wire.bare('ml-per-h')}"}
        right = self._fields(one) | {21: "U", 22: time(self._visit.at(one.minute, 140))}
        return [
            self._message(order, 0, one.minute, [rxa(wrong), wire.RXR]),
            self._message(order, 120, one.minute, [rxa(right), wire.RXR]),
        ]

    def _rescue(self, number: int, one: Rescue) -> Told:
        visit = self._visit
        fields = {
            1: "0", 2: "1", 3: time(visit.at(one.minute)), 5: coded(one.drug), 6: wire.number(one.amount), 7: wire.bare("mg"),
            9: f"^{_WORDS['given']}~{coded(one.reason)}", 10: xcn(visit.nurse, FACILITY), 21: "A", 22: sent(visit, one.minute),
        }  # fmt: skip
        order = (placer(visit, f"-{number}"), filler(visit, f"-{number}"), "")
        return self._message(order, 0, one.minute, [rxa(fields), wire.RXR_PUSH])

    def _wasted(self, stop: Event) -> Told:
        order = self._order(stop)
        fields = self._fields(stop)
        return self._message(order, 9 * 60, stop.minute, [rxa(fields), wire.RXR, *waste(self._visit, FACILITY, 1)])
