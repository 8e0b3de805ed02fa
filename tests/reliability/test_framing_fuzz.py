"""Frames in any pieces, with anything between them, of senders that are interleaved: each is found or refused, once."""

from __future__ import annotations

import random
import resource
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from service_peers import Reply, Running, adt, config, running

from ketafhir.config import LimitSettings
from ketafhir.mllp.framing import END, HEAD_BYTES, VT, Found, Framer, Oversize, Truncated, wrap

CAP = 400
JUNK = (b"", b"", b"", b"\r\n", b"\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x1c\r", b"\x1c", b"\r", b"\xff\xfe", b" \t")
INSIDE = bytes(set(range(256)) - {0x0B})


@dataclass
class Wire:
    """One sender: the bytes that it has still to send, and what must be found in them."""

    chance: random.Random
    framer: Framer = field(default_factory=lambda: Framer(CAP))
    expected: list[Found] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    stream: bytes = b""

    def begin(self, name: int, frames: int) -> int:
        """Writes that many frames; how many of them are whole."""
        parts, whole = [], 0
        for number in range(frames):
            parts.append(self.chance.choice(JUNK))
            part, found = self._frame(b"%d-%d " % (name, number))
            parts.append(part)
            self.expected.append(found)
            whole += not isinstance(found, Truncated)
        self.stream = b"".join(parts)
        return whole

    def _frame(self, head: bytes) -> tuple[bytes, Found]:
        size = self.chance.choice((0, 1, 5, 30, 60, CAP - len(head) - 1, CAP - len(head)))
        payload = head + self._filled(size)
        kind = self.chance.random()
        if kind < 0.03:
            payload += b"x" * self.chance.choice((CAP, HEAD_BYTES, 3 * HEAD_BYTES))
            return VT + payload + END, Oversize(payload[:HEAD_BYTES], len(payload))
        if kind < 0.06:  # given up: the next VT, or the end of the stream, follows
            return VT + payload + VT + END, Truncated(payload[:HEAD_BYTES], len(payload))
        return VT + payload + END, payload

    def _filled(self, size: int) -> bytes:
        """Any bytes but VT and the end of a frame. FS alone is data."""
        found = bytes(self.chance.choices(INSIDE, k=size)) if size < 40 else self.chance.choice(_LONG)[:size]
        return found.replace(END, b"\x1c\0")

    def pieces(self) -> Iterator[bytes]:
        at = 0
        sizes = self.chance.choice(((1,), (1, 2, 3), (7, 50), (1, 400, 5000), (65536,)))
        while at < len(self.stream):
            size = self.chance.choice(sizes)
            yield self.stream[at : at + size]
            at += size


_LONG = [bytes(random.Random(seed).choices(INSIDE, k=CAP)) for seed in range(50)]


