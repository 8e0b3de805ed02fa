"""Juniper Bay (mappings/sites/pump-first): the pump tells the infusion (ORU^R42), the eMAR what no pump knows."""

from __future__ import annotations

from decimal import Decimal

from ketafhir.mapping import codes
from ketafhir.simulate import wire
from ketafhir.simulate.administrations import drug, rxa, sent, waste
from ketafhir.simulate.chart import Chart, filler, parent, placer
from ketafhir.simulate.course import Course, plain
from ketafhir.simulate.visit import Rescue, Visit
from ketafhir.simulate.wire import Sender, Told, coded, number, time, unit, xcn

FACILITY = "JUNIPER"
_GATEWAY = "PUMPGW^9999990000000000^EUI-64"
_PROFILE = "|||IHE_PCD_010^IHE PCD^1.3.6.1.4.1.19376.1.6.4.10^ISO"
_LATE = 35 * 60
_CONFIRMED = 50
"""Seconds until the nurse confirms what the pump began."""

_START, _STOP, _COMPLETE = "MDC_EVT_PUMP_DELIV_START", "MDC_EVT_PUMP_DELIV_STOP", "MDC_EVT_PUMP_DELIV_COMP"
_CLEARED = "MDC_EVT_PUMP_PROG_CLEARED"
_UNNUMBERED = "0^{}^MDC"
"""A term whose number no public source was seen to tell, as the IPEC supplement writes it."""

_Row = tuple[str, str, str, str, str]


