"""RXA-6, -7, -11 and -12 as a site declares them: the same segments, and nothing that fits two ways is guessed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from infusion_feeds import PID, PV1, RXR, at, message, orc

from golden.cases import last_state
from golden.reduced import bundles_of, reduced
from ketafhir.errors import Issue, Refused
from ketafhir.translate.translation import iter_fhir, to_fhir, to_hl7v2

DIALECTS = ("standard", "rate-text", "rxa11-12")


def site(folder: Path, rxa12: str) -> str:
    (folder / rxa12).mkdir(exist_ok=True)
    (folder / rxa12 / "settings.csv").write_text(f"setting,value,comment\nrxa12,{rxa12},\n", encoding="utf-8")
    return str(folder / rxa12)


def rxa(number: str, start: str, end: str, cells: dict[int, str], outcome: str = "") -> str:
    fields = ["RXA", "0", number, at(start), at(end) if end else "", "6130^ketamine^RXN", *[""] * 15]
    fields[13:15] = "1", "mg/mL"
    fields[20] = outcome
    for place, text in cells.items():
        fields[place] = text
    return "|".join([*fields, "A"])


def rate(rxa12: str, number: str, unit: str = "mL/h") -> dict[int, str]:
    """A rate as a site of that dialect writes it."""
    amount, per = unit.split("/")
    return {
        "standard": {6: number, 7: amount, 12: "H1" if per == "h" else "M1"},
        "rate-text": {12: f"{number} {unit}"},
        "rxa11-12": {11: number, 12: unit},
    }[rxa12]


def ras(*rxas: str, status: str = "IP", sent: str = "1015", **more: str) -> bytes:
    groups = [part for one in rxas for part in (one, RXR)]
    return message(PID, PV1, orc("RE", status), *groups, sent=sent, **more)


def feed(rxa12: str) -> list[bytes]:
    """20 mL/h for half an hour, 30.5 mL/h for an hour, 0.5 mg/min to the end."""
    return [
        ras(rxa("1", "1000", "", rate(rxa12, "20")), sent="1000"),
        ras(rxa("2", "1030", "", rate(rxa12, "30.5")), sent="1030"),
        ras(rxa("3", "1130", "1200", rate(rxa12, "0.5", "mg/min"), "PA"), status="DC", sent="1200"),
    ]


def refusal(told: bytes, folder: str | None) -> Issue:
    with pytest.raises(Refused) as caught:
        to_fhir(told, site=folder)
    return caught.value.issues[-1]


@pytest.mark.parametrize("rxa12", DIALECTS)
def test_every_dialect_gives_the_same_segments(tmp_path: Path, rxa12: str) -> None:
    (found,) = reduced(bundles_of(feed(rxa12), site(tmp_path, rxa12)))
    assert found == reduced(bundles_of(feed("standard")))[0]
    assert found.total == Fraction("55.5")
    assert [segment.amount for segment in found.segments] == [20, Fraction("30.5"), 30]


@pytest.mark.parametrize("rxa12", DIALECTS)
@pytest.mark.parametrize("back", DIALECTS)
def test_a_feed_of_one_dialect_goes_out_in_another(tmp_path: Path, rxa12: str, back: str) -> None:
    bundles = bundles_of(feed(rxa12), site(tmp_path, rxa12))
    text = to_hl7v2(last_state(bundles), site=site(tmp_path, back)).text
    rows = [line.split("|") for line in text.split("\r") if line.startswith("RXA")]
    for row, (number, unit) in zip(rows, (("20", "mL/h"), ("30.5", "mL/h"), ("0.5", "mg/min")), strict=True):
        for place, cell in rate(back, number, unit).items():
            assert row[place].split("^")[0] == cell
    if back != "standard":
        assert [row[6:8] for row in rows] == [['""', ""], ['""', ""], ["15", "mg^^UCUM"]]
    assert reduced(bundles_of(text.encode(), site(tmp_path, back))) == reduced(bundles)


@pytest.mark.parametrize("rxa12", DIALECTS)
@pytest.mark.parametrize("other", DIALECTS)
def test_the_rate_of_another_dialect_is_refused(tmp_path: Path, rxa12: str, other: str) -> None:
    if other == rxa12:
        return
    issue = refusal(ras(rxa("1", "1000", "", rate(other, "20"))), site(tmp_path, rxa12))
    assert issue.code == "rate-unreadable"
    assert issue.where in ("RXA-11", "RXA-12")
    assert "rxa12" in issue.hint


@pytest.mark.parametrize("text", ["54 mL/h", "54mL/h", "54 ml/hr", " 54 cc/h ", "54.0 mL/h", "+54 mL/h"])
def test_ways_to_write_a_rate(tmp_path: Path, text: str) -> None:
    (found,) = reduced(bundles_of(ras(rxa("1", "1000", "", {12: text})), site(tmp_path, "rate-text")))
    assert (found.segments[0].amount, found.segments[0].unit) == (54, "mL/h")


def test_milligrams_a_minute_and_per_weight(tmp_path: Path) -> None:
    folder = site(tmp_path, "rate-text")
    for text, wanted in (("100mg/min", (6000, "mg/h")), ("0.25 mg/kg/h", (Fraction("0.25"), "mg/kg/h"))):
        (found,) = reduced(bundles_of(ras(rxa("1", "1000", "", {12: text})), folder))
        assert (found.segments[0].amount, found.segments[0].unit) == wanted


@pytest.mark.parametrize(
    "text",
    ["54", "mL/h", "54 mL", "-54 mL/h", "54 mL/h/h", "H1", "M40", "5 4 mL/h", "54,0 mL/h", "INDEF", "1.2.3 mL/h"],
)
def test_what_is_no_whole_rate_is_refused(tmp_path: Path, text: str) -> None:
    issue = refusal(ras(rxa("1", "1000", "", {6: "54", 7: "mL", 12: text})), site(tmp_path, "rate-text"))
    assert issue.where == "RXA-12"
    assert issue.code in ("rate-unreadable", "number-negative", "number-unreadable")
    assert issue.row.startswith("dialects/rxa12/rate-text/segments/RXA_to_MedicationAdministration.csv:3 [rate]")


@pytest.mark.parametrize("cells", [{11: "20"}, {12: "mL/h"}, {11: "2W^1^A", 12: "mL/h"}, {11: "20", 12: "mL"}])
def test_half_a_pair_is_never_a_bolus(tmp_path: Path, cells: dict[int, str]) -> None:
    issue = refusal(ras(rxa("1", "1000", "", {6: "20", 7: "mL", **cells})), site(tmp_path, "rxa11-12"))
    assert issue.code in ("rate-unreadable", "number-unreadable")


def volumes(bundles: list[dict[str, Any]]) -> list[str]:
    found = [entry["resource"] for entry in last_state(bundles)["entry"]]
    return [str(one["valueQuantity"]["value"]) for one in found if one["resourceType"] == "Observation"]


@pytest.mark.parametrize("rxa12", DIALECTS[1:])
def test_the_amount_of_a_segment_that_is_rate_times_time_is_derived(tmp_path: Path, rxa12: str) -> None:
    folder = site(tmp_path, rxa12)
    told = ras(rxa("1", "1000", "1030", {**rate(rxa12, "20"), 6: "10.0", 7: "mL"}, "CP"), status="CM")
    bundles = bundles_of(told, folder)
    assert volumes(bundles) == []
    assert reduced(bundles)[0].total == 10
    child = next(one["resource"] for one in bundles[0]["entry"] if "partOf" in one["resource"])
    assert "dose" not in child["dosage"]
    assert "|10|mL^^UCUM|" in to_hl7v2(last_state(bundles), site=folder).text


@pytest.mark.parametrize("rxa12", DIALECTS[1:])
def test_another_amount_is_told_beside_the_rate_and_in_no_sum(tmp_path: Path, rxa12: str) -> None:
    folder = site(tmp_path, rxa12)
    told = ras(rxa("1", "1000", "1030", {**rate(rxa12, "20"), 6: "9.5", 7: "mL"}, "CP"), sent="1030", status="CM")
    (result,) = iter_fhir([told], site=folder)
    assert not isinstance(result, Refused)
    assert [issue.code for issue in result.issues] == ["dose-rate-mismatch"]
    assert "9.5 mL, rate and time give 10 mL" in result.issues[0].text
    assert volumes([result.bundle or {}]) == ["9.5"]
    assert reduced([result.bundle or {}])[0].total == 10
    back = to_hl7v2(result.bundle or {}, site=folder).text
    assert "segment-volume" in back
    again = bundles_of(back.encode(), folder)
    assert (volumes(again), reduced(again)) == (["9.5"], reduced([result.bundle or {}]))


def test_an_amount_beside_the_rate_of_an_open_segment_is_kept_as_sent(tmp_path: Path) -> None:
    folder = site(tmp_path, "rate-text")
    told = ras(rxa("1", "1000", "", {6: "54", 7: "mL", 12: "54 mL/h"}))
    result = to_fhir(told, site=folder)
    assert [issue.code for issue in result.issues] == ["amount-of-open-segment"]
    assert ("RXA-6", "preserved") in [(loss.where, loss.fate) for loss in result.losses]
    assert "|54|mL||" in to_hl7v2(result.bundle or {}, site=folder).text
    closed = ras(rxa("1", "1000", "1030", {6: "27", 7: "mL", 12: "54 mL/h"}, "CP"), status="CM", sent="1100")
    for order in ([told, closed], [closed, told]):
        bundles = bundles_of(order, folder)
        assert reduced(bundles)[0].total == 27
        assert "|27|mL^^UCUM|" in to_hl7v2(last_state(bundles), site=folder).text


def test_rate_zero_ends_in_every_dialect(tmp_path: Path) -> None:
    for rxa12 in DIALECTS:
        end = ras(rxa("2", "1030", "", rate(rxa12, "0")), status="HD", sent="1030")
        bundles = bundles_of([feed(rxa12)[0], end], site(tmp_path, rxa12))
        (found,) = reduced(bundles)
        assert (found.status, len(found.segments), found.segments[0].end) == (
            "on-hold",
            1,
            found.segments[0].start + 1800,
        )


def test_a_rate_that_is_no_finite_number_is_not_rounded(tmp_path: Path) -> None:
    bundles = bundles_of(ras(rxa("1", "1000", "", {6: "10", 7: "mL", 12: "M7"})))
    with pytest.raises(Refused) as caught:
        to_hl7v2(last_state(bundles), site=site(tmp_path, "rate-text"))
    assert caught.value.issues[-1].code == "rate-unwritable"
