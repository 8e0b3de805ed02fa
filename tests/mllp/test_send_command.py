"""`ketafhir send`: what is sent, printed and returned."""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mllp_peers import Recorder, ack, control_id_of, message, serving

from ketafhir.errors import Transient, refused
from ketafhir.mllp.command import add_arguments, run, terminated_by_cr
from ketafhir.mllp.handler import Peer
from ketafhir.mllp.send import send_all

Answer = Callable[[str], list[bytes]]


class Scripted(Recorder):
    """Answers as told, by MSH-10."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        self.seen.append(payload)
        self.peers.add(peer)
        return self.answer(control_id_of(payload))


def split(data: bytes) -> list[bytes]:
    return [part for part in re.split(rb"(?<=[\r\n])(?=MSH)", data) if part.strip()]


def send(*argv: str, splitter: Callable[[bytes], list[bytes]] = split) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(argv), splitter)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(*messages: bytes) -> str:
        path = tmp_path / "in.hl7"
        path.write_bytes(b"".join(messages))
        return str(path)

    return write


def test_every_acknowledgment_is_printed(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    handler = Scripted(lambda name: [ack("AA", name)])
    with serving(handler) as port:
        assert send(file(message("M1"), message("M2")), f"mllp://127.0.0.1:{port}") == 0
    assert capsys.readouterr() == ("MSA|AA|M1\nMSA|AA|M2\n", "")
    assert handler.seen == [message("M1"), message("M2")]
    assert len({peer.number for peer in handler.peers}) == 1


def test_one_refusal_is_a_failure_but_the_rest_is_sent(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    error = "ERR||RXA^1^7|207^Error^HL70357|E|||unit is a rate"
    with serving(Scripted(lambda name: [ack("AE", name, error) if name == "M1" else ack("AA", name)])) as port:
        assert send(file(message("M1"), message("M2")), f"mllp://127.0.0.1:{port}") == 1
    assert capsys.readouterr() == (f"MSA|AE|M1  {error}\nMSA|AA|M2\n", "")


def test_enhanced_mode_prints_both_acknowledgments(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    with serving(Scripted(lambda name: [ack("CA", name), ack("AE" if name == "M2" else "AA", name)])) as port:
        address = f"mllp://127.0.0.1:{port}"
        assert send(file(message("M1", "AL", "AL")), address) == 0
        assert send(file(message("M2", "AL", "AL"), message("M3", "AL", "ER")), address) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["MSA|CA|M1", "MSA|AA|M1"]
    assert lines[2:] == ["MSA|CA|M2", "MSA|AE|M2", "MSA|CA|M3", "MSA|AA|M3"]


def test_an_accepted_message_whose_application_says_nothing(
    file: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    """The CA is the receiver's promise; its application may answer over another connection."""
    with serving(Scripted(lambda name: [ack("CA", name)])) as port:
        messages = file(message("M1", "AL", "AL"), message("M2", "AL", "NE"), message("M3", "AL", "ER"))
        assert send(messages, f"mllp://127.0.0.1:{port}", "--timeout", "0.2") == 0
    printed = capsys.readouterr()
    assert printed.out == "MSA|CA|M1\nMSA|CA|M2\nMSA|CA|M3\n"
    assert printed.err.count("\n") == 1
    assert "message 1 was accepted, but its application has not answered: no answer from" in printed.err


