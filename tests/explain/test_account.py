"""The account of a message: each field once, with the element that truly holds its value."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from golden.cases import folders
from ketafhir.errors import Refused
from ketafhir.explain import account
from ketafhir.explain.account import Told
from ketafhir.explain.command import explained
from ketafhir.hl7v2.stream import split_messages
from ketafhir.translate import losses
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
START = (STORIES / "b" / "10-ras-start.hl7").read_bytes()
CASES = [folder for folder in folders() if (folder / "in.hl7").is_file()]


def told(data: bytes) -> Told:
    found, _ = explained(iter([data]), default(), 1)
    assert found is not None
    return found


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_field_is_in_it_once_with_its_fate_and_explaining_changes_nothing(folder: Path) -> None:
    session = Session(default())
    for data in split_messages((folder / "in.hl7").read_bytes()):
        try:
            message = parse(data)
            step = session.take(message)
        except Refused:
            continue
        bundle, issues = copy.deepcopy(step.bundle), list(step.issues)
        found = account.of_step(message, step, session.settings)
        lines = [line for part in found.parts for line in part.lines]
        reported = losses.of_message(message, step.reading)
        assert [(line.where, line.fate, line.why) for line in lines] == [(o.where, o.fate, o.why) for o in reported]
        assert (step.bundle, step.issues) == (bundle, issues)
        # A null has no element of its own: it deletes one.
        valued = [line for line in lines if line.fate == "mapped" and line.text != '""']
        told_by_nothing = [line.where for line in valued if not line.targets and not line.why]
        assert told_by_nothing == []


def test_a_mapped_field_names_row_codec_element_value_and_resource() -> None:
    lines = {line.where: line for part in told(START).parts for line in part.lines}
    assert lines["RXA-3"].name == "date time start of administration"
    (target,) = lines["RXA-3"].targets
    assert target[:2] == ("MedicationAdministration.effectivePeriod.start", "2026-04-14T09:00:00-05:00")
    assert re.fullmatch(r"segments/RXA_to_MedicationAdministration.csv:\d+ \[start\]", target.row)
    assert (target.codec, target.resources) == ("datetime", ("MedicationAdministration 2 (infusion-segment)",))
    assert [one.value for where in ("RXA-6", "RXA-7", "RXA-12") for one in lines[where].targets] == ["20 mL / 1 h"] * 3
    assert [one.element for one in lines["RXA-5"].targets] == [
        "MedicationAdministration.medicationCodeableConcept", "Medication.code",
    ]  # fmt: skip
    assert lines["RXA-10"].targets[0].value == "Practitioner RN-3 Zoë Bjørk"
    assert (lines["ORC-9"].fate, lines["ORC-9"].targets[0].value) == ("preserved", "ORC-9")
    assert (lines["MSH-5"].fate, lines["MSH-5"].why[:9]) == ("dropped", "transport")


def test_of_a_pressure_the_component_is_named() -> None:
    case = next(folder for folder in CASES if folder.name == "vitals-twelve")
    lines = [line for part in told((case / "in.hl7").read_bytes()).parts for line in part.lines]
    values = {target.value for line in lines for target in line.targets if target.element.endswith("valueQuantity")}
    inside = [
        target for line in lines for target in line.targets if target.element.startswith("Observation.component.")
    ]
    assert {target.value for target in inside if "valueQuantity" in target.element} < values
    assert all(target.resources for target in inside)


def test_a_refused_message_is_shown_with_why() -> None:
    found = told((STORIES / "damaged.hl7").read_bytes())
    assert found.refused
    assert [issue.code for issue in found.issues] == ["unit-is-rate"]
    assert "RXA-7" in [line.where for part in found.parts for line in part.lines]
    with pytest.raises(Refused):
        told(b"MSH|^")
    with pytest.raises(Refused, match="there is no message 2: there are 1"):
        explained(iter([START]), default(), 2)


def test_a_number_shows_that_message_behind_those_before_it() -> None:
    feed = b"".join(file.read_bytes() for file in sorted((STORIES / "b").glob("*-ras-*.hl7")))
    found, _ = explained(iter([feed]), default(), 3)
    assert found is not None
    assert found.title == account.title(parse(list(split_messages(feed))[2]))
    resources = {
        name for part in found.parts for line in part.lines for target in line.targets for name in target.resources
    }
    assert any(name.endswith("(infusion-segment)") for name in resources)
