"""MLLP over loopback: the CPU time of a server for each message that it parses and acknowledges."""

from __future__ import annotations

import socket
import subprocess
import sys
from statistics import median
from types import TracebackType

from benchmarks import messages
from benchmarks.rows import FLOOR, OURS

NAME = "MLLP: receive, parse, acknowledge oru"
NOTE = "server CPU; the floor knows no framing errors and writes a fixed ACK; hl7apy closes after each message"
MESSAGES = {FLOOR: 400, OURS: 400, "hl7": 100, "hl7apy": 4}
"""How many messages each server gets in one round."""
_ROUNDS = 5


class Server:
    """A server of `benchmarks.mllp_server` in a process of its own, and one connection to it."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mllp_server", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())
        self.connection: socket.socket | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.connection:
            self.connection.close()
        self.process.communicate()

    def cpu(self) -> float:
        """The CPU seconds that the server has used so far."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def send(self, text: str) -> str:
        """Send one message and wait for the acknowledgment."""
        block = b"\x0b" + text.encode() + b"\x1c\r"
        connection = self.connection or socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(block)
        held = b""
        while not held.endswith(b"\x1c\r"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError("the server closed without an acknowledgment")
            held += piece
        self.connection = connection
        return held[1:-2].decode()

    def hang_up(self) -> None:
        """Close the connection; the next message opens another."""
        if self.connection:
            self.connection.close()
        self.connection = None

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def measure(rounds: int = _ROUNDS) -> dict[str, float]:
    """The median CPU microseconds per message of each server, in turn."""
    texts = messages.variants("oru", 200)
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, count in MESSAGES.items():
            with Server(name) as server:
                taken.setdefault(name, []).append(_per_message(server, name, texts, count))
    return {name: median(times) * 1e6 for name, times in taken.items()}


def _per_message(server: Server, name: str, texts: list[str], count: int) -> float:
    exchange(server, name, texts[0])
    before = server.cpu()
    for at in range(count):
        exchange(server, name, texts[at % len(texts)])
    return (server.cpu() - before) / count


def exchange(server: Server, name: str, text: str) -> None:
    """One message and its ACK, which must answer this message."""
    reply = server.send(text)
    if f"MSA|AA|{text.split('|', 10)[9]}" not in reply:
        raise ValueError(f"{name} answered {reply!r}")
    if name == "hl7apy":
        server.hang_up()
