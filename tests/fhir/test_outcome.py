"""Findings as an OperationOutcome."""

from __future__ import annotations

import pytest

from ketafhir.errors import Issue
from ketafhir.fhir import check
from ketafhir.fhir.outcome import ISSUE_SYSTEM, operation_outcome


def test_no_finding_is_one_information() -> None:
    outcome = operation_outcome([])
    assert outcome["issue"] == [{"severity": "information", "code": "informational", "details": {"text": "All OK"}}]
    assert check.shape(outcome) == []


def test_a_finding_tells_what_where_why_and_what_to_do() -> None:
    issue = Issue(
        "error",
        "unit-unknown",
        "not a unit of mass",
        where="RXA[2]-7.1",
        row="RXA_to_MedicationAdministration.csv:7 [amount]",
        value="mgs",
        hint="send a UCUM code",
        hl7="103",
    )
    outcome = operation_outcome([issue])
    assert outcome["issue"] == [
        {
            "severity": "error",
            "code": "code-invalid",
            "details": {
                "coding": [{"system": ISSUE_SYSTEM, "code": "unit-unknown"}],
                "text": "not a unit of mass",
            },
            "diagnostics": "RXA_to_MedicationAdministration.csv:7 [amount]; value 'mgs'; send a UCUM code",
            "expression": ["RXA[2]-7.1"],
        }
    ]
    assert check.shape(outcome) == []


def test_order_and_severity_are_kept() -> None:
    issues = [
        Issue("warning", "b", "second thoughts"),
        Issue("error", "a", "no"),
        Issue("information", "c", "x"),
    ]
    outcome = operation_outcome(issues)
    assert [one["severity"] for one in outcome["issue"]] == ["warning", "error", "information"]
    assert [one["details"]["coding"][0]["code"] for one in outcome["issue"]] == ["b", "a", "c"]
    assert all("diagnostics" not in one and "expression" not in one for one in outcome["issue"])


@pytest.mark.parametrize(
    ("issue", "kind"),
    [
        (Issue("error", "x", "x", hl7="101"), "required"),
        (Issue("error", "x", "x", hl7="204"), "not-found"),
        (Issue("error", "x", "x", hl7="205"), "duplicate"),
        (Issue("error", "x", "x", hl7="202"), "not-supported"),
        (Issue("error", "x", "x"), "processing"),
        (Issue("error", "json-syntax", "x"), "structure"),
        (Issue("information", "x", "x", hl7="205"), "informational"),
    ],
)
def test_the_issue_type_follows_table_0357(issue: Issue, kind: str) -> None:
    assert operation_outcome([issue])["issue"][0]["code"] == kind
