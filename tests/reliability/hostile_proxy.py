"""A TCP proxy for MLLP that delays, cuts, swallows, and answers with acknowledgments once more or of other messages."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OF_MESSAGES = ("delay", "cut-before", "cut-inside", "black-hole", "split", "swallowed", "swallowed")
OF_ANSWERS = ("delay", "cut-answer", "cut-inside", "black-hole", "split", "duplicate", "stale", "stale-only")
FAULTS = {*OF_MESSAGES, *OF_ANSWERS}


@dataclass
class HostileProxy:
    """Connections to `port` lead to the port that `to` gives, each piece through a fault with the chance `often`."""

    to: int
    often: float
    seed: int
    patience: float = 0.6  # seconds of a black hole
    port: int = 0
    done: Counter[str] = field(default_factory=Counter)
    _answers: list[bytes] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def serve(self, listening: socket.socket) -> None:
        number = 0
        while not self._stopped.is_set():
            try:
                near, _ = listening.accept()
            except OSError:
                return
            number += 1
            threading.Thread(
                target=self._connection, args=(near, random.Random(self.seed + number)), daemon=True
            ).start()

    def stop(self) -> None:
        self._stopped.set()

    def _connection(self, near: socket.socket, chance: random.Random) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self.to), timeout=10) as far:
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(
                target=self._forward, args=(far, near, random.Random(chance.random()), True), daemon=True
            )
            back.start()
            self._forward(near, far, chance, False)
            back.join(10)

    def _forward(self, source: socket.socket, target: socket.socket, chance: random.Random, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                fault = chance.choice(OF_ANSWERS if answers else OF_MESSAGES) if chance.random() < self.often else ""
                if fault == "swallowed" and self._answers:  # and answered as an earlier one was
                    self.done[fault] += 1
                    source.sendall(chance.choice(self._answers))
                    continue
                if not self._passed(fault, data, target, chance):
                    break
                if answers:
                    self._answers = [*self._answers[-20:], data]
        except OSError:
            pass
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _passed(self, fault: str, data: bytes, target: socket.socket, chance: random.Random) -> bool:
        """Whether the connection goes on."""
        self.done[fault] += 1
        if fault == "delay":
            time.sleep(chance.uniform(0, self.patience))
        elif fault in ("cut-before", "cut-answer"):
            return False
        elif fault == "cut-inside":
            target.sendall(data[: chance.randrange(len(data))])
            return False
        elif fault == "black-hole":
            self._stopped.wait(self.patience)
            return True  # what came is gone, and the connection stays
        elif fault == "split":
            for at in range(0, len(data), 3):
                target.sendall(data[at : at + 3])
            return True
        elif self._answers and fault in ("stale", "stale-only"):
            target.sendall(chance.choice(self._answers))
            if fault == "stale-only":
                return True
        target.sendall(data)
        if fault == "duplicate":
            target.sendall(data)
        return True


@contextmanager
def between(to: int, often: float, seed: int) -> Iterator[HostileProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = HostileProxy(to, often, seed, port=listening.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stop()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)