def test_silence_is_an_answer_where_the_message_says_so(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    handler = Scripted(lambda name: [])
    with serving(handler) as port:
        messages = file(message("M1", "NE", "NE"), message("M2", "ER", "NE"))
        begin = time.monotonic()
        assert send(messages, f"mllp://127.0.0.1:{port}") == 0
        assert time.monotonic() - begin < 5  # not the ten seconds of a certain answer
    assert capsys.readouterr() == ("", "")
    assert handler.seen == [message("M1", "NE", "NE"), message("M2", "ER", "NE")]


def test_no_answer_stops_the_sending(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    handler = Scripted(lambda name: [ack("AA", name)] if name == "M1" else [])
    with serving(handler) as port:
        messages = file(*(message(f"M{number}") for number in range(1, 6)))
        assert send(messages, f"mllp://127.0.0.1:{port}", "--timeout", "0.1") == 1
    printed = capsys.readouterr()
    assert printed.out == "MSA|AA|M1\n"
    assert re.fullmatch(
        r"ketafhir send: message 2 of 5: no answer from 127\.0\.0\.1:\d+ within 0\.1 s; 3 more not sent\n",
        printed.err,
    )
    assert handler.seen == [message("M1"), message("M2")]


def test_the_answer_to_another_message_is_none(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    with serving(Scripted(lambda name: [ack("AA", "OTHER")])) as port:
        assert send(file(message("M1")), f"mllp://127.0.0.1:{port}") == 1
    assert "answered another message than the one sent" in capsys.readouterr().err


def test_nobody_listens(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    with serving(Recorder()) as port:
        pass
    assert send(file(message("M1")), f"mllp://127.0.0.1:{port}") == 1
    assert f"cannot connect to 127.0.0.1:{port}" in capsys.readouterr().err


def test_wrong_usage(file: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert send(file(message("M1")), "localhost:2575") == 2
    assert send(str(tmp_path / "missing.hl7"), "mllp://localhost:2575") == 2
    assert send(str(tmp_path), "mllp://localhost:2575") == 2
    for timeout in ("0", "-1", "nan", "inf", "soon"):
        with pytest.raises(SystemExit) as left:
            send("FILE", "mllp://localhost:2575", "--timeout", timeout)
        assert left.value.code == 2
    assert "missing.hl7" in capsys.readouterr().err


def test_a_file_without_messages(file: Callable[..., str], capsys: pytest.CaptureFixture[str]):
    assert send(file(b"\r\n"), "mllp://localhost:2575") == 1
    assert send(file(message("M1"), b"\rMSHx", b"\n"), "mllp://[::1]:1", splitter=lambda data: [b"{}"]) == 1

    def refuse(data: bytes) -> list[bytes]:
        raise refused("not-hl7", "no MSH")

    assert send(file(b"{}"), "mllp://localhost:2575", splitter=refuse) == 1
    printed = capsys.readouterr().err
    assert "holds no HL7v2 message" in printed
    assert "is not an HL7v2 message; nothing was sent" in printed
    assert "no MSH" in printed


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message("M1").replace(b"\r", b"\n"))))
    handler = Scripted(lambda name: [ack("AA", name)])
    with serving(handler) as port:
        assert send("-", f"mllp://127.0.0.1:{port}") == 0
    assert handler.seen == [message("M1")]


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (b"MSH|1\rPID|2\r", b"MSH|1\rPID|2\r"),
        (b"MSH|1\rPID|2", b"MSH|1\rPID|2\r"),
        (b"MSH|1\nPID|2\n", b"MSH|1\rPID|2\r"),
        (b"MSH|1\nPID|2\r\nPV1|3\r", b"MSH|1\rPID|2\rPV1|3\r"),
        (b"MSH|1\r\nPID|2\r\n\r\n", b"MSH|1\rPID|2\r"),
        (b"MSH|1\rNTE|a\nb\r\n", b"MSH|1\rNTE|a\nb\r"),
        (b"MSH|1\r\nNTE|a\nb\nPV1|3\r\n", b"MSH|1\rNTE|a\nb\rPV1|3\r"),
        (b"MSH|1", b"MSH|1\r"),
    ],
)
def test_messages_are_sent_with_cr(stored: bytes, sent: bytes):
    assert terminated_by_cr(stored) == sent


def test_the_outcomes_come_one_by_one():
    with serving(Scripted(lambda name: [ack("AA", name)])) as port:
        outcomes = send_all((message(f"M{number}") for number in range(3)), "127.0.0.1", port)
        first = next(outcomes)
        assert (first.message, first.replies, first.error) == (message("M0"), [ack("AA", "M0")], None)
        outcomes.close()
    failed = next(send_all([message("M1")], "127.0.0.1", port))
    assert isinstance(failed.error, Transient)
    assert failed.replies == []


def test_declaring_the_command_does_not_load_the_event_loop():
    code = "import sys, ketafhir.mllp.command; print(*{'asyncio', 'socket', 'logging', 'ssl'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "\n"
