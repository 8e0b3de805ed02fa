"""What every site tells alike: visits, scores, the decision, the order, vital signs, adverse events."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from ketafhir.simulate import wire
from ketafhir.simulate.course import Course, plain
from ketafhir.simulate.visit import DOCTOR, Adverse, Answers, Visit
from ketafhir.simulate.vitals import RECOVERY, Reading
from ketafhir.simulate.wire import Sender, Told, coded, later, obx, time, unit, xcn

_FORMS = {
    "phq9": ("phq9.panel", "phq9.item", "phq.answer", "phq9.total"),
    "gad7": ("gad7.panel", "gad7.item", "phq.answer", "gad7.total"),
    "pcl5": ("pcl5.panel", "pcl5.item", "pcl5.answer", "score.pcl5"),
}
_REFUSALS = {
    "keta.K3": ("178/106 and 176/104, 15 minutes apart", "Blood pressure below 140/90 on two visits"),
    "keta.K13": ("Positive urine drug screen", "Three months of abstinence and a negative urine drug screen"),
    "keta.K15": ("Positive pregnancy test", "No longer pregnant"),
    "keta.K28": ("No adequate treatment before this is documented", "Two adequate treatments documented"),
}
_DRAWN = 50
"""mg/mL of the vials."""


class Chart:
    """The messages of one patient at one site that are no administrations, in order of time."""

    def __init__(self, visit: Visit, facility: str) -> None:
        self.visit, self.facility = visit, facility
        n = visit.person.number
        screening = f"SCREEN^ROOM {n % 3 + 1}^"
        chair = f"INFUSION^ROOM {(visit.chair + 1) // 2}^CHAIR {visit.chair}"
        self.screening = Sender("EHR", facility, visit.person, f"V{n}-0", screening)
        self.office = Sender("EHR", facility, visit.person, f"V{n}-1", chair)
        self.monitor = Sender("MONITOR", facility, visit.person, f"V{n}-1", chair)
        self._number = 0

    def all(self) -> list[Told]:
        """All of them."""
        told = [*self._screening(), *self._decision()]
        course = self.visit.course
        if course is not None:
            told += [self._arrival(), self._weight(), self.order(course), *self._watching(), *self._troubles()]
            told += [self._leaving(), *self._afterwards()]
        return told

    def _told(self, sender: Sender, kind: str, sent: datetime, segments: list[str], *, visit: bool = True) -> Told:
        self._number += 1
        before = [sender.pid, sender.pv1] if visit else [sender.pid]
        return sender.message(kind, f"C{self._number:02}", sent, [*before, *segments])

    def _adt(self, sender: Sender, event: str, came: datetime, left: datetime | None = None) -> Told:
        who, now = self.visit.person, left or came
        home = f"{who.number % 900 + 1} Sample Lane^^Exampleton^IL^60000^USA^H"
        pid = f"{sender.pid}|||{home}||312-555-01{who.number % 100:02}^PRN^PH"
        pv1 = sender.pv1.split("|")
        pv1 += [""] * (46 - len(pv1))
        pv1[7] = f"{DOCTOR[0]}^{DOCTOR[1]}^{DOCTOR[2]}^^^Dr^^^{self.facility}"
        pv1[44] = time(came)
        pv1[45] = time(left) if left else ""
        self._number += 1
        segments = [f"EVN|{event}|{time(later(now, 10))}||||{time(now)}", pid, "|".join(pv1).rstrip("|")]
        if event == "A04":
            segments.append(f"DG1|1||{coded(who.indication.code)}||{time(came)}|W")
        return sender.message(f"ADT^{event}^ADT_A01", f"C{self._number:02}", later(now, 12), segments)

    def _result(
        self,
        sender: Sender,
        place: str,
        code: str,
        at: datetime,
        rows: list[str],
        *,
        visit: bool = True,
        status: str = "F",
    ) -> Told:
        obr = f"OBR|1||{place}-{self.visit.person.number}-{at:%m%d%H%M}^{sender.application}|{code}|||{time(at)}{'|' * 18}{status}"
        return self._told(sender, "ORU^R01^ORU_R01", later(at, 30), [obr, *rows], visit=visit)

    def _screening(self) -> list[Told]:
        came = self.visit.screened
        told = [self._adt(self.screening, "A04", came)]
        told += [self._answered(one) for one in self.visit.answers if one.when < self.visit.start]
        told += [self._pained(at, score) for at, score in self.visit.pain if at < self.visit.start]
        if self.visit.rule == "keta.K3":
            for minutes, systolic, diastolic in ((20, 178, 106), (35, 176, 104)):
                at = came + timedelta(minutes=minutes)
                told.append(self._pressure(at, systolic, diastolic))
        return told

    def _pressure(self, at: datetime, systolic: int, diastolic: int) -> Told:
        rows = [
            obx(1, "NM", coded("vitals.systolic"), str(systolic), unit("mmhg"), sub="1", at=at),
            obx(2, "NM", coded("vitals.diastolic"), str(diastolic), unit("mmhg"), sub="1", at=at),
        ]
        return self._result(self.screening, "VS", coded("vitals.panel"), at, rows)

    def _answered(self, one: Answers) -> Told:
        panel, item, answer, total = _FORMS[one.form]
        rows = [
            obx(n, "CWE", coded(f"{item}{n}"), coded(f"{answer}{score}"), at=one.when)
            for n, score in enumerate(one.items, 1)
        ]
        rows.append(obx(len(rows) + 1, "NM", coded(total), str(sum(one.items)), unit("score"), at=one.when))
        before = one.when < self.visit.start
        return self._result(self.screening, one.form.upper(), coded(panel), one.when, rows, visit=before)

    def _pained(self, at: datetime, score: int) -> Told:
        row = obx(1, "NM", coded("pain.nrs"), str(score), unit("score"), at=at)
        return self._result(self.screening, "NRS", coded("pain.nrs"), at, [row], visit=at < self.visit.start)

    def _decision(self) -> list[Told]:
        visit = self.visit
        at = visit.screened + timedelta(minutes=50)
        doctor = f"{DOCTOR[0]}^{DOCTOR[1]}^{DOCTOR[2]}^^^Dr^^^{self.facility}"
        decided = "keta.refused" if visit.rule else "keta.accepted"
        rows = [obx(1, "CWE", coded("keta.candidacy-decision"), coded(decided), at=at, by=doctor)]
        if visit.rule:
            evidence, again = _REFUSALS[visit.rule]
            rows.append(obx(2, "CWE", coded("keta.candidacy-rule"), coded(visit.rule), sub="1", at=at, by=doctor))
            rows.append(f"NTE|1||{evidence}")
            rows.append(obx(3, "ST", coded("keta.re-evaluation"), again, sub="1", at=at, by=doctor))
        told = [self._result(self.screening, "CD", coded("keta.candidacy-decision"), at, rows)]
        return [*told, self._adt(self.screening, "A08", visit.screened, at + timedelta(minutes=10))]

    def _arrival(self) -> Told:
        return self._adt(self.office, "A04", self.visit.at(-45))

    def _weight(self) -> Told:
        at, who, nurse = self.visit.at(-38), self.visit.person, xcn(self.visit.nurse, self.facility)
        rows = [
            obx(1, "NM", coded("vitals.weight"), wire.number(who.weight), unit("kg"), at=at, by=nurse),
            obx(2, "NM", coded("vitals.height"), str(who.height), unit("cm"), at=at, by=nurse),
        ]
        return self._result(self.office, "WT", coded("vitals.panel"), at, rows)

    def order(self, course: Course) -> Told:
        """RDE^O11: by weight, with the mixture, and for a titrated infusion its steps and limits."""
        visit, at = self.visit, self.visit.at(-25)
        who, titrated = visit.person, visit.person.indication.protocol == "pain"
        doctor = f"{DOCTOR[0]}^{DOCTOR[1]}^{DOCTOR[2]}^^^Dr^^^{self.facility}"
        rate = wire.number(course.start_rate)
        text = "Titrated to effect by pump" if titrated else "0.5 mg/kg over 40 minutes by pump"
        drawn = plain(course.bag * course.concentration)
        drug = plain(drawn / _DRAWN)
        rxe = [""] * 36
        rxe[2], rxe[3], rxe[5] = coded("drug.ketamine"), wire.number(course.dose), unit("mg")
        rxe[6], rxe[7] = "^Solution for infusion", f"^{text}"
        rxe[10], rxe[11] = wire.number(course.bag), unit("ml")
        rxe[14] = f"PH-1^Sample^Imre^^^^^^{self.facility}"
        rxe[22] = "" if titrated else f"M{course.planned}"
        rxe[23], rxe[24] = rate, unit("ml-per-h")
        rxe[25], rxe[26] = wire.number(course.concentration), unit("mg-per-ml")
        rxe[27], rxe[35] = coded(who.indication.code), "III^Schedule III^HL70477"
        lasting = "" if titrated else f"||||{course.planned}^min&&UCUM"
        segments = [
            f"ORC|NW|{placer(visit)}|{filler(visit)}||IP||||{time(at)}|{doctor}||{doctor}{'|' * 17}O^Outpatient order^HL70482",
            "RXE|" + "|".join(rxe[1:]),
            f"TQ1|1||||||{time(visit.at(0))}||R^Routine^HL70485{lasting}",
            wire.RXR,
            f"RXC|B|{coded('drug.sodium-chloride-0.9')}|{wire.number(course.bag - drug)}|{unit('ml')}",
            f"RXC|A|{coded('drug.ketamine')}|{wire.number(drawn)}|{unit('mg')}",
            obx(1, "NM", coded("vitals.weight"), wire.number(who.weight), unit("kg"), at=visit.at(-38)),
        ]
        if titrated:
            limits = (
                ("keta.rate-start", course.start_rate, "ml-per-h"),
                ("keta.rate-step", course.step, "ml-per-h"),
                ("keta.rate-max", course.max_rate, "ml-per-h"),
                ("keta.running-time-cap", Decimal(course.planned), "min"),
            )
            for n, (name, value, measured) in enumerate(limits, 2):
                segments.append(obx(n, "NM", coded(name), wire.number(plain(value)), unit(measured), at=at))
        return self._told(self.office, "RDE^O11^RDE_O11", later(at, 20), segments)

    def _watching(self) -> list[Told]:
        shown = self.visit.effects
        if shown is None:
            return []
        told = [self._vitals(one) for one in shown.readings]
        if self.visit.corrected:
            told += self._mistyped(shown.readings[len(shown.readings) // 2])
        return told

    def _vitals(self, one: Reading, *, heart: int | None = None, status: str = "F", seconds: int = 5) -> Told:
        at, device = self.visit.at(one.minute), f"SYN-MON-{self.visit.chair:02}^{self.facility}"
        nurse = xcn(self.visit.nurse, self.facility)
        measured = (
            ("vitals.systolic", one.systolic, "mmhg", "1"),
            ("vitals.diastolic", one.diastolic, "mmhg", "1"),
            ("vitals.heart-rate", one.heart if heart is None else heart, "per-minute", ""),
            ("vitals.resp-rate", one.breaths, "per-minute", ""),
            ("vitals.spo2-pulse-oximetry", one.oxygen, "percent", ""),
        )
        rows = [
            obx(n, "NM", coded(name), str(value), unit(kind), sub=sub, at=at, device=device, status=status)
            for n, (name, value, kind, sub) in enumerate(measured, 1)
        ]
        for name, score in (("score.moaas", one.moaas), ("pain.nrs", one.pain)):
            if score is not None:
                rows.append(
                    obx(len(rows) + 1, "NM", coded(name), str(score), unit("score"), at=at, by=nurse, status=status)
                )
        told = self._result(self.monitor, "VS", coded("vitals.panel"), at, rows, status=status)
        return Told(later(at, seconds), told.text.replace(time(told.sent), time(later(at, seconds)), 1))

    def _mistyped(self, one: Reading) -> list[Told]:
        """A heart rate of a moment later that was wrong at first, and its correction (OBX-11 C)."""
        moment = Reading(one.minute + 1, one.systolic, one.diastolic, one.heart, one.breaths, one.oxygen)
        return [self._vitals(moment, heart=one.heart + 40), self._vitals(moment, status="C", seconds=120)]

    def _troubles(self) -> list[Told]:
        return [self._adverse(number, one) for number, one in enumerate(self.visit.adverse, 1)]

    def _adverse(self, number: int, one: Adverse) -> Told:
        visit, nurse = self.visit, xcn(self.visit.nurse, self.facility)
        at, end = visit.at(one.minute), visit.at(one.end)
        told: list[tuple[str, str, str]] = [
            ("CWE", "keta.adverse-event", coded(one.effect)),
            ("NM", "keta.ctcae-grade", str(one.grade)),
            ("CWE", "keta.adverse-event-transient", "Y" if one.transient else "N"),
            ("DTM", "keta.adverse-event-detected", time(later(at, 60))),
            ("DTM", "keta.adverse-event-end", time(end)),
            ("CWE", "keta.adverse-event-outcome", "resolved"),
            ("EI", "keta.adverse-event-order", placer(visit)),
        ]
        if one.rescue is not None:
            given = visit.rescues[one.rescue]
            name = coded(given.drug).split("^")[1]
            told.append(("ST", "keta.rescue-medication", f"{name} {wire.number(given.amount)} mg IV"))
            told.append(("EI", "keta.rescue-order", placer(visit, f"-{one.rescue + 1}")))
        rows = [
            obx(n, kind, coded(name), value, sub="1", at=at, by=nurse) for n, (kind, name, value) in enumerate(told, 1)
        ]
        place = (
            f"OBR|1|{placer(visit)}|AE-{visit.person.number}-{number}^EHR|{coded('keta.adverse-event')}|||{time(at)}"
        )
        return self._told(self.office, "ORU^R01^ORU_R01", later(end, 40), [place, *rows])

    def _leaving(self) -> Told:
        assert self.visit.course is not None
        return self._adt(self.office, "A08", self.visit.at(-45), self.visit.at(self.visit.course.end + RECOVERY + 10))

    def _afterwards(self) -> list[Told]:
        visit, course, shown = self.visit, self.visit.course, self.visit.effects
        assert course is not None
        assert shown is not None
        nurse = xcn(visit.nurse, self.facility)
        done, ready = visit.at(course.end + 2), visit.at(course.end + RECOVERY)
        told = []
        if visit.person.indication.protocol == "mood":
            row = obx(1, "NM", coded("score.cadss"), str(shown.dissociation), unit("score"), at=done, by=nurse)
            told.append(self._result(self.office, "CADSS", coded("vitals.panel"), done, [row]))
        rows = [
            obx(n, "NM", coded(name), "10", unit("score"), at=ready, by=nurse)
            for n, name in enumerate(("score.aldrete", "score.padss"), 1)
        ]
        told.append(self._result(self.office, "DS", coded("vitals.panel"), ready, rows))
        told += [self._answered(one) for one in visit.answers if one.when > visit.start]
        return told + [self._pained(at, score) for at, score in visit.pain if at > visit.start]


def placer(visit: Visit, part: str = "") -> str:
    """ORC-2 of the infusion, or of a medicine beside it (`-1`)."""
    return f"P-{visit.person.number}{part}^EHR"


def parent(visit: Visit) -> str:
    """ORC-8 of a bolus: the order of the infusion."""
    return f"{placer(visit)}^{filler(visit)}".replace("^EHR", "&EHR").replace("^PHARM", "&PHARM")


def filler(visit: Visit, part: str = "") -> str:
    """ORC-3, as ORC-2."""
    return f"F-{visit.person.number}{part}^PHARM"
