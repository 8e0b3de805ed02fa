"""The listener over real sockets: order, back-pressure, half close, failures."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct

import pytest
from mllp_peers import Recorder, ack, client, control_id_of, listening, message, run, until

from ketafhir.mllp.framing import END, HEAD_BYTES, VT, wrap
from ketafhir.mllp.handler import Peer
from ketafhir.mllp.listener import Listener

NAMES = [f"M{number}" for number in range(20)]


def test_messages_are_answered_in_order_over_one_connection():
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler) as (listener, _), client(listener.port) as peer:
            await peer.send(b"\r\n".join(wrap(message(name)) for name in NAMES))
            assert [await peer.frame() for _ in NAMES] == [ack("AA", name) for name in NAMES]
        assert handler.seen == [message(name) for name in NAMES]

    run(scenario())


def test_a_plain_handler_is_as_good_as_an_async_one():
    class Plain(Recorder):
        def message(self, payload: bytes, peer: Peer) -> list[bytes]:  # type: ignore[override]
            self.seen.append(payload)
            return [ack("CA", control_id_of(payload)), ack("AA", control_id_of(payload))]

    async def scenario() -> None:
        async with listening(Plain()) as (listener, _), client(listener.port) as peer:
            await peer.send(b"".join(wrap(message(name)) for name in NAMES))
            replies = [await peer.frame() for _ in range(2 * len(NAMES))]
        assert replies == [ack(code, name) for name in NAMES for code in ("CA", "AA")]

    run(scenario())


def test_one_byte_at_a_time():
    async def scenario() -> None:
        async with listening(Recorder()) as (listener, _), client(listener.port) as peer:
            for byte in wrap(message("M1")):
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)
            assert await peer.frame() == ack("AA", "M1")

    run(scenario())


def test_no_answer_is_an_answer_too():
    class Silent(Recorder):
        async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
            name = control_id_of(payload)
            return [] if name == "M1" else [ack("AA", name)]

    async def scenario() -> None:
        async with listening(Silent()) as (listener, _), client(listener.port) as peer:
            await peer.send(wrap(message("M1")) + wrap(message("M2")))
            assert await peer.frame() == ack("AA", "M2")

    run(scenario())


def test_interleaved_senders_are_kept_apart():
    async def scenario() -> None:
        handler = Recorder()
        async with (
            listening(handler) as (listener, _),
            client(listener.port) as one,
            client(listener.port) as two,
        ):
            first, second = wrap(message("ONE")), wrap(message("TWO"))
            for at in range(0, max(len(first), len(second)), 7):
                await one.send(first[at : at + 7])
                await two.send(second[at : at + 7])
            assert await one.frame() == ack("AA", "ONE")
            assert await two.frame() == ack("AA", "TWO")
        assert sorted(handler.seen) == [message("ONE"), message("TWO")]
        assert {peer.number for peer in handler.peers} == {1, 2}

    run(scenario())


def test_too_big_is_answered_and_the_connection_stays():
    async def scenario() -> None:
        handler = Recorder()
        big = message("BIG") + b"A" * 300_000
        async with listening(handler, max_bytes=100_000) as (listener, _), client(listener.port) as peer:
            await peer.send(wrap(big) + wrap(message("M2")))
            assert [await peer.frame(), await peer.frame()] == [ack("AR", "BIG"), ack("AA", "M2")]
        assert handler.oversized == [(big[:HEAD_BYTES], len(big))]

    run(scenario())


def test_a_message_that_broke_off_is_told_and_never_handled_as_one():
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler) as (listener, _), client(listener.port) as peer:
            await peer.send(VT + message("M1") + wrap(message("M2")) + VT + message("M3"))
            peer.writer.write_eof()
            assert await peer.frame() == ack("AA", "M2")
            assert await peer.frame() == b""
        assert handler.seen == [message("M2")]
        assert handler.broken == [(message(name), len(message(name))) for name in ("M1", "M3")]

    run(scenario())


def test_a_half_closed_peer_still_gets_its_answers():
    class Slow(Recorder):
        async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
            await asyncio.sleep(0.02)
            return await super().message(payload, peer)

    async def scenario() -> None:
        async with listening(Slow()) as (listener, events), client(listener.port) as peer:
            await peer.send(wrap(message("M1")) + wrap(message("M2")))
            peer.writer.write_eof()
            assert [await peer.frame() for _ in range(3)] == [ack("AA", "M1"), ack("AA", "M2"), b""]
            await until(lambda: not listener.connections)
            assert [event.kind for event in events] == ["opened", "closed"]

    run(scenario())


class Held(Recorder):
    """Answers nothing before its gate is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        await self.gate.wait()
        return await super().message(payload, peer)


