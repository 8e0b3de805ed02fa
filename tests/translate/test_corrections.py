"""Corrections: which version of a result, a form or an administration stands, whatever the order of arrival."""

from __future__ import annotations

from itertools import permutations

import pytest
from oru_trips import message, obx
from test_screening import cssrs, phq9

from golden.cases import ROOT
from ketafhir import Refused, iter_fhir
from ketafhir.mapping.paths import Json
from translate.infusion_feeds import Held, ras, rxa

OBR = "OBR|1||R-1^MON|85353-1^Vital Signs Panel^LN|||20260414090000-0500||||||||||||||||||F"
POINTS = [3, 3, 2, 3, 2, 3, 2, 1, 2]


def held(feed: list[str]) -> dict[str, Json]:
    """What a server holds after a feed, by resource id; Provenance left out."""
    found = {}
    for step in iter_fhir(feed_text(feed)):
        assert not isinstance(step, Refused), step
        for entry in (step.bundle or {})["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] in ("Observation", "QuestionnaireResponse", "DiagnosticReport"):
                found[resource["id"]] = resource
    return found


def feed_text(feed: list[str]) -> str:
    return "\r".join(one.replace("\n", "\r") for one in feed) + "\r"


def at(text: str, clock: str, control: str) -> str:
    """The message told at another time."""
    head, *rest = text.split("\r")
    fields = head.split("|")
    fields[6], fields[9] = f"20260414{clock}00-0500", control
    return "\r".join(["|".join(fields), *rest])


def heart_rate(value: str, status: str, clock: str, control: str) -> str:
    line = obx(1, "NM", "8867-4^Heart rate^LN", value, unit="/min^^UCUM")
    fields = line.split("|")
    fields[11] = status
    return at(message(OBR, "|".join(fields)), clock, control)


def value(found: dict[str, Json]) -> tuple[str, str]:
    (one,) = [resource for resource in found.values() if resource["resourceType"] == "Observation"]
    return str(one.get("valueQuantity", {}).get("value", "")), one["status"]


@pytest.mark.parametrize(
    ("versions", "stands"),
    [
        ([("70", "P", "0901"), ("72", "F", "0902"), ("71", "P", "0903")], ("72", "final")),
        ([("70", "F", "0901"), ("72", "C", "0902"), ("71", "F", "0903")], ("72", "corrected")),
        ([("70", "F", "0901"), ("", "D", "0902"), ("71", "C", "0903")], ("", "entered-in-error")),
        ([("70", "F", "0901"), ("", "W", "0902"), ("71", "F", "0903")], ("", "entered-in-error")),
        ([("70", "F", "0901"), ("72", "F", "0902"), ("71", "F", "0900")], ("72", "final")),
        ([("70", "C", "0901"), ("72", "C", "0902"), ("71", "P", "0905")], ("72", "corrected")),
    ],
)
def test_a_lower_status_never_replaces_a_higher_one(
    versions: list[tuple[str, str, str]], stands: tuple[str, str]
) -> None:
    feed = [heart_rate(*one, f"C{number}") for number, one in enumerate(versions)]
    ends = [held(list(order)) for order in permutations(feed)]
    assert {value(one) for one in ends} == {stands}
    assert all(one == ends[0] for one in ends)


def issued(value: str, clock: str, sent: str, control: str) -> str:
    """A heart rate whose OBR-22 says when it was reported."""
    text = heart_rate(value, "F", sent, control)
    fields = OBR.split("|")
    fields[22] = f"20260414{clock}00-0500"
    return text.replace(OBR, "|".join(fields))


def test_of_two_versions_of_one_status_the_one_reported_later_stands_and_the_older_is_told() -> None:
    late, early = issued("72", "0910", "0911", "A"), issued("70", "0905", "0920", "B")
    for feed in ([late, early], [early, late]):
        assert value(held(feed)) == ("72", "final")
    told = [
        [issue.code for issue in step.issues]
        for step in iter_fhir(feed_text([late, early, late]))
        if not isinstance(step, Refused) and step.issues
    ]
    assert told == [["version-older"]]


def partial(count: int, clock: str, control: str) -> str:
    return at(phq9(POINTS[:count]), clock, control)


def scores(found: dict[str, Json]) -> list[tuple[str, str]]:
    return sorted(
        (str(one.get("valueQuantity", {}).get("value", "")), one["status"])
        for one in found.values()
        if one["resourceType"] == "Observation"
    )


def test_a_derived_score_is_withdrawn_when_its_form_is_told_incomplete() -> None:
    whole, part, again = partial(9, "1000", "W"), partial(5, "1001", "P"), partial(9, "1002", "A")
    assert scores(held([whole])) == [("21", "final")]
    for feed in ([whole, part], [part, whole]):
        assert scores(held(feed)) == [("21", "entered-in-error")]
    for feed in permutations([whole, part, again]):
        assert scores(held(list(feed))) == [("21", "final")]


def test_a_risk_level_is_withdrawn_in_the_same_way() -> None:
    whole, part = at(cssrs("yynnnnn"), "1000", "W"), at(cssrs("y"), "1001", "P")
    for feed in ([whole, part], [part, whole]):
        assert {one["status"] for one in held(feed).values() if one["resourceType"] == "Observation"} == {
            "entered-in-error"
        }


def test_a_preliminary_form_never_replaces_a_final_one() -> None:
    final = at(phq9(POINTS), "1000", "W")
    early = at(phq9([0] * 9).replace("|||||F|", "|||||P|"), "1001", "P")
    for feed in ([final, early], [early, final]):
        assert ("21", "final") in scores(held(feed))
        assert not [one for one in scores(held(feed)) if one[1] == "preliminary"]


def test_administrations_corrected_by_their_counters_end_alike_in_any_order() -> None:
    told = (ROOT / "RAS_O17" / "story-b-events" / "in.hl7").read_text()
    start, *_ = [f"MSH|{one}".strip() for one in told.split("MSH|")[1:]]
    later = "|20260414090000-0500||RAS"
    update = start.replace("|||||A\n", "|||||U\n").replace("|20|mL", "|22|mL").replace("G-B21|", "G-B21U|")
    update = update.replace(later, "|20260414090500-0500||RAS")
    delete = start.replace("|||||A\n", "|||||D\n").replace("G-B21|", "G-B21D|")
    delete = delete.replace(later, "|20260414090900-0500||RAS")
    assert len({start, update, delete}) == 3
    for group in ([start, update], [start, delete], [start, update, delete]):
        ends = []
        for order in permutations(group):
            last = {}
            for step in iter_fhir("\n".join(order)):
                assert not isinstance(step, Refused), step
                for entry in (step.bundle or {})["entry"]:
                    if entry["resource"]["resourceType"] == "MedicationAdministration":
                        last[entry["resource"]["id"]] = entry["resource"]
            ends.append(last)
        assert all(one == ends[0] for one in ends)


def analysed(value: str, clock: str, sent: str, control: str) -> str:
    """A heart rate whose OBX-19 says when it was analysed."""
    text = heart_rate(value, "F", sent, control)
    head, last = text.rstrip("\r").rsplit("\r", 1)
    fields = [*last.split("|"), *[""] * 20][:20]
    fields[19] = f"20260414{clock}00-0500"
    return "\r".join([head, "|".join(fields)])


def test_of_two_versions_the_one_analysed_later_stands_whichever_was_sent_later() -> None:
    late, early = analysed("72", "0910", "0911", "A"), analysed("70", "0905", "0920", "B")
    for feed in ([late, early], [early, late]):
        assert value(held(feed)) == ("72", "final")
    told = [
        [one.code for one in step.issues]
        for step in iter_fhir(feed_text([late, early]))
        if not isinstance(step, Refused)
    ]
    assert told == [[], ["version-older"]]


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        (("20", "A", "1011"), ("25", "U", "1010"), ("1030", "1040")),  # RXA-22 goes before MSH-7
        (("20", "U", ""), ("25", "U", ""), ("1040", "1030")),
        (("20", "U", ""), ("20", "D", ""), ("1040", "1030")),
    ],
)
def test_an_older_version_of_an_administration_changes_nothing_and_is_told(
    first: tuple[str, str, str], second: tuple[str, str, str], sent: tuple[str, str]
) -> None:
    newer, older = (
        ras(rxa(amount=amount, action=action, entered=entered), sent=at_, control_id=f"{amount}{action}")
        for (amount, action, entered), at_ in zip((first, second), sent, strict=True)
    )
    for feed in ([newer, older], [older, newer]):
        states = Held(*feed).segments
        assert [(one["status"], one["dosage"]["rateRatio"]["numerator"]["value"]) for one in states] == [
            ("in-progress", 20)
        ]
    assert [one.code for one in Held(newer, older, older).issues if one.code == "version-older"] == [
        "version-older"
    ] * 2
    assert "version-older" not in [one.code for one in Held(older, newer, newer).issues]


def test_an_older_version_that_only_says_less_is_not_told() -> None:
    """A start that comes after its end: nothing of it is lost."""
    start = ras(rxa(), sent="1001")
    end = ras(rxa(end="1100", outcome="CP", action="U"), sent="1101", status="CM")
    assert "version-older" not in [one.code for one in Held(end, start).issues]
