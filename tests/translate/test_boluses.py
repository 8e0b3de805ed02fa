"""A bolus from a running infusion: an order of its own (IHE PCD-03), part of the infusion of the order it names."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from golden.cases import ROOT, last_state
from ketafhir.fhir import json
from ketafhir.hl7v2.stream import split_messages
from ketafhir.therapy.infusion import course
from ketafhir.therapy.settled import settle
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_hl7v2

TOLD = list(split_messages((ROOT / "RAS_PCD/bolus-names-its-parent/in.hl7").read_bytes()))
BY_ORDER = list(split_messages((ROOT / "ORDERS/bolus-from-the-running-infusion/in.hl7").read_bytes()))


def fold(messages: Any) -> tuple[Session, dict[str, Any]]:
    session = Session(default())
    return session, last_state([session.take(parse(one)).bundle for one in messages])


def administrations(held: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [one["resource"] for one in held["entry"] if one["resource"]["resourceType"] == "MedicationAdministration"]
    return {one["id"]: one for one in found}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whatever_comes_first_it_is_part_of_the_infusion_and_of_its_sum(order: tuple[int, ...]) -> None:
    session, held = fold(TOLD[at] for at in order)
    again, _ = fold(TOLD)
    assert settle(session.history).administrations == settle(again.history).administrations
    acts = list(settle(session.history).administrations.values())
    (infusion,) = {act.infusion for act in acts}
    found = course(infusion, acts, None)
    assert (found.total, found.status, found.first.placer and found.first.placer.value) == (
        Decimal(85),
        "completed",
        "P-B2",
    )
    parents = [one for one in administrations(held).values() if "partOf" not in one]
    assert len(parents) == 1
    within = [one["partOf"][0]["reference"] for one in administrations(held).values() if "partOf" in one]
    assert [one.rpartition(":")[2].rpartition("/")[2] for one in within] == [parents[0]["id"]] * 2


def test_the_order_may_have_told_the_parent() -> None:
    session, held = fold(BY_ORDER)
    assert {act.infusion for act in settle(session.history).administrations.values()} == {
        "urn:id:EHR|P-B2|0|@urn:id:WILLOW|V-B2"
    }
    assert len([one for one in administrations(held).values() if "partOf" not in one]) == 1


def test_it_comes_back_under_its_own_order() -> None:
    _, held = fold(TOLD)
    lines = to_hl7v2(json.dumps(held)).text.split("\r")
    assert [line for line in lines if line[:3] in ("ORC", "RXA")] == [
        "ORC|RE|P-B2^EHR|F-B2^PHARM||CM",
        "RXA|0|1|20260414090000-0500|20260414130000-0500|6130^ketamine^RXNORM|20|mL^^UCUM|||||H1|1|mg/mL^^UCUM||||||CP|A",
        "ORC|CH|P-B9^EHR|F-B9^PHARM||CM|||P-B2&EHR",
        'RXA|0|1|20260414100000-0500|""|6130^ketamine^RXNORM|5|mL^^UCUM||||||1|mg/mL^^UCUM||||||CP|A',
    ]
    again, _ = fold(split_messages("\r".join(lines).encode()))
    assert len({act.infusion for act in settle(again.history).administrations.values()}) == 1


def test_a_bolus_alone_says_nothing_of_its_infusion() -> None:
    _, held = fold(TOLD[:1])
    parent = next(one for one in administrations(held).values() if "partOf" not in one)
    assert (parent["status"], parent["request"]["identifier"]["value"], "dosage" in parent) == (
        "unknown",
        "P-B2",
        False,
    )


def test_a_rate_under_a_child_order_is_an_infusion_of_its_own() -> None:
    own = TOLD[1].replace(b"ORC|RE|P-B2^EHR|F-B2^PHARM||IP", b"ORC|RE|P-B9^EHR|F-B9^PHARM||IP|||P-B2&EHR")
    _, held = fold([own])
    assert [one["request"]["identifier"]["value"] for one in administrations(held).values()] == ["F-B9", "F-B9"]
    assert "ORC|RE|P-B9^EHR|F-B9^PHARM||IP|||P-B2&EHR\r" in to_hl7v2(json.dumps(held)).text
