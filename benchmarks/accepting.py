"""Durable accept: how many messages a second the service takes, translates, keeps on disk and acknowledges."""

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
    "wall time of a message of five vital signs; the floor is the same listener, which parses, translates, checks and "
    "acknowledges, and keeps nothing; the FHIR server is away, so that nothing but accepting is measured"
)
_EACH, _ROUNDS = 100, 5
_CONFIG = '[[listener]]\nname = "ehr"\nport = 0\ntimezone = "America/Chicago"\n'


def measure() -> dict[str, float]:
    """Microseconds of wall time for each message, of all senders together: the median of rounds in turn."""
    taken: dict[str, list[float]] = {FLOOR: [], OURS: []}
    with Server("translating") as bare, service() as port:
        for turn in range(_ROUNDS + 1):
            some = [_messages(turn, sender) for sender in range(SENDERS)]
            for name, at in ((FLOOR, bare.port), (OURS, port)):
                seconds = _sent(at, some)
                if turn:  # in the first one caches fill
                    taken[name].append(seconds / (SENDERS * _EACH))
    return {name: median(times) * 1e6 for name, times in taken.items()}


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


def _messages(turn: int, sender: int) -> list[bytes]:
    """So many of one sender, of forty patients, each with a control id of its own."""
    return [feed.vitals(sender * 40 + number % 40, turn * _EACH + number).encode() for number in range(_EACH)]


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
        if b"MSA|AA|" not in reply:
            raise ValueError(f"not accepted: {reply!r}")
