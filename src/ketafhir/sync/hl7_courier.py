"""HL7v2 messages to a receiver over MLLP, and what its acknowledgment means (HL7 v2 chapter 2, 2.9; table 0008).

The answer must be to this message (MSA-2 is its MSH-10); silence or any other answer closes the connection, so
that a late one finds nothing to come through, and the message is sent again under the same MSH-10, which a
receiver knows. What AE, AR and silence lead to is a setting for each receiver.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ketafhir.errors import Ambiguous, Permanent, TransferError, Transient
from ketafhir.mllp.acknowledgment import answers, application, choreography, code, reasons
from ketafhir.mllp.sender import ReplyTimeout, Sender
from ketafhir.store.protocol import Delivery
from ketafhir.sync.courier import Begin, Carried
from ketafhir.sync.outcome import Disposition, Outcome

_PATIENCE = 2.0  # seconds for an answer that may rightly never come (ER, SU)

_BY_POLICY = {"retry": Disposition.TRANSIENT, "hold": Disposition.HELD, "dead": Disposition.FINAL}


@dataclass(slots=True, frozen=True)
class AckPolicy:
    """What an answer leads to: "retry" (later, and dead after the limit), "hold" (its patient waits for an
    operator) or "dead" (its patient goes on)."""

    error: str = "retry"  # AE, CE
    reject: str = "dead"  # AR, CR
    silence: str = "retry"  # no answer in time, or none to this message


def outcome_of_ack(answer: bytes, policy: AckPolicy) -> Outcome:
    """The outcome of an acknowledgment by its MSA-1; of its ERR segments the places and codes are told."""
    reply, why = code(answer), reasons(answer)
    why = f" ({why})" if why else ""
    if reply in ("AA", "CA"):
        return Outcome(Disposition.DONE, reply)
    if reply in ("AE", "CE"):
        return Outcome(_BY_POLICY[policy.error], f"{reply}: the receiver could not process it{why}")
    if reply in ("AR", "CR"):
        return Outcome(_BY_POLICY[policy.reject], f"{reply}: the receiver rejects it{why}")
    return Outcome(_silence(policy), "an acknowledgment without a code that is known")


def _silence(policy: AckPolicy) -> Disposition:
    return Disposition.AMBIGUOUS if policy.silence == "retry" else _BY_POLICY[policy.silence]


class Hl7Courier:
    """To one MLLP receiver over its `senders`: one connection each, and one message at a time on it.

    `pause`: seconds from the end of one message to the begin of the next on the same connection.
    """

    def __init__(self, senders: Sequence[Sender], policy: AckPolicy | None = None, pause: float = 0.0) -> None:
        self._free = list(senders)
        self._pause = pause
        self._ended: dict[Sender, float] = {}
        self._room = asyncio.Semaphore(len(senders))
        self._policy = policy or AckPolicy()

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        """Sends the payload, and waits for the answers that its MSH-15 and -16 ask for."""
        async with self._sender() as sender:
            if self._pause and sender in self._ended:
                await asyncio.sleep(self._ended[sender] + self._pause - time.monotonic())
            await begin()
            try:
                return Carried(await self._conversation(sender, delivery.payload))
            except Transient as error:
                return Carried(Outcome(Disposition.UNSENT, str(error)))
            except Permanent as error:
                return Carried(Outcome(Disposition.FINAL, str(error)))
            except Ambiguous as error:
                return Carried(Outcome(_silence(self._policy), str(error)))
            except TransferError as error:
                return Carried(Outcome(Disposition.AMBIGUOUS, str(error)))

    async def aclose(self) -> None:
        """Closes the connections."""
        for sender in self._free:
            await sender.close()

    async def _conversation(self, sender: Sender, message: bytes) -> Outcome:
        waits, expect = choreography(message), answers(message)
        if waits.first == "none":
            await sender.post(message)
            return Outcome(Disposition.DONE, "sent; no acknowledgment was asked for")
        try:
            patience = _PATIENCE if waits.first == "perhaps" else None
            first = await sender.exchange(message, expect=expect, timeout=patience)
        except ReplyTimeout:
            if waits.first == "perhaps":
                return Outcome(Disposition.DONE, "silent, as may be")
            raise
        if code(first) != "CA" or waits.second == "none":
            return outcome_of_ack(first, self._policy)
        try:
            patience = _PATIENCE if waits.second == "perhaps" else None
            second = await sender.receive(expect=expect, wanted=application, timeout=patience)
            return outcome_of_ack(second, self._policy)
        except Ambiguous as error:
            # It is safely stored there: to send it again would not bring the answer of the application.
            why = "" if waits.second == "perhaps" else f"; its application has not answered: {error}"
            return Outcome(Disposition.DONE, f"CA{why}")

    @asynccontextmanager
    async def _sender(self) -> AsyncIterator[Sender]:
        async with self._room:
            sender = self._free.pop()
            try:
                yield sender
            finally:
                self._ended[sender] = time.monotonic()
                self._free.append(sender)
