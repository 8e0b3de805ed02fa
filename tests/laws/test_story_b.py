"""Story B told in one RAS, event by event, in any order and repeated: the same administrations."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from golden.cases import ROOT, last_state
from ketafhir.hl7v2.stream import split_messages
from ketafhir.translate.translation import iter_fhir, to_hl7v2

CASES = ("story-b-one-message", "story-b-events", "story-b-events-reversed-one-repeated")


def messages(case: str) -> list[bytes]:
    return list(split_messages((ROOT / "RAS_O17" / case / "in.hl7").read_bytes()))


def bundles(told: list[bytes]) -> list[dict[str, Any]]:
    found = []
    for one in iter_fhir(b"\r".join(told)):
        assert not isinstance(one, Exception), one
        assert one.bundle is not None
        found.append(one.bundle)
    return found


def administrations(told: list[bytes]) -> dict[str, Any]:
    """Ids, periods, rates, status and totals of all MedicationAdministrations at the end; derived-end marks left out."""
    found = {}
    for entry in last_state(bundles(told))["entry"]:
        one = entry["resource"]
        if one["resourceType"] == "MedicationAdministration":
            period = {key: value for key, value in one["effectivePeriod"].items() if key in ("start", "end")}
            found[one["id"]] = (one["status"], period, one.get("dosage"), one.get("partOf"))
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal but for the form of references (an urn in one Bundle is Type/id in another)."""
    return {key: value[:3] for key, value in one.items()} == {key: value[:3] for key, value in other.items()}


def test_the_sum_is_111_2_mg() -> None:
    found = administrations(messages("story-b-events"))
    assert len(found) == 5
    totals = [str(dosage["dose"]["value"]) for _, _, dosage, part_of in found.values() if not part_of]
    assert totals == ["111.2"]
    assert sorted(status for status, *_ in found.values()) == [
        "completed",
        "completed",
        "stopped",
        "stopped",
        "stopped",
    ]


@pytest.mark.parametrize("case", CASES[1:])
def test_one_message_and_many_give_the_same(case: str) -> None:
    assert same(administrations(messages(case)), administrations(messages(CASES[0])))


def test_every_order_of_arrival_gives_the_same() -> None:
    told = messages("story-b-events")
    wanted = administrations(told)
    orders = list(itertools.permutations(told))
    for order in random.Random(1).sample(orders, 60):
        again = [*order, random.Random(2).choice(order)]
        assert same(administrations(again), wanted)


def test_a_repeated_message_writes_what_it_wrote() -> None:
    told = messages("story-b-events")
    made = bundles([*told, told[-1]])
    assert made[-1]["entry"] == [entry for entry in made[-2]["entry"] if entry in made[-1]["entry"]]


def test_same_input_same_bytes() -> None:
    told = b"".join(messages("story-b-events"))
    first = [one.json() for one in iter_fhir(told) if not isinstance(one, Exception)]
    again = [one.json() for one in iter_fhir(told) if not isinstance(one, Exception)]
    assert first == again


def test_the_way_back_tells_every_rxa() -> None:
    text = to_hl7v2(last_state(bundles(messages("story-b-events")))).text
    rows = [line.split("|") for line in text.split("\r") if line.startswith("RXA")]
    assert [(row[2], row[6], row[12]) for row in rows] == [
        ("1", "20", "H1"),
        ("2", "30", "H1"),
        ("3", "40", "H1"),
        ("4", "24", "H1"),
    ]
    assert [row[4] for row in rows] == ['""', '""', "20260414111200-0500", "20260414133000-0500"]
    assert "ORC|RE|P-B2^EHR|F-B2^PHARM||DC\r" in text
