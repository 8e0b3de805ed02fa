"""Events of infusion pumps: ORU^R42 (IHE PCD-10, IPEC supplement) <-> reports, observations, and the acts they make.

Every OBX is kept as an observation of a report, as in any ORU; a delivery event (start, stop, complete, program cleared)
is an act of the infusion besides. R42 goes back from report and observations, the acts are read from them anew.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import units
from ketafhir.mapping.codecs.base import unescape
from ketafhir.mapping.codecs.coded import read_cwe
from ketafhir.mapping.codecs.identifiers import DeviceIdentifier
from ketafhir.mapping.codecs.numbers import read_amount, read_unit
from ketafhir.mapping.context import Unreadable
from ketafhir.therapy import measures
from ketafhir.therapy.pump import CLEAR, COMPLETE, KVO, RESET, START, STOP, STRAY, key_of, nothing, whole_of
from ketafhir.therapy.records import Administration, Report
from ketafhir.therapy.values import Coded, Device, Identifier, Quantity, Rate, Time
from ketafhir.translate import devices, headings, results
from ketafhir.translate.order_mismatches import is_ketamine
from ketafhir.translate.pump_terms import MDC, meaning, refid, word
from ketafhir.translate.reading import Reading
from ketafhir.translate.reports import OBR

EVENT, ALARM = "R42", "R40"
_BOLUS = ("clinician", "loading", "pca", "intermittent")
_PATIENT = "MDC_EVT_PATIENT"
_PARTS = 4  # of OBX-4: MDS, VMD, channel, metric (IHE PCD TF-2, appendix B.8)
_ACTS = (START, STOP, COMPLETE, CLEAR, RESET)


def read(reading: Reading, group: PatientGroup) -> None:
    """The events of one patient group, one for each OBR. Raises Refused."""
    for order in group.orders:
        if order.obr is not None:
            _Event(reading, order).read()


def read_alarms(reading: Reading, group: PatientGroup) -> None:
    """The alarms of one patient group (ORU^R40, IHE PCD-04), one for each OBR: kept whole, no act of an infusion."""
    for order in group.orders:
        if order.obr is not None:
            _Event(reading, order).read_alarm()


class _Event:
    """One event as told: its OBX by what they mean and where in the containment they stand."""

    def __init__(self, reading: Reading, group: OrderGroup) -> None:
        self.reading, self.group = reading, group
        self.told: list[tuple[str, str, Result]] = []
        self.name = self.source = ""
        for result in group.results:
            name = refid(result.obx.get(3))
            self.told.append((name, _container(result.obx.get(4)), result))
        condition = self.first("event")
        if condition is not None:
            self.name = refid(condition.obx.get(5))
        self.event = meaning(self.name)
        self.prefix, self.source = self._where()

    def first(self, means: str, within: str = "") -> Result | None:
        """The first OBX that means this, in one container or anywhere."""
        for name, prefix, result in self.told:
            if meaning(name) == means and (not within or prefix == within) and result.obx.get(5):
                return result
        return None

    def _where(self) -> tuple[str, str]:
        """The container of the source that delivers, and which source it is (IPEC, table X.1.2.1-4)."""
        sources = self.first("sources")
        kind = word(sources.obx.get(5)) if sources is not None else ""
        containers = {meaning(name): prefix for name, prefix, _ in self.told if _is_source(meaning(name))}
        named = self.first("source")
        prefix = _container(named.obx.get(5)) if named is not None else ""
        if kind in containers:
            return containers[kind], kind
        by_prefix = {at: source for source, at in containers.items()}
        if prefix in by_prefix:
            return prefix, kind or by_prefix[prefix]
        rate = self.first("rate")
        if rate is not None:
            prefix = _container(rate.obx.get(4))
        return prefix, kind or by_prefix.get(prefix, "primary")

    def read(self) -> None:
        reading = self.reading
        if not self.event:
            raise self.refused("event-unknown", "no event of a pump is told that is known", "OBX", "MDC_ATTR_EVT_COND")
        values, notes = headings.read(reading, self.group, OBR)
        report = Report(patient=reading.patient, visit=reading.visit, notes=notes, told=reading.told, **values)
        report.sender = reading.sender
        report.event, report.place = EVENT, self.group.obr.occurrence if self.group.obr else 0
        at = self._time(report)
        device, channel = self._channel()
        act = self._act(report, at, device, channel) if self.event in _ACTS else None
        report.key = act.key if act else key_of(channel, self.name, at)
        told, report.containers = devices.read(reading, self.group.results)
        keys = results.read_results(reading, told, scope_key=report.key, start=at, report=report.key)
        reading.records.reports[report.key] = report
        if act is not None:
            for key, result in zip(keys, told, strict=True):
                whole = self.event in (CLEAR, RESET) or meaning(refid(result.obx.get(3))) == "total-volume"
                reading.records.observations[key].part_of = whole_of(act.key) if whole else act.key
            reading.records.administrations[act.key] = act

    def read_alarm(self) -> None:
        """A report of what the alarm tells: event, phase, state, priority, source. Its identity is OBR-3, else when it was what."""
        reading = self.reading
        alarm, phase = self.first("alarm"), self.first("alarm-phase")
        if alarm is None:
            raise self.refused("event-unknown", "no alarm is told", "OBX", "send MDC_EVT_ALARM", "101")
        values, notes = headings.read(reading, self.group, OBR)
        report = Report(patient=reading.patient, visit=reading.visit, notes=notes, told=reading.told, **values)
        report.sender = reading.sender
        report.event, report.place = ALARM, report_segment(self.group).occurrence
        at = self._time(report)
        what = "|".join(one.obx.get(5) for one in (alarm, phase) if one is not None)
        number = report.filler.key if report.filler else ""
        report.key = f"{self._channel()[1]}|{number}|{key_of('alarm', what, at)}"
        told, report.containers = devices.read(reading, self.group.results)
        results.read_results(reading, told, scope_key=report.key, start=at, report=report.key)
        reading.records.reports[report.key] = report

    def _time(self, report: Report) -> Time:
        start = report.period.start if report.period else None
        if start is None:
            raise self.refused(
                "time-missing", "when it happened is not told", "OBR-7", "send the time of the event", "101"
            )
        return start

    def _channel(self) -> tuple[Device | None, str]:
        """The pump, and the identity of the channel of it. A pump without identifier is known by its sender and patient."""
        codec, c = DeviceIdentifier("", self.reading.tables.code_map), self.reading.c
        told = (result.obx.get(18) for _, _, result in self.told)
        device = next((codec.from_v2(c, text.split("~")[0]) for text in told if text), None)
        application, facility = self.reading.message.sender
        key = device.identifier.key if device else f"{facility}:{application}|{self.reading.patient}"
        vmd = [*self.prefix.split("."), "", ""][1]
        return device, f"{key}#{vmd}" if vmd not in ("", "0", "1") else key

    def _act(self, report: Report, at: Time, device: Device | None, channel: str) -> Administration | None:
        reading, drug = self.reading, self._drug(report)
        if drug is None and self.source == "secondary":
            reading.warn(
                "pump-drug-unknown", "a secondary source whose drug is not told: it is no part of an infusion",
                report_segment(self.group), hint="send MDC_DRUG_NAME_LABEL",
            )  # fmt: skip
            return None
        number = order_number(report, reading)
        if self.name.startswith(_PATIENT) or (drug is None and self.event != START):
            number = None  # whatever the channel delivers
        order = number.key if number else STRAY + channel
        if drug is not None and not is_ketamine(drug):
            # Not under the order's own key: its dose and concentration are of another drug.
            order = f"{order}|{drug.label}"
        act = Administration(
            key=key_of(channel, self.event, at), infusion=f"{order}|0|@{reading.visit}", order=order,
            patient=reading.patient, visit=reading.visit, start=at, drug=drug, pump=device, channel=channel, delivery=self.event,
            source=self.source, action="add",
            told=reading.told, sender=reading.sender, concentration=self._concentration(),
        )  # fmt: skip
        act.counter = self._counter()
        act.placer, act.filler = (number, None) if number is report.placer else (None, number)
        if self.event == START:
            self._start(act)
        else:
            self._end(act)
        return act

    def _start(self, act: Administration) -> None:
        act.order_status = "running"
        delivery = self.first("delivery", self.prefix)
        if delivery is not None and word(delivery.obx.get(5)) == KVO:
            act.source = KVO
        if self.source in _BOLUS:
            return
        result = self.first("rate", self.prefix) or self.first("current-rate")
        if result is None:
            result = self.first("dose-rate", self.prefix)
        if result is None:
            raise self.refused(
                "rate-missing", "a delivery starts and its rate is not told", "OBX", "send MDC_FLOW_FLUID_PUMP", "101"
            )
        act.rate = self._rate(result)
        if not act.rate.amount.value:
            raise self.refused(
                "rate-missing", "a delivery starts at a rate of 0", self.place(result, 5), "send the rate it starts at"
            )
        self._compare(act, act.rate, result)

    def _end(self, act: Administration) -> None:
        act.rate = nothing()
        delivery = self.first("delivery", self.prefix) or self.first("delivery")
        status = word(delivery.obx.get(5)) if delivery is not None else ""
        reason = self.first("reason", self.prefix) or self.first("reason")
        if reason is not None:
            coded = read_cwe(reason.obx.get(5).split("~")[0], self.reading.c)
            act.reasons = (coded,) if coded else ()
        volume = self.first("volume-of-segment", self.prefix)
        if volume is not None:
            value = self._quantity(volume, frozenset({"volume"}))
            act.amount = value
        if self.event in (CLEAR, RESET):
            return
        if status == "transitioning":
            act.state = "superseded"
        elif self.event == COMPLETE:
            act.state = "completed"
        else:
            act.state, act.order_status = "stopped", "held"

    def _drug(self, report: Report) -> Coded | None:
        """The drug of the source, or what the OBR is of, where that is no device and no event."""
        result = self.first("drug", self.prefix) or (
            self.first("drug") if self.source in (*_BOLUS, "primary") else None
        )
        if result is not None:
            text = result.obx.get(5).split("~")[0]
            if result.obx.get(2) in ("CWE", "CE"):
                return read_cwe(text, self.reading.c)
            said = unescape(text)
            return Coded((), said) if said else None
        code = report.code
        if code is None or any(one.system == MDC or one.code.startswith("MDC_") for one in code.codings):
            return None
        return code

    def _concentration(self) -> Quantity | None:
        result = self.first("concentration", self.prefix) or self.first("concentration")
        return self._quantity(result, frozenset({"concentration"})) if result is not None else None

    def _counter(self) -> Quantity | None:
        """What the source has given by the pump's counter: of a bolus the counter of the fluid source it is taken from."""
        told = [one for one in self.told if meaning(one[0]) == "total-volume" and one[2].obx.get(5)]
        own = [one for one in told if (one[1] == self.prefix) is (self.source not in _BOLUS)]
        return self._quantity(own[0][2], frozenset({"volume"})) if own else None

    def _quantity(self, result: Result, kinds: frozenset[str]) -> Quantity:
        """A number that the dose depends on: what is not understood is refused."""
        try:
            value = read_amount(result.obx.get(5))
            unit, display, sent = read_unit(result.obx.get(6))
            if unit is None or unit.kind not in kinds:
                raise Unreadable(
                    "unit-unknown", "the unit is not understood, or not one of this", sent,
                    f"send UCUM: {units.alternatives(kinds)}", "103",
                )  # fmt: skip
        except Unreadable as error:
            issue = Issue(
                "error", error.code, error.why, where=self.place(result, 6 if error.code == "unit-unknown" else 5),
                value=error.value, hint=error.hint, hl7=error.hl7,
            )  # fmt: skip
            raise Refused(*self.reading.c.issues, issue) from None
        return Quantity(value, unit.ucum, display)

    def _rate(self, result: Result) -> Rate:
        value = self._quantity(result, frozenset({"rate"}))
        unit = units.find(value.unit)
        assert unit is not None
        return Rate(Quantity(value.value, unit.amount), Quantity(Decimal(1), unit.per))

    def _compare(self, act: Administration, rate: Rate, result: Result) -> None:
        """Flow rate against dose rate, through concentration and weight: a difference is told with both numbers."""
        told = self.first("dose-rate", self.prefix)
        if told is None or told is result or act.concentration is None:
            return
        weight = self.first("weight", self.prefix) or self.first("weight")
        kilograms = self._quantity(weight, frozenset({"mass"})) if weight is not None else None
        given = measures.milligrams_per_hour(rate, kilograms, act.concentration)
        named = measures.milligrams_per_hour(self._rate(told), kilograms, act.concentration)
        if given is None or named is None or abs(given - named) <= abs(named) * _TOLERANCE:
            return
        self.reading.warn(
            "dose-rate-mismatch",
            f"the dose rate is {float(named):g} mg/h, flow rate and concentration give {float(given):g} mg/h",
            told.obx, 5, told.obx.get(5), "check rate, concentration and weight at the pump",
        )  # fmt: skip

    def place(self, result: Result, field: int) -> str:
        return self.reading.message.where(result.obx, field)

    def refused(self, code: str, text: str, where: str, hint: str = "", hl7: str = "207") -> Refused:
        issue = Issue("error", code, text, where=where, hint=hint, hl7=hl7)
        return Refused(*self.reading.c.issues, issue)


_TOLERANCE = Fraction(1, 100)


def order_number(report: Report, reading: Reading) -> Identifier | None:
    """The number of the order that a pump runs: OBR-2. OBR-3 is the device's own number of what it tells (IHE PCD TF-2, B.7);
    it counts only without OBR-2, and where another system than the device or the sender gave it."""
    if report.placer is not None:
        return report.placer
    filler = report.filler
    if filler is None or filler.system == reading.c.local or ":EUI-64:" in filler.system:
        return None
    return filler


def report_segment(group: OrderGroup) -> Segment:
    assert group.obr is not None
    return group.obr


def _is_source(means: str) -> bool:
    return means in ("primary", "secondary", *_BOLUS)


def _container(text: str) -> str:
    """The container of a containment: `1.1.2` of `1.1.2.4`, and of its own `1.1.2.0`."""
    parts = unescape(text).split(".")
    return ".".join(parts[: _PARTS - 1]) if len(parts) >= _PARTS else text
