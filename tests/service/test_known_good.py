"""What is not checked by the profiles again, since it is like what was checked, would have passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ketafhir.errors import Refused
from ketafhir.fhir.profile.check import check
from ketafhir.hl7v2.stream import split_messages
from ketafhir.service import translating
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import Settings, default, of_feed

ROOT = Path(__file__).parents[2]
FEED = [
    one
    for file in sorted([*ROOT.glob("tests/golden/ORU/*/in.hl7"), *ROOT.glob("examples/stories/*/*.hl7")])
    for one in split_messages(file.read_bytes())
]

RATE = (
    "MSH|^~\\&|MONITOR|WILLOW|||20260309084005-0500||ORU^R01^ORU_R01|{number}|P|2.5.1\r"
    "PID|1||SYN-{number}^^^WILLOW^MR||Halloway^Wren\r"
    "OBR|1||VS-{number}^MONITOR|85353-1^Vital signs^LN|||20260309084000-0500\r"
    "OBX|1|NM|8867-4^Heart rate^LN||{value}|{unit}^^UCUM|||||F|||{time}\r"
)


def rate(number: str, value: str = "72", unit: str = "/min", time: str = "20260309084000-0500") -> Any:
    return parse(RATE.format(number=number, value=value, unit=unit, time=time))


def steps(settings: Settings) -> list[Step]:
    """Each message twice: the second is like the first. Those that are refused alone are left out."""
    found = []
    for one in FEED:
        for _ in range(2):
            try:
                found.append(Session(settings).take(parse(one)))
            except Refused:
                continue
    return found


def test_what_is_not_checked_again_would_pass() -> None:
    known = 0
    for step in steps(default("America/Chicago")):
        assert translating.broken(step) == check(step.bundle)
        known += sum(one.good for one in step.like.values())
    assert known > 100


def test_a_known_entry_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, checked = default("America/Chicago"), []

    def counted(resource: Any) -> Any:
        checked.append({one["resource"]["resourceType"] for one in resource["entry"]})
        return check(resource)

    monkeypatch.setattr(translating, "check", counted)
    for number in ("1", "2", "3"):
        assert translating.broken(Session(settings).take(rate(number))) == []
    assert ["Observation" in kinds for kinds in checked] == [True, True, False]


def test_a_time_of_a_year_is_checked_whatever_was_known() -> None:
    """A vital sign needs the day (vs-1): what is like another but for its time is not like it here."""
    settings = default("America/Chicago")
    for number in ("1", "2"):
        assert translating.broken(Session(settings).take(rate(number))) == []
    assert Session(settings).take(rate("3")).like
    assert not Session(settings).take(rate("4", time="2026")).like


def test_what_a_site_adds_is_checked() -> None:
    """Its Z-segments are written into what was made."""
    site = of_feed("America/Chicago", str(ROOT / "tests/golden/Z_SEGMENTS/by-table"), {}, "")
    assert site.tables.z_tables
    for number in ("1", "2", "3"):
        assert not Session(site).take(rate(number)).like


def test_what_was_changed_after_it_was_made_is_checked() -> None:
    """What else is in the Bundle is looked at each time."""
    settings = default("America/Chicago")
    assert translating.broken(Session(settings).take(rate("1"))) == []
    step = Session(settings).take(rate("2"))
    entry = next(one for one in step.bundle["entry"] if one["resource"]["resourceType"] == "Provenance")
    entry["resource"]["recorded"] = "yesterday"
    assert (
        [problem.path for problem in translating.broken(step)] == [problem.path for problem in check(step.bundle)] != []
    )
