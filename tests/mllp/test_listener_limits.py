"""The listener's limits and its beginning and end: time-outs, crowds, shutdown, addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest
from mllp_peers import Recorder, ack, check_one_at_a_time, client, listening, message, run, until

from ketafhir.errors import ConfigError
from ketafhir.mllp.events import EventLog
from ketafhir.mllp.framing import VT, wrap
from ketafhir.mllp.handler import Event, Kind, Peer
from ketafhir.mllp.listener import Listener


def test_a_broken_event_sink_does_not_stop_the_timers(caplog: pytest.LogCaptureFixture):
    def sink(event: Event) -> None:
        raise RuntimeError("the sink is full")

    async def scenario() -> None:
        listener = Listener("127.0.0.1", 0, Recorder(), idle_timeout=0.05, frame_timeout=0.1, on_event=sink)
        async with listener, client(listener.port) as idle, client(listener.port) as stalled:
            await stalled.send(wrap(message("M1")) + VT + b"MSH")
            assert await stalled.frame() == ack("AA", "M1")
            assert await stalled.ended()
            assert await idle.ended()

    run(scenario())
    assert "the event 'idle' was not taken: RuntimeError at " in caplog.text


def test_idle_and_stalled_connections_are_closed():
    async def scenario() -> None:
        handler = Recorder()
        settings = {"idle_timeout": 0.2, "frame_timeout": 0.1}
        async with listening(handler, **settings) as (listener, events):
            async with client(listener.port) as idle, client(listener.port) as stalled:
                await stalled.send(VT + b"MSH|half")
                assert await stalled.ended()
                assert await idle.ended()
            kinds = [event.kind for event in events]
            assert kinds.index("stalled") < kinds.index("idle")
        assert handler.broken == [(b"MSH|half", 8)]

    run(scenario())


def test_a_message_that_trickles_is_no_better_than_one_that_stands_still():
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler, frame_timeout=0.2) as (listener, events), client(listener.port) as peer:
            await peer.send(VT)
            for _ in range(100):
                if "stalled" in [event.kind for event in events]:
                    break
                await peer.send(b"M")
                await asyncio.sleep(0.02)
            assert "stalled" in [event.kind for event in events]
            assert await peer.ended()
        assert handler.seen == []

    run(scenario())


def test_a_long_message_over_a_slow_line_is_taken():
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler, frame_timeout=0.5) as (listener, _), client(listener.port) as peer:
            block = wrap(message("M1") + b"x" * 8000)
            for at in range(0, len(block), 500):
                await peer.send(block[at : at + 500])
                await asyncio.sleep(0.05)
            assert await peer.frame() == ack("AA", "M1")

    run(scenario())


def test_the_time_of_the_handler_does_not_count_as_idle():
    class Slow(Recorder):
        async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
            await asyncio.sleep(0.3)
            return await super().message(payload, peer)

    async def scenario() -> None:
        settings = {"idle_timeout": 0.1, "frame_timeout": 0.1}
        async with listening(Slow(), **settings) as (listener, _), client(listener.port) as peer:
            await peer.send(wrap(message("M1")))
            assert await peer.frame() == ack("AA", "M1")

    run(scenario())


def test_a_peer_that_never_reads_is_dropped():
    class Wordy(Recorder):
        def message(self, payload: bytes, peer: Peer) -> list[bytes]:  # type: ignore[override]
            return [b"A" * 10_000_000]

    async def scenario() -> None:
        async with listening(Wordy(), frame_timeout=0.1) as (listener, events):
            async with client(listener.port) as peer:
                await peer.send(wrap(message("M1")) * 3)
                await until(lambda: not listener.connections)
            assert [event.kind for event in events] == [
                "opened",
                "stalled",
                "answer-lost",
                "answer-lost",
                "closed",
            ]

    run(scenario())


def test_one_connection_too_many_is_closed_at_once():
    async def scenario() -> None:
        async with listening(Recorder(), max_connections=1) as (listener, events):
            await check_one_at_a_time(listener, events)

    run(scenario())


def test_a_peer_that_does_not_speak_mllp_is_told_once():
    async def scenario() -> None:
        async with listening(Recorder()) as (listener, events), client(listener.port) as peer:
            await peer.send(message("M1"))
            await peer.send(message("M2") + wrap(message("M3")))
            assert await peer.frame() == ack("AA", "M3")
            assert [event.kind for event in events] == ["opened", "junk"]

    run(scenario())


def test_closing_lets_the_work_at_hand_finish():
    class Slow(Recorder):
        async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
            await asyncio.sleep(0.1)
            return await super().message(payload, peer)

    async def scenario() -> None:
        handler = Slow()
        listener = Listener("127.0.0.1", 0, handler)
        await listener.start()
        async with (
            client(listener.port) as busy,
            client(listener.port) as half,
            client(listener.port) as idle,
        ):
            await half.send(VT + b"MSH|half")
            await busy.send(wrap(message("M1")))
            await until(lambda: listener.connections == 3)
            await asyncio.sleep(0.02)
            await listener.close()
            assert await busy.frame() == ack("AA", "M1")
            assert await busy.frame() == b""
            assert await half.ended()
            assert await idle.ended()
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection("127.0.0.1", listener.port)
        assert handler.broken == []
        await listener.close()  # once more is no error

    run(scenario())


def test_closing_does_not_wait_for_ever():
    class Stuck(Recorder):
        async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.append(payload)
            return []

    async def scenario() -> None:
        listener = Listener("127.0.0.1", 0, Stuck())
        await listener.start()
        async with client(listener.port) as peer:
            await peer.send(wrap(message("M1")) + wrap(message("M2")))
            await asyncio.sleep(0.05)
            await listener.close(drain=0.05)
            assert await peer.ended()

    cancelled: list[bytes] = []
    run(scenario())
    assert cancelled == [message("M1")]


def test_a_port_in_use_is_said_in_plain_words():
    async def scenario() -> None:
        async with listening(Recorder()) as (listener, _):
            with pytest.raises(ConfigError) as raised:
                await Listener("127.0.0.1", listener.port, Recorder()).start()
            assert str(raised.value) == (
                f"cannot listen on 127.0.0.1:{listener.port}: another program listens there already; "
                "stop it or choose another port"
            )

    run(scenario())


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.1", "this machine has no such address"), ("no host", "no such host name")]
)
def test_a_host_that_is_not_ours_is_said_in_plain_words(host: str, why: str):
    async def scenario() -> None:
        for port in (0, 20_000):
            with pytest.raises(ConfigError, match=why):
                await Listener(host, port, Recorder()).start()

    run(scenario())


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_other_names_of_loopback(host: str):
    async def scenario() -> None:
        if host == "::1" and not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        handler = Recorder()
        try:
            listener = Listener(host, 0, handler)
            await listener.start()
        except ConfigError as error:
            pytest.skip(str(error))
        async with client(listener.port, host) as peer:
            await peer.send(wrap(message("M1")))
            assert await peer.frame() == ack("AA", "M1")
        await listener.close()
        assert str(*handler.peers).startswith(("[::1]:", "127.0.0.1:"))

    run(scenario())


def test_coming_and_going_is_not_worth_a_line_in_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    peer, log = Peer("127.0.0.1", 4711, 1), EventLog()
    log(Event("opened", peer, "connection 1"))
    log(Event("idle", peer, "no message for 60 s"))
    log(Event("stalled", peer, "nothing came"))
    assert [record.getMessage() for record in caplog.records] == ["127.0.0.1:4711 stalled: nothing came"]


@pytest.mark.parametrize("kind", ["unknown", "crowded", "junk"])
def test_whoever_knocks_again_and_again_is_told_once_an_hour(caplog: pytest.LogCaptureFixture, kind: Kind):
    now = [0.0]
    log = EventLog(lambda: now[0])

    def lines(*hosts: str) -> list[str]:
        caplog.clear()
        for number, host in enumerate(hosts):
            log(Event(kind, Peer(host, 4000 + number, number), "told"))
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    assert lines(*["10.0.0.1"] * 50, "10.0.0.2") == [
        f"10.0.0.1:4000 {kind}: told",
        f"10.0.0.2:4050 {kind}: told",
    ]
    now[0] = 3599.0
    assert lines("10.0.0.1", "10.0.0.3") == [f"10.0.0.3:4001 {kind}: told"]
    now[0] = 3600.0
    assert lines("10.0.0.1", "10.0.0.3") == [f"10.0.0.1:4000 {kind}: told"]


def test_what_is_remembered_of_who_knocks_is_bounded_and_so_is_the_log(caplog: pytest.LogCaptureFixture):
    now = [0.0]
    log = EventLog(lambda: now[0])
    for number in range(3000):
        log(Event("unknown", Peer(f"2001:db8::{number:x}", 1, number), "told"))
    assert len(log._told) == len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1000
    now[0] = 3600.0
    log(Event("unknown", Peer("2001:db8::ffff", 1, 1), "told"))
    assert len(log._told) == 1
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_connection_that_is_taken_is_kept_alive():
    """The kernel has a timer for it (`tr` 02 in /proc/net/tcp): a peer that is gone without a word is found out."""

    def timers(port: int) -> list[str]:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
        return [row[5].partition(":")[0] for row in established]

    async def scenario() -> None:
        async with listening(Recorder()) as (listener, _), client(listener.port) as peer:
            await peer.send(wrap(message("M1")))
            assert await peer.frame() == ack("AA", "M1")
            await until(lambda: timers(listener.port) == ["02"])

    run(scenario())
