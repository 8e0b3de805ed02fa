"""The picture: it is drawn from what the server holds, and its texts do not run into each other."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from story_server import patient_of, record_of, story

from ketafhir.demo import server_view
from ketafhir.demo.elements import moment
from ketafhir.demo.events import Event, arrange, events
from ketafhir.demo.view import View

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def views() -> dict[str, View]:
    found = {}
    for name in "ABC":
        record = record_of(story(name))
        found[name] = server_view.read(record, patient_of(record))
    return found


def test_the_events_of_story_b(views: dict[str, View]) -> None:
    told = [(one.time[11:16], one.kind, one.text) for one in events(views["B"])]
    assert told == [
        ("09:00", "start", "start 20 mL/h"),
        ("09:30", "rate", "rate 30 mL/h"),
        ("10:30", "rate", "rate 40 mL/h"),
        ("10:52", "bolus", "ondansetron 4 mg"),
        ("11:12", "pause", "pause"),
        ("11:17", "bolus", "labetalol 10 mg"),
        ("11:42", "resume", "resume 24 mL/h"),
        ("13:30", "end", "stop"),
        ("13:42", "waste", "waste 138.8 mg"),
    ]


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_a_picture_of_each_patient(views: dict[str, View], name: str, tmp_path: Path) -> None:
    from ketafhir.demo import timeline

    place = timeline.draw(name, views[name], tmp_path / "pictures")
    assert place == tmp_path / "pictures" / f"{name.lower()}-timeline.png"
    data = place.read_bytes()
    assert data.startswith(PNG)
    assert int.from_bytes(data[16:20]) == 1440  # its width


def test_readings_of_other_days_are_not_drawn(views: dict[str, View]) -> None:
    from ketafhir.demo import timeline

    window = timeline._window(views["A"])
    assert window is not None
    assert [f"{one:%m-%d %H:%M}" for one in window] == ["03-09 07:52", "03-09 10:06"]


def test_nothing_to_draw(views: dict[str, View], tmp_path: Path) -> None:
    from ketafhir.demo import timeline

    record = {key: one for key, one in record_of(story("C")).items() if one["resourceType"] in ("Patient", "Encounter")}
    assert timeline.draw("x", server_view.read(record, patient_of(record)), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_texts_on_one_level_do_not_meet() -> None:
    first, last = (datetime.fromisoformat(f"2026-04-14T{hour}:00-05:00") for hour in ("09:00", "10:00"))
    told = [Event(f"2026-04-14T09:{minute:02}:00-05:00", "bolus", "midazolam 1 mg") for minute in range(0, 60, 3)]
    placed = arrange(told, first, last)
    assert [one.event for one in placed] == told
    assert len({one.level for one in placed}) > 3
    by_level: dict[int, list[tuple[float, float]]] = {}
    for one in placed:
        point = (moment(one.event.time) - first) / (last - first)
        width = len(one.text) * 0.0078
        by_level.setdefault(one.level, []).append((point - width, point) if one.left else (point, point + width))
    for spans in by_level.values():
        assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_the_last_event_is_written_to_the_left_of_its_point() -> None:
    first, last = (datetime.fromisoformat(f"2026-04-14T{hour}:00-05:00") for hour in ("09:00", "10:00"))
    (one,) = arrange([Event("2026-04-14T09:58:00-05:00", "waste", "waste 14.0 mg")], first, last)
    assert (one.left, one.text) == (True, "09:58 waste 14.0 mg")
