"""Durable accept: how many messages a second the service keeps on disk and acknowledges, before it translates them (commit ACK, the
accept acknowledgment of enhanced mode) or after (original mode)."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import feed
from benchmarks.network import Server
from benchmarks.rows import FLOOR, OURS

SENDERS = 8
NAME = f"durable accept, {SENDERS} senders"
NOTE = (
    "wall time of a message of five vital signs until its commit ACK (MSH-15 AL, -16 NE, as IHE PCD-01 asks for), in bursts of "
    "800, while the service translates as it finds time; the floor is the same listener, which parses, translates, checks and "
    "acknowledges, and keeps nothing; the FHIR server is away"
)
TRANSLATED = f"durable accept and translation, {SENDERS} senders"
TRANSLATED_NOTE = "the same in original mode: each is translated, and stored with all that follows, before its ACK"
_EACH, _ROUNDS = 100, 5
_CONFIG = '[[listener]]\nname = "ehr"\nport = 0\ntimezone = "America/Chicago"\n'


def measure() -> list[dict[str, float]]:
    """Microseconds of wall time for each message, of all senders together, with the commit ACK and in original mode: the median of
    rounds in turn."""
    floor: list[float] = []
    committed: list[float] = []
    translated: list[float] = []
    with Server("translating") as bare, service() as port:
        for turn in range(_ROUNDS + 1):
            taken = []
            for at, number, modes in (
                (bare.port, 2 * turn, b""),
                (port, 2 * turn, b"|||AL|NE"),
                (port, 2 * turn + 1, b""),
            ):
                seconds = _sent(at, [_messages(number, sender, modes) for sender in range(SENDERS)])
                taken.append(seconds / (SENDERS * _EACH) * 1e6)
                # It is answered when all that came before is translated: the next begins with nothing left.
                _sent(at, [[feed.vitals(-1, 3 * number + len(taken)).encode()]])
            if turn:  # in the first one caches fill
                for times, one in zip((floor, committed, translated), taken, strict=True):
                    times.append(one)
    return [{FLOOR: median(floor), OURS: median(ours)} for ours in (committed, translated)]


@contextmanager
def service() -> Iterator[int]:
    """The port of `ketafhir serve` on a SQLite store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "ketafhir.toml"
        config.write_text(_CONFIG)
        command = [
            sys.executable,
            "-m",
            "ketafhir",
            "serve",
            "--config",
            str(config),
            "--store",
            f"{folder}/store.sqlite",
        ]
        with subprocess.Popen(
            [*command, "--fhir", f"http://127.0.0.1:{_closed_port()}/fhir"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as ran:  # fmt: skip
            try:
                assert ran.stdout is not None
                yield int(ran.stdout.readline().rpartition(":")[2])
            finally:
                ran.terminate()


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _messages(turn: int, sender: int, modes: bytes) -> list[bytes]:
    """So many of one sender, of forty patients, each with a control id of its own; `modes` goes behind MSH-12."""
    found = [feed.vitals(sender * 40 + number % 40, turn * _EACH + number).encode() for number in range(_EACH)]
    return [one.replace(b"\r", modes + b"\r", 1) for one in found]


def _sent(port: int, lists: list[list[bytes]]) -> float:
    """The seconds that all senders need together, each waiting for the acknowledgment before it sends the next."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in lists]
    with ThreadPoolExecutor(len(lists)) as threads:
        began = time.perf_counter()
        list(threads.map(_send, connections, lists))
        ended = time.perf_counter()
    for connection in connections:
        connection.close()
    return ended - began


def _send(connection: socket.socket, messages: list[bytes]) -> None:
    for message in messages:
        connection.sendall(b"\x0b" + message + b"\x1c\r")
        reply = b""
        while not reply.endswith(b"\x1c\r"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError("closed without an acknowledgment")
            reply += piece
        if b"MSA|AA|" not in reply and b"MSA|CA|" not in reply:
            raise ValueError(f"not accepted: {reply!r}")
