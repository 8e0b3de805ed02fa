"""What a listener hands messages to, and what it tells about its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from ketafhir.mllp.address import endpoint

Answers: TypeAlias = list[bytes] | Awaitable[list[bytes]]
"""Payloads to write back, in order: none, one, or the accept acknowledgment and then the application's."""


@dataclass(slots=True, frozen=True)
class Peer:
    """The other end of one connection. `number` counts the connections of one listener, from 1.

    `name` is the peer's in the rules of the listener (`mllp.peers`), where it has any.
    """

    host: str
    port: int
    number: int
    name: str = ""

    def __str__(self) -> str:
        place = endpoint(self.host, self.port)
        return f"{self.name} ({place})" if self.name else place


class Handler(Protocol):
    """Answers what arrives; plain or async methods alike.

    The messages of one connection come one at a time: the next is handed over when the answers to the last
    are written. A method that raises ends the connection without an answer, so that the sender keeps its
    message and sends it again.
    """

    def message(self, payload: bytes, peer: Peer) -> Answers:
        """A whole message. It is handed over even if the sender is gone by now: it was received."""

    def oversize(self, head: bytes, size: int, peer: Peer) -> Answers:
        """A message of `size` bytes, too big to be kept; `head` is its first 4 KiB."""

    def truncated(self, head: bytes, size: int, peer: Peer) -> Answers:
        """A message that broke off after `size` bytes: another began, or the connection ended or stalled."""


Kind: TypeAlias = Literal[
    "opened",
    "closed",
    "crowded",  # one connection too many, closed at once
    "unknown",  # none of the peers of this listener, closed at once
    "junk",  # bytes outside of MLLP blocks; told once a connection
    "idle",  # nothing came for `idle_timeout`: closed
    "stalled",  # a block, or the reading of our answers, stood still for `frame_timeout`: closed
    "handler-failed",  # the handler raised: closed without an answer
    "answer-lost",  # the message handed over last was answered, but its sender was gone and does not know
]


@dataclass(slots=True, frozen=True)
class Event:
    """Something about a connection. `text` never holds any of a message."""

    kind: Kind
    peer: Peer
    text: str


OnEvent: TypeAlias = Callable[[Event], None]
