"""The handler of one listener: each message goes to the intake's thread, its acknowledgments come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from ketafhir.errors import Issue
from ketafhir.hl7v2.batch import Batch, is_batch
from ketafhir.mllp.events import EventLog
from ketafhir.mllp.handler import Event, Peer
from ketafhir.service.arrivals import Answered, Channel
from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.service.together import Together
from ketafhir.store.protocol import Leg

_log = logging.getLogger("ketafhir.service")


class Receiver:
    """A `mllp.handler.Handler`; `tell` is its `OnEvent`. `peers` are the channels of those that have one of their own.

    `wake` is called when something is to be delivered. Messages of one connection keep their order, since the
    listener hands over the next when the last is answered.
    """

    def __init__(
        self,
        channel: Channel,
        peers: Mapping[str, Channel],
        intake: Intake,
        together: Together,
        legs: Legs,
        wake: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._peers = peers
        self._intake = intake
        self._together = together
        self._legs = legs
        self._wake = wake
        self._leaving: dict[int, list[Answered]] = {}
        self._log_event = EventLog()

    async def message(self, payload: bytes, peer: Peer) -> list[bytes]:
        """Its acknowledgments, once it is stored."""
        if is_batch(payload):
            return await self._batch(Batch(payload), peer)
        answered = await self._together.take(self._of(peer), payload, str(peer))
        self._leave([answered], peer)
        return answered.answers

    async def _batch(self, batch: Batch, peer: Peer) -> list[bytes]:
        """Each message on its own; their acknowledgments in one batch, and of the enhanced mode the application answers
        in another."""
        channel = self._of(peer)
        for issue in batch.issues:
            _log.warning("a batch from %s: %s", peer, issue.text)
        taken = [self._together.take(channel, message, str(peer)) for message in batch.messages]
        answered = await asyncio.gather(*taken)
        self._leave(answered, peer)
        if not batch.messages and not batch.is_answer:
            return [channel.answers.batch(batch, [])]
        legs: dict[Leg, list[bytes]] = {"ack": [], "answer": []}
        for one in answered:
            for leg, answer in zip(one.legs, one.answers, strict=True):
                legs[leg].append(answer)
        return [channel.answers.batch(batch, answers) for answers in legs.values() if answers]

    def _leave(self, answered: list[Answered], peer: Peer) -> None:
        """These acknowledgments are about to be written."""
        if any(one.queued for one in answered):
            self._wake()
        self._leaving[peer.number] = answered
        # By then the listener has written them, or told that they are lost.
        asyncio.get_running_loop().call_soon(self._left, peer.number)

    def oversize(self, head: bytes, size: int, peer: Peer) -> list[bytes]:
        """AR, or CE in enhanced mode; nothing is kept, since nothing but its head is there."""
        self._intake.counts["oversize"] += 1
        _log.warning("a message of %d bytes from %s is too long", size, peer)
        text = f"the message is too long: {size} bytes"
        hint = "send less, or raise max_message_bytes"
        issue = Issue("error", "too-long", text, where="MSH", hint=hint, hl7="207", reject=True)
        return self._intake.rejected(self._of(peer), head, issue).answers

    def truncated(self, head: bytes, size: int, peer: Peer) -> list[bytes]:
        """No answer: its sender has begun another message, and would take the answer for that one's."""
        self._intake.counts["truncated"] += 1
        _log.warning("a message from %s broke off after %d bytes", peer, size)
        return []

    def tell(self, event: Event) -> None:
        """What happens to the connections."""
        if event.kind == "answer-lost":
            for answered in self._leaving.pop(event.peer.number, ()):
                self._legs.note(answered, delivered=False)
        self._intake.measures.connection(self._channel.name, event.kind)
        self._log_event(event)

    def _of(self, peer: Peer) -> Channel:
        return self._peers.get(peer.name, self._channel)

    def _left(self, connection: int) -> None:
        for answered in self._leaving.pop(connection, ()):
            self._legs.note(answered, delivered=True)
