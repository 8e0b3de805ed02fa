"""An order to a pump in the form of IHE PCD-03 (PCD TF-2, 3.3.4.4), for gives that name their pump.

MSH-21 has the profile; a volume to be infused in mL (RXG-5 and -7), units with their name, `^IV^HL70162` for a code of an HL7 table
in RXR. Read, such a code is the code.
"""

from __future__ import annotations

from fractions import Fraction

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.mapping.codecs.numbers import finite
from ketafhir.plain import replace
from ketafhir.therapy import measures
from ketafhir.therapy.records import Observation, Order, Records
from ketafhir.therapy.values import Coded, Quantity

_FLOW = "mdc.flow-fluid-pump"
_RATE, _RATE_UNIT = 15, 16
_UNITS = (7, 16, 18, 24)
_CODED = (1, 3, 4)  # of RXR: route, device, method
_TABLES = ("HL70162", "HL70164", "HL70165")


def pump() -> codes.Code:
    """The OBX-3 that names a pump."""
    return codes.code("mdc.dev-pump-infus-vmd")


def names_pump(records: Records, give: Order) -> bool:
    """Whether an observation of the instruction says which pump it is for: PCD-03 requires one."""
    told = (one for one in records.observations.values() if one.order == give.key or one.key in give.observations)
    return any(one.code is not None and one.device and one.code.has(pump().system, pump().code) for one in told)


def with_volume(give: Order) -> Order:
    """The instruction with the volume that its dose is in. Raises Refused where that is no finite number: it is not rounded."""
    dose, strength = give.dose, give.strength
    if not isinstance(dose, Quantity) or strength is None:
        return give
    drug, held = measures.milligrams(dose), measures.milligrams(strength.numerator)
    fluid = measures.millilitres(strength.denominator)
    if not drug or not held or not fluid:
        return give
    volume = finite(Fraction(drug) * fluid / held)
    if volume is None:
        number = give.filler or give.placer
        raise Refused(
            Issue(
                "error", "dose-unwritable", "the volume of this dose is no finite number of mL: a pump is not told a rounded one",
                where="RXG-5", value=number.value if number else "", hint="send the volume to be infused in mL",
            )
        )  # fmt: skip
    return replace(give, dose=Quantity(volume, "mL"))


def is_dose_at_rate(give: Order) -> bool:
    """Whether an instruction is a bolus from what runs (ORC-8) of a dose at a rate, and no time is told that it goes over."""
    return bool(give.parent and give.dose and give.rate) and not (give.over or give.occurrence_duration)


def dose_for_rate(cells: dict[int, str]) -> dict[int, str]:
    """The cells of such a bolus in the form of PIV (bolus from an existing infusion): RXG-15 and -16 are the dose, and an
    observation is the rate."""
    found = {field: text for field, text in cells.items() if field not in (5, 6, 7, _RATE, _RATE_UNIT)}
    return {**found, _RATE: cells[5], _RATE_UNIT: cells[7]}


def with_flow(told: list[Observation], give: Order, *, wanted: bool) -> list[Observation]:
    """The observations of an instruction, with its rate where that is `wanted`. Raises Refused where one tells another rate, or the
    rate is none of a volume: what a pump does must be told once."""
    flow = [one for one in told if one.code is not None and one.code.has(_flow().system, _flow().code)]
    for one in flow:
        if not isinstance(one.value, Quantity) or _flow_of(one.value) != _flow_of(give.rate):
            raise _refused(give, "rate-ambiguous", "the instruction and its observation of the flow tell two rates")
    if not wanted or flow:
        return told
    if _flow_of(give.rate) is None:
        raise _refused(
            give, "pump-order-incomplete", "a bolus of a dose needs its rate as a volume, or its time (TQ1-13)"
        )
    assert give.rate is not None
    value = replace(give.rate, display=give.rate.unit)
    return [*told, Observation(code=Coded((of_name(_FLOW),)), value=value, status="final", patient=give.patient)]


def _flow_of(rate: Quantity | None) -> Fraction | None:
    """A rate of a volume in mL/h; None of any other."""
    return measures.millilitres_per_hour(rate)


def _refused(give: Order, code: str, text: str) -> Refused:
    number = give.filler or give.placer
    issue = Issue(
        "error", code, text, where="RXG-15", value=number.value if number else "", hint="send one rate, in mL/h"
    )
    return Refused(issue)


def _flow() -> codes.Code:
    return codes.code(_FLOW)


def rxg(cells: dict[int, str]) -> dict[int, str]:
    """Its cells with the name of each unit, which the profile requires beside the code: mL^mL^UCUM."""
    found = dict(cells)
    for field in _UNITS:
        code, _, rest = found.get(field, "").partition("^")
        if code and rest.endswith("^UCUM"):
            found[field] = f"{code}^{code}^UCUM"
    return found


def rxr(cells: dict[int, str]) -> dict[int, str]:
    """Its cells with codes of HL7 tables as the profile has them: ^IV^HL70162."""
    found = dict(cells)
    for field in _CODED:
        parts = found.get(field, "").split("^")
        if len(parts) == 3 and parts[2] in _TABLES and codes.find(codes.system_uri(parts[2]), parts[0]):
            found[field] = f"^{parts[0]}^{parts[2]}"
    return found


def with_codes(segment: Segment) -> Segment:
    """An RXR in the form of the profile, with its codes as codes; any other as it is."""
    fields = list(segment.fields)
    for field in _CODED:
        parts = segment.get(field).split("^")
        if len(parts) == 3 and not parts[0] and parts[2] in _TABLES:
            one = codes.find(codes.system_uri(parts[2]), parts[1])
            if one is not None:
                fields[field] = f"{one.code}^{escape(one.display)}^{parts[2]}"
    return segment if fields == segment.fields else Segment(segment.name, fields, segment.line, segment.occurrence)
