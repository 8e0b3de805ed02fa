"""Messages to a receiver with the acknowledgments that each asks for, for callers without an event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from ketafhir.errors import TransferError
from ketafhir.mllp.acknowledgment import Wait, answers, application, choreography, code
from ketafhir.mllp.sender import ReplyTimeout, Sender

_PATIENCE = 1.0  # seconds for an answer that may rightly never come (ER, SU)


@dataclass(slots=True)
class Sent:
    """What became of one message: the replies in order, and what went wrong.

    An error beside a CA means that the receiver has taken the message over, but that its application's
    answer is missing.
    """

    message: bytes
    replies: list[bytes] = field(default_factory=list)
    error: TransferError | None = None


async def converse(sender: Sender, message: bytes, patience: float = _PATIENCE) -> Sent:
    """Send `message` and collect the acknowledgments that its MSH-15 and MSH-16 ask for (HL7 v2 2.9).

    Where silence may be the answer it is waited for `patience` seconds. Errors are returned, not raised.
    """
    sent = Sent(message)
    waits = choreography(message)
    expect = answers(message)
    wait: Wait = waits.first
    try:
        if wait == "none":
            await sender.post(message)
            return sent
        sent.replies.append(await sender.exchange(message, expect=expect, timeout=_seconds(wait, patience)))
        wait = waits.second
        if wait != "none" and code(sent.replies[0]) == "CA":
            sent.replies.append(
                await sender.receive(expect=expect, wanted=application, timeout=_seconds(wait, patience))
            )
    except TransferError as error:
        if not (wait == "perhaps" and isinstance(error, ReplyTimeout)):
            sent.error = error
    return sent


def send_all(
    messages: Iterable[bytes],
    host: str,
    port: int,
    *,
    connect_timeout: float = 10.0,
    reply_timeout: float = 30.0,
    tls: ssl.SSLContext | None = None,
) -> Generator[Sent, None, None]:
    """Send messages one after another over one connection; each outcome is given as soon as it is known.

    A message that got no answer does not end the iteration: whether the next may still be sent is the
    caller's choice.
    """
    sender = Sender(host, port, connect_timeout=connect_timeout, reply_timeout=reply_timeout, tls=tls)
    with asyncio.Runner() as runner:
        try:
            for message in messages:
                yield runner.run(converse(sender, message))
        finally:
            runner.run(sender.close())


def _seconds(wait: Wait, patience: float) -> float | None:
    return patience if wait == "perhaps" else None
