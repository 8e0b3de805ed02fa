"""Messages to a receiver: what each answer leads to, and that none is matched to the wrong message."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ketafhir.mllp.framing import Framer, wrap
from ketafhir.mllp.sender import Sender
from ketafhir.store.protocol import Delivery, Inbound, NewDelivery, Result
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.hl7_courier import AckPolicy, Hl7Courier, outcome_of_ack
from ketafhir.sync.outcome import Disposition
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.worker import Worker

D = Disposition
QUICK = RetryPolicy(first=0.01, longest=0.02, patience=3, parked=0.02, limit=6)
Script = Callable[[str], "list[bytes] | None"]


def message(control_id: str, accept: str = "", application: str = "") -> bytes:
    return f"MSH|^~\\&|KETA|H|ENG|H|20261103||ADT^A08|{control_id}|P|2.5|||{accept}|{application}\rPID|1\r".encode()


def ack(code: str, control_id: str) -> bytes:
    return f"MSH|^~\\&|ENG|H|KETA|H|20261103||ACK|A1|P|2.5\rMSA|{code}|{control_id}\r".encode()


class Receiver:
    """Answers as the script says, by MSH-10; None is silence, b"" hangs up. It notes what came over which connection."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[tuple[int, str]] = []
        self.connections = 0
        self.most = 0
        self._open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, framer = self.connections, Framer()
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            while data := await reader.read(65536):
                for found in framer.feed(data):
                    control_id = found.split(b"|")[9].decode()  # type: ignore[union-attr]
                    self.seen.append((number, control_id))
                    for answer in self.script(control_id) or []:
                        if not answer:
                            return
                        writer.write(wrap(answer))
        finally:
            self._open -= 1
            writer.close()

    def count(self, control_id: str) -> int:
        return [name for _, name in self.seen].count(control_id)


def deliver(
    folder: Path,
    receiver: Receiver,
    *messages: tuple[str, bytes],
    policy: AckPolicy | None = None,
    connections: int = 1,
) -> dict[str, tuple[str, str]]:
    """State and reason of each message, by MSH-10, when nothing moves any more."""
    store = SqliteStore(folder / "store.db")
    for patient, raw in messages:
        result = Result("translated", deliveries=[NewDelivery("engine", (patient,), raw)])
        control_id = raw.split(b"|")[9].decode()
        store.accept(Inbound(raw, hashlib.sha256(raw).digest(), "l", "h", "s", control_id, "ADT^A08", None, result))

    async def scenario() -> None:
        server = await asyncio.start_server(receiver, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        courier = Hl7Courier([Sender("127.0.0.1", port, reply_timeout=0.2) for _ in range(connections)], policy)
        worker = Worker(store, courier, "engine", policy=QUICK, poll_seconds=0.01, parallel=connections)
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while True:
                rows = store.page()
                if all(
                    row.state in ("done", "dead") or (row.state == "parked" and row.not_before is None) for row in rows
                ):
                    break
                await asyncio.sleep(0.02)
        worker.stop()
        await running
        await courier.aclose()
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())
    found = {row.control_id: (row.state, row.reason) for row in store.page()}
    store.close()
    return found


@pytest.mark.parametrize(
    ("code", "policy", "expected"),
    [
        ("AA", {}, D.DONE),
        ("CA", {}, D.DONE),
        ("AE", {}, D.TRANSIENT),
        ("CE", {"error": "hold"}, D.HELD),
        ("AE", {"error": "dead"}, D.FINAL),
        ("AR", {}, D.FINAL),
        ("CR", {"reject": "retry"}, D.TRANSIENT),
        ("CR", {"reject": "hold"}, D.HELD),
        ("XX", {}, D.AMBIGUOUS),
        ("", {"silence": "hold"}, D.HELD),
        ("", {"silence": "dead"}, D.FINAL),
    ],
)
def test_what_an_acknowledgment_means(code: str, policy: dict[str, str], expected: Disposition) -> None:
    assert outcome_of_ack(ack(code, "M1"), AckPolicy(**policy)).disposition is expected


def test_why_a_receiver_refuses_is_kept_without_its_texts(tmp_path: Path) -> None:
    said = b"ERR||PID^1^5|207^Application error^HL70357|E||||SMITH^JOHN is dead\r"
    receiver = Receiver(lambda name: [ack("AE", name) + said])
    found = deliver(tmp_path, receiver, ("p", message("M1")), policy=AckPolicy(error="hold"))
    assert found["M1"] == ("parked", "AE: the receiver could not process it (PID^1^5 207 E)")


