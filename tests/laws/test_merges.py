"""Merges of patients (ADT^A40): whatever the order of arrival, all is told of who stays, under the ids it had before."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.cases import last_state
from ketafhir.fhir import json
from ketafhir.service import histories
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.service.intake import Channel, Intake
from ketafhir.store.sqlite import SqliteStore
from ketafhir.therapy.merges import survivors
from ketafhir.therapy.records import Merge
from ketafhir.translate import settings
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session

OLD, NEW = "SYN-T77", "SYN-100318"
PV1 = "PV1|1|O|INFUSION^ROOM 3||||||||||||||||V-{}^^^WILLOW^VN"


def _header(time: str, kind: str, number: str) -> str:
    return f"MSH|^~\\&|EHR|WILLOW|||202604141{time}00-0500||{kind}|{number}|P|2.5.1"


def _pid(number: str) -> str:
    return f"PID|1||{number}^^^WILLOW^MR||Vasquez-Lindholm^Dorian||19740930|M"


def _adt(time: str, patient: str) -> str:
    lines = [_header(time, "ADT^A04^ADT_A01", f"A{time}"), _pid(patient), PV1.format(patient)]
    return "\r".join([*lines, "AL1|1|DA|7980^penicillin^RXNORM|SV"])


def _ras(time: str, patient: str, order: str, number: int, rate: str = "20") -> str:
    start = f"202604141{time}00-0500"
    return "\r".join([
        _header(time, "RAS^O17^RAS_O17", f"R{time}"), _pid(patient), PV1.format(patient),
        f"ORC|RE|{order}^EHR|F{order}^PHARM||IP",
        f'RXA|0|{number}|{start}|""|6130^ketamine^RXNORM|{rate}|mL|||||H1|||||||||A', "RXR|IV",
    ])  # fmt: skip


def _oru(time: str, patient: str, number: str, value: str = "82", status: str = "F") -> str:
    obr = f"OBR|1||{number}|85353-1^Vital signs^LN|||202604141000-0500"
    obx = f"OBX|1|NM|8867-4^Heart rate^LN||{value}|/min|||||{status}"
    return "\r".join([_header(time, "ORU^R01^ORU_R01", f"O{time}"), _pid(patient), PV1.format(patient), obr, obx])


def _merge(time: str, stays: str, given_up: str) -> str:
    return "\r".join([_header(time, "ADT^A40^ADT_A39", f"M{time}"), _pid(stays), f"MRG|{given_up}^^^WILLOW^MR"])


FEED = [
    _adt("001", OLD),
    _ras("002", OLD, "P1", 1),
    _oru("003", OLD, "N-1^LAB"),
    _merge("010", NEW, OLD),
    _ras("004", OLD, "P1", 2, "30"),
    _adt("005", NEW),
]


def _session(messages: tuple[str, ...]) -> dict[str, Any]:
    session = Session(settings.default())
    return _state([session.take(parse(one)).bundle for one in messages])


def _service(file: Path, feed: Sequence[str], restarts: bool) -> dict[str, Any]:
    """The last state after a feed has gone through the service, which `restarts` before each message."""
    store = SqliteStore(file)
    channel = Channel("ehr", settings.default(), Policy(), Answers())
    intake = Intake(store, {"ehr": channel})
    for one in feed:
        intake = Intake(store, {"ehr": channel}) if restarts else intake
        (ack,) = intake.take(channel, one.encode(), "peer").answers
        assert b"MSA|AA" in ack, ack
    rows = [row for one in range(1, len(feed) + 1) for row in store.show(one).deliveries]
    store.close()
    return _state([json.loads(row.payload) for row in rows])


def _state(bundles: list[dict[str, Any]]) -> dict[str, Any]:
    held = {}
    for entry in last_state(bundles)["entry"]:
        resource = {key: value for key, value in entry["resource"].items() if key != "meta"}
        if resource["resourceType"] != "Provenance":
            held[entry["fullUrl"]] = resource
    return held


def _of(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in state.values() if one["resourceType"] == kind]


def test_whatever_the_order_of_arrival() -> None:
    expected = _session(tuple(FEED))
    for order in itertools.permutations(FEED):
        assert _session(order) == expected


def test_all_is_told_of_who_stays_and_the_other_says_so() -> None:
    before, after = _session(tuple(FEED[:3])), _session(tuple(FEED[:4]))
    stays = next(url for url, one in after.items() if NEW in str(one.get("identifier")))
    moved = [one for one in after.values() if one["resourceType"] not in ("Patient", "Location")]
    assert {(one.get("subject") or one.get("patient"))["reference"] for one in moved} == {stays}
    assert {url for url, one in before.items() if one["resourceType"] != "Patient"} <= after.keys()
    (given_up,) = [one for one in _of(after, "Patient") if OLD in str(one["identifier"])]
    assert (given_up["active"], given_up["link"]) == (False, [{"other": {"reference": stays}, "type": "replaced-by"}])


def test_a_number_without_authority_finds_its_result_again_under_the_other_number() -> None:
    """OBR-3 without authority counts with its patient: after the merge, with both."""
    told = (_oru("003", OLD, "17"), _merge("010", NEW, OLD), _oru("020", NEW, "17", "84", "C"))
    (one,) = _of(_session(told), "Observation")
    assert (str(one["valueQuantity"]["value"]), one["status"]) == ("84", "corrected")
    assert one["id"] == _of(_session(told[:1]), "Observation")[0]["id"]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_service_gives_what_the_library_gives(tmp_path: Path, restarts: bool) -> None:
    orders = [FEED, FEED[::-1], [FEED[3], *FEED[:3], *FEED[4:]], [*FEED[:2], *FEED[3:], FEED[2]]]
    numbered = [_oru("003", OLD, "17"), _merge("010", NEW, OLD), _oru("020", NEW, "17", "84", "C")]
    chain = [*FEED[:4], _merge("030", "SYN-100402", NEW), _ras("040", "SYN-100402", "P1", 3, "40"), FEED[4]]
    for number, feed in enumerate([*orders, numbered, chain]):
        assert _service(tmp_path / str(number), feed, restarts) == _session(tuple(feed))


pairs = st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE")).filter(lambda one: one[0] != one[1]))


@given(pairs, st.randoms())
def test_who_stays_is_the_same_for_every_order_and_stays(told: list[tuple[str, str]], random: Any) -> None:
    merges = {old: Merge(old, new, (number, "")) for number, (old, new) in enumerate(told)}  # type: ignore[arg-type]
    shuffled = list(merges.items())
    random.shuffle(shuffled)
    found = survivors(merges)
    assert survivors(dict(shuffled)) == found
    assert not found.keys() & set(found.values())
    if merges:
        newest = max(merges.values(), key=lambda one: one.told)
        assert found[newest.key] == found.get(newest.patient, newest.patient)


def _bare(text: str, patient: str) -> str:
    """The same without its visit: nothing but the time says which infusion it is of."""
    return text.replace(PV1.format(patient) + "\r", "")


RUNS = _bare(_ras("002", OLD, "P1", 1), OLD)
SEEN_LATER = _bare(_oru("020", NEW, "N-9^LAB"), NEW).replace("1000-0500", "1004-0500")
EVENT = (
    _header("021", "ORU^R01^ORU_R01", "E1") + f"\r{_pid(NEW)}\r"
    "OBR|1||AE-1^LAB|adverse-event^Adverse event^99KETA|||202604141005-0500\r"
    "OBX|1|CWE|adverse-event^Adverse event^99KETA|1|422587007^Nausea^SCT||||||F|||202604141005-0500"
)  # fmt: skip


def _ties(state: dict[str, Any]) -> list[int]:
    """Of how many infusions the heart rate is part, and how many the event may have come of."""
    (seen,), (event,) = _of(state, "Observation"), _of(state, "AdverseEvent")
    return [
        len(seen.get("partOf", ())),
        len([one for one in event.get("suspectEntity", ()) if "reference" in one["instance"]]),
    ]


def test_what_is_seen_under_one_number_is_tied_to_what_runs_under_the_other() -> None:
    told = (RUNS, SEEN_LATER, EVENT)
    assert _ties(_session(told)) == [0, 0]
    for order in itertools.permutations((*told, _merge("010", NEW, OLD))):
        assert _ties(_session(order)) == [1, 1]
    for order in itertools.permutations((*told, _merge("010", OLD, NEW))):
        assert _ties(_session(order)) == [1, 1]


def test_the_weight_measured_under_the_other_number_is_the_last_one() -> None:
    """C4 across a merge: ordered for 80 kg, measured 60 kg under the number given up."""

    def weight(number: str, value: str, time: str) -> str:
        obr = "OBR|1||W-1^LAB|29463-7^Weight^LN|||202604140700-0500"
        obx = f"OBX|1|NM|29463-7^Body weight^LN||{value}|kg|||||F|||202604140700-0500"
        return "\r".join([_header(time, "ORU^R01^ORU_R01", f"W{time}"), _pid(number), obr, obx])

    order = "\r".join([
        _header("800", "RDE^O11^RDE_O11", "D1"), _pid(NEW), "ORC|NW|P1^EHR|F1^PHARM||IP",
        "RXE||6130^ketamine^RXNORM|40||mg|||||||||||||||||||20|mL/h|1|mg/mL", "TQ1|1||||||202604140900-0500", "RXR|IV",
        "OBX|1|NM|29463-7^Body weight^LN||80|kg|||||F|||202604140800-0500",
    ])  # fmt: skip

    def codes(*messages: str) -> list[str]:
        session = Session(settings.default())
        return [issue.code for one in messages for issue in session.take(parse(one)).issues]

    measured, merge = weight(OLD, "60", "001"), _merge("010", NEW, OLD)
    assert "weight-suspect" not in codes(measured, order)
    assert "weight-suspect" in codes(measured, merge, order)
    assert "weight-suspect" in codes(merge, order, measured)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_service_ties_across_the_numbers_as_the_library_does(tmp_path: Path, restarts: bool) -> None:
    told = [RUNS, SEEN_LATER, EVENT, _merge("010", NEW, OLD)]
    for number, feed in enumerate([told, told[::-1], [told[0], told[3], *told[1:3]], [*told[1:3], told[3], told[0]]]):
        assert _ties(_service(tmp_path / str(number), feed, restarts)) == [1, 1]


def test_a_merge_takes_in_what_was_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again for each quarter of an hour that an infusion runs: with a long history that took seconds."""
    joins = []
    join = histories._join
    monkeypatch.setattr(histories, "_join", lambda into, other: joins.append(1) or join(into, other))
    _service(tmp_path / "store", [RUNS, SEEN_LATER, EVENT, _merge("010", NEW, OLD)], restarts=True)
    assert len(joins) < 40
