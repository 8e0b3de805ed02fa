"""The sender over real sockets: one connection, bounded waits, never a reply to the wrong message."""

from __future__ import annotations

import asyncio
import socket

import pytest
from mllp_peers import Client, Recorder, ack, control_id_of, listening, message, receiver, run, until

from ketafhir.errors import Ambiguous, Permanent, Transient
from ketafhir.mllp.acknowledgment import answers
from ketafhir.mllp.framing import END, VT, wrap
from ketafhir.mllp.listener import Listener
from ketafhir.mllp.sender import ReplyTimeout, Sender


def test_one_connection_serves_many_messages():
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler) as (listener, _), Sender("127.0.0.1", listener.port) as sender:
            for number in range(50):
                name = f"M{number}"
                reply = await sender.exchange(message(name), expect=answers(message(name)))
                assert reply == ack("AA", name)
        assert len(handler.peers) == 1

    run(scenario())


def test_a_reply_in_pieces_and_after_junk():
    async def serve(peer: Client) -> None:
        await peer.frame()
        for byte in b"\r\nhello\0" + VT + b"MSH|cut off" + wrap(ack("AA", "M1")) + b"\r\n":
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            assert await sender.exchange(message("M1")) == ack("AA", "M1")

    run(scenario())


def test_a_big_message_travels_whole():
    async def scenario() -> None:
        handler = Recorder()
        big = message("BIG") + b"A" * 8_000_000
        async with listening(handler) as (listener, _), Sender("127.0.0.1", listener.port) as sender:
            assert await sender.exchange(big) == ack("AA", "BIG")
        assert handler.seen == [big]

    run(scenario())


def test_a_late_reply_never_answers_the_next_message():
    async def serve(peer: Client) -> None:
        name = control_id_of(await peer.frame())
        if name == "M1":
            await asyncio.sleep(0.15)  # the sender has given up by now
        await peer.send(wrap(ack("AA", name)))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            with pytest.raises(ReplyTimeout, match=r"no answer from 127\.0\.0\.1:\d+ within 0\.1 s"):
                await sender.exchange(message("M1"), timeout=0.1)
            assert await sender.exchange(message("M2")) == ack("AA", "M2")

    run(scenario())


def test_a_reply_nobody_asked_for_never_answers_the_next_message():
    async def serve(peer: Client) -> None:
        while payload := await peer.frame():
            reply = wrap(ack("AA", control_id_of(payload)))
            await peer.send(reply + reply)

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            for name in ("M1", "M2", "M3"):
                assert await sender.exchange(message(name)) == ack("AA", name)

    run(scenario())


async def send_for_ever(peer: Client, data: bytes) -> None:
    while True:
        await peer.send(data)


def test_a_flood_of_replies_ends_the_connection():
    async def serve(peer: Client) -> None:
        await peer.frame()
        await peer.send(wrap(ack("AA", "M1")))
        assert await peer.ended()
        seen.append("ended")

    async def flood(peer: Client) -> None:
        await peer.frame()
        with pytest.raises(ConnectionError):
            await send_for_ever(peer, wrap(ack("AA", "M1")) * 100)
        seen.append("reset")

    async def scenario() -> None:
        for script in (serve, flood):
            async with receiver(script) as port, Sender("127.0.0.1", port) as sender:
                assert await sender.exchange(message("M1")) == ack("AA", "M1")
                if script is flood:
                    await until(lambda: "reset" in seen)
        await until(lambda: "ended" in seen)

    seen: list[str] = []
    run(scenario())


def test_the_reply_to_another_message_is_not_taken():
    async def serve(peer: Client) -> None:
        while await peer.frame():
            await peer.send(wrap(ack("AA", "OTHER")))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            with pytest.raises(Ambiguous, match="answered another message"):
                await sender.exchange(message("M1"), expect=answers(message("M1")))

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"", "closed the connection without an answer"),
        (VT + b"MSH|cut", "closed the connection without an answer"),
        (VT + b"A" * 5000 + END, "answered with more than 4000 bytes"),
    ],
)
def test_no_usable_reply_is_ambiguous(reply: bytes, why: str):
    async def serve(peer: Client) -> None:
        await peer.frame()
        await peer.send(reply)

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port, max_reply_bytes=4000) as sender:
            with pytest.raises(Ambiguous, match=why):
                await sender.exchange(message("M1"))

    run(scenario())


def test_it_connects_again_when_the_receiver_has_closed_or_restarted():
    async def scenario() -> None:
        handler = Recorder()
        first = Listener("127.0.0.1", 0, handler)
        await first.start()
        sender = Sender("127.0.0.1", first.port)
        assert await sender.exchange(message("M1")) == ack("AA", "M1")
        await first.close()
        with pytest.raises(Transient, match=f"cannot connect to 127.0.0.1:{first.port}"):
            await sender.exchange(message("M2"))
        async with Listener("127.0.0.1", first.port, handler):
            assert await sender.exchange(message("M2")) == ack("AA", "M2")
            await sender.close()
        assert handler.seen == [message("M1"), message("M2")]

    run(scenario())


