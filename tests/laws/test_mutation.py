"""The mutation law: change one mapped element, and exactly the cells of its row (and derived ones) change; and the reverse.

Run over the golden cases in which every row is filled. Elements that several rows or the whole message hang on (identity,
dates that order things) may also change derived cells, which are listed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from golden.cases import ROOT
from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.mapping.tables import Row, Tables
from ketafhir.translate.translation import to_fhir, to_hl7v2

TABLES = Tables()
# MSH-7 and MSH-10 are made from the content; RXA-4 and ORC-5 follow from the course of the infusion.
DERIVED = {"MSH-7", "MSH-10", "ORC-5", "RXA-4"}
ADMINISTRATIONS = ("RAS_O17/every-field", "RAS_O17/amount-999-with-unit", "RAS_O17/patient-refused")
CASES = [
    (
        ADMINISTRATIONS,
        "MedicationAdministration",
        ("RXA_to_MedicationAdministration", "RXR_to_MedicationAdministration"),
    ),
    (ADMINISTRATIONS, "Medication", ("RXA_to_Medication",)),
    (("ADT_A01/register", "ADT_A01/dead-patient"), "Patient", ("PID_to_Patient",)),
    (
        ("ADT_A01/register", "ADT_A02/admitted-from-elsewhere", "ADT_A03/discharged-at-once"),
        "Encounter",
        ("PV1_to_Encounter",),
    ),
    (("ADT_A05/person-added",), "AllergyIntolerance", ("AL1_to_AllergyIntolerance",)),
    (("ADT_A08/diagnosis",), "Condition", ("DG1_to_Condition",)),
    (("ORU_R01/every-field",), "DiagnosticReport", ("OBR_to_DiagnosticReport",)),
]
# statusReason also tells RXA-20 RE from NA, and so in which field its reasons are.
TOLD_APART = {"refusal": {"RXA-20", "RXA-9"}, "reason": {"RXA-20", "RXA-18"}}
# Rows whose value is no leaf of the resource: references (tested below) and what the identity of the record rests on.
SKIPPED = {"counters", "identifiers", "number", "placer", "filler", "drug", "medication-code"}
REFERENCES = ("staff", "location")


def source(case: str) -> bytes:
    return (ROOT / case / "in.hl7").read_bytes()


def cells(text: str) -> dict[str, str]:
    """Every populated cell: RXA-7 (and RXA[2]-7 for the second)."""
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for line in text.strip("\r").split("\r"):
        fields = line.split("|")
        if fields[0] == "MSH":
            fields.insert(1, "|")
        seen[fields[0]] = seen.get(fields[0], 0) + 1
        name = fields[0] if seen[fields[0]] == 1 else f"{fields[0]}[{seen[fields[0]]}]"
        found.update({f"{name}-{at}": cell for at, cell in enumerate(fields) if at and cell})
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The leaves of a JSON value that carry what a row maps."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("system", "use", "reference", "url", "type", "unit", "denominator", "_suffix"):
                yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, at))
    else:
        yield path, value


def edited(path: tuple[Any, ...], value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, (int, Decimal)):
        return value + 1
    if path[-1] in ("start", "end", "effectiveDateTime", "birthDate", "expirationDate", "valueDateTime", "issued") or (
        isinstance(value, str) and value[:2] == "20" and value[4:5] == "-"
    ):
        return value.replace("2026-", "2025-").replace("1974-", "1975-").replace("2027-", "2028-")
    return {"male": "female", "AMB": "EMER", "final": "amended", "completed": "stopped"}.get(value, f"{value}X")


def put(resource: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        resource = resource[key]
    resource[path[-1]] = value


def mutations() -> Iterator[Any]:
    for cases, kind, names in CASES:
        for name in names:
            for row in TABLES.table(name).rows:
                reference = row.codec_name.removeprefix("each:") in REFERENCES
                if row.path is not None and row.domain and row.cells and row.name not in SKIPPED and not reference:
                    yield pytest.param(cases, kind, row, id=f"{name}-{row.name}")


def target(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    """The resource of that type that carries the segment: of administrations, the child."""
    found = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]
    return next((one for one in found if "partOf" in one), found[0])


def filled(cases: tuple[str, ...], kind: str, row: Row) -> dict[str, Any]:
    """The Bundle of the first case that fills the row."""
    assert row.path is not None
    for case in cases:
        bundle: dict[str, Any] = json.loads(to_fhir(source(case)).json())
        if any(entry["resource"]["resourceType"] == kind for entry in bundle["entry"]) and row.path.get(
            target(bundle, kind)
        ):
            written = cells(to_hl7v2(bundle).text)
            if any(f"{cell.segment}-{cell.field}" in written for cell in row.cells):
                return bundle
    raise AssertionError(f"{row.place}: no case fills this row")


def check_mutations(
    row: Row,
    bundle: dict[str, Any],
    of: Callable[[dict[str, Any]], dict[str, Any]],
    written: Callable[[dict[str, Any]], dict[str, str]],
    own: set[str],
    derived: set[str],
) -> None:
    """Each leaf of the row's element changed alone, in the resource `of` a Bundle: of the cells that are `written` only the row's
    `own` change, and those that are `derived` of all; and one of the changes arrives."""
    assert row.path is not None
    before = written(bundle)
    element = row.path.get(of(bundle))
    arrived = 0
    for path, value in leaves(element[1] if isinstance(element, tuple) else element):
        again = copy.deepcopy(bundle)
        if path:
            place = row.path.get(of(again))
            put(place[1] if isinstance(place, tuple) else place, path, edited(path, value))
        else:
            row.path.put(of(again), edited((row.path.key,), value))
        try:
            after = written(again)
        except Refused:
            arrived += 1  # what must not be guessed from is refused, which is no silent change
            continue
        assert changed(before, after) - derived <= own, (row.place, path, changed(before, after))
        arrived += bool(changed(before, after) & own)
    assert arrived, f"{row.place}: no change arrived"


@pytest.mark.parametrize(("cases", "kind", "row"), list(mutations()))
def test_fhir_to_v2(cases: tuple[str, ...], kind: str, row: Row) -> None:
    assert row.path is not None
    bundle = filled(cases, kind, row)
    own = {f"{cell.segment}-{cell.field}" for cell in row.cells} | TOLD_APART.get(row.name, set())
    check_mutations(row, bundle, lambda one: target(one, kind), lambda one: cells(to_hl7v2(one).text), own, DERIVED)


@pytest.mark.parametrize(
    ("case", "kind", "leaf", "cell"),
    [
        ("RAS_O17/every-field", "Practitioner", ("name", 0, "given", 0), "RXA-10"),
        ("ADT_A01/register", "Location", ("description",), "PV1-3"),
        ("ADT_A01/register", "Location", ("identifier", 0, "value"), "PV1-3"),
    ],
)
def test_what_a_reference_points_to(case: str, kind: str, leaf: tuple[Any, ...], cell: str) -> None:
    bundle = json.loads(to_fhir(source(case)).json())
    before = cells(to_hl7v2(bundle).text)
    resource = next(
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == kind and (kind != "Practitioner" or "RN-3" in str(entry["resource"]))
    )
    put(resource, leaf, "Changed")
    assert changed(before, cells(to_hl7v2(bundle).text)) - DERIVED == {cell}


def v2_mutations() -> Iterator[Any]:
    for case, edits in {
        "RAS_O17/every-field": {
            "RXA-3": ("20260414090000-0500", "20260414085900-0500"), "RXA-6": ("36.0", "37.50"), "RXA-13": ("1.000", "2.000"),
            "RXA-16": ("20271231", "20281231"), "RXA-9": ("reason-completed^Completed", "reason-other^Other"),
            "RXA-22": ("20260414094100-0500", "20260414094200-0500"), "RXR-2": ("LLFA^Left Lower", "RLFA^Right Lower"),
            "RXA-25": ("BC-1", "BC-2"), "RXA-11": ("INFUSION^R3^C1", "INFUSION^R4^C1"), "RXR-5": ("NOW^Now", "LATER^Later"),
            "RXA-10": ("Sample^Ida", "Sample^Eva"), "RXA-19": ("F33.2", "F33.1"), "ORC-9": ("083000", "083100"),
        },
        "ADT_A01/register": {
            "PID-5": ("Dorian^Q", "Doria^Q"), "PID-7": ("19740930", "19740929"), "PID-8": ("|M|", "|F|"),
            "PID-16": ("M^Married", "S^Single"),
            "PV1-3": ("ROOM 3", "ROOM 4"), "PV1-45": ("144000", "144100"), "NK1-2": ("Maria", "Mario"),
            "PID-17": ("CAT^Catholic", "JEW^Jewish"), "AL1-3": ("7980^penicillin", "733^ampicillin"),
            "AL1-4": ("SV", "MI"), "AL1-5": ("rash", "hives"),
        },
        "ADT_A08/diagnosis": {
            "DG1-3": ("F33.2", "F33.1"), "DG1-4": ("Major depression", "Depression"), "DG1-5": ("20260101", "20260102"),
            "DG1-6": ("|A|", "|W|"), "DG1-15": ("|1|DR", "|2|DR"), "DG1-20": ("DX-1", "DX-2"), "DG1-18": ("|Y|", "|N|"),
        },
    }.items():  # fmt: skip
        for cell, (old, new) in edits.items():
            yield pytest.param(case, cell, old, new, id=f"{case}-{cell}")


@pytest.mark.parametrize(("case", "cell", "old", "new"), list(v2_mutations()))
def test_v2_to_fhir_and_back(case: str, cell: str, old: str, new: str) -> None:
    """A changed cell changes the FHIR, and comes back changed in that cell alone."""
    segment = cell[:3]
    lines = source(case).decode().split("\n")
    assert any(line.startswith(segment) and old in line for line in lines), "the edit does not fit the case"
    edited_lines = [line.replace(old, new) if line.startswith(segment) else line for line in lines]
    first, second = to_fhir("\r".join(lines)), to_fhir("\r".join(edited_lines))
    assert first.json() != second.json()
    before, after = cells(to_hl7v2(first.json()).text), cells(to_hl7v2(second.json()).text)
    assert changed(before, after) - DERIVED == {cell}


def test_what_is_given_is_never_changed() -> None:
    """Parsed JSON given to `to_hl7v2` is the caller's: it comes back as it was."""
    for case in (
        "RAS_O17/amount-999-with-unit",
        "RAS_O17/rate-zero-stops",
        "ORU_R01/every-field",
        "RDE_O11/every-field",
    ):
        bundle = json.loads(
            (ROOT / case / "bundle.json").read_bytes().strip().split(b"\n")[-1]
            if case.endswith("stops")
            else (ROOT / case / "bundle.json").read_bytes()
        )
        before = copy.deepcopy(bundle)
        to_hl7v2(bundle)
        assert bundle == before
