"""Entries of a type that is not read, or misspelt: told of with their places, never left out silently."""

from __future__ import annotations

from typing import Any

import pytest
from elsewhere import bundle, observation, patient

import ketafhir
from ketafhir.errors import Refused

VITAL = observation()


def warned(value: dict[str, Any]) -> list[ketafhir.errors.Issue]:
    return [one for one in ketafhir.to_hl7v2(value).issues if one.code == "resource-unread"]


def test_a_misspelt_type_is_told_of_with_its_place_and_what_may_be_meant() -> None:
    (issue,) = warned(bundle(patient(), VITAL, {**VITAL, "resourceType": "Observatoin"}))
    assert (issue.severity, issue.where, issue.value) == ("warning", "Bundle.entry[2].resource", "Observatoin")
    assert issue.hint == "is Observation meant?"
    (issue,) = warned(bundle(patient(), VITAL, {**VITAL, "resourceType": "observation"}))
    assert issue.hint == "is Observation meant?"


def test_many_of_a_type_are_one_finding_with_all_places() -> None:
    others = [{"resourceType": "Procedure", "status": "completed"}, {"resourceType": "Immunization"}]
    procedure, immunization = warned(bundle(patient(), VITAL, *others, dict(others[0])))
    assert procedure.text.endswith("(Bundle.entry[2].resource, Bundle.entry[4].resource)")
    assert (immunization.where, immunization.value) == ("Bundle.entry[3].resource", "Immunization")
    assert "Observation" in immunization.hint
    (many,) = warned(bundle(patient(), VITAL, *[dict(others[0]) for _ in range(12)]))
    assert many.text.endswith("and 2 more)")


def test_a_bundle_in_a_bundle_names_both_places() -> None:
    inner = bundle(patient(), VITAL, {"resourceType": "Goal"})
    (issue,) = warned({"resourceType": "Bundle", "type": "batch-response", "entry": [{"resource": inner}]})
    assert issue.where == "Bundle.entry[0].resource.entry[2].resource"


@pytest.mark.parametrize("value", [{"resourceType": "Observatoin"}, bundle({"resourceType": "Observatoin"})])
def test_alone_it_is_refused_and_told_of(value: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        ketafhir.to_hl7v2(value)
    assert [one.code for one in refusal.value.issues] == ["resource-unread", "nothing-to-write"]


def test_what_a_report_refers_to_is_looked_at_only_where_it_is_an_observation() -> None:
    """Nothing is known of the shape of another: here its code is one of another standard."""
    other = {"resourceType": "Specimen", "id": "x", "code": {"coding": ["blood"]}}
    report = {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Vital signs"}, "id": "r",
        "subject": VITAL["subject"], "effectiveDateTime": "2026-03-09T08:20:00-05:00",
        "result": [{"reference": "Specimen/x"}],
    }  # fmt: skip
    made = ketafhir.to_hl7v2(bundle(patient(), VITAL, report, other))
    assert {"resource-unread", "result-missing"} <= {one.code for one in made.issues}


def test_a_metric_of_ours_says_nothing_new() -> None:
    own = {"resourceType": "DeviceMetric", "meta": {"source": "urn:ketafhir:sender:A:B"}}
    assert not warned(bundle(patient(), VITAL, own))
    (issue,) = warned(bundle(patient(), VITAL, {"resourceType": "DeviceMetric"}))
    assert issue.value == "DeviceMetric"
