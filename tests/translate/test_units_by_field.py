"""Each unit of the rule (UCUM, MDC, free text, triplets in either order) in each field that takes one: FHIR has UCUM, and it goes
out as UCUM; a unit that is refused says which would be taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.mapping import codes
from ketafhir.mapping.paths import Json
from ketafhir.translate.translation import to_fhir, to_hl7v2

PID = "PID|1||SYN-100318^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M"
HEAD = "MSH|^~\\&|A|WILLOW|B|HUB|20260414090000-0500||{}|U-1|P|2.5.1"
DRUG = "6130^ketamine^RXN"
AMOUNTS = {"mg": ("mg",), "ug": ("mcg", "µg"), "g": (), "mL": ("ml", "cc")}
RATES = {
    "mL/h": ("mL/hr", "ml/h", "cc/hr"), "mg/h": ("mg/hr",), "mg/min": (), "ug/min": ("mcg/min",), "ug/kg/min": ("mcg/kg/min",),
    "mg/kg/h": ("mg/kg/hr",),
}  # fmt: skip
WEIGHTS: dict[str, tuple[str, ...]] = {"kg": (), "g": (), "[lb_av]": ("lb",)}
STRENGTHS = {"mg/mL": ("mg/ml",), "ug/mL": ("mcg/mL",)}


class Place(NamedTuple):
    """A field that takes a unit: the type of its message, the lines with `{}` where it stands, the segment and field, the units it
    takes with their spellings, and one of another kind that it refuses."""

    kind: str
    lines: str
    segment: str
    field: int
    takes: dict[str, tuple[str, ...]]
    refuses: str


RXE = f"ORC|NW|P-1^EHR|F-1^PH\rRXE||{DRUG}|{{}}\rTQ1|1||||||20260414090000-0500\rRXR|IV"
RXO = f"ORC|NW|P-1^EHR\rRXO|{DRUG}|{{}}\rRXR|IV"
RAS = f"ORC|RE|P-1^EHR|F-1^PH||CM\rRXA|0|1|20260414090000-0500|20260414100000-0500|{DRUG}|{{}}|CP|A\rRXR|IV"
PLACES = {
    "RXA-7": Place("RAS^O17", RAS.replace("{}", "36|{}" + "|" * 12), "RXA", 7, AMOUNTS, "mg/h"),
    "RXA-14": Place("RAS^O17", RAS.replace("{}", "36|mL|||||H1|1|{}|||||"), "RXA", 14, STRENGTHS, "mL/h"),
    "RXE-5": Place("RDE^O11", RXE.replace("{}", "120||{}"), "RXE", 5, AMOUNTS, "mg/h"),
    "RXE-24": Place("RDE^O11", RXE.replace("{}", "120||mg" + "|" * 18 + "20|{}"), "RXE", 24, RATES, "mL/kg"),
    "RXE-26": Place("RDE^O11", RXE.replace("{}", "120||mg" + "|" * 20 + "1|{}"), "RXE", 26, STRENGTHS, "mL/h"),
    "RXO-4": Place("OMP^O09", RXO.replace("{}", "120||{}"), "RXO", 4, AMOUNTS, "mg/h"),
    "RXO-22": Place("OMP^O09", RXO.replace("{}", "120||mg" + "|" * 17 + "20|{}"), "RXO", 22, RATES, "mL/kg"),
    "OBX-6": Place(
        "RDE^O11", RXE.replace("{}", "120||mg") + "\rOBX|1|NM|29463-7^Body weight^LN||80.0|{}|||||F|||20260414081200-0500",
        "OBX", 6, WEIGHTS, "mL/h",
    ),
}  # fmt: skip


def spelled(ucum: str, free: tuple[str, ...]) -> Iterator[str]:
    """All ways to say a unit: alone, as UCUM, free text, and MDC by number and name, alone and beside UCUM in either order."""
    yield from (ucum, f"{ucum}^^UCUM", f"{ucum}^{ucum}^UCUM", *free, *(f"^{one}" for one in free))
    for one in codes.codes("mdc.dim-"):
        if one.unit == ucum:
            mdc = f"{one.code}^{one.display}^MDC"
            yield from (mdc, f"^{one.display}^MDC", f"{mdc}^{ucum}^{ucum}^UCUM", f"{ucum}^{ucum}^UCUM^{mdc}")


CASES = [
    pytest.param(place, ucum, text, id=f"{name}-{text}")
    for name, place in PLACES.items()
    for ucum, free in place.takes.items()
    for text in spelled(ucum, free)
]


TOLD = ("RXA-14", "RXE-26", "OBX-6")
"""Where a unit that is not understood is told and kept as text: what is given does not hang on it."""


def message(place: Place, unit: str) -> str:
    return f"{HEAD.format(place.kind)}\r{PID}\r{place.lines.format(unit)}\r"


def units(value: Any) -> Iterator[Json]:
    """The quantities of FHIR."""
    if isinstance(value, dict):
        if "value" in value and "unit" in value:
            yield value
        for one in value.values():
            yield from units(one)
    elif isinstance(value, list):
        for one in value:
            yield from units(one)


@pytest.mark.parametrize(("place", "ucum", "text"), CASES)
def test_in_as_ucum_and_out_as_ucum(place: Place, ucum: str, text: str) -> None:
    bundle = json.loads(to_fhir(message(place, text)).json())
    found = list(units(bundle))
    assert {one["system"] for one in found} == {"http://unitsofmeasure.org"}
    plain = json.loads(to_fhir(message(place, f"{ucum}^^UCUM")).json())
    assert [(one["value"], one["code"]) for one in found] == [(one["value"], one["code"]) for one in units(plain)]
    back = to_hl7v2(bundle, message=place.kind if place.segment != "OBX" else "RDE^O11").text
    line = next(line for line in back.split("\r") if line.startswith(place.segment)).split("|")
    if place.segment == "OBX":
        assert line[place.field] == text, "what was observed goes back as it came"
    else:
        assert line[place.field].split("^")[::2] == [ucum, "UCUM"], "its text stays"


@pytest.mark.parametrize(("name", "place"), PLACES.items(), ids=list(PLACES))
@pytest.mark.parametrize("wrong", ["furlong", "another kind"])
def test_a_refused_unit_says_which_would_be_taken(name: str, place: Place, wrong: str) -> None:
    unit = place.refuses if wrong == "another kind" else wrong
    if name in TOLD:
        issues = to_fhir(message(place, unit)).issues
    else:
        with pytest.raises(Refused) as caught:
            to_fhir(message(place, unit))
        issues = caught.value.issues
    told = [one for one in issues if one.code.startswith("unit-")]
    assert {one.where for one in told} == {name}
    assert any(ucum in one.hint for one in told for ucum in place.takes), told


def test_a_rate_is_no_amount_to_dispense() -> None:
    """RXE-10 -11 as 250 mL/h is no volume of 250: it is kept, told of, and comes back as it came."""
    text = "\r".join((HEAD.format("RDE^O11^RDE_O11"), PID, RXE.replace("{}", "120||mg|||||250|mL/h"))) + "\r"
    made = to_fhir(text)
    told = [one["resource"] for one in (made.bundle or {})["entry"]]
    (order,) = (one for one in told if one["resourceType"] == "MedicationRequest")
    assert "quantity" not in order.get("dispenseRequest", {})
    assert "unit-is-rate" in [one.code for one in made.issues]
    (rxe,) = (line for line in to_hl7v2(json.dumps(made.bundle)).text.split("\r") if line.startswith("RXE|"))
    assert rxe.split("|")[10:12] == ["250", "mL/h"]
