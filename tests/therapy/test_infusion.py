"""The course of an infusion, by the numbers of the therapy's worked examples."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ketafhir.therapy.infusion import Course, course
from ketafhir.therapy.records import Administration, Order
from ketafhir.therapy.values import Identifier, Quantity, Rate, Time

PLACER = Identifier("P-1", "urn:id:EHR")
DAY = "2026-04-14T"


def at(clock: str) -> Time:
    return Time(f"{DAY}{clock}:00-05:00")


def segment(number: str, start: str, rate: str, end: str | None = None, **more: object) -> Administration:
    return Administration(
        key=f"o|0|{number}", infusion="o|0|@", order="o", placer=PLACER, counters=("0", number), start=at(start),
        end=at(end) if end else None, rate=Rate(Quantity(Decimal(rate), "mL"), Quantity(Decimal(1), "h")),
        concentration=Quantity(Decimal("1.000"), "mg/mL"), **more,
    )  # type: ignore[arg-type]  # fmt: skip


def story_b() -> list[Administration]:
    return [
        segment("1", "09:00", "20", order_status="running"),
        segment("2", "09:30", "30", order_status="running"),
        segment("3", "10:30", "40", "11:12", state="stopped", order_status="held"),
        segment("4", "11:42", "24", "13:30", state="stopped", order_status="discontinued"),
    ]


def made(acts: list[Administration], order: Order | None = None) -> Course:
    return course("o|0|@", acts, order)


def test_story_b_gives_111_2_mg_in_240_minutes() -> None:
    found = made(story_b(), Order(dose=Quantity(Decimal(120), "mg")))
    assert (found.total, found.volume, found.minutes) == (Decimal("111.2"), Decimal("111.2"), Decimal(240))
    assert found.status == "stopped"
    assert [act.state for act in found.acts] == ["superseded", "superseded", "stopped", "stopped"]
    assert [act.end_derived for act in found.acts] == [True, True, False, False]
    assert found.end == at("13:30")


def test_a_lost_pause_shows_as_20_ml_too_much() -> None:
    acts = story_b()
    acts[2].end, acts[2].state = None, ""
    assert made(acts).volume == Decimal("131.2")


@pytest.mark.parametrize(("count", "status"), [(1, "running"), (2, "running"), (3, "held"), (4, "stopped")])
def test_the_parent_follows_the_last_event(count: int, status: str) -> None:
    assert made(story_b()[:count]).status == status


def test_a_total_is_only_told_once_the_infusion_has_ended() -> None:
    assert [made(story_b()[:count]).total for count in (1, 2, 3)] == [None, None, None]


def test_completed_but_short_of_the_order_is_stopped() -> None:
    acts = [segment("1", "09:00", "54", "09:40", state="completed", order_status="completed")]
    assert made(acts, Order(dose=Quantity(Decimal("36.0"), "mg"))).status == "completed"
    assert made(acts, Order(dose=Quantity(Decimal("36.1"), "mg"))).status == "stopped"
    assert made(acts).status == "completed"


def test_times_are_compared_by_instant_on_the_night_the_clocks_change() -> None:
    act = segment("1", "09:00", "30", state="completed")
    act.start, act.end = Time("2026-11-01T01:40:00-05:00"), Time("2026-11-01T01:20:00-06:00")
    found = made([act])
    assert (found.minutes, found.volume) == (Decimal(40), Decimal(20))


def test_rate_zero_closes_what_runs_and_makes_no_child() -> None:
    acts = [
        segment("1", "09:00", "20", order_status="running"),
        segment("2", "09:45", "0", state="stopped", order_status="discontinued"),
    ]
    found = made(acts)
    assert [act.told.counters[1] for act in found.acts] == ["1"]
    assert found.acts[0].end == at("09:45")
    assert found.status == "stopped"
    assert found.volume == Decimal(15)


def test_partial_without_word_of_the_order_is_held_and_told() -> None:
    found = made([segment("1", "09:00", "20", "09:12", state="stopped")])
    assert found.status == "held"
    assert [finding.code for finding in found.findings] == ["pause-or-stop"]


def test_neither_ended_nor_running_is_unknown_and_told() -> None:
    found = made([segment("1", "09:00", "20")])
    assert (found.status, found.findings[0].code) == ("unknown", "status-unknown")


def test_deleted_and_refused_are_in_no_sum() -> None:
    acts = [
        *story_b(),
        segment("5", "13:40", "40", "14:40", state="deleted"),
        segment("6", "14:40", "40", state="refused"),
    ]
    assert made(acts).volume == Decimal("111.2")
    assert made([segment("6", "14:40", "40", state="refused")]).status == "refused"
    assert made([segment("5", "13:40", "40", state="deleted")]).status == "deleted"


def test_totals_are_summed_exactly_and_rounded_half_even() -> None:
    third = segment("1", "09:00", "1", "09:20", state="completed", order_status="completed")
    again = segment("2", "09:20", "1", "09:40", state="completed", order_status="completed")
    assert made([third, again]).volume == Decimal("0.667")


def test_unknown_parts_make_the_sum_unknown() -> None:
    bolus = Administration(
        key="o|0|9", infusion="o|0|@", order="o", counters=("0", "9"), start=at("09:05"), state="completed"
    )
    found = made([segment("1", "09:00", "54", "09:40", state="completed", order_status="completed"), bolus])
    assert found.total is None


def test_weight_based_rates_need_the_weight() -> None:
    act = segment("1", "09:00", "0.5", "10:00", state="completed", order_status="completed")
    act.rate = Rate(Quantity(Decimal("0.35"), "mg/kg"), Quantity(Decimal(1), "h"))
    assert made([act]).total is None
    assert course("k", [act], None, Quantity(Decimal(80), "kg")).total == Decimal(28)
