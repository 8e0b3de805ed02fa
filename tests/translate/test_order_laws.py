"""Laws of orders: one fact is one row both ways, and records survive either wire format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_trips import TABLES, compose, message, read, render, take
from test_orders import FULL

from ketafhir.mapping.context import Context
from ketafhir.therapy.records import Ingredient, Order, Patient, Records
from ketafhir.therapy.values import (
    Coded,
    Coding,
    Identifier,
    Name,
    OrderState,
    Practitioner,
    Quantity,
    Range,
    Time,
    is_before,
)
from ketafhir.translate import order_groups, orders
from ketafhir.translate.composing import Composing
from ketafhir.translate.writing import Writing

DERIVED = {"id", "fullUrl", "reference", "url"}  # made from the identity, not from the fact
R, M = "MedicationRequest.", "Medication."
DOSAGE = R + "dosageInstruction."
EXTENSION = "extension."

# The segment and field that change, what it becomes, and the FHIR leaves that may change with it.
FACTS: list[tuple[str, str, set[str]]] = [
    ("ORC-1", "DC", {R + "_status.extension.valueCode"}),
    ("ORC-2", "P-8^EHR", {R + "identifier.value"}),
    ("ORC-3", "F-8^PHARM", {R + "identifier.value"}),
    ("ORC-4", "G-8^EHR", {R + "groupIdentifier.value"}),
    ("ORC-5", "CM", {R + "status", R + "_status.extension.valueCode"}),
    ("ORC-9", "20260309090400-0500", {R + "authoredOn"}),
    ("ORC-10", "CL-1^Clark^Ada^^^^^^WILLOW", {"Practitioner.name.family", R + "recorder.display"}),
    ("ORC-12", "DR-1^Sample^Rowan^^^Dr^^^WILLOW", {"Practitioner.name.family", R + "requester.display"}),
    ("ORC-16", "OUT^Bag is out^L", {R + "statusReason.coding.display"}),
    ("ORC-29", "I^Outpatient order^HL70482", {R + "category.coding.code"}),
    ("RXE-2", "6130^ketamine HCl^RXNORM", {M + "code.coding.display", R + "medicationReference.display"}),
    ("RXE-3", "30.0", {DOSAGE + "doseAndRate.doseRange.low.value"}),
    ("RXE-4", "41", {DOSAGE + "doseAndRate.doseRange.high.value"}),
    (
        "RXE-5",
        "mg/kg^^UCUM",
        {DOSAGE + f"doseAndRate.doseRange.{end}.{part}" for end in ("low", "high") for part in ("unit", "code")},
    ),
    ("RXE-6", "^Solution", {M + "form.text"}),
    ("RXE-7", "^By pump~^Watch SpO2", {DOSAGE + "additionalInstruction.text"}),
    ("RXE-10", "50.00", {R + "dispenseRequest.quantity.value"}),
    ("RXE-11", "L^^UCUM", {R + "dispenseRequest.quantity.unit", R + "dispenseRequest.quantity.code"}),
    ("RXE-14", "PH-2", {R + "extension.extension.valueString"}),
    ("RXE-22", "M45", {DOSAGE + "timing.repeat.duration"}),
    ("RXE-23", "54.0", {DOSAGE + "doseAndRate.rateQuantity.value"}),
    ("RXE-24", "mg/h^^UCUM", {DOSAGE + f"doseAndRate.rateQuantity.{part}" for part in ("unit", "code")}),
    ("RXE-25", "1.0", {M + "extension.valueRatio.numerator.value"}),
    ("RXE-26", "ug/mL^^UCUM", {M + f"extension.valueRatio.numerator.{part}" for part in ("unit", "code")}),
    ("RXE-27", "F33.2^Depression^I10C~G89.4^Ache^I10C", {R + "reasonCode.coding.display"}),
    ("NTE-3", "Check the pump", {R + "note.text"}),
    ("TQ1-6", "46^min&&UCUM", {DOSAGE + "timing.extension.valueDuration.value"}),
    ("TQ1-7", "20260309082100-0500", {DOSAGE + "timing.repeat.boundsPeriod.start"}),
    ("TQ1-8", "20260309092100-0500", {DOSAGE + "timing.repeat.boundsPeriod.end"}),
    ("TQ1-9", "A", {R + "priority"}),
    ("TQ1-11", "As told", {DOSAGE + "text"}),
    ("TQ1-13", "41^min&&UCUM", {DOSAGE + "timing.extension.valueDuration.value"}),
    ("RXR-1", "IV^Into a vein^HL70162", {DOSAGE + "route.coding.display"}),
    ("RXR-2", "RLFA^Left Lower Forearm^HL70163", {DOSAGE + "site.coding.code"}),
    ("RXR-4", "IVP^IV Piggyback^HL70165", {DOSAGE + "method.coding.code"}),
    ("RXC-1", "A", {M + "ingredient.isActive"}),
    ("RXC-2", "313002^saline^RXNORM", {M + "ingredient.itemCodeableConcept.coding.display"}),
    ("RXC-3", "49", {M + "ingredient.strength.numerator.value"}),
    ("RXC-4", "L^^UCUM", {M + f"ingredient.strength.numerator.{part}" for part in ("unit", "code")}),
    ("OBX-5", "61", {DOSAGE + "maxDosePerPeriod.numerator.value"}),
    ("OBX-6", "mg/h^^UCUM", {DOSAGE + f"maxDosePerPeriod.numerator.{part}" for part in ("unit", "code")}),
]


def leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every leaf of a resource with its path; items of lists are told apart by their place."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in DERIVED:
                yield from leaves(part, f"{path}.{name}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, f"{path}#{number}")
    else:
        yield path, str(value)


def flat(bundle: dict[str, Any]) -> set[tuple[str, str]]:
    """All leaves of a Bundle."""
    found = set()
    for number, entry in enumerate(bundle["entry"]):
        resource = entry["resource"]
        found |= {(f"{number}:{path}", text) for path, text in leaves(resource, resource["resourceType"])}
    return found


def changed(segments: tuple[str, ...], cell: str, text: str) -> list[str]:
    """The segments with one field of the first segment of that name replaced."""
    name, _, field = cell.partition("-")
    found = list(segments)
    place = next(number for number, one in enumerate(found) if one.startswith(name))
    fields = found[place].split("|")
    assert fields[int(field)] not in ("", text)
    fields[int(field)] = text
    found[place] = "|".join(fields)
    return found


@pytest.mark.parametrize(("cell", "text", "expected"), FACTS, ids=[fact[0] for fact in FACTS])
def test_one_cell_is_one_element_both_ways(cell: str, text: str, expected: set[str]) -> None:
    segments = changed(FULL, cell, text)
    before, after = render(read(message(*FULL))), render(read(message(*segments)))
    touched = {_plain(path) for path, _ in flat(before) ^ flat(after)}
    assert touched == expected
    assert compose(take(after)) == segments


def _plain(path: str) -> str:
    """A path without the numbers of entries and items."""
    return ".".join(part.split("#")[0] for part in path.partition(":")[2].split("."))


def test_every_mapped_cell_is_among_the_facts() -> None:
    names = ["ORC_to_MedicationRequest", "RXE_to_MedicationRequest", "RXE_to_Medication", "RXC_to_Ingredient"]
    names += [f"{one}_to_MedicationRequest" for one in ("TQ1", "RXR", "OBX")]
    rows = [row for name in names for row in TABLES.table(name).rows if row.domain]
    cells = {f"{cell.segment}-{cell.text}" for row in rows for cell in row.cells}
    assert cells - {"ORC-8"} <= {fact[0] for fact in FACTS}  # the parent: test_order_life.py


def test_a_status_changed_in_fhir_changes_control_and_status_alone() -> None:
    bundle = render(read(message(*FULL)))
    request = next(one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "MedicationRequest")
    request["status"] = "on-hold"
    expected = changed(tuple(changed(FULL, "ORC-1", "HD")), "ORC-5", "HD")
    assert compose(take(bundle)) == expected


# Generated records

words = st.text("abcXYZ |^~\\&äµ\n0", min_size=1, max_size=8).map(lambda text: text.strip()).filter(bool)
codes = st.text("ABC123.-", min_size=1, max_size=6)
numbers = st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False) | st.sampled_from(
    [Decimal("72.50"), Decimal("0.10"), Decimal(36)]
)


def quantities(*unit: str) -> st.SearchStrategy[Quantity]:
    return st.builds(Quantity, numbers, st.sampled_from(unit))


codings = st.builds(
    Coding,
    codes,
    st.sampled_from(["http://loinc.org", "http://snomed.info/sct", "urn:id:LOCAL"]),
    words | st.just(""),
)
concepts = st.builds(Coded, st.tuples(codings), words | st.just("")) | st.builds(Coded, st.just(()), words)
numbered = st.builds(Identifier, codes, st.sampled_from(["urn:id:EHR", "urn:oid:1.2.3"]))
staff = st.builds(Practitioner, numbered, st.builds(Name, words, st.tuples(codes) | st.just(())) | st.none())
times = st.datetimes().map(lambda at: Time(f"{at.year:04}-{at:%m-%dT%H:%M:%S}-05:00"))
maybe = st.none()
OVER = st.builds(Quantity, st.integers(1, 999).map(Decimal), st.sampled_from(["s", "min", "h", "d"]))
ranges = st.builds(Range, quantities("mg") | maybe, quantities("mg"))
doses = quantities("mg", "mg/kg", "mL") | ranges.filter(lambda one: one.low is None or one.low.value <= one.high.value)
ingredients = st.builds(Ingredient, st.sampled_from(["base", "additive", ""]), concepts, quantities("mg", "mL") | maybe)
CONTROLS, STATUSES = TABLES.code_map("request-control"), TABLES.code_map("request-status")
STATES = [
    OrderState(control, status, CONTROLS.v2_to_domain[control], STATUSES.domain_to_fhir.get(status, ""))
    for control in CONTROLS.v2_to_domain
    for status in ("", *STATUSES.v2_to_domain)
]


@st.composite
def orders_of(draw: st.DrawFn) -> Order:
    """An order as its module can hold it. Practitioners differ in number, as two people do."""
    placer, filler = draw(numbered | maybe), draw(numbered)
    intent = draw(st.sampled_from(["original", "filler"]))
    requester, enterer = draw(staff | maybe), draw(staff | maybe)
    if requester and enterer and requester.identifier == enterer.identifier:
        enterer = requester
    start, end = draw(times | maybe), draw(times | maybe)
    if start and end and is_before(end, start):  # which is refused
        start, end = end, start
    return Order(
        key=orders.order_key(placer, filler, intent),
        patient="urn:id:WILLOW|SYN-1",
        intent=intent,
        placer=placer,
        filler=filler,
        group=draw(numbered | maybe),
        state=draw(st.sampled_from([one for one in STATES if one.effect != "replacement"])),
        parent=draw(st.builds(Identifier, codes, st.just("urn:id:OTHER"), st.sampled_from(["PLAC", "FILL"])) | maybe),
        status_reason=draw(concepts | maybe),
        placed=draw(times | maybe),
        requester=requester,
        enterer=enterer,
        category=draw(concepts | maybe),
        priority=draw(st.sampled_from(["", "routine", "stat", "asap", "urgent"])),
        start=start,
        end=end,
        duration=draw(quantities("min", "h") | maybe),
        occurrence_duration=draw(quantities("min", "h") | maybe),
        directions=draw(words | st.just("")),
        drug=draw(concepts),
        form=draw(concepts | maybe),
        dose=draw(doses | maybe),
        over=draw(OVER | maybe),
        rate=draw(quantities("mL/h", "mg/kg/h") | maybe),
        max_rate=draw(quantities("mL/h", "mg/h") | maybe),
        concentration=draw(quantities("mg/mL") | maybe),
        volume=draw(quantities("mL") | maybe),
        ingredients=tuple(draw(st.lists(ingredients, max_size=3))),
        instructions=tuple(draw(st.lists(concepts, max_size=2))),
        indications=tuple(draw(st.lists(concepts, max_size=2))),
        route=draw(concepts | maybe),
        site=draw(concepts | maybe),
        method=draw(concepts | maybe),
        notes=tuple(draw(st.lists(words, max_size=2))),
    )


def records_of(order: Order) -> Records:
    number = Identifier("SYN-1", "urn:id:WILLOW", "MR")
    patient = Patient(key=number.key, identifier=number, identifiers=(number,))
    return Records(patients={patient.key: patient}, orders={order.key: order})


@settings(max_examples=150, deadline=None)
@given(orders_of())
def test_records_survive_hl7v2(order: Order) -> None:
    composing = Composing(records_of(order), TABLES, Context())
    kind = "RDE^O11" if order.intent == "filler" else "OMP^O09"
    order_groups.compose(composing, [order], kind)
    reading = read(message(*composing.lines, kind=f"{kind}^{kind.replace('^', '_')}"))
    (found,) = reading.records.orders.values()
    assert replace(found, told=order.told, visit="") == order


@settings(max_examples=150, deadline=None)
@given(orders_of())
def test_records_survive_fhir(order: Order) -> None:
    writing = Writing(records_of(order), TABLES, Context(), "urn:x")
    from ketafhir.translate import patients

    patients.render(writing, writing.records.patients[order.patient])
    orders.render(writing, order)
    (found,) = take(writing.entries.transaction()).records.orders.values()
    assert found == order
