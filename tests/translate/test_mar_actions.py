"""What an eMAR calls its events: opened, ended and looked at as it says, from wherever the site puts it, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from infusion_feeds import PID, PV1, RXR, at, message, orc

from golden.cases import last_state
from golden.reduced import bundles_of, reduced
from ketafhir.errors import Refused
from ketafhir.translate.translation import iter_fhir, to_fhir, to_hl7v2

PLACES = ("OBX", "RXA-9", "NTE")


def site(folder: Path, mar_action: str, *more: str) -> str:
    (folder / mar_action).mkdir(exist_ok=True)
    rows = ["setting,value,comment", f"mar_action,{mar_action},", *more, ""]
    (folder / mar_action / "settings.csv").write_text("\n".join(rows), encoding="utf-8")
    return str(folder / mar_action)


def event(
    place: str, word: str, number: str, start: str, *, amount: str = "20", unit: str = "mL", per: str = "H1", end: str = "",
    status: str = "IP", outcome: str = "", control: str = "RE", reason: str = "", lot: str = "L1", note: str = "",
) -> bytes:  # fmt: skip
    """One RAS of one action, its word in RXA-9, an OBX or an NTE."""
    reasons = "~".join(part for part in (f"{word}^^L" if place == "RXA-9" else "", reason) if part)
    rxa = (
        f"RXA|0|{number}|{at(start)}|{at(end) if end else ''}|6130^ketamine^RXN|{amount}|{unit}||{reasons}|||{per}|1|mg/mL|{lot}"
        f"|||||{outcome}|A"
    )
    beside = {
        "OBX": [f"OBX|1|CWE|mar-action^What the eMAR says was done^99KETA||{word}^^L||||||F"],
        "NTE": [f"NTE|1||{word}"],
    }.get(place, [])
    notes = [f"NTE|2||{note}"] if note else []
    order = [*beside, *notes] if place == "NTE" else [*notes, *beside]
    return message(PID, PV1, orc(control, status), rxa, RXR, *order, sent=end or start)


def story(place: str) -> list[bytes]:
    """20, verified, 30, paused, 24 from a new bag, a bolus, stopped."""
    return [
        event(place, "New Bag", "1", "1000"),
        event(place, "Rate Verify", "2", "1010"),
        event(place, "Rate Change", "3", "1030", amount="30", reason="reason-titration^Titrated to effect^99KETA"),
        event(place, "Paused", "4", "1100", amount="30", reason="reason-vital-sign^BP^99KETA", note="felt sick"),
        event(place, "Restarted", "5", "1130", amount="24"),
        event(place, "Bolus", "6", "1140", amount="5", unit="mg", per=""),
        event(place, "New Bag", "7", "1200", amount="24", lot="L2"),
        event(place, "Stopped", "8", "1230", amount="0", unit="", per=""),
    ]


def codes(told: list[bytes], folder: str | None) -> list[str]:
    return [issue.code for one in iter_fhir(told, site=folder) for issue in one.issues]


def children(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in found if one["resourceType"] == "MedicationAdministration" and "partOf" in one]


@pytest.mark.parametrize("place", PLACES)
def test_each_place_tells_the_same_infusion(tmp_path: Path, place: str) -> None:
    folder = site(tmp_path, place)
    assert codes(story(place), folder) == []
    (found,) = reduced(bundles_of(story(place), folder))
    assert (found.status, found.total) == ("stopped", 54)  # 10 + 15 + 12 + 12 and the bolus of 5
    clocks = [((one.start - found.start) / 60, (one.end or one.start) - one.start) for one in found.segments]
    assert clocks == [(0, 1800), (30, 1800), (90, 1800), (100, 0), (120, 1800)]
    assert [one.status for one in found.segments] == ["completed", "stopped", "completed", "completed", "stopped"]
    assert [one.kind for one in found.segments].count("bolus") == 1


def _word(cell: str) -> str:
    """Code or text, whichever the eMAR sent."""
    return next(filter(None, cell.split("~")[0].split("^")))


@pytest.mark.parametrize("back", PLACES)
@pytest.mark.parametrize("place", PLACES)
def test_every_event_comes_back_where_the_receiver_has_it(tmp_path: Path, place: str, back: str) -> None:
    bundle = last_state(bundles_of(story(place), site(tmp_path, place)))
    folder = site(tmp_path, back)
    text = to_hl7v2(bundle, site=folder).text or ""
    words = ["New Bag", "Rate Verify", "Rate Change", "Paused", "Restarted", "Bolus", "New Bag", "Stopped"]
    lines = [line.split("|") for line in text.split("\r")]
    if back == "RXA-9":
        assert [_word(line[9]) for line in lines if line[0] == "RXA"] == words
    elif back == "OBX":
        assert [_word(line[5]) for line in lines if line[0] == "OBX" and line[5] != "felt sick"] == words
    else:
        assert [line[3] for line in lines if line[0] == "NTE"] == words
    assert "||felt sick||||||F\r" in text
    again = bundles_of(text.encode(), folder)
    assert reduced(again) == reduced(bundles_of(story(place), site(tmp_path, place)))
    assert to_hl7v2(last_state(again), site=folder).text == text


def test_a_further_bag_is_a_segment_with_its_own_lot(tmp_path: Path) -> None:
    bundle = last_state(bundles_of(story("OBX"), site(tmp_path, "OBX")))
    lots = {entry["resource"]["id"]: entry["resource"]["batch"]["lotNumber"] for entry in bundle["entry"]
            if "batch" in entry["resource"]}  # fmt: skip
    last = max(children(bundle), key=lambda one: str(one.get("effectivePeriod", {}).get("start", "")))
    assert lots[last["medicationReference"]["reference"].removeprefix("urn:uuid:")] == "L2"


def test_the_action_stands_on_its_administration(tmp_path: Path) -> None:
    bundle = last_state(bundles_of(story("RXA-9"), site(tmp_path, "RXA-9")))
    told = {one["effectivePeriod"]["start"][11:16]: one for one in children(bundle) if "effectivePeriod" in one}
    (action,) = [one for one in told["10:30"]["extension"] if one["url"].endswith("/mar-action")]
    assert [one["code"] for one in action["valueCodeableConcept"]["coding"]] == ["mar-rate-change", "Rate Change"]
    assert told["10:30"]["statusReason"][0]["coding"][0]["code"] == "reason-titration"


def test_held_is_not_given_and_given_is_completed() -> None:
    held = event("OBX", "Held", "1", "1000", amount="4", unit="mg", per="")
    (found,) = reduced(bundles_of(held))
    assert (found.status, found.segments[0].status, found.total) == ("not-done", "not-done", None)
    given = event("OBX", "Given", "1", "1000", amount="4", unit="mg", per="", status="")
    (found,) = reduced(bundles_of(given))
    assert (found.status, found.segments[0].status, found.total) == ("completed", "completed", 4)
    assert "|L1||||||A\r" in (to_hl7v2(last_state(bundles_of(given))).text or "")  # RXA-20 was not told


def test_a_verified_rate_that_does_not_run_is_told(tmp_path: Path) -> None:
    folder = site(tmp_path, "OBX")
    told = [event("OBX", "New Bag", "1", "1000"), event("OBX", "Rate Verify", "2", "1010", amount="25")]
    for order in (told, told[::-1]):
        assert "rate-verify-differs" in codes(order, folder)
        assert len(reduced(bundles_of(order, folder))[0].segments) == 1
    same = [told[0], event("OBX", "Rate Verify", "2", "1010", amount="20.0", unit="mg")]  # 1 mg/mL
    assert codes(same, folder) == []


@pytest.mark.parametrize(
    ("word", "cells"),
    [
        ("Rate Change", {"outcome": "NA"}),
        ("Rate Change", {"outcome": "CP"}),
        ("Rate Change", {"amount": "20", "per": ""}),
        ("Rate Change", {"status": "HD"}),
        ("Rate Change", {"status": "CM"}),
        ("Rate Change", {"control": "DC"}),
        ("New Bag", {"amount": "0"}),
        ("Restarted", {"control": "HD"}),
        ("Rate Verify", {"status": "DC"}),
        ("Rate Verify", {"outcome": "PA"}),
        ("Paused", {"outcome": "CP"}),
        ("Paused", {"status": "CM"}),
        ("Paused", {"control": "OD"}),
        ("Stopped", {"status": "HD"}),
        ("Stopped", {"outcome": "NA"}),
        ("Bolus", {"amount": "5", "unit": "mg", "per": "H1"}),
        ("Bolus", {"amount": "0", "unit": "mg", "per": ""}),
        ("Bolus", {"amount": "5", "unit": "mg", "per": "", "outcome": "RE"}),
        ("Given", {}),
        ("Held", {"outcome": "CP"}),
    ],
)
def test_a_contradiction_is_refused(word: str, cells: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        to_fhir(event("OBX", word, "1", "1000", **cells))
    issue = caught.value.issues[-1]
    assert issue.code == "action-contradicted"
    assert issue.where.startswith("RXA-")
    assert "[mar-action]" in issue.row


@pytest.mark.parametrize("place", ["OBX", "RXA-9"])
def test_a_word_that_is_no_action_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(Refused) as caught:
        to_fhir(event(place, "Adjusted", "1", "1000"), site=site(tmp_path, place))
    issue = caught.value.issues[-1]
    assert (issue.code, issue.value) == ("action-unknown", "Adjusted")
    assert "codesystems/mar-action.csv" in issue.hint


def test_code_and_text_that_name_two_actions_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        to_fhir(event("OBX", "Paused^Stopped", "1", "1000"))
    assert caught.value.issues[-1].code == "action-unknown"


def test_two_actions_in_a_group_are_refused(tmp_path: Path) -> None:
    told = event("NTE", "Paused", "1", "1000", note="Stopped")
    with pytest.raises(Refused) as caught:
        to_fhir(told, site=site(tmp_path, "NTE"))
    assert caught.value.issues[-1].code == "action-ambiguous"


def test_a_site_has_words_and_a_code_of_its_own(tmp_path: Path) -> None:
    folder = Path(site(tmp_path, "OBX", "mar_action_code,MARACT^L,"))
    (folder / "codesystems").mkdir()
    words = (
        "domain,v2,fhir,prefer,comment\nrate-change,TITR,mar-rate-change,both,\npaused,ANGEHALTEN,mar-paused,both,\n"
    )
    (folder / "codesystems" / "mar-action.csv").write_text(words, encoding="utf-8")
    told = event("OBX", "titr", "1", "1000").replace(b"mar-action^What the eMAR says was done^99KETA", b"MARACT^^L")
    bundles = bundles_of(told, str(folder))
    assert reduced(bundles)[0].segments[0].amount == 20
    text = to_hl7v2(last_state(bundles), site=str(folder)).text or ""
    assert "OBX|1|CWE|MARACT^^L||titr^^L||||||F" in text
    plain = to_fhir(told)  # to others it is an observation like any other
    assert [issue.code for issue in plain.issues] == ["code-unmapped"]


def test_words_are_taken_whatever_their_case(tmp_path: Path) -> None:
    for word in ("rate change", "RATE  CHANGE", "x^Rate Change", "mar-rate-change^^99KETA"):
        (found,) = reduced(bundles_of(event("OBX", word, "1", "1000").replace(b"^^99KETA^^L", b"^^99KETA")))
        assert len(found.segments) == 1


def test_without_a_declared_place_rxa_9_is_a_reason() -> None:
    child = children(bundles_of(event("RXA-9", "Paused", "1", "1000"))[0])[0]
    assert child["statusReason"][0]["coding"][0]["code"] == "Paused"
    assert child["status"] == "in-progress"
