"""Adverse events as AdverseEvent, and back."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oru_trips import Json, back, codes_of, message, obx, read, resources, to_bundle

from ketafhir.errors import Refused
from ketafhir.fhir import guard, json
from ketafhir.fhir.check import shape
from ketafhir.hl7v2.er7 import DEFAULT
from ketafhir.hl7v2.escapes import escape
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.service.intake import Channel, Intake
from ketafhir.store.sqlite import SqliteStore
from ketafhir.translate import settings as defaults
from ketafhir.translate.translation import to_hl7v2
from translate.infusion_feeds import PID, PV1, RXR, Held, at, orc, rxa
from translate.infusion_feeds import message as told

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


SEVERITY = "adverse-event-severity^Severity of an adverse event^99KETA"
OUTCOME = "adverse-event-outcome^Outcome of an adverse event^99KETA"


@pytest.mark.parametrize(
    ("grade", "said", "differs"),
    [
        ("1", "mild", False), ("2", "mild", True), ("2", "moderate", False), ("3", "severe", False), ("3", "moderate", True),
        ("4", "severe", False), ("4", "mild", True), ("5", "severe", False), ("1", "severe", True),
    ],
)  # fmt: skip
def test_a_severity_that_is_not_that_of_the_grade_is_told_and_kept(grade: str, said: str, differs: bool) -> None:
    lines = (
        HEADING, obx(1, "CWE", TERM, NAUSEA, f4="1"), obx(2, "NM", GRADE, grade, f4="1"),
        obx(3, "CWE", SEVERITY, said, f4="1"),
    )  # fmt: skip
    found = read(message(*lines)).c.issues
    assert codes_of(found) == (["grade-differs"] if differs else [])
    assert [one.where for one in found] == (["OBX[3]-5"] if differs else [])
    assert back(message(*lines)) == list(lines)


@pytest.mark.parametrize(
    ("grade", "outcome", "differs"), [("5", "fatal", False), ("5", "resolved", True), ("2", "fatal", True)]
)
def test_a_death_that_only_the_grade_or_only_the_outcome_tells_is_told(grade: str, outcome: str, differs: bool) -> None:
    lines = (
        HEADING, obx(1, "CWE", TERM, NAUSEA, f4="1"), obx(2, "NM", GRADE, grade, f4="1"),
        obx(3, "CWE", OUTCOME, outcome, f4="1"),
    )  # fmt: skip
    assert codes_of(read(message(*lines)).c.issues) == (["grade-differs"] if differs else [])


def event(number: int, clock: str, sub_id: str = "1", term: str = NAUSEA) -> str:
    return f"OBX|{number}|CWE|{TERM}|{sub_id}|{term}||||||F|||{at(clock)}"


RUN = rxa(start="1000", end="1030", outcome="CP")
PAIN = f"OBX|9|NM|72514-3^Pain^LN||4|{{score}}^^UCUM|||||F|||{at('1010')}"
BESIDE = told(
    PID, PV1, orc(status="CM"), RUN, RXR, event(1, "1010"), "NTE|1||by itself", event(2, "1012", "2", VOMITING), PAIN
)


def test_an_event_told_beside_an_administration_is_of_its_infusion() -> None:
    held = Held(BESIDE)
    found = held.resources("AdverseEvent")
    assert [one["event"]["coding"][0]["code"] for one in found] == ["422587007", "422400008"]
    (whole,) = held.wholes
    for one in found:
        instance = one["suspectEntity"][0]["instance"]
        assert instance["identifier"]["value"] == "P1"
        assert instance["reference"].endswith(whole["id"])
        assert one["encounter"] == held.resources("MedicationAdministration")[0]["context"]
    assert len(held.resources("Observation")) == 1
    text = to_hl7v2(held.bundle).text or ""
    assert [one.partition("|")[0] for one in text.split("\r") if one.startswith(("MSH", "OBR", "NTE"))] == [
        "MSH",
        "MSH",
        "OBR",
        "NTE",
    ]
    again = Held(text.encode()).resources("AdverseEvent")
    assert [told_of(one) for one in again] == [told_of(one) for one in found]


def told_of(one: Json) -> Json:
    """The event without what was derived of it, and without who told it."""
    (entity,) = one["suspectEntity"]
    return {**one, "meta": {}, "suspectEntity": entity["instance"]["identifier"]}


LATE = told(
    PID, PV1, f"OBR|1|P1^EHR|AE-1^EHR|{TERM}|||{at('1010')}", event(1, "1010"), kind="ORU^R01^ORU_R01", sent="1011"
)
BEGUN = told(PID, PV1, orc(), rxa(), RXR, sent="1000")
ENDED = told(PID, PV1, orc(status="CM"), RUN, RXR, sent="1031")
MENDED = told(
    PID, PV1, orc(), rxa(start="1020", end="1030", outcome="CP", action="U", entered="1100"), RXR, sent="1100"
)
OTHER = told(
    PID, PV1, orc(placer="P2^EHR", filler="F2^PH"), rxa(start="0900", end="1015", outcome="CP"), RXR, sent="1040"
)


def suspected(bundle: Json) -> list[str]:
    """The administrations that the one event is tied to, by id."""
    (one,) = resources(bundle, "AdverseEvent")
    return [
        entity["instance"]["reference"].split("/")[-1].split(":")[-1]
        for entity in one.get("suspectEntity", ())
        if "reference" in entity["instance"]
    ]


@pytest.mark.parametrize(
    ("feed", "count"),
    [
        ((LATE, BEGUN), 1),
        ((LATE, BEGUN, ENDED), 1),
        ((LATE, BEGUN, MENDED), 0),
        ((LATE, BEGUN, OTHER), 0),
        ((LATE, OTHER), 1),
    ],
)
def test_the_infusion_is_found_whichever_was_told_first(feed: tuple[bytes, ...], count: int) -> None:
    states = []
    for order in itertools.permutations(feed):
        held = Held(*order, *order[:1])
        assert not held.refused
        assert len(suspected(held.bundle)) == count
        states.append(suspected(held.bundle))
    assert states == states[:1] * len(states)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_service_finds_the_infusion_of_an_event_it_has_stored(tmp_path: Path, restarts: bool) -> None:
    store = SqliteStore(tmp_path / "store")
    channel = Channel("emar", defaults.default(), Policy(), Answers())
    intake = Intake(store, {"emar": channel})
    for one in (LATE, BEGUN):
        intake = Intake(store, {"emar": channel}) if restarts else intake
        (ack,) = intake.take(channel, one, "peer").answers
        assert b"MSA|AA" in ack
    (last,) = store.show(2).deliveries
    assert len(suspected(json.loads(last.payload))) == 1
    store.close()


words = st.text("abcXYZ |^&~\\", min_size=1, max_size=12).map(str.strip).filter(bool)
grades = st.sampled_from(["", "1", "2", "3", "4", "5"])
moments = st.sampled_from(["", "20260518103000-0500", "20260518103001.5-0500", "20260518"])
DETAILS = (
    ("ctcae-grade^CTCAE grade^99KETA", "NM", grades),
    ("adverse-event-transient^Transient adverse event^99KETA", "CWE", st.sampled_from(["", "Y", "N"])),
    ("adverse-event-end^End of an adverse event^99KETA", "DTM", moments),
    ("adverse-event-detected^Time an adverse event was detected^99KETA", "DTM", moments),
    (SEVERITY, "CWE", st.sampled_from(["", "mild", "moderate", "severe"])),
    (OUTCOME, "CWE", st.sampled_from(["", "resolved", "ongoing", "fatal", "unknown"])),
    ("adverse-event-order^Order number of the suspected infusion^99KETA", "EI", st.sampled_from(["", "P-1^EHR", "17"])),
    (RESCUE, "CWE", st.just("") | words.map(lambda one: "^" + escape(one, DEFAULT))),
    ("rescue-order^Order number of the rescue medicine^99KETA", "EI", st.sampled_from(["", "P-9^EHR"])),
)


@st.composite
def groups(draw: st.DrawFn) -> tuple[str, ...]:
    """One OBR with one to three events of any details, notes and statuses."""
    lines, number = [HEADING], 0
    for sub_id in range(1, draw(st.integers(1, 3)) + 1):
        status = draw(st.sampled_from("FFFPCDWX"))
        number += 1
        lines.append(obx(number, "CWE", TERM, draw(st.sampled_from([NAUSEA, VOMITING])), f4=str(sub_id), status=status))
        lines += [f"NTE|{at}||{escape(text, DEFAULT)}" for at, text in enumerate(draw(st.lists(words, max_size=2)), 1)]
        for code, kind, values in DETAILS:
            value = draw(values)
            if value:
                number += 1
                lines.append(obx(number, kind, code, value, f4=str(sub_id), status=status))
    return tuple(lines)


@settings(max_examples=150, deadline=None)
@given(groups())
def test_any_event_survives_hl7v2_and_fhir(lines: tuple[str, ...]) -> None:
    text = message(*lines)
    bundle = to_bundle(text)
    assert shape(bundle) == []
    assert back(text) == list(lines)
    again = to_bundle(message(*back(text)))
    assert resources(again, "AdverseEvent") == resources(bundle, "AdverseEvent")
