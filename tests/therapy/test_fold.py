"""Laws of the fold: any order of arrival and any repeat give the same records."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.therapy.asjson import dump, dump_history, load_history
from ketafhir.therapy.fold import History, fold
from ketafhir.therapy.records import Administration, Observation, Order, Patient, Records
from ketafhir.therapy.settled import settle
from ketafhir.therapy.values import Identifier, Name, Quantity, Rate, Time

PLACER, FILLER = Identifier("P-1", "urn:id:EHR"), Identifier("F-1", "urn:id:PHARM")


def time(minute: int) -> Time:
    return Time(f"2026-04-14T{9 + minute // 60:02}:{minute % 60:02}:00-05:00")


def act(number: int, start: int, told: int, **more: Any) -> Records:
    key = f"urn:id:EHR|P-1|0|{number}"
    one = Administration(
        key=key, infusion="urn:id:EHR|P-1|0|@V", order="urn:id:EHR|P-1", patient="p", visit="V", placer=PLACER, filler=FILLER,
        counters=("0", str(number)), start=time(start), rate=Rate(Quantity(Decimal(20), "mL"), Quantity(Decimal(1), "h")),
        action="add", told=(Decimal(told), f"d{told}"),
    )  # fmt: skip
    return Records(administrations={key: replace(one, **more)})


@st.composite
def feeds(draw: st.DrawFn) -> list[Records]:
    """A feed of one infusion: settings, closing events, corrections, deletions, observations, ADT."""
    messages = []
    told = 0
    minute = 0
    for number in range(1, draw(st.integers(1, 5)) + 1):
        told += 1
        start = minute
        minute += draw(st.integers(1, 60))
        messages.append(act(number, start, told, order_status="running"))
        if draw(st.booleans()):
            told += 1
            state = draw(st.sampled_from(["completed", "stopped"]))
            word = draw(st.sampled_from(["held", "discontinued", "completed", "running", ""]))
            messages.append(act(number, start, told, end=time(minute), state=state, order_status=word))
        if draw(st.booleans()):
            told += 1
            action = draw(st.sampled_from(["update", "delete"]))
            moved = start + (1 if action == "update" else 0)
            state = "deleted" if action == "delete" else ""
            messages.append(act(number, moved, told, action=action, state=state))
    for number in range(draw(st.integers(0, 4))):
        told += 1
        status = draw(st.sampled_from(["preliminary", "final", "corrected"]))
        messages.append(
            Records(
                observations={
                    "o": Observation(
                        key="o",
                        patient="p",
                        status=status,
                        value=str(number),
                        told=(Decimal(told), f"d{told}"),
                    )
                }
            )
        )
    for _ in range(draw(st.integers(0, 3))):
        told += 1
        names = draw(st.sampled_from([(), (Name("A"),), (Name("B"),)]))
        nulls = draw(st.sampled_from([(), ("sex",)]))
        sex = "" if nulls else draw(st.sampled_from(["", "male", "female"]))
        messages.append(
            Records(
                patients={
                    "p": Patient(
                        key="p",
                        names=names,
                        sex=sex,
                        nulls=nulls,
                        owned=draw(st.booleans()),
                        told=(Decimal(told), f"d{told}"),
                    )
                }
            )
        )
    return messages


def folded(messages: list[Records]) -> History:
    history = History()
    for message in messages:
        history = fold(history, message)
    return history


@given(feeds(), st.randoms(use_true_random=False))
def test_any_order_and_any_repeat_give_the_same_records(messages: list[Records], chance: Any) -> None:
    shuffled = [*messages, *chance.sample(messages, chance.randint(0, len(messages)))]
    chance.shuffle(shuffled)
    assert dump(settle(folded(shuffled))) == dump(settle(folded(messages)))


@given(feeds())
def test_a_history_survives_the_store(messages: list[Records]) -> None:
    history = folded(messages)
    assert load_history(dump_history(history)) == history


@given(feeds(), feeds())
def test_fold_leaves_the_history_as_it_was(first: list[Records], second: list[Records]) -> None:
    history = folded(first)
    before = dump_history(history)
    for message in second:
        try:
            fold(history, message)
        except Refused:
            continue
    assert dump_history(history) == before


def test_an_order_keeps_the_identity_it_was_first_told_under() -> None:
    by_filler = act(
        1,
        0,
        1,
        placer=None,
        key="urn:id:PHARM|F-1|0|1",
        order="urn:id:PHARM|F-1",
        infusion="urn:id:PHARM|F-1|0|@V",
    )
    by_filler = Records(administrations={"urn:id:PHARM|F-1|0|1": next(iter(by_filler.administrations.values()))})
    records = settle(folded([by_filler, act(2, 30, 2)]))
    assert sorted(records.administrations) == ["urn:id:PHARM|F-1|0|1", "urn:id:PHARM|F-1|0|2"]
    assert {one.infusion for one in records.administrations.values()} == {"urn:id:PHARM|F-1|0|@V"}


def test_numbers_of_two_orders_are_refused() -> None:
    other = Order(key="urn:id:EHR|P-2|filler", patient="p", placer=Identifier("P-2", "urn:id:EHR"))
    history = folded([act(1, 0, 1), Records(orders={other.key: other})])
    mixed = act(2, 30, 2, placer=Identifier("P-2", "urn:id:EHR"))
    with pytest.raises(Refused, match="two different orders"):
        fold(history, mixed)


def test_an_order_of_another_patient_is_refused() -> None:
    with pytest.raises(Refused, match="another patient"):
        folded([act(1, 0, 1), act(2, 30, 2, patient="q")])


def test_two_starts_under_one_number_are_refused() -> None:
    with pytest.raises(Refused, match="different starts"):
        folded([act(1, 0, 1), act(1, 30, 2)])


def test_an_update_may_mend_the_start() -> None:
    records = settle(folded([act(1, 0, 1), act(1, 5, 2, action="update")]))
    assert next(iter(records.administrations.values())).start == time(5)


def test_an_older_original_does_not_overrule_a_deletion() -> None:
    records = settle(folded([act(1, 0, 2, action="delete", state="deleted"), act(1, 0, 1)]))
    assert next(iter(records.administrations.values())).state == "deleted"


def test_an_act_without_visit_joins_the_one_known_infusion() -> None:
    bare = act(2, 30, 2, visit="", infusion="urn:id:EHR|P-1|0|@")
    records = settle(folded([act(1, 0, 1), bare]))
    assert {one.infusion for one in records.administrations.values()} == {"urn:id:EHR|P-1|0|@V"}


def test_an_act_without_visit_is_refused_where_there_are_several() -> None:
    history = folded([act(1, 0, 1), act(2, 90, 2, visit="W", infusion="urn:id:EHR|P-1|0|@W")])
    with pytest.raises(Refused, match="several visits"):
        fold(history, act(3, 99, 3, visit="", infusion="urn:id:EHR|P-1|0|@"))


def test_a_history_with_behaviour_of_its_own_is_a_history() -> None:
    class Counted(History):
        def __init__(self) -> None:
            super().__init__()
            self.asked = 0

    one = Counted()
    one.asked += 1
    assert one.copy() == History()
    assert History() == History(patients={})
