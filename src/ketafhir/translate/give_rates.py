"""The rate of a give instruction (RXG-14 to -16), and the time that a dose goes over (TQ1-13; IHE PCD TF-2, 3.3.4.4.5, 3.3.4.4.6).

RXG-16 is the unit of a rate, or of an amount. An amount goes over the time of RXG-14 (chapter 4A), or, in PCD-03, the dose over
that of TQ1-13. Both are told as one whole rate; what fits both readings and means two rates is refused, unless the site says
which it is (`rxg_amount`).
"""

from __future__ import annotations

from fractions import Fraction

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import units
from ketafhir.mapping.codecs.intervals import read_interval
from ketafhir.mapping.codecs.numbers import finite, number_text, read_amount, read_number, read_unit, write_unit
from ketafhir.mapping.codecs.rates import whole_rate
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.engine import NULL
from ketafhir.therapy.values import Quantity, Rate
from ketafhir.translate.pump_terms import meaning, refid
from ketafhir.translate.reading import Reading

PROFILE = "IHE_PCD_003^IHE PCD^1.3.6.1.4.1.19376.1.6.1.3.1^ISO"
"""MSH-21 of an order to a pump (IHE PCD-03)."""
_OID = PROFILE.split("^")[2]
_PER, _AMOUNT, _UNIT, _LASTS = 14, 15, 16, 13
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "wk": 604800}


def with_whole_duration(timing: Segment) -> Segment:
    """A TQ1 whose TQ1-13 has several parts (PCD-03: 2 h ~ 45 min), with their sum in the smallest of their units. A part that is no
    time is left alone there, and refused by its row."""
    parts = timing.get(_LASTS).split("~")
    if len(parts) < 2:
        return timing
    told = [_duration(part) for part in parts if part]
    if not told:
        fields = list(timing.fields)
        fields[_LASTS] = ""
        return Segment(timing.name, fields, timing.line, timing.occurrence)
    if any(one is None for one in told):
        fields = list(timing.fields)
        fields[_LASTS] = next(part for part in parts if part and _duration(part) is None)
        return Segment(timing.name, fields, timing.line, timing.occurrence)
    unit = min((one.unit for one in told if one), key=lambda name: _SECONDS[name])
    total = sum((Fraction(one.value) * _SECONDS[one.unit] for one in told if one), Fraction(0))
    value = finite(total / _SECONDS[unit])
    assert value is not None  # each unit is a whole number of each smaller one
    fields = list(timing.fields)
    fields[_LASTS] = f"{number_text(value)}^{write_unit(Quantity(value, unit)).replace('^', '&')}"
    return Segment(timing.name, fields, timing.line, timing.occurrence)


def _duration(text: str) -> Quantity | None:
    number, _, unit = text.partition("^")
    found = read_unit(unit.replace("&", "^"))[0]
    if found is None or found.ucum not in _SECONDS:
        return None
    try:
        return Quantity(read_number(number), found.ucum)
    except Unreadable:
        return None


def with_rate_of_dose(reading: Reading, rxg: Segment, timings: list[Segment], results: list[Result]) -> Segment:
    """An RXG whose RXG-15 is a dose, with its whole rate: over TQ1-13, or at the flow that an OBX tells (PIV, bolus of a running
    infusion); any other as it is. Raises Refused where the rate has no finite number, or two may be meant."""
    lasts = _duration(timings[0].get(_LASTS)) if timings and timings[0].get(_LASTS) else None
    dose = _dose(rxg)
    if dose is not None and lasts is None and not rxg.get(_PER):
        return _at_flow(reading, rxg, dose, results)
    if lasts is None or dose is None or not lasts.value or reading.tables.settings.rxg_amount == "per-time":
        return rxg
    if rxg.get(_PER):
        _check_one_reading(reading, rxg, dose, lasts)
        return rxg
    try:
        whole = whole_rate(Rate(dose, lasts))
    except Unreadable:
        raise reading.refused(
            rxg, _UNIT, "rate-unreadable", "a dose over TQ1-13 whose rate is no finite number: a rate is not rounded",
            "send the rate in RXG-15 and -16", "102", value=rxg.get(_UNIT),
        ) from None  # fmt: skip
    fields = list(rxg.fields)
    fields[_AMOUNT], fields[_UNIT] = number_text(whole.value), write_unit(whole)
    return Segment(rxg.name, fields, rxg.line, rxg.occurrence)


def _at_flow(reading: Reading, rxg: Segment, dose: Quantity, results: list[Result]) -> Segment:
    """An RXG whose RXG-15 is a dose and whose rate an OBX tells, as one with the dose in RXG-5 and the rate in RXG-15."""
    flow = next((one.obx for one in results if meaning(refid(one.obx.get(3))) == "rate" and one.obx.get(5)), None)
    if flow is None:
        return rxg  # its row refuses it: an amount over no time
    fields = [*rxg.fields, *[""] * (_UNIT + 1 - len(rxg.fields))]
    if fields[5] not in ("", NULL) and fields[5:8:2] != fields[_AMOUNT : _UNIT + 1]:
        raise reading.refused(
            rxg, 5, "dose-ambiguous", "RXG-5 and RXG-15 tell two doses",
            "send the dose once, and the rate in an OBX", "102", value=fields[5],
        )  # fmt: skip
    fields[5], fields[6], fields[7] = fields[_AMOUNT], "", fields[_UNIT]
    fields[_AMOUNT], fields[_UNIT] = flow.get(5), flow.get(6)
    return Segment(rxg.name, fields, rxg.line, rxg.occurrence)


def _dose(rxg: Segment) -> Quantity | None:
    """RXG-15 where RXG-16 is the unit of an amount."""
    found = read_unit(rxg.get(_UNIT))[0] if rxg.get(_UNIT) else None
    if found is None or found.kind not in units.AMOUNTS:
        return None
    try:
        return Quantity(read_amount(rxg.get(_AMOUNT)), found.ucum)
    except Unreadable:
        return None


def _check_one_reading(reading: Reading, rxg: Segment, dose: Quantity, lasts: Quantity) -> None:
    """Refuse an amount in a message of PCD-03 that has RXG-14 and TQ1-13, where these are two times."""
    if _OID not in reading.message.msh.get(21).split("^"):
        return
    try:
        per = read_interval(rxg.get(_PER))
    except Unreadable:
        return  # its row refuses it
    if per.value * _SECONDS[per.unit] != lasts.value * _SECONDS[lasts.unit]:
        text = (
            f"{dose.value} {dose.unit} go over {per.value} {per.unit} (RXG-14) or {lasts.value} {lasts.unit} (TQ1-13)"
        )
        raise reading.refused(
            rxg, _UNIT, "rate-ambiguous", text,
            "send the rate in RXG-15 and -16; a site whose RXG-14 always counts sets rxg_amount = per-time", "102",
            value=rxg.get(_UNIT),
        )  # fmt: skip
