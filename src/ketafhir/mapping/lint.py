"""`ketafhir tables lint`: what can be known of the tables without a message.

Codecs, conditions and cells are checked when the tables load. This adds: each domain field is a field of its record, each
FHIR path exists in R4 with the type stated, each v2 field exists in HL7 with the data type stated, no two rows that can
hold together write one target. That every row is hit by a golden case is a test.
"""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import combinations

from ketafhir.errors import TableError
from ketafhir.mapping import zsegments
from ketafhir.mapping.tables import Row, Table, Tables
from ketafhir.therapy import records

RECORDS: dict[str, type] = {
    "Patient": records.Patient,
    "Encounter": records.Visit,
    "Provenance": records.Source,
    "Device": records.Container,
    "MedicationRequest": records.Order,
    "Medication": records.Order,
    "Ingredient": records.Ingredient,
    "MedicationAdministration": records.Administration,
    "Observation": records.Observation,
    "DiagnosticReport": records.Report,
    "QuestionnaireResponse": records.Response,
    "ClinicalImpression": records.Decision,
    "AdverseEvent": records.AdverseEvent,
    "AllergyIntolerance": records.Allergy,
    "Condition": records.Diagnosis,
    "Encounter.diagnosis": records.Diagnosis,
    "Waste": records.Waste,
    "MedicationDispense": records.Dispense,
    "Annotation": records.Observation,
    "Observation.component": records.Observation,
    "QuestionnaireResponse.item": records.Item,
    "ClinicalImpression.finding": records.Item,
}
"""The record that a table of this resource fills."""
_SPECIAL = {"RXA_to_Medication": records.Administration, "RXD_to_Medication": records.Dispense}
_BY_CODE = (
    "id", "meta", "text", "contained", "identifier", "status", "intent", "subject", "encounter", "context", "partOf", "basedOn",
    "request", "result", "medicationReference", "medicationCodeableConcept", "note", "supportingInformation", "link",
    "authorizingPrescription", "effectivePeriod", "effectiveDateTime", "dosage", "dosageInstruction", "performer",
    "priorPrescription", "generalPractitioner", "active",
)  # fmt: skip
"""Elements that the modules of `translate` write without a row."""
_BACKBONE = {"Ingredient": "Medication.ingredient", "Waste": "MedicationAdministration"}


def lint(tables: Tables) -> list[str]:
    """All findings, each naming file, line and row; empty when there is nothing to mend."""
    found: list[str] = []
    for name in tables.names():
        try:
            found += of_table(tables.table(name))
        except TableError as error:
            found.append(str(error))
    try:
        assert tables.settings
    except TableError as error:
        found.append(str(error))
    found += _maps(tables)
    return found


def of_table(table: Table) -> list[str]:
    """The findings about one table."""
    found: list[str] = []
    kind = _SPECIAL.get(table.name) or RECORDS.get(table.resource)
    known = {part.name for part in fields(kind)} if kind else None
    for row in table.rows:
        if table.segment[0] == "Z":
            pass  # the record keeps its text
        elif row.domain and known is None:
            found.append(f"{row.place}: no record is known for {table.resource}")
        elif row.domain and known is not None and row.domain not in known:
            found.append(f"{row.place}: {row.domain!r} is no field of {kind.__name__ if kind else ''}")
        found += _fhir(row, table)
        found += _v2(row)
    return found + _clashes(table)


def of_z_table(table: Table, tables: Tables) -> list[str]:
    """The findings about the table of a Z-segment: a resource that has none, an element that other rows or code write."""
    if table.resource not in zsegments.RESOURCES:
        known = ", ".join(zsegments.RESOURCES)
        return [f"{table.name}: a Z-segment is mapped to one of {known}, not to {table.resource}"]
    others = (tables.table(name) for name in tables.names() if name != table.name)
    ours = {path.partition(".")[0].partition("[")[0] for path in _BY_CODE}
    paths = {row.fhir for other in others if other.resource == table.resource for row in other.rows if row.fhir}
    ours |= {path.partition(".")[0].partition("[")[0] for path in paths} - {"extension"}
    return [
        f"{row.place}: {row.fhir} is written by other rows or by code; name an extension or an element that is not"
        for row in table.rows
        if row.fhir and (row.fhir.partition(".")[0].partition("[")[0] in ours or row.fhir in paths)
    ]


