"""Each message that is written can be asked for by name, from any record that holds its content; else it says what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golden.cases import NOON, ROOT, last_state
from ketafhir import Refused, iter_fhir, to_hl7v2
from ketafhir.translate.headers import STRUCTURES
from ketafhir.translate.pump_orders import PumpOrders
from ketafhir.translate.settings import default

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories" / "b"
SETTINGS = default().allowing(PumpOrders("Dr Rowan Example", 240000, NOON))
WHERE = {
    "OMP^O09": "OMP_O09/placed", "RDE^O11": "RDE_O11/story-b-order", "RDS^O13": "RDS_O13/bag-for-the-infusion",
    "RGV^O15": "RGV_O15/pcd-03-new-bag-rate-change-bolus", "RAS^O17": "ORU_R42/story-b", "ORU^R42": "ORU_R42/story-b",
    "ORU^R40": "ORU_R40/occlusion", "ORU^R01": "PCD_01/containment", "ADT^A40": "ADT_A39/chain-of-merges",
    "ADT^A04": "RAS_O17/story-b-events", "ADT^A08": "ORU_R01/vitals-twelve",
}  # fmt: skip


def held(feed: bytes) -> dict[str, Any]:
    steps = [step for step in iter_fhir(feed) if not isinstance(step, Refused)]
    return last_state([step.bundle for step in steps if step.bundle])


def refused(value: dict[str, Any], message: str) -> Any:
    with pytest.raises(Refused) as refusal:
        to_hl7v2(value, message=message, settings=SETTINGS)
    return refusal.value.issues[-1]


@pytest.mark.parametrize("message", WHERE)
def test_each_message_can_be_asked_for(message: str) -> None:
    made = to_hl7v2(held((ROOT / WHERE[message] / "in.hl7").read_bytes()), message=message, settings=SETTINGS)
    heads = [line.split("|") for line in made.text.split("\r") if line.startswith("MSH|")]
    assert heads
    assert {"^".join(one[8].split("^")[:2]) for one in heads} == {message}


@pytest.mark.parametrize("message", sorted(set(STRUCTURES) - {one for one in STRUCTURES if one.startswith("ADT^")}))
def test_what_cannot_be_made_says_what_it_is_made_of(message: str) -> None:
    issue = refused(held((ROOT / "ADT_A01/register/in.hl7").read_bytes()), message)
    assert issue.code == "nothing-to-write"
    assert message in issue.text
    assert issue.hint.startswith("it is made of ")


def test_an_infusion_that_no_pump_told_is_not_told_in_the_name_of_one() -> None:
    value = held(b"".join(one.read_bytes() for one in sorted(STORIES.glob("*-ras-*.hl7"))))
    issue = refused(value, "ORU^R42")
    assert issue.code == "nothing-to-write"
    assert "not told in the name of a pump" in issue.hint
    assert "RAS^O17" in issue.hint
    assert "alarm" in refused(value, "ORU^R40").hint


def test_an_answer_is_made_by_the_service() -> None:
    issue = refused(held((ROOT / "ADT_A01/register/in.hl7").read_bytes()), "RRA^O18")
    assert (issue.code, "an answer is made by the service" in issue.hint) == ("unsupported-message", True)