class JuniperBay:
    """The messages of one patient."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._chart = Chart(visit, FACILITY)
        office = self._chart.office
        self._pump = Sender(_GATEWAY, FACILITY, visit.person, office.visit, office.place)
        self._emar = Sender("EMAR", FACILITY, visit.person, office.visit, office.place)
        self._number = self._charted_so_far = 0

    def feed(self) -> list[Told]:
        """In order of sending."""
        told = self._chart.all()
        if self._visit.course:
            told += [*self._pumped(self._visit.course), *self._charted(self._visit.course)]
        return sorted(told, key=lambda one: one.sent)

    def _pumped(self, course: Course) -> list[Told]:
        """START and STOP of each segment; a change of rate is both in one moment."""
        told: list[Told] = []
        total = Decimal(0)
        late = course.segments[len(course.segments) // 2] if self._visit.late else None
        for one in course.segments:
            own = [_volume(_UNNUMBERED.format("MDC_VOL_FLUID_DELIV_SEGMENT"), 15, Decimal(0)), _total(total)]
            if one is course.segments[0]:
                own.insert(0, _volume(_mdc("mdc.vol-fluid-tbi"), 6, plain(course.dose / course.concentration)))
                own.append(
                    ("NM", _mdc("mdc.attr-pt-weight"), "1.1.2.13", number(self._visit.person.weight), _unit("kilo-g"))
                )
            rows = [*self._delivery("delivering", one.rate), *own]
            told.append(self._event(_START, one.start, rows, late=_LATE if one is late else 0))
            total = plain(total + one.volume)
            held = course.pause is not None and course.pause[0] == one.end
            last = one is course.segments[-1]
            name = _COMPLETE if last and course.completed else _STOP
            status = "not-delivering" if last or held else "transitioning"
            gave = [_volume(_UNNUMBERED.format("MDC_VOL_FLUID_DELIV_SEGMENT"), 15, one.volume), _total(total)]
            told.append(self._event(name, one.end, [*self._delivery(status, one.rate), *gave]))
        return [*told, self._event(_CLEARED, course.end + 1, [])]

    def _delivery(self, status: str, rate: Decimal) -> list[_Row]:
        """What the channel does at the moment of an event."""
        running = status != "not-delivering"
        infusing = "infusing" if running else "not-infusing"
        mode = "^pump-program-delivery-mode-continuous"
        return [
            ("", _mdc("mdc.dev-pump-delivery-info"), "1.1.1.0", "", ""),
            ("CWE", _mdc("mdc.pump-infusing-status"), "1.1.1.1", f"^pump-status-{infusing}", ""),
            (
                "NM",
                _mdc("mdc.flow-fluid-pump-current"),
                "1.1.1.2",
                number(rate) if running else "0",
                _unit("milli-l-per-hr"),
            ),
            ("CWE", _UNNUMBERED.format("MDC_DEV_PUMP_ACTIVE_SOURCES"), "1.1.1.3", "^pump-source-info-primary", ""),
            ("", _mdc("mdc.dev-pump-infusate-source-primary"), "1.1.2.0", "", ""),
            ("CWE", _mdc("mdc.dev-pump-current-delivery-status"), "1.1.2.1", f"^pump-delivery-status-{status}", ""),
            ("CWE", _mdc("mdc.dev-pump-program-delivery-mode"), "1.1.2.2", mode, ""),
            ("ST", _mdc("mdc.dev-pump-source-channel-label"), "1.1.2.3", "Primary", ""),
            ("NM", _mdc("mdc.flow-fluid-pump"), "1.1.2.4", number(rate), _unit("milli-l-per-hr")),
        ]

    def _event(self, name: str, minute: int, rows: list[_Row], *, late: int = 0) -> Told:
        """One ORU^R42."""
        visit, course = self._visit, self._visit.course
        assert course is not None
        self._number += 1
        n, when = self._number, time(visit.at(minute))
        device = f"E{visit.chair:04}^^0012210000000000^EUI-64"
        term = _mdc("mdc.evt-pump-deliv-start") if name == _START else _UNNUMBERED.format(name)
        mds = _mdc("mdc.dev-pump-infus-lvp-mds")
        told: list[_Row] = [
            ("", mds, "1.0.0.0", "", ""),
            ("CWE", _UNNUMBERED.format("MDC_ATTR_EVT_COND"), "1.0.0.2", term, ""),
            ("ST", _UNNUMBERED.format("MDC_ATTR_EVT_SOURCE"), "1.0.0.3", "1.1.2.0", ""),
            ("", _mdc("mdc.dev-pump-infus-lvp-vmd"), "1.1.0.0", "", ""),
            *rows,
            ("ST", _mdc("mdc.drug-name-label"), "1.1.2.10", "Ketamine", ""),
            ("NM", _mdc("mdc.conc-drug"), "1.1.2.11", number(course.concentration), _unit("milli-g-per-ml")),
        ]
        obr = f"OBR|1|{placer(visit)}|{visit.person.number}-{n:03}^^ACDE48234567ABCD^EUI-64|{mds}|||{when}"
        segments = [self._pump.pid, self._pump.pv1, obr]
        for place, (kind, code, path, value, measured) in enumerate(told, 1):
            if not kind:
                owner = f"|||||||{device}" if path == "1.0.0.0" else ""
                segments.append(f"OBX|{place}||{code}|{path}|||||||X{owner}")
            else:
                segments.append(f"OBX|{place}|{kind}|{code}|{path}|{value}|{measured}|||||R")
        more = f"{_PROFILE}"
        made = self._pump.message(
            "ORU^R42^ORU_R01", f"{n:03}", visit.at(minute, late), segments, version="2.6", more=more
        )
        return Told(made.sent, made.text.replace("|P|2.6||||||UNICODE", "|P|2.6|||AL|NE||UNICODE", 1))

    def _charted(self, course: Course) -> list[Told]:
        """Other drugs, a bolus by hand, and the waste under the last segment as the nurse has confirmed it."""
        visit = self._visit
        told = [self._rescue(count, one) for count, one in enumerate(visit.rescues, 1)]
        if course.bolus:
            minute, amount = course.bolus
            fields = drug(visit, self._emar, sent(visit, minute), units=True)
            fields |= {3: time(visit.at(minute)), 6: number(amount), 7: unit("mg"), 20: "CP"}
            told.append(self._message("CM", minute, "-B", [rxa(fields), wire.RXR_PUSH]))
        last = course.segments[-1]
        fields = drug(visit, self._emar, sent(visit, course.end), units=True)
        fields |= {
            2: "9", 3: time(visit.at(last.start, _CONFIRMED)), 4: time(visit.at(course.end)), 6: number(last.rate),
            7: unit("ml"), 9: coded(course.ending), 12: "H1", 20: "CP" if course.completed else "PA",
        }  # fmt: skip
        wasted = waste(visit, FACILITY, 1, units=True)
        status = "CM" if course.completed else "DC"
        return [*told, self._message(status, course.end + 9, "", [rxa(fields), wire.RXR, *wasted])]

    def _rescue(self, count: int, one: Rescue) -> Told:
        visit = self._visit
        fields = {
            1: "0", 2: "1", 3: time(visit.at(one.minute)), 5: coded(one.drug), 6: number(one.amount), 7: unit("mg"),
            9: coded(one.reason), 10: xcn(visit.nurse, FACILITY), 20: "CP", 21: "A", 22: sent(visit, one.minute),
        }  # fmt: skip
        return self._message("CM", one.minute, f"-{count}", [rxa(fields), wire.RXR_PUSH])

    def _message(self, status: str, minute: int, part: str, segments: list[str]) -> Told:
        self._charted_so_far += 1
        visit = self._visit
        above = parent(visit) if part == "-B" else ""
        order = f"ORC|RE|{placer(visit, part)}|{filler(visit, part)}||{status}|||{above}|{sent(visit, minute)}"
        before = [self._emar.pid, self._emar.pv1, order]
        return self._emar.message(
            "RAS^O17^RAS_O17", f"{self._charted_so_far:02}", visit.at(minute, 30), [*before, *segments]
        )


def _mdc(name: str) -> str:
    """A term of the catalogue as OBX-3."""
    found = codes.code(name)
    return f"{found.code}^{found.display}^MDC"


def _unit(name: str) -> str:
    """A unit of pumps, in MDC and UCUM."""
    found = codes.code(f"mdc.dim-{name}")
    return f"{found.code}^{found.display}^MDC^{found.unit}^{found.unit}^UCUM"


def _volume(code: str, place: int, value: Decimal) -> _Row:
    return ("NM", code, f"1.1.2.{place}", number(value), _unit("milli-l"))


def _total(value: Decimal) -> _Row:
    return _volume(_mdc("mdc.vol-fluid-deliv-total"), 7, value)