def test_messages_go_in_order_over_one_connection(tmp_path: Path) -> None:
    receiver = Receiver(lambda name: [ack("AA", name)])
    feed = [(f"p{number % 3}", message(f"M{number}")) for number in range(30)]
    states = deliver(tmp_path, receiver, *feed)
    assert {state for state, _ in states.values()} == {"done"}
    assert receiver.connections == receiver.most == 1
    for patient in range(3):
        mine = [name for _, name in receiver.seen if int(name[1:]) % 3 == patient]
        assert mine == sorted(mine, key=lambda name: int(name[1:]))


def test_several_connections_where_told(tmp_path: Path) -> None:
    receiver = Receiver(lambda name: [ack("AA", name)])
    deliver(tmp_path, receiver, *[(f"p{number}", message(f"M{number}")) for number in range(40)], connections=3)
    assert 1 < receiver.most <= 3


def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """The first is not answered; when it comes again, the receiver answers both."""
    times: dict[str, int] = {}

    def script(name: str) -> list[bytes] | None:
        times[name] = times.get(name, 0) + 1
        if name == "M1" and times[name] == 1:
            return None
        return [ack("AA", name)]

    receiver = Receiver(script)
    states = deliver(tmp_path, receiver, ("p", message("M1")), ("p", message("M2")))
    assert states == {"M1": ("done", ""), "M2": ("done", "")}
    assert [name for _, name in receiver.seen] == ["M1", "M1", "M2"]
    assert receiver.connections == 2, "the connection that was silent was closed"


@pytest.mark.parametrize("answer", [b"MSH|^~\\&|X\rMSA|AA|OTHER\r", b"no message", b""])
def test_a_wrong_answer_and_a_hang_up_are_silence(tmp_path: Path, answer: bytes) -> None:
    receiver = Receiver(lambda name: [answer])
    states = deliver(tmp_path, receiver, ("p", message("M1")), policy=AckPolicy(silence="hold"))
    assert states["M1"][0] == "parked"
    assert receiver.count("M1") == 1


def test_an_error_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    receiver = Receiver(lambda name: [ack("AE" if name == "M1" else "AA", name)])
    states = deliver(tmp_path, receiver, ("p", message("M1")), ("p", message("M2")), ("q", message("M3")))
    assert states["M1"][0] == "dead"
    assert "AE" in states["M1"][1]
    assert receiver.count("M1") == QUICK.limit
    assert states["M2"][0] == states["M3"][0] == "done"


def test_a_rejection_is_not_repeated(tmp_path: Path) -> None:
    receiver = Receiver(lambda name: [ack("AR", name)])
    states = deliver(tmp_path, receiver, ("p", message("M1")))
    assert states["M1"] == ("dead", "AR: the receiver rejects it")
    assert receiver.count("M1") == 1


@pytest.mark.parametrize(
    ("accept", "application", "answers", "state"),
    [
        ("AL", "NE", ["CA"], "done"),
        ("AL", "AL", ["CA", "AA"], "done"),
        ("AL", "AL", ["CA", "AR"], "dead"),
        ("AL", "AL", ["CA", "CA", "AR"], "dead"),
        ("AL", "AL", ["CA"], "done"),
        ("AL", "AL", ["CR"], "dead"),
        ("NE", "NE", [], "done"),
        ("NE", "AL", ["AA"], "done"),
    ],
)
def test_enhanced_mode(tmp_path: Path, accept: str, application: str, answers: list[str], state: str) -> None:
    receiver = Receiver(lambda name: [ack(code, name) for code in answers])
    states = deliver(tmp_path, receiver, ("p", message("M1", accept, application)))
    assert states["M1"][0] == state
    assert receiver.count("M1") == 1


def test_a_receiver_that_is_away_is_waited_for_and_nothing_counted(tmp_path: Path) -> None:
    async def scenario() -> Any:
        courier = Hl7Courier([Sender("127.0.0.1", 1)])
        begun: list[int] = []

        async def begin() -> None:
            begun.append(1)

        class Delivered:
            payload = message("M1")

        carried = await courier.carry(Delivered(), begin)  # type: ignore[arg-type]
        return carried.outcome.disposition, begun

    assert asyncio.run(scenario()) == (D.UNSENT, [1])


def test_a_receiver_gets_its_pause_between_messages() -> None:
    came: list[float] = []

    def script(name: str) -> list[bytes]:
        came.append(time.monotonic())
        return [ack("AA", name)]

    async def scenario() -> None:
        server = await asyncio.start_server(Receiver(script), "127.0.0.1", 0)
        courier = Hl7Courier([Sender("127.0.0.1", server.sockets[0].getsockname()[1])], pause=0.2)

        async def begin() -> None:
            """Nothing is kept of it."""

        for name in ("M1", "M2", "M3"):
            delivery = Delivery(1, 1, 1, "engine", message(name), 0, 0)
            assert (await courier.carry(delivery, begin)).outcome.disposition is D.DONE
        await courier.aclose()
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())
    assert [later - earlier >= 0.19 for earlier, later in pairwise(came)] == [True, True]
