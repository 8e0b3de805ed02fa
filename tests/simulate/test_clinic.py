"""The synthetic clinic: the same for one seed, nobody like another, every sum exact, and as often as it says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from ketafhir.simulate import course, person
from ketafhir.simulate.command import write
from ketafhir.simulate.course import Course
from ketafhir.simulate.visit import CORRECTED, LATE, Visit, visit

SEED, COHORT = 1, 1000
FEEDS = "0fcb0d87c8de7b572de5734dbd23fd14c675047f65a964e73264e790ac0df978"
"""SHA-256 of the three feeds of six patients of seed 7: the same on every machine. A change of the clinic changes it."""


@cache
def cohort() -> tuple[Visit, ...]:
    return tuple(visit(SEED, number) for number in range(1, COHORT + 1))


def infused() -> Iterator[tuple[Visit, Course]]:
    return ((one, one.course) for one in cohort() if one.course is not None)


def written(folder: Path, seed: int = 7, patients: int = 3) -> dict[str, bytes]:
    write(folder, seed, patients)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    program = f"from pathlib import Path; from ketafhir.simulate.command import write; write(Path({str(tmp_path / 'b')!r}), 7, 3)"
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}
    )
    here = written(tmp_path / "a")
    assert here == {
        path.relative_to(tmp_path / "b").as_posix(): path.read_bytes() for path in sorted((tmp_path / "b").rglob("*.*"))
    }
    assert written(tmp_path / "c", seed=8) != here


def test_every_machine_draws_the_same_clinic(tmp_path: Path) -> None:
    write(tmp_path, 7, 6, fhir=False)
    digest = hashlib.sha256()
    for path in sorted((tmp_path / "hl7v2").iterdir()):
        digest.update(path.read_bytes())
    assert digest.hexdigest() == FEEDS


def test_a_patient_is_the_same_in_a_clinic_of_any_size() -> None:
    assert visit(SEED, 17) == cohort()[16]


def test_no_two_patients_share_a_series() -> None:
    series = {
        tuple((one.systolic, one.heart, one.oxygen) for one in found.effects.readings)
        for found in cohort()
        if found.effects
    }
    assert len(series) == sum(1 for _ in infused())


@pytest.mark.parametrize(
    ("percent", "of_all", "counted"),
    [
        (person.REFUSED, True, lambda one: bool(one.rule)),
        (course.PAUSED, False, lambda one: bool(one.course.pause)),
        (course.STOPPED, False, lambda one: one.course.ending not in ENDINGS),
        (LATE + CORRECTED, False, lambda one: one.late or one.corrected),
    ],
    ids=["refused", "paused", "stopped", "late or corrected"],
)
def test_things_go_wrong_as_often_as_they_should(percent: int, of_all: bool, counted: object) -> None:
    """Within three deviations of the binomial distribution."""
    assert callable(counted)
    among = [one for one in cohort() if of_all or one.course]
    share = percent / 100
    found = sum(1 for one in among if counted(one))
    assert abs(found - share * len(among)) <= 3 * (len(among) * share * (1 - share)) ** 0.5


ENDINGS = ("keta.reason-completed", "keta.reason-running-time-cap")


def test_rate_by_time_by_concentration_is_the_dose_to_the_last_digit() -> None:
    for one, went in infused():
        exact = sum((part.rate * part.minutes * went.concentration for part in went.segments), Decimal(0))
        bolus = went.bolus[1] if went.bolus else Decimal(0)
        assert exact == (went.given - bolus) * 60, one.person.number
        assert went.given + went.wasted == went.bag * went.concentration
        assert went.wasted > 0
        if went.completed:
            assert went.given - bolus == went.dose


def test_segments_follow_each_other_with_the_pause_between() -> None:
    for one, went in infused():
        assert went.segments[0].start == 0
        gaps = [(before.end, after.start) for before, after in pairwise(went.segments) if before.end != after.start]
        assert gaps == ([went.pause[:2]] if went.pause else []), one.person.number
        assert all(part.minutes > 0 and 0 < part.rate <= went.max_rate for part in went.segments)
        if went.bolus:
            assert any(part.start < went.bolus[0] < part.end for part in went.segments)


def test_vital_signs_follow_the_dose() -> None:
    """On average higher at the end of an infusion than before it, and back an hour later."""
    told = [found.effects for found, _ in infused() if found.effects]
    ends = [found.course.end for found, _ in infused() if found.course]
    before = sum(one.readings[0].systolic for one in told) / len(told)
    during = sum(
        next(r for r in one.readings if r.minute == end).systolic for one, end in zip(told, ends, strict=True)
    ) / len(told)
    after = sum(one.readings[-1].systolic for one in told) / len(told)
    assert before + 5 < during
    assert after < (before + during) / 2
    assert all(r.diastolic < r.systolic and 93 <= r.oxygen <= 100 for one in told for r in one.readings)


def test_readings_come_every_5_to_15_minutes_while_the_pump_runs() -> None:
    for found, went in infused():
        assert found.effects is not None
        minutes = [one.minute for one in found.effects.readings if 0 <= one.minute <= went.end]
        assert max(after - before for before, after in pairwise(minutes)) <= 15, found.person.number


def test_a_pause_for_blood_pressure_has_two_readings_over_and_one_under_before_it_goes_on() -> None:
    held = [(one, went.pause) for one, went in infused() if went.pause and went.pause[2] == "keta.reason-vital-sign"]
    assert held
    for one, pause in held:
        assert one.effects is not None
        assert pause is not None
        told = {r.minute: r for r in one.effects.readings}
        assert told[pause[0]].systolic > 180
        assert told[pause[0] - 6].systolic > 180
        assert told[pause[1]].systolic < 160


def test_all_is_within_one_offset() -> None:
    assert {one.start.utcoffset() for one in cohort()} == {timedelta(hours=-5)}
    assert all((one.screened.month, one.screened.day) >= (4, 6) and one.start.month < 10 for one in cohort())
