"""A message as it came: through which channel, from whom, and what its header says."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from ketafhir.errors import Issue
from ketafhir.hl7v2.choreography import condition
from ketafhir.hl7v2.er7 import Message, Segment, Separators
from ketafhir.hl7v2.header import read_header
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.store.protocol import Inbound, Leg, Result
from ketafhir.translate.settings import Settings


@dataclass(slots=True)
class Channel:
    """What is particular to one listener, or one peer of it. `name` is what the store knows the listener by.

    `acks` stands in place of what MSH-15 and -16 ask for: "original", or both as in "AL/NE".
    """

    name: str
    settings: Settings
    policy: Policy
    answers: Answers
    charset: str = ""
    acks: str = ""


@dataclass(slots=True, frozen=True)
class Arrival:
    """A message as it came through a listener."""

    channel: Channel
    raw: bytes = field(repr=False)
    peer: str


@dataclass(slots=True)
class Answered:
    """The acknowledgments of one message, and what each of them is; `message_id` 0 where it is not stored."""

    message_id: int = 0
    answers: list[bytes] = field(default_factory=list, repr=False)
    legs: list[Leg] = field(default_factory=list)
    queued: bool = False
    duplicate: bool = False

    def add(self, leg: Leg, answer: bytes | None) -> None:
        """One more, where there is one."""
        if answer is not None:
            self.answers.append(answer)
            self.legs.append(leg)


@dataclass(slots=True)
class Arrived:
    """A message with what its header says, read from the bytes: it may be none.

    `told`: where it was sent before it came to be translated again.
    """

    channel: Channel
    raw: bytes = field(repr=False)
    peer: str
    message: Message | None = None
    noted: list[Issue] = field(default_factory=list)
    told: frozenset[str] = frozenset()

    msh: Segment = field(init=False, repr=False)
    separators: Separators = field(init=False)
    sha256: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.msh, self.separators = read_header(self.raw)
        self.sha256 = sha256(self.raw).digest()

    @property
    def modes(self) -> tuple[str, str]:
        told = self.channel.acks
        if told:
            accept, _, application = told.partition("/")
            return ("", "") if told == "original" else (accept, application)
        return condition(self.msh.get(15)), condition(self.msh.get(16))

    def inbound(self, ack: bytes | None = None, result: Result | None = None) -> Inbound:
        msh = self.msh
        return Inbound(
            self.raw,
            self.sha256,
            self.channel.name,
            self.peer,
            f"{msh.get(3)}|{msh.get(4)}",
            msh.get(10),
            "^".join(msh.get(9).split(self.separators.component)[:2]),
            ack,
            result,
        )
