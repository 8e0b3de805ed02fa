"""The service of the demo is a process of its own: it starts, answers, is watched, and ends."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ketafhir.demo import service, stories
from ketafhir.errors import Permanent, Transient
from ketafhir.mllp.acknowledgment import code

NOBODY = "http://127.0.0.1:9/fhir"  # the discard port: nothing listens there


def test_it_takes_messages_and_says_how_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KETAFHIR_STORE_PATH", str(tmp_path / "of-another-service.sqlite"))
    (told, *_) = stories.load()
    with service.running(NOBODY, tmp_path) as running:
        replies = list(running.send([*told.messages[:2], stories.damaged()]))
        assert [code(one) for one in replies] == ["AA", "AA", "AE"]
        service.accepted(replies[0])
        with pytest.raises(Permanent, match=r"expected AA, the answer is MSA\|AE\|EMAR-X01"):
            service.accepted(replies[2])
        assert running.waiting() == 2
        with pytest.raises(Transient, match="2 deliveries still wait"):
            list(running.drain(0.2))
        address = running.address
    with socket.socket() as probe:
        assert probe.connect_ex((address.host, address.port)) != 0
    assert not (tmp_path / "of-another-service.sqlite").exists()


def test_one_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONFIG", "[[listener]]\nport = 'none'\n")
    with pytest.raises(Permanent, match=r"the service did not start: .*port"), service.running(NOBODY, tmp_path):
        pass


def test_a_message_without_an_answer_ends_the_sending(tmp_path: Path) -> None:
    with service.running(NOBODY, tmp_path) as running:
        pass
    (told, *_) = stories.load()
    with pytest.raises(Transient, match="message 1 of 2 was not answered"):
        list(running.send(list(told.messages[:2])))
