"""The pump's volume against rate and time: a difference is told with both numbers."""

from __future__ import annotations

import pytest

from golden.cases import ROOT
from ketafhir import Refused, data, iter_fhir

START = (ROOT / "RAS_O17" / "story-b-events" / "in.hl7").read_text().split("MSH|")[1:]
OBX = "OBX|1|NM|{code}||{volume}|mL^^UCUM|||||F|||{at}\n"
TOTAL, SEGMENT = "157993^MDC_VOL_FLUID_DELIV_TOTAL^MDC", "segment-volume^Volume^99KETA"


def warned(messages: list[str]) -> list[str]:
    found = []
    for one in iter_fhir("".join(f"MSH|{message}" for message in messages)):
        assert not isinstance(one, Refused)
        found += [issue.text for issue in one.issues if issue.code == "volume-unreconciled"]
    return found


@pytest.mark.parametrize(
    ("code", "volume", "at", "told"),
    [
        (TOTAL, "10.0", "20260414093000-0500", []),
        (TOTAL, "5.0", "20260414091500-0500", []),
        (TOTAL, "11.9", "20260414093000-0500", []),
        (TOTAL, "30", "20260414093000-0500", ["C6: the pump tells 30 mL, rate and time give 10 mL"]),
    ],
)
def test_the_infusion_so_far(code: str, volume: str, at: str, told: list[str]) -> None:
    assert warned([START[0] + OBX.format(code=code, volume=volume, at=at)]) == told


def test_a_segment() -> None:
    pause = START[3] + OBX.format(code=SEGMENT, volume="900", at="20260414111200-0500")
    assert warned([*START[:3], pause]) == ["C6: the pump tells 900 mL, rate and time give 28 mL"]
    assert warned([*START[:3], START[3] + OBX.format(code=SEGMENT, volume="28.0", at="20260414111200-0500")]) == []


def test_a_lost_pause_shows() -> None:
    """Without the pause message the rate seems to have run on: 20 mL too much."""
    late = START[5] + OBX.format(code=TOTAL, volume="111.2", at="20260414133000-0500")
    (text,) = warned([*START[:3], START[4], late])
    assert text.startswith(
        "C6: the pump tells 111.2 mL, rate and time give 131.2 mL; a missed pause of 30 min at 40 mL/h or"
    )
    assert warned([*START[:5], late]) == []


def test_the_stories_agree_with_their_pumps() -> None:
    for story in "abc":
        texts = [path.read_text() for path in sorted((data.path("stories") / story).glob("*.hl7"))]
        assert warned([text.removeprefix("MSH|") for text in texts]) == []
