"""The benchmarks compare what they say they compare: every contender gives the same values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.report import GATES, LONGEST, Result, failed, table
from benchmarks.timing import apart, interleaved

import ketafhir
from benchmarks import accepting, draining, feed, floors, messages, network, peers, rows


@pytest.mark.parametrize("kind", messages.NAMES)
def test_no_two_variants_are_alike_and_all_are_translated(kind: str) -> None:
    texts = messages.variants(kind, 30)
    assert len(set(texts)) == len({text.split("|")[9] for text in texts}) == len({text.split("|")[6] for text in texts})
    for text in texts[:3]:
        translation = ketafhir.to_fhir(text)
        assert not translation.issues
        assert ketafhir.to_hl7v2(translation.json()).text.startswith("MSH|")


def test_the_numbers_of_the_results_vary() -> None:
    found = [floors.split_read(text, (5,)) for text in messages.variants("oru", 7)]
    assert len({str(values) for values in found}) == 7
    assert all(len(values) == 12 for values in found)


@pytest.mark.parametrize("kind", messages.NAMES)
def test_patients_visits_and_orders_vary(kind: str) -> None:
    cut = [floors.split_full(text) for text in messages.variants(kind, messages.PATIENTS + 1)]
    for segment, field in ((1, 3), (1, 5), (2, 19)):
        assert len({str(one[segment][field]) for one in cut}) == messages.PATIENTS
    assert len({str(one[3][3]) for one in cut}) == len(cut)


@pytest.mark.parametrize("kind", messages.NAMES)
def test_the_floor_cuts_everything_and_loses_nothing(kind: str) -> None:
    text = messages.variants(kind, 2)[1]
    cut = floors.split_full(text)
    assert floors.joined(cut) == text
    assert cut[1][3] == [["SYN-200001", "", "", "WILLOW", "MR"]]


def test_everybody_reads_the_same_values() -> None:
    text = messages.variants("oru", 4)[3]
    expected = floors.split_read(text, messages.VALUES)
    assert rows.read_results(text) == expected
    for name, peer in peers.V2.items():
        assert peer.read(text) == expected, name


def test_everybody_writes_what_was_parsed() -> None:
    for kind in messages.NAMES:
        text = messages.variants(kind, 1)[0]
        for name, peer in peers.V2.items():
            if kind in peer.kinds:
                written = peer.encode(peer.parse(kind, text))
                assert written.replace("\n", "\r").rstrip("\r") == text.rstrip("\r"), name


def test_fhir_resources_gives_back_our_bundle() -> None:
    data = rows.to_fhir(messages.variants("ras", 1)[0].encode())
    ours = json.loads(data)
    theirs = json.loads(peers.validate_and_dump(data))
    assert [one["resource"]["resourceType"] for one in theirs["entry"]] == [
        one["resource"]["resourceType"] for one in ours["entry"]
    ]


@pytest.mark.parametrize("name", network.MESSAGES)
def test_each_server_answers_each_message(name: str) -> None:
    with network.Server(name) as server:
        for text in messages.variants("oru", 2):
            network.exchange(server, name, text)
        assert server.cpu() > 0


def test_contenders_take_turns_on_different_inputs() -> None:
    seen: list[int] = []
    taken = interleaved({"a": (seen.append, [1, 2, 3]), "b": (lambda one: sum(range(20000)), [0])}, rounds=3)
    assert set(seen) == {1, 2, 3}
    assert taken["b"] > taken["a"]


def test_the_peak_of_a_command_is_its_own_and_not_that_of_who_started_it() -> None:
    held = bytearray(b"x") * 300_000_000
    assert feed.peak(20) < 150_000
    assert len(held) == 300_000_000


def _count(number: int) -> dict[str, float]:
    return {name: len(inputs) for name, (_, inputs) in rows.all_rows()[number].contenders().items()}


def test_each_row_has_a_process_of_its_own_and_its_inputs_only() -> None:
    for number, row in enumerate(rows.all_rows()):
        if row.name == "parse rde":
            assert apart(_count, number) == {
                "floor": 2000,
                "ketafhir": 2000,
                "hl7": 2000,
                "hl7types": 2000,
                "hl7apy": 2000,
            }


def test_the_service_and_its_floor_accept_what_the_senders_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_EACH", 3)
    monkeypatch.setattr(accepting, "_ROUNDS", 1)
    committed, translated = accepting.measure()
    assert committed["ketafhir"] > 0
    assert translated["ketafhir"] > 0
    assert committed["floor"] == translated["floor"] > 0


def test_a_worker_delivers_what_is_stored_to_a_slow_server() -> None:
    bundles = draining._bundles(range(8))
    with draining._slow_server() as url:
        # Four at a time, 50 ms each.
        assert draining._drained(url, bundles) >= 0.1
        assert draining._posted(url, bundles) >= 0.1


def test_a_gate_that_does_not_hold_is_named() -> None:
    held = [Result(name, "us", {"floor": 10.0, "ketafhir": 10 * most}) for name, most in GATES.items()]
    assert failed(held) == []
    broken = [one._replace(values={**one.values, "ketafhir": 80.0}) for one in held]
    assert [line.split(" takes ")[0] for line in failed(broken)] == list(GATES)
    slow = [one._replace(values={name: value * 1e4 for name, value in one.values.items()}) for one in held]
    assert [line.split(" takes ")[0] for line in failed(slow)] == list(LONGEST)
    shown = table([held[0]._replace(values={**held[0].values, "hl7": 40.0}, note="a note")])
    assert "| parse oru | 10.0 us | 20.0 us | **2.0** | 2.0 |" in shown
    assert "- parse oru: a note" in shown


def test_the_document_tells_the_gates_that_are_measured() -> None:
    text = (Path(__file__).parents[2] / "docs/performance.md").read_text("utf-8")
    gates = text.partition("| gate | at most |\n|---|---:|\n")[2].partition("\n\n")[0]
    told = dict(line.strip("| ").split(" | ") for line in gates.splitlines())
    assert told == {name: str(most) for name, most in GATES.items()}
    assert "](docs/performance.md)" in (Path(__file__).parents[2] / "README.md").read_text("utf-8")
