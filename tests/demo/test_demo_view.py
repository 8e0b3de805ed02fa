"""What the demo reads from a server: the figures of the stories, and what must not be counted."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from story_server import patient_of, record_of, story

from ketafhir.demo import checks, server_view
from ketafhir.demo.elements import has, tagged
from ketafhir.demo.view import View
from ketafhir.errors import Permanent

Record = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return {name: record_of(story(name)) for name in "ABC"}


@pytest.fixture
def b(records: dict[str, Record]) -> Record:
    return copy.deepcopy(records["B"])


def view_of(record: Record) -> View:
    return server_view.read(record, patient_of(record))


def segments(record: Record) -> list[dict[str, Any]]:
    found = [one for one in record.values() if tagged(one, "keta.infusion-segment")]
    return sorted(found, key=lambda one: str(one["effectivePeriod"]["start"]))


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_every_value_of_a_story_is_read(records: dict[str, Record], name: str) -> None:
    compared = checks.against_story(name, story(name).expected, view_of(records[name]))
    assert compared.differences == []
    assert compared.values >= 50


def test_the_sums_of_story_b(b: Record) -> None:
    infusion = view_of(b).infusion
    assert infusion is not None
    assert (infusion.delivered_mg, infusion.delivered_ml) == (Decimal("111.2"), Decimal("111.2"))
    assert (infusion.running_minutes, infusion.pause_minutes) == (240, 30)
    assert infusion.parent_mg == Decimal("111.2")


def test_no_order_and_no_infusion_for_the_refused_candidate(records: dict[str, Record]) -> None:
    view = view_of(records["C"])
    assert (view.order, view.infusion, view.waste, view.boluses) == (None, None, None, [])
    assert view.decision is not None
    assert view.decision.decision == "refused"


def test_another_rate_on_the_server_is_another_sum(b: Record) -> None:
    segments(b)[2]["dosage"]["rateRatio"]["numerator"]["value"] = Decimal(41)
    infusion = view_of(b).infusion
    assert infusion is not None
    assert infusion.delivered_ml == Decimal("111.9")
    wrong = [one.where for one in checks.sums("B", view_of(b)).differences]
    assert [where.split(" (")[0] for where in wrong] == [
        "B infusion.parent_mg",
        "B infusion.pump_volume_ml",
        "B order.bag_mg",
    ]


def test_a_withdrawn_segment_is_not_summed(b: Record) -> None:
    segments(b)[0]["status"] = "entered-in-error"
    infusion = view_of(b).infusion
    assert infusion is not None
    assert infusion.delivered_mg == Decimal("101.2")


def test_waste_is_not_summed_whatever_it_says(b: Record) -> None:
    waste = next(one for one in b.values() if tagged(one, "keta.waste") and one["resourceType"] != "Observation")
    waste["partOf"] = segments(b)[0]["partOf"]
    waste["dosage"] = {"dose": {"value": Decimal(138), "code": "mg"}}
    infusion = view_of(b).infusion
    assert infusion is not None
    assert infusion.delivered_mg == Decimal("111.2")


def test_a_segment_that_still_runs_leaves_the_sums_open(b: Record) -> None:
    del segments(b)[3]["effectivePeriod"]["end"]
    infusion = view_of(b).infusion
    assert infusion is not None
    assert (infusion.running_minutes, infusion.delivered_ml, infusion.delivered_mg) == (None, None, None)


def test_a_second_order_is_told(b: Record) -> None:
    request = next(one for one in b.values() if one["resourceType"] == "MedicationRequest")
    b["MedicationRequest/again"] = {**request, "id": "again"}
    view = view_of(b)
    assert view.extra == ["order"]
    told = checks.against_story("B", story("B").expected, view).differences
    assert [one.where for one in told] == ["B order"]


def test_a_rate_in_another_unit_is_no_rate(b: Record) -> None:
    segments(b)[0]["dosage"]["rateRatio"]["numerator"]["code"] = "mg"
    with pytest.raises(Permanent, match="'mg' where mL is expected"):
        view_of(b)


def test_a_rate_per_minute_is_read_per_hour(b: Record) -> None:
    rate = segments(b)[0]["dosage"]["rateRatio"]
    rate["numerator"]["value"], rate["denominator"]["code"] = Decimal("0.5"), "min"
    infusion = view_of(b).infusion
    assert infusion is not None
    assert infusion.segments[0].rate_ml_per_h == 30


def test_the_last_word_of_the_pump_counts(b: Record) -> None:
    told = [one for one in b.values() if has(one.get("code"), "mdc.vol-fluid-deliv-total")]
    last = max(told, key=lambda one: str(one["effectiveDateTime"]))
    last["valueQuantity"]["value"] = Decimal("110.9")
    infusion = view_of(b).infusion
    assert infusion is not None
    assert infusion.pump_volume_ml == Decimal("110.9")


def test_a_changed_answer_changes_the_items(records: dict[str, Record]) -> None:
    record = copy.deepcopy(records["C"])
    form = next(one for one in record.values() if str(one.get("questionnaire", "")).endswith("phq9"))
    form["item"][0]["answer"] = [{"valueInteger": 0}]
    (score,) = view_of(record).scores
    assert score.items == [0, 3, 3, 2, 2, 3, 3, 1, 3]
    del form["item"][0]["answer"]
    (score,) = view_of(record).scores
    assert score.items is None
