"""Batches over a real socket: each message on its own, one batch of acknowledgments (HL7 v2 chapter 2, 2.10.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from service_peers import Reply, adt, config, damaged, er7, fhir_sink, heart_rate, running

from ketafhir.hl7v2.stream import split_batches

pytestmark = pytest.mark.timeout(60)

BHS = r"BHS|^~\&|EHR|WILLOW|KETAFHIR|HUB|20260309083000-0500||nightly||B-7"
FHS = r"FHS|^~\&|EHR|WILLOW|KETAFHIR|HUB|||||F-9"


def batch(*messages: bytes, told: str = "", head: str = BHS) -> bytes:
    return er7(head) + b"".join(messages) + er7(f"BTS|{told or len(messages)}")


def answers(reply: Reply) -> list[tuple[str, str]]:
    return [(line[1], line[2]) for line in reply.segments if line[0] == "MSA"]


def test_each_message_is_answered_in_one_batch_and_one_bad_message_harms_no_other(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        with service.peer() as peer:
            reply = peer.send(batch(adt("M1"), damaged(), b"MSH|^~\\&|junk\r", heart_rate("M2"), told="4"))
            assert peer.send(adt("M3")).about == "M3"  # one answer only came for the batch
        service.drain()
        assert len(sink.bundles) == 3
    codes = answers(reply)
    assert [code for code, _ in codes] == ["AA", "AE", "AE", "AA"]
    assert (codes[0][1], codes[3][1]) == ("M1", "M2")
    assert [line[0] for line in reply.segments if line[0] != "ERR"] == ["BHS", *["MSH", "MSA"] * 4, "BTS"]
    header = reply.payload.split(b"\r")[0].decode().split("|")
    assert header[2:6] == ["KETAFHIR", "HUB", "EHR", "WILLOW"]
    assert header[11] == "B-7"
    assert all((header[6], header[10]))
    assert reply.segments[-1] == ["BTS", "4"]


def test_the_same_batch_again_gets_the_same_bytes_and_changes_nothing(tmp_path: Path) -> None:
    sent = batch(adt("M1"), damaged(), heart_rate("M2"))
    with fhir_sink() as sink:
        for _ in range(2):  # also of a service that was started again
            with running(config(tmp_path / "s.sqlite", sink.url)) as service, service.peer() as peer:
                first, again = peer.send(sent).payload, peer.send(sent).payload
                service.drain()
                assert again == first
                assert len(sink.bundles) == 2


def test_the_file_comes_back_with_its_number_and_a_wrong_count_is_told(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        reply = peer.send(er7(FHS) + batch(adt("M1"), heart_rate("M2"), told="3") + er7("FTS|2"))
    first, *_, trailer, end = reply.segments
    assert (first[0], first[11]) == ("FHS", "F-9")
    assert answers(reply) == [("AA", "M1"), ("AA", "M2")]
    assert trailer == ["BTS", "2", "BTS-1 tells 3 messages, 2 came; FTS-1 tells 2 batches, 1 came"]
    assert end == ["FTS", "1"]


def test_enhanced_mode_has_its_application_answers_in_a_second_batch(tmp_path: Path) -> None:
    both = {"MSH_15": "AL", "MSH_16": "AL"}
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        first = peer.send(batch(adt("M1", **both), heart_rate("M2", **both)))
        assert answers(first) == [("CA", "M1"), ("CA", "M2")]
        assert answers(peer.reply()) == [("AA", "M1"), ("AA", "M2")]


def test_an_empty_batch_is_answered_and_an_answer_is_not(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        reply = peer.send(batch(told="0"))
        assert [line[0] for line in reply.segments] == ["BHS", "BTS"]
        peer.post(b"\x0b" + batch(told="0", head=BHS + "|THEIRS") + b"\x1c\r")  # BHS-12: it answers one of theirs
        assert peer.send(adt("M1")).about == "M1"


def test_separators_of_the_batch_are_its_own(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        head = BHS.replace("|", "#").replace("^~\\&", "*~\\&")
        reply = peer.send(er7(head) + adt("M1") + er7("BTS#1"))
    parts = list(split_batches(reply.payload))
    assert parts[0].startswith(b"BHS#*~\\&#KETAFHIR#HUB#EHR#WILLOW#")
    assert parts[1].startswith(b"MSH|^~\\&|KETAFHIR")
    assert parts[2] == b"BTS#1"
