"""An MLLP server in a process of its own, whose CPU time is that of receiving, parsing and acknowledging alone.

    python -m benchmarks.mllp_server NAME

It prints its port, and after each line on standard input the CPU seconds that it has used so far.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

from benchmarks.floors import split_full

CONTROL_ID = 9  # where split_full finds MSH-10: MSH-1 is not a field to it


def _printed(port: int) -> None:
    print(port, flush=True)
    threading.Thread(target=_report, daemon=True).start()


def _report() -> None:
    for _ in sys.stdin:
        print(time.process_time(), flush=True)
    import os

    os._exit(0)  # the one who asks is gone


class _Floor(asyncio.Protocol):
    """A full split and a fixed ACK, with framing that knows only whole blocks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\x1c\r")) >= 0:
            segments = split_full(self.held[1:end].decode())
            self.held = self.held[end + 2 :]
            text = f"MSH|^~\\&|KETAFHIR|WILLOW|||20260309084000||ACK|1|P|2.5.1\rMSA|AA|{segments[0][CONTROL_ID]}\r"
            self.transport.write(b"\x0b" + text.encode() + b"\x1c\r")


async def _floor() -> None:
    server = await asyncio.get_running_loop().create_server(_Floor, "127.0.0.1", 0)
    _printed(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Handler:
    """Parses each message and acknowledges it; the store and the translation are not part of this row."""

    def message(self, payload: bytes, peer: object) -> list[bytes]:
        from ketafhir.hl7v2 import ack, er7

        message = er7.parse(er7.decode(payload))
        answer = ack.acknowledge(message, "AA", control_id="A1", timestamp="20260309084000-0500")
        return [er7.to_bytes(answer)]

    def oversize(self, head: bytes, size: int, peer: object) -> list[bytes]:
        raise AssertionError("no message is too big here")

    def truncated(self, head: bytes, size: int, peer: object) -> list[bytes]:
        raise AssertionError("no message is cut here")


class _Translating(_Handler):
    """What the service does with a message but to keep it: parsed, folded, checked by the profiles, acknowledged."""

    def __init__(self) -> None:
        from ketafhir.service.answers import Answers
        from ketafhir.translate.settings import default, zone

        self._settings, self._answers = default("America/Chicago"), Answers("", zone("America/Chicago"), "2.5.1")

    def message(self, payload: bytes, peer: object) -> list[bytes]:
        from ketafhir.fhir import json
        from ketafhir.service.translating import broken
        from ketafhir.translate import incoming
        from ketafhir.translate.session import Session

        message = incoming.parse(payload)
        step = Session(self._settings).take(message)
        if broken(step):
            raise AssertionError("the profiles hold")
        json.dumps(step.bundle)
        return [self._answers.application(message, "AA", step.issues, [], enhanced=False)]


async def _ketafhir(handler: _Handler) -> None:
    from ketafhir.mllp.listener import Listener

    async with Listener("127.0.0.1", 0, handler) as listener:
        _printed(listener.port)
        await asyncio.Event().wait()


async def _hl7() -> None:
    from hl7.mllp import start_hl7_server

    async def answer(reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            try:
                message = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            writer.writemessage(message.create_ack())
            await writer.drain()

    server = await start_hl7_server(answer, "127.0.0.1", 0, encoding="utf-8")
    _printed(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _hl7apy() -> None:
    from hl7apy.core import Message
    from hl7apy.mllp import AbstractHandler, MLLPServer
    from hl7apy.parser import parse_message

    class Answer(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
        def reply(self) -> str:
            received = parse_message(self.incoming_message, find_groups=False)
            ack = Message("ACK", version="2.5.1")
            ack.msh.msh_9 = "ACK"
            ack.msa.msa_1 = "AA"
            ack.msa.msa_2 = received.msh.msh_10.value
            return str(ack.to_mllp())

    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Answer,)})
    _printed(server.server_address[1])
    server.serve_forever()


def main() -> None:
    """Serve until standard input ends."""
    name = sys.argv[1]
    if name == "hl7apy":
        _hl7apy()
    else:
        servers = {
            "floor": _floor,
            "ketafhir": lambda: _ketafhir(_Handler()),
            "translating": lambda: _ketafhir(_Translating()),
            "hl7": _hl7,
        }
        asyncio.run(servers[name]())


if __name__ == "__main__":
    main()