def _fhir(row: Row, table: Table) -> list[str]:
    """Whether the path exists in R4; what lies below an extension of ours is ours."""
    if not row.fhir or row.fhir.startswith("extension["):
        return []
    from ketafhir.fhir.check import element_type

    is_choice = row.fhir.endswith("[x]")
    path = re.sub(r"\[[^\]]*\]", "", row.fhir)
    resource, _, prefix = _BACKBONE.get(table.resource, table.resource).partition(".")
    path = f"{prefix}.{path}" if prefix else path
    if is_choice:
        return [] if _choice(resource, path) else [f"{row.place}: {resource}.{path}[x] is no choice of R4"]
    kind = element_type(resource, path)
    if kind is None:
        return [f"{row.place}: {resource}.{path} does not exist in R4"]
    if row.fhir_type and kind not in (row.fhir_type, "Element", "BackboneElement"):
        return [f"{row.place}: {resource}.{path} is of type {kind}, not {row.fhir_type}"]
    return []


def _choice(resource: str, path: str) -> bool:
    from ketafhir.fhir.check import element_type

    kinds = ("Quantity", "Ratio", "Period", "DateTime", "CodeableConcept", "String", "Range")
    return any(element_type(resource, path + kind) for kind in kinds)


def _v2(row: Row) -> list[str]:
    """Whether the first cell's field exists in some version of HL7, with the type stated."""
    if not row.cells or row.cells[0].segment[0] == "Z":
        return []
    from ketafhir.hl7v2.strict import segment_types

    known: dict[int, set[str]] = {}
    for version in ("2.3.1", "2.5.1", "2.6", "2.8.2"):
        try:
            listed = segment_types(version, row.cells[0].segment)
        except LookupError:
            continue
        for number, kind, *_ in listed:
            known.setdefault(number, set()).add(kind)
    found = [
        f"{row.place}: there is no field {cell.segment}-{cell.field}" for cell in row.cells if cell.field not in known
    ]
    kinds = set().union(*(known.get(cell.field, set()) for cell in row.cells))
    same = {"DTM": {"TS", "DTM"}, "CWE": {"CWE", "CE", "IS", "ID", "CNE"}}.get(row.v2_type, {row.v2_type})
    if not found and row.v2_type and not row.cells[0].component and not kinds & (same | {"varies"}):
        found.append(f"{row.place}: {row.v2.split()[0]} is of type {'/'.join(sorted(kinds))}, not {row.v2_type}")
    return found


def _clashes(table: Table) -> list[str]:
    """Pairs of rows that could write one element or one field at once."""
    found = []
    for one, other in combinations(table.rows, 2):
        if _exclusive(one, other):
            continue
        if one.fhir and one.fhir == other.fhir:
            found.append(f"{other.place}: writes {other.fhir}, which {one.place} writes too")
        if one.domain and one.domain == other.domain:
            found.append(f"{other.place}: fills {other.domain}, which {one.place} fills too")
    return found


def _exclusive(one: Row, other: Row) -> bool:
    """Whether the conditions of two rows cannot both be true."""
    first, second = one.when, other.when
    if first is None or second is None or first.cell != second.cell:
        return False
    if first.values == second.values:
        return first.negated is not second.negated
    if first.values is None or second.values is None or (first.negated and second.negated):
        return False
    if first.negated or second.negated:
        excluded, told = (first.values, second.values) if first.negated else (second.values, first.values)
        return told <= excluded
    return not first.values & second.values


def _maps(tables: Tables) -> list[str]:
    found = []
    for path in sorted((tables.root / "codesystems").glob("*.csv")):
        if path.stem != "implied":
            try:
                tables.code_map(path.stem)
            except TableError as error:
                found.append(str(error))
    return found
