"""Feeds that tell story B in different ways say the same of its infusion."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from golden.cases import ROOT as GOLDEN
from golden.reduced import Segment, bundles_of, reduced
from ketafhir import data

STORY = data.path("stories") / "b"


def at(clock: str) -> float:
    return datetime.fromisoformat(f"2026-04-14T{clock}:00-05:00").timestamp()


def test_story_b_is_four_segments_of_111_2_mg() -> None:
    (*rescue, infusion) = sorted(
        reduced(bundles_of([path.read_bytes() for path in sorted(STORY.glob("*-ras-*.hl7"))])),
        key=lambda one: len(one.segments),
    )
    assert [one.total for one in rescue] == [4, 10]
    assert (infusion.status, infusion.start, infusion.end) == ("stopped", at("09:00"), at("13:30"))
    assert infusion.total == Fraction("111.2")
    assert infusion.segments == tuple(
        Segment("segment", at(start), at(end), Fraction(rate), "mL/h", status)
        for start, end, rate, status in (
            ("09:00", "09:30", 20, "completed"),
            ("09:30", "10:30", 30, "completed"),
            ("10:30", "11:12", 40, "stopped"),
            ("11:42", "13:30", 24, "stopped"),
        )
    )


def test_one_message_and_events_are_the_same_when_reduced() -> None:
    cases = ("story-b-one-message", "story-b-events")
    one, other = (reduced(bundles_of((GOLDEN / "RAS_O17" / name / "in.hl7").read_bytes())) for name in cases)
    assert one == other
    assert one[0].total == Fraction("111.2")