def test_an_end_that_the_event_loop_has_not_seen_yet_is_not_written_to():
    """As in `send_all`, where the loop stands still between two messages."""
    with socket.create_server(("127.0.0.1", 0)) as server, asyncio.Runner() as runner:
        sender = Sender("127.0.0.1", server.getsockname()[1], reply_timeout=5)
        for name in ("M1", "M2"):
            talk = runner.get_loop().create_task(sender.exchange(message(name)))
            runner.run(asyncio.sleep(0.05))
            accepted, _ = server.accept()
            with accepted:
                assert wrap(message(name)) == accepted.recv(65536)
                accepted.sendall(wrap(ack("AA", name)))
                assert runner.run(asyncio.wait_for(talk, 5)) == ack("AA", name)
        runner.run(sender.close())


def test_what_cannot_be_sent():
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        sender = Sender("127.0.0.1", port)
        with pytest.raises(Permanent, match="holds VT"):
            await sender.exchange(b"MSH\x0b")
        with pytest.raises(Transient, match="cannot connect"):
            await sender.exchange(message("M1"))
        with pytest.raises(Transient, match="cannot connect to no host:1"):
            await Sender("no host", 1).exchange(message("M1"))
        await sender.close()

    run(scenario())


def test_a_receiver_that_does_not_answer_the_connect():
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):  # fills the backlog
                sender = Sender("127.0.0.1", port, connect_timeout=0.1)
                with pytest.raises(Transient, match=r"no answer within 0\.1 s"):
                    await sender.exchange(message("M1"))

    run(scenario())


def test_two_tasks_must_not_share_a_sender():
    async def serve(peer: Client) -> None:
        payload = await peer.frame()
        await asyncio.sleep(0.05)
        await peer.send(wrap(ack("AA", control_id_of(payload))))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            first = asyncio.create_task(sender.exchange(message("M1")))
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="one task at a time"):
                await sender.exchange(message("M2"))
            assert await first == ack("AA", "M1")

    run(scenario())


def test_a_cancelled_exchange_closes_the_connection():
    async def serve(peer: Client) -> None:
        name = control_id_of(await peer.frame())
        closed.append(await peer.ended() if name == "M1" else False)
        await peer.send(wrap(ack("AA", name)))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sender.exchange(message("M1")), 0.05)
            await until(lambda: closed == [True])

    closed: list[bool] = []
    run(scenario())


def test_the_application_acknowledgment_comes_second():
    async def serve(peer: Client) -> None:
        while payload := await peer.frame():
            name = control_id_of(payload)
            await peer.send(wrap(ack("CA", name)))
            await asyncio.sleep(0.01)
            if name != "M3":
                await peer.send(wrap(ack("AA", name)))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            for name in ("M1", "M2"):
                assert await sender.exchange(message(name)) == ack("CA", name)
                assert await sender.receive(expect=answers(message(name))) == ack("AA", name)
            await sender.exchange(message("M3"))
            with pytest.raises(ReplyTimeout):
                await sender.receive(timeout=0.05)
            with pytest.raises(Ambiguous, match="no further answer can come"):
                await sender.receive()

    run(scenario())


def test_a_message_that_asks_for_no_reply_has_left_when_post_returns():
    async def scenario() -> None:
        handler = Recorder()
        big = message("M1") + b"A" * 8_000_000
        async with listening(handler) as (listener, _), Sender("127.0.0.1", listener.port) as sender:
            await sender.post(big)
            await sender.close()
            await until(lambda: handler.seen == [big])

    run(scenario())


def test_post_to_a_receiver_that_hangs_up():
    async def serve(peer: Client) -> None:
        await peer.reader.read(1000)
        peer.writer.transport.abort()

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            with pytest.raises(Ambiguous, match="while a message was on its way"):
                await sender.post(b"A" * 20_000_000)

    run(scenario())


def test_an_unclosed_block_between_two_messages_is_not_trusted():
    async def serve(peer: Client) -> None:
        payload = await peer.frame()
        await peer.send(wrap(ack("AA", control_id_of(payload))) + VT + b"MSH|begins and never")
        await peer.ended()

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            for name in ("M1", "M2"):
                assert await sender.exchange(message(name)) == ack("AA", name)
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_connection_that_is_kept_is_kept_alive():
    async def serve(peer: Client) -> None:
        while payload := await peer.frame():
            await peer.send(wrap(ack("AA", control_id_of(payload))))

    async def scenario() -> None:
        async with receiver(serve) as port, Sender("127.0.0.1", port) as sender:
            await sender.exchange(message("M1"))
            assert sender._link is not None
            sock = sender._link.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    run(scenario())
