"""Adverse events as AdverseEvent, and back."""

from __future__ import annotations

import pytest
from oru_trips import Json, back, message, obx, resources, to_bundle

from ketafhir.errors import Refused
from ketafhir.fhir import guard
from ketafhir.fhir.check import shape

TERM, GRADE = "adverse-event^Adverse event^99KETA", "ctcae-grade^CTCAE grade^99KETA"
RESCUE = "rescue-medication^Rescue medicine^99KETA"
NAUSEA, VOMITING = "422587007^Nausea (finding)^SCT", "422400008^Vomiting (disorder)^SCT"
HEADING = f"OBR|1|P1^EHR|AE-1^EHR|{TERM}|||20260518104000-0500||||||||||||||||||F"
LINES = (
    "ORC|RE|P1^EHR|AE-1^EHR",
    HEADING,
    "NTE|1||of the heading",
    obx(1, "CWE", TERM, NAUSEA, f4="1"),
    "NTE|1||of the event",
    obx(2, "NM", GRADE, "2", f4="1"),
    obx(3, "CWE", RESCUE, "ondansetron^Ondansetron^L", f4="1", status="D"),
    obx(4, "CWE", TERM, VOMITING, f4="2"),
    obx(5, "NM", GRADE, "4", f4="2", f14="20260518104500-0500"),
)


def events(*lines: str) -> list[Json]:
    return resources(to_bundle(message(*lines)), "AdverseEvent")


def grade(event: Json) -> list[Json]:
    return [one["valuePositiveInt"] for one in event["extension"] if one["url"].endswith("/ctcae-grade")]


def test_events_under_one_heading_come_back_as_sent() -> None:
    bundle = to_bundle(message(*LINES))
    assert shape(bundle) == []
    assert [grade(one) for one in resources(bundle, "AdverseEvent")] == [[2], [4]]
    assert back(message(*LINES)) == list(LINES)


def test_a_withdrawn_detail_tells_nothing() -> None:
    first = events(*LINES)[0]
    assert not any(one["url"].endswith("/rescue-medication") for one in first["extension"])


@pytest.mark.parametrize("status", ["D", "W", "X", "N"])
def test_a_withdrawn_event_has_a_modifier_and_comes_back(status: str) -> None:
    lines = (HEADING, obx(1, "CWE", TERM, NAUSEA, f4="1", status=status))
    (event,) = events(*lines)
    assert event["modifierExtension"][0]["valueBoolean"] is True
    assert back(message(*lines)) == list(lines)


def test_an_event_withdrawn_on_the_server_goes_out_withdrawn() -> None:
    def change(bundle: Json) -> None:
        url = "https://ketafhir.org/fhir/StructureDefinition/withdrawn"
        resources(bundle, "AdverseEvent")[0]["modifierExtension"] = [{"url": url, "valueBoolean": True}]

    told = back(message(HEADING, obx(1, "CWE", TERM, NAUSEA, f4="1")), change)
    assert [line.split("|")[11] for line in told if line.startswith("OBX")] == ["W"]


def test_another_modifier_is_refused() -> None:
    event = events(HEADING, obx(1, "CWE", TERM, NAUSEA, f4="1", status="W"))[0]
    guard.check(event, "AdverseEvent")
    event["modifierExtension"][0]["url"] = "urn:other"
    with pytest.raises(Refused, match="modifier"):
        guard.check(event, "AdverseEvent")


def test_a_severity_that_follows_from_the_grade_is_never_sent_back() -> None:
    def change(bundle: Json) -> None:
        event = resources(bundle, "AdverseEvent")[1]
        assert event["severity"]["coding"][0]["code"] == "severe"
        assert event["seriousness"]["coding"][0]["code"] == "Serious"
        assert "outcome" not in event

    assert not any("severity" in line for line in back(message(*LINES), change))


def test_events_without_numbers_are_told_apart_by_term() -> None:
    bare = f"OBR|1|||{TERM}|||20260518104000-0500"
    found = [events(bare, obx(1, "CWE", TERM, term, f4="1"))[0]["id"] for term in (NAUSEA, VOMITING)]
    assert len(set(found)) == 2