def test_a_message_whose_sender_is_gone_is_handled_and_the_lost_answer_told():
    async def scenario() -> None:
        handler = Held()
        async with listening(handler) as (listener, events):
            async with client(listener.port) as peer:
                await peer.send(wrap(message("M1")) + wrap(message("M2")))
                await until(lambda: listener.connections == 1)
                sock = peer.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset on close
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
            handler.gate.set()
            await until(lambda: not listener.connections)
            kinds = [event.kind for event in events]
        assert handler.seen == [message("M1"), message("M2")]
        assert "answer-lost" in kinds
        assert kinds[-1] == "closed"

    run(scenario())


def test_a_slow_handler_stops_the_reading():
    async def scenario() -> None:
        handler = Held()
        async with listening(handler) as (listener, _), client(listener.port) as peer:
            flood = wrap(message("M1") + b"A" * 100_000) * 500  # 50 MB: far more than socket buffers hold
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(peer.send(flood), 0.4)
            assert handler.seen == []
            handler.gate.set()
            assert await peer.frame() == ack("AA", "M1")

    run(scenario())


def test_a_peer_that_reads_no_answers_stops_the_handling_until_it_does():
    class Wordy(Recorder):
        def message(self, payload: bytes, peer: Peer) -> list[bytes]:  # type: ignore[override]
            self.seen.append(payload)
            return [ack("AA", control_id_of(payload)) + b"A" * 200_000]

    async def scenario() -> None:
        handler = Wordy()
        async with listening(handler) as (listener, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
            writer.write(b"".join(wrap(message(f"M{number}")) for number in range(300)))
            await asyncio.sleep(0.3)
            handled = len(handler.seen)
            assert 0 < handled < 200  # 60 MB of answers do not fit into the sockets' buffers
            received = 0
            while received < 300:
                received += (await reader.read(1 << 20)).count(END)
            assert len(handler.seen) == 300
            writer.transport.abort()

    run(scenario())


class Failing(Recorder):
    """Fails on M1, with a patient's name in the text of the error."""

    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        if control_id_of(payload) == "M1":
            raise ValueError("ZZCANARY^JANE")
        return await super().message(payload, peer)


class FailingPlainly(Failing):
    def message(self, payload: bytes, peer: Peer) -> list[bytes]:  # type: ignore[override]
        raise ValueError("ZZCANARY^JANE")


class Cancelled(Failing):
    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        raise asyncio.CancelledError


class Unwrappable(Failing):
    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        return [b"MSH|\x0b"]


class Answerless(Failing):
    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Failing, FailingPlainly, Cancelled, Unwrappable, Answerless])
def test_a_handler_that_fails_costs_its_connection_only(kind: type[Failing], caplog: pytest.LogCaptureFixture):
    async def scenario() -> None:
        listener = Listener("127.0.0.1", 0, kind())
        async with listener, client(listener.port) as other, client(listener.port) as peer:
            await peer.send(wrap(message("M1")) + wrap(message("M2")))
            assert await peer.frame() == b""
            if kind is Failing:
                await other.send(wrap(message("M3")))
                assert await other.frame() == ack("AA", "M3")

    caplog.set_level(logging.DEBUG)
    run(scenario())
    assert "ZZCANARY" not in caplog.text
    assert "RAS" not in caplog.text
    assert "handler-failed" in caplog.text
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno > logging.INFO]