def fuzz(frames: int, senders: int = 8, seed: int = 20261122) -> None:
    chance = random.Random(seed)
    sent = acknowledged = refused = 0
    each = 25
    for turn in range(max(1, frames // (senders * each))):
        wires = [Wire(chance) for _ in range(senders)]
        for name, wire in enumerate(wires):
            sent += wire.begin(turn * senders + name, each)
        flows = {at: wire.pieces() for at, wire in enumerate(wires)}
        while flows:
            at = chance.choice(list(flows))
            piece = next(flows[at], None)
            if piece is None:
                del flows[at]
                continue
            wire = wires[at]
            wire.found += wire.framer.feed(piece)
            assert len(wire.framer._held) <= max(CAP, HEAD_BYTES)
        for wire in wires:
            rest = wire.framer.end()
            assert rest is None
            found = [one for one in wire.found if one != b""]  # the frame in which another was given up
            assert found == wire.expected
            acknowledged += sum(isinstance(one, bytes) for one in found)
            refused += sum(isinstance(one, Oversize) for one in found)
    assert sent == acknowledged + refused
    assert acknowledged > refused > 0


def test_five_thousand_fuzzed_frames() -> None:
    fuzz(5_000)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_a_million_fuzzed_frames() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz(1_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB; hundreds of MiB came through


# The same into the service: what it acknowledged is in its store, and every answer is for the message it names.


@dataclass
class LiveSender:
    """Connections one after another; on each some messages in pieces, then its sending side is closed."""

    name: str
    port: int
    connections: int
    chance: random.Random
    accepted: list[str] = field(default_factory=list)
    sent: int = 0
    refused: int = 0
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            for number in range(self.connections):
                self._connection(f"{self.name}-{number}")
        except BaseException as error:
            self.failure = error

    def _connection(self, name: str) -> None:
        expected: list[tuple[str, str]] = []
        parts: list[bytes] = []
        for number in range(8):
            control_id = f"{name}-{number}"
            message = adt(control_id, f"SYN-{name}")
            parts.append(self.chance.choice(JUNK))
            kind = self.chance.random()
            if kind < 0.1:
                parts.append(wrap(message + b"NTE|1||" + b"x" * LIMIT))
                expected.append(("AR", control_id))
            elif kind < 0.2:
                parts.append(VT + message[: self.chance.randrange(1, len(message))])  # never ended: never sent
                if number == 7:
                    break  # the connection ends in it
                parts.append(wrap(adt(f"{control_id}b", f"SYN-{name}")))
                expected.append(("AA", f"{control_id}b"))
            else:
                parts.append(wrap(message))
                expected.append(("AA", control_id))
        assert self._exchange(b"".join(parts)) == expected
        self.sent += len(expected)
        self.accepted += [control_id for code, control_id in expected if code == "AA"]
        self.refused += sum(code == "AR" for code, _ in expected)

    def _exchange(self, stream: bytes) -> list[tuple[str, str]]:
        answers: list[tuple[str, str]] = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = threading.Thread(target=self._read, args=(connection, answers))
            reader.start()
            at, sizes = 0, self.chance.choice(((1,), (3, 200), (100_000,)))
            while at < len(stream):
                size = self.chance.choice(sizes) if at % 5000 < 600 else 100_000
                connection.sendall(stream[at : at + size])
                at += size
            connection.shutdown(socket.SHUT_WR)
            reader.join(30)
        return answers

    def _read(self, connection: socket.socket, answers: list[tuple[str, str]]) -> None:
        framer = Framer()
        while data := connection.recv(65536):
            answers += [
                (Reply(one).code, Reply(one).about) for one in framer.feed(data) if isinstance(one, bytes)
            ]  # fmt: skip


LIMIT = 20_000


def live(folder: Path, senders: int, connections: int) -> None:
    limits = LimitSettings(max_message_bytes=LIMIT)
    with running(config(folder / "store.db", limits=limits)) as service:
        found = [LiveSender(f"S{at}", service.port, connections, random.Random(at)) for at in range(senders)]
        threads = [threading.Thread(target=one.run) for one in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in found:
            if one.failure:
                raise one.failure
        assert sum(one.sent for one in found) == sum(len(one.accepted) + one.refused for one in found)
        assert all(one.accepted for one in found)
        assert _stored(service) == sorted(control_id for one in found for control_id in one.accepted)


def _stored(service: Running) -> list[str]:
    found: list[str] = []
    after = (0, 0)
    while rows := service.app.store.page(after=after, limit=500):
        found += [row.control_id for row in rows]
        after = rows[-1].cursor
    return sorted(set(found))


def test_what_a_service_acknowledged_of_a_fuzzed_stream_is_stored(tmp_path: Path) -> None:
    live(tmp_path, senders=4, connections=6)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_what_a_service_acknowledged_of_long_fuzzed_streams_is_stored(tmp_path: Path) -> None:
    live(tmp_path, senders=8, connections=300)


def test_messages_far_above_the_limit_take_no_memory(tmp_path: Path) -> None:
    """Four senders with 64 MiB each, of which 20,000 bytes are allowed."""
    piece = b"x" * 65536
    with running(config(tmp_path / "store.db", limits=LimitSettings(max_message_bytes=LIMIT))) as service:
        with service.peer() as peer:
            assert peer.send(adt("WARM")).code == "AA"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peers = [service.peer() for _ in range(4)]
        for number, peer in enumerate(peers):
            peer.post(VT + adt(f"BIG-{number}") + b"NTE|1||")
        for _ in range(1024):
            for peer in peers:
                peer.post(piece)
        for number, peer in enumerate(peers):
            peer.post(END)
            reply = peer.reply()
            assert (reply.code, reply.about) == ("AR", f"BIG-{number}")
            assert peer.send(adt(f"AFTER-{number}")).code == "AA"
            peer.close()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
