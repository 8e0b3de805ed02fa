"""What the store shows to an operator: plain rows, as read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class Summary:
    """One line of the queue. It carries nothing about the patient.

    `state` is the delivery's, or the outcome of a message without deliveries. `behind` is the message that an
    otherwise free delivery waits for.
    """

    message_id: int
    delivery_id: int  # 0 where there is none
    control_id: str
    message_type: str
    sender: str
    destination: str
    state: str
    reason: str
    attempts: int
    received_at: float
    not_before: float | None
    behind: int | None

    @property
    def cursor(self) -> tuple[int, int]:
        """Where the next page begins."""
        return (self.message_id, self.delivery_id)


@dataclass(slots=True, frozen=True)
class AttemptRow:
    """One attempt at a delivery, as it ended."""

    number: int
    worker: str
    started_at: float
    ended_at: float
    kind: str
    status: str
    detail: str


@dataclass(slots=True, frozen=True)
class DeliveryRow:
    """One delivery with its history, oldest attempt first."""

    id: int
    destination: str
    partitions: tuple[str, ...] = field(repr=False)
    payload: bytes = field(repr=False)
    state: str
    reason: str
    attempts: int
    rejections: int
    not_before: float | None
    created_at: float
    settled_at: float | None
    history: tuple[AttemptRow, ...]


@dataclass(slots=True, frozen=True)
class Detail:
    """All that is kept of a message."""

    message_id: int
    listener: str
    peer: str
    sender: str
    control_id: str
    message_type: str
    media_type: str
    received_at: float
    raw: bytes = field(repr=False)
    outcome: str
    issues: bytes = field(repr=False)
    ack: bytes | None = field(repr=False)
    ack_state: str
    answer: bytes | None = field(repr=False)
    answer_state: str
    reused: int  # 1 when its MSH-10 had come before with other bytes
    resends: int
    erased_at: float | None  # when its content was deleted: `raw` and each payload are empty since
    replays: int  # how often an operator had it sent again
    deliveries: tuple[DeliveryRow, ...]


@dataclass(slots=True, frozen=True)
class Kept:
    """A message as it is kept, without what was sent for it."""

    message_id: int
    listener: str
    message_type: str
    received_at: float
    raw: bytes = field(repr=False)
    outcome: str
    issues: bytes = field(repr=False)


@dataclass(slots=True, frozen=True)
class Written:
    """A delivery that is done."""

    delivery_id: int
    message_id: int
    payload: bytes = field(repr=False)
    partitions: tuple[str, ...] = field(repr=False)


@dataclass(slots=True, frozen=True)
class Replay:
    """One delivery that a replay sends again. `overtaken_by` is a later message of the same patient that was written since
    and is not replayed itself; `blocked_by` one that is being sent at this moment; `replays` how often its message was sent
    again before. It carries nothing about the patient."""

    message_id: int
    delivery_id: int
    control_id: str
    message_type: str
    destination: str
    state: str
    replays: int
    overtaken_by: int | None
    blocked_by: int | None


@dataclass(slots=True, frozen=True)
class Chosen:
    """One of many that an operator acts on at once: a delivery, or a message (`delivery_id` 0, `state` its outcome)."""

    message_id: int
    delivery_id: int
    message_type: str
    destination: str
    state: str
    replays: int  # of the message, before

    @property
    def cursor(self) -> tuple[int, int]:
        """Where the next page begins."""
        return (self.message_id, self.delivery_id)


@dataclass(slots=True, frozen=True)
class OfPatient:
    """The messages for which something was made about one patient: those of which all has ended, and the others."""

    ended: tuple[int, ...]
    open: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Paused:
    """A destination that an operator has stopped, with the reason that was given, and since when."""

    destination: str
    reason: str
    since: float


@dataclass(slots=True, frozen=True)
class Backlog:
    """What of a destination is not done: how many deliveries of each such state, and the acceptance of the oldest that is open.

    `failed`: the kind of the last attempt of that one, "" where there was none. `untranslated` messages wait before any
    destination.
    """

    deliveries: dict[str, int]
    oldest: float | None
    failed: str
    untranslated: int


@dataclass(slots=True, frozen=True)
class Purged:
    """How many messages are deleted, and the bytes of them and their payloads."""

    messages: int
    bytes: int


@dataclass(slots=True, frozen=True)
class Counts:
    """How many messages of each outcome and deliveries of each state; every state is a key.

    `oldest` is the acceptance of the oldest delivery that is still open.
    """

    outcomes: dict[str, int]
    deliveries: dict[str, int]
    oldest: float | None
