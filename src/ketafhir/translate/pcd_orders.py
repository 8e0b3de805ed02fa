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
from ketafhir.mapping.codecs.numbers import finite
from ketafhir.plain import replace
from ketafhir.therapy import measures
from ketafhir.therapy.records import Order, Records
from ketafhir.therapy.values import Quantity

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


def rxg(cells: dict[int, str]) -> dict[int, str]:
    """Its cells with the name of each unit, which the profile requires beside the code: mL^mL^UCUM."""
    found = dict(cells)
    for field in _UNITS:
        code, _, rest = found.get(field, "").partition("^")
        if code and rest == "^UCUM":
            found[field] = f"{code}^{code}{rest}"
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
