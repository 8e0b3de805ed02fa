"""Stories from a folder: what is read, in which order it goes out, and what is no story."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ketafhir import data
from ketafhir.demo import stories
from ketafhir.errors import ConfigError

HEADER = "MSH|^~\\&|EHR|WILLOW|||20260101||ADT^A04^ADT_A01|{}|P|2.5.1\r"


def write(folder: Path, name: str, pid3: str, expectation: str = "{}") -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "01.hl7").write_text(HEADER.format(name) + f"PID|1||{pid3}\r", newline="")
    (place / "expect.json").write_text(expectation)
    return place


def test_the_stories_of_the_project() -> None:
    told = stories.load()
    assert [(one.name, one.mrn, one.system) for one in told] == [
        ("A", "SYN-100201", "urn:id:WILLOW"),
        ("B", "SYN-100318", "urn:id:WILLOW"),
        ("C", "SYN-100402", "urn:id:WILLOW"),
    ]
    assert [len(one.messages) for one in told] == [one.expected["messages"]["total"] for one in told]
    assert all(message.endswith(b"\r") and b"\n" not in message for one in told for message in one.messages)


def test_patients_take_turns_and_each_keeps_its_order() -> None:
    told = stories.load()
    sent = list(stories.interleaved(told))
    assert [story.name for story, _ in sent[:6]] == ["A", "B", "C", "A", "B", "C"]
    for one in told:
        assert tuple(message for story, message in sent if story is one) == one.messages


def test_the_damaged_message_of_a_folder_goes_before_that_of_the_project(tmp_path: Path) -> None:
    assert stories.damaged(tmp_path) == stories.damaged()
    shutil.copy(data.path("stories") / "c" / "01-adt-a04-screening.hl7", tmp_path / "damaged.hl7")
    assert stories.event(stories.damaged(tmp_path)) == "ADT^A04"
    assert stories.event(stories.damaged()) == "RAS^O17"


@pytest.mark.parametrize(
    ("pid3", "number"),
    [
        ("7^^^CLINIC^MR", ("urn:id:CLINIC", "7")),
        ("7^^^CLINIC&1.2.3&ISO^MR~8^^^OTHER^PI", ("urn:oid:1.2.3", "7")),
    ],
)
def test_a_patient_is_found_by_the_first_number(tmp_path: Path, pid3: str, number: tuple[str, str]) -> None:
    write(tmp_path, "x", pid3)
    (one,) = stories.load(tmp_path)
    assert (one.system, one.mrn) == number


@pytest.mark.parametrize("pid3", ["", "7", "^^^CLINIC^MR"])
def test_a_number_without_authority_is_no_way_to_find_a_patient(tmp_path: Path, pid3: str) -> None:
    write(tmp_path, "x", pid3)
    with pytest.raises(ConfigError, match="PID-3 of its first message"):
        stories.load(tmp_path)


def test_what_is_no_story_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no stories in"):
        stories.load(tmp_path)
    place = write(tmp_path, "x", "7^^^C^MR", "{")
    with pytest.raises(ConfigError, match="x cannot be read"):
        stories.load(tmp_path)
    (place / "expect.json").write_text("[]")
    with pytest.raises(ConfigError, match="no JSON object"):
        stories.load(tmp_path)
    (place / "01.hl7").unlink()
    with pytest.raises(ConfigError, match="has no messages"):
        stories.load(tmp_path)


def test_two_stories_of_one_patient_would_be_summed_as_one(tmp_path: Path) -> None:
    write(tmp_path, "x", "7^^^C^MR")
    write(tmp_path, "y", "7^^^C^MR")
    with pytest.raises(ConfigError, match="same patient: 7"):
        stories.load(tmp_path)
