"""Findings as an OperationOutcome (FHIR R4, operationoutcome.html)."""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Issue

ISSUE_SYSTEM = "https://ketafhir.org/fhir/CodeSystem/issue"

# From table 0357, which every finding has, to the required value set issue-type.
_TYPE_OF_0357 = {
    "100": "structure",
    "101": "required",
    "102": "value",
    "103": "code-invalid",
    "104": "too-long",
    "200": "not-supported",
    "201": "not-supported",
    "202": "not-supported",
    "203": "not-supported",
    "204": "not-found",
    "205": "duplicate",
    "206": "lock-error",
}


def operation_outcome(issues: list[Issue]) -> dict[str, Any]:
    """An OperationOutcome of the findings in their order; without any, one `information` that all is well.

    `details.coding` is the finding's stable code, `expression` its place (a FHIR path, or `RXA-7` for
    HL7v2), and `diagnostics` the table row, the value and the remedy.
    """
    return {
        "resourceType": "OperationOutcome",
        "issue": [_issue(issue) for issue in issues] or [_all_well()],
    }


def _issue(issue: Issue) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue_type(issue),
        "details": {"coding": [{"system": ISSUE_SYSTEM, "code": issue.code}], "text": issue.text},
    }
    parts = [issue.row, f"value {issue.value!r}" if issue.value else "", issue.hint]
    diagnostics = "; ".join(part for part in parts if part)
    if diagnostics:
        entry["diagnostics"] = diagnostics
    if issue.where:
        entry["expression"] = [issue.where]
    return entry


def issue_type(issue: Issue) -> str:
    """The code of the value set issue-type for a finding."""
    if issue.severity == "information":
        return "informational"
    if issue.code.startswith(("json-", "fhir-")):
        return "structure"
    return _TYPE_OF_0357.get(issue.hl7, "processing")


def _all_well() -> dict[str, Any]:
    return {"severity": "information", "code": "informational", "details": {"text": "All OK"}}
