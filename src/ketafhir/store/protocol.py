"""What a message store does, whichever database is below it.

The store knows rows, and payloads are opaque bytes to it. A `partition` is the text that order is kept by (a
patient): deliveries that share one are handed out strictly in the order of their acceptance. Times are
seconds since the epoch, UTC. Every call that writes is one transaction, durable when it returns. The calls
block: from asyncio they are made in a thread (`asyncio.to_thread`); an implementation must stand several
threads. No payload, record or partition stands in a `repr`, since a `repr` ends in a log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ketafhir.errors import StoreError
from ketafhir.store.audit import AuditRow
from ketafhir.store.rows import (
    Backlog,
    Chosen,
    Counts,
    Detail,
    Kept,
    OfPatient,
    Paused,
    Purged,
    Replay,
    Summary,
    Written,
)
from ketafhir.store.states import DEAD, DONE, PARKED, PENDING, QUEUED

HL7V2 = "x-application/hl7-v2+er7"
Leg = Literal["ack", "answer"]


class RecordsChanged(StoreError):
    """The record was changed by another message since it was read: read, fold and accept again."""


class LeaseLost(StoreError):
    """The delivery is not this claimer's any more (lease run out, operator): nothing was written."""


class NotAllowed(StoreError):
    """The step is none of `states`: the text says from which state to which."""


class Unknown(StoreError):
    """No message has this number."""


@dataclass(slots=True, frozen=True)
class NewDelivery:
    """A payload for a destination. All `partitions` are held by it: a merge of two patients names both."""

    destination: str
    partitions: tuple[str, ...] = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(slots=True, frozen=True)
class RecordChange:
    """The whole new record of a partition. `version` is the one it was read at, 0 where there was none."""

    partition: str = field(repr=False)
    version: int
    body: bytes = field(repr=False)


@dataclass(slots=True, frozen=True)
class Key:
    """Another name of a partition: the order number `text` of kind `placer` leads to its patient."""

    kind: str
    text: str
    partition: str = field(repr=False)


@dataclass(slots=True, frozen=True)
class Result:
    """What translation made of a message: one of `states.OUTCOMES`, issues as JSON, and what follows."""

    outcome: str
    issues: bytes = field(default=b"[]", repr=False)
    answer: bytes | None = field(default=None, repr=False)  # the application ACK of enhanced mode
    deliveries: Sequence[NewDelivery] = ()
    records: Sequence[RecordChange] = ()
    keys: Sequence[Key] = ()


@dataclass(slots=True, frozen=True)
class Inbound:
    """A message as it came. Without `result` it is kept as received, for `unfinished` and `complete`.

    `sender` is MSH-3 and MSH-4, `control_id` MSH-10 (empty: never a duplicate), `ack` the bytes that answer
    the frame, `received_at` the clock of the store where it is None. `sha256` is the digest of `raw`.
    """

    raw: bytes = field(repr=False)
    sha256: bytes
    listener: str
    peer: str
    sender: str
    control_id: str
    message_type: str
    ack: bytes | None = field(default=None, repr=False)
    result: Result | None = None
    media_type: str = HL7V2
    received_at: float | None = None


@dataclass(slots=True, frozen=True)
class Accepted:
    """What became of an `Inbound`.

    `duplicate`: the same sender, MSH-10 and bytes came before; nothing was written but a counter, and `ack`
    and `answer` are the stored ones to send again. `reused`: the same MSH-10 came before with other bytes.
    """

    message_id: int
    duplicate: bool
    reused: bool
    ack: bytes | None = field(repr=False)
    answer: bytes | None = field(repr=False)


@dataclass(slots=True, frozen=True)
class Delivery:
    """A claimed payload. `token` fences: a write under an older one is refused with `LeaseLost`.

    `attempts` counts the attempts that may have reached the destination, `rejections` those that it turned
    down.
    """

    id: int
    message_id: int
    token: int
    destination: str
    payload: bytes = field(repr=False)
    attempts: int
    rejections: int


@dataclass(slots=True, frozen=True)
class Settlement:
    """How an attempt ended. `not_before` None in a parked one: until an operator acts.

    `kind` is the name of the disposition and `status` the HTTP or ACK code, both for the log of attempts.
    `counted` is False where the destination was provably not reached, or was not to blame the payload.
    """

    state: str
    reason: str = ""
    not_before: float | None = None
    kind: str = ""
    status: str = ""
    counted: bool = True
    rejected: bool = False
    versions: Mapping[str, str] | None = None


def done(versions: Mapping[str, str] | None = None, status: str = "") -> Settlement:
    """It was done; `versions` (`Type/id` -> ETag) are learned in the same transaction."""
    return Settlement(DONE, kind="done", status=status, versions=versions)


def retry(at: float, reason: str, *, kind: str = "", status: str = "", counted: bool = True) -> Settlement:
    """It waits until `at`, holding its partition."""
    return Settlement(QUEUED, reason, at, kind, status, counted)


def park(
    reason: str, at: float | None = None, *, kind: str = "", status: str = "", rejected: bool = True
) -> Settlement:
    """Its partition stands still until `at`, or until an operator acts. `rejected`: it was turned down."""
    return Settlement(PARKED, reason, at, kind, status, rejected=rejected)


def dead(reason: str, *, kind: str = "", status: str = "") -> Settlement:
    """It is given up; later deliveries of its partition go on."""
    return Settlement(DEAD, reason, None, kind, status, rejected=True)


@dataclass(slots=True, frozen=True)
class Unfinished:
    """A message that is committed and not yet translated."""

    message_id: int
    raw: bytes = field(repr=False)
    listener: str
    peer: str
    sender: str
    control_id: str
    message_type: str
    media_type: str
    received_at: float


class Store(Protocol):
    """The durable inbox and outbox. Every call may raise StoreError (full, locked, read-only, damaged)."""

    @property
    def software(self) -> str:
        """The database and its version."""

    def occupy(self, worker: str) -> bool:
        """Whether this process alone works under this name, until it closes the store or dies.

        Who does may `reclaim` what was held under it: nobody alive holds it.
        """

    def batch(self) -> AbstractContextManager[None]:
        """What this thread does in the block is committed once, when it ends; each call is all or nothing by itself.

        Raises StoreError at its end where it could not be committed: then nothing of it was done.
        """

    # Inbox.
    def seen(self, sender: str, control_id: str, sha256: bytes) -> Accepted | None:
        """What `accept` would say of a duplicate or a reused MSH-10; None for a message that is new."""

    def accept(self, message: Inbound) -> Accepted:
        """Commits message, result, ACK, deliveries, records and keys at once. Raises RecordsChanged."""

    def unfinished(self, limit: int = 100) -> list[Unfinished]:
        """The oldest messages that wait for translation."""

    def complete(self, message_id: int, result: Result) -> None:
        """Commits the result of an unfinished message. Raises RecordsChanged, NotAllowed, Unknown."""

    def record(self, partition: str) -> tuple[bytes | None, int]:
        """The record of a partition and its version; (None, 0) where there is none."""

    def records_of(self, partition: str) -> list[str]:
        """The further rows of a partition: the names that begin with it and a blank."""

    def lookup(self, kind: str, text: str) -> list[str]:
        """The partitions that carry this key, in the order of their names."""

    def ack_delivered(self, message_id: int, leg: Leg = "ack") -> None:
        """The sender has been told."""

    def ack_undelivered(self, message_id: int, leg: Leg = "ack") -> None:
        """The sender could not be told; it will ask again."""

    # Outbox.
    def claim(self, worker: str, lease_seconds: float, destination: str) -> Delivery | None:
        """The oldest delivery that is due and has no earlier open one in any of its partitions."""

    def mark_inflight(self, delivery: Delivery, lease_seconds: float) -> None:
        """From here on it may have been done; renews the lease. Raises LeaseLost."""

    def give_back(self, delivery: Delivery) -> None:
        """A claimed delivery that was not sent after all is free at once. Raises LeaseLost."""

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Writes the attempt and the new state. Raises LeaseLost, NotAllowed."""

    def settle_and_claim(
        self, delivery: Delivery, settlement: Settlement, worker: str, lease_seconds: float
    ) -> Delivery | None:
        """`settle` and `claim` for the same destination at once. Raises LeaseLost, NotAllowed: nothing is claimed then."""

    def reclaim(self, worker: str, but: Collection[int] = ()) -> int:
        """Frees what is held under this name and by nobody: of a process that has died, or of a claim whose answer was lost.

        `but` are the deliveries that the process of this name knows that it holds. Returns how many were freed.
        """

    def learn_versions(self, destination: str, versions: Mapping[str, str | None]) -> None:
        """Remembers the ETag of each `Type/id` at a destination; None forgets it."""

    def versions_of(self, destination: str, references: Iterable[str]) -> dict[str, str]:
        """The ETags known for these `Type/id`."""

    # The operator.
    def retry(
        self,
        message_id: int,
        *,
        force: bool = False,
        only: Collection[str] = (QUEUED, PARKED, DEAD),
        destination: str | None = None,
        do: bool = True,
    ) -> int:
        """Queues again what is waiting, parked or dead of a message, or `only` some of that; returns how many deliveries.

        A message without deliveries goes back to `unfinished`, for a new translation, and counts as 1. A dead
        one that a later delivery of its partition has overtaken is refused with NotAllowed unless `force` is
        set, since it would write an older state over a newer one; even then while that other one is under way.
        Without `do` only told. Raises Unknown.
        """

    def release(self, partition: str) -> int:
        """Queues again all that is parked in a partition; returns how many."""

    def park(self, message_id: int, reason: str) -> int:
        """Holds what waits of a message, and so its patients, until an operator acts; returns how many deliveries.

        Raises Unknown, and NotAllowed where nothing of it waits.
        """

    def pause(self, destination: str, reason: str) -> None:
        """Nothing of this destination is claimed any more; what is under way ends, and messages are taken as before."""

    def resume(self, destination: str) -> bool:
        """It goes on where it stood; False where it was not paused."""

    def paused(self) -> list[Paused]:
        """The destinations that are paused, by name."""

    def replay(
        self,
        message_ids: Collection[int],
        *,
        destination: str | None = None,
        force: bool = False,
        do: bool = True,
        states: Collection[str] = (DONE, DEAD),
        through: int | None = None,
        seen: int | None = None,
    ) -> list[Replay]:
        """Queues done and dead deliveries again, as they were sent and in their first order; without `do` only says which.

        What was given up for a newer rendering stays so. One that a later delivery of its partition has overtaken, which
        is not replayed itself, is refused with NotAllowed unless `force` is set; and even then while that other one is under
        way. `through` says that all that is done up to this message goes again too. One that the audit log tells of
        more replays than have been `seen` is refused too (None: not looked at). All or nothing. Raises Unknown.
        """

    def render_again(self, message_id: int, destinations: Collection[str], seen: int | None = None) -> int:
        """Back to `unfinished`, for a new translation; what of it waits for `destinations` is given up; returns how many.

        Raises Unknown, and NotAllowed while some of it is being sent, or where it was replayed more often than `seen`.
        """

    def purge(self, before: float, *, errors_before: float | None = None, limit: int = 500) -> Purged:
        """Deletes at most `limit` messages that have ended, oldest first, before a time.

        Those that ended in trouble (refused, failed, a dead delivery) go by `errors_before`, and stay without it.
        What was learned (records, versions) stays. Nothing that is open is ever deleted.
        """

    def of_patient(self, partition: str) -> OfPatient:
        """The messages about a patient. One for which nothing was made (refused, failed) is of nobody."""

    def purge_patient(self, partition: str, who: str, *, limit: int = 500) -> int:
        """Deletes at most `limit` of those that have ended, and notes in the same commit which ones and `who`; how many."""

    def erase(self, before: float, *, limit: int = 500) -> int:
        """Deletes the content (bytes, payloads, values of issues) of at most `limit` messages that ended well before a time,
        oldest first; returns how many. What is known of them stays, and a resend gets its acknowledgments."""

    def size(self) -> int:
        """Bytes of the messages and payloads that are kept."""

    def page(
        self,
        *,
        state: str | None = None,
        destination: str | None = None,
        after: tuple[int, int] = (0, 0),
        limit: int = 50,
    ) -> list[Summary]:
        """Deliveries, and messages without any, oldest first, from behind `after` (a `Summary.cursor`).

        `state` is one of a delivery, or an outcome for messages without deliveries.
        """

    def span(self, since: float | None = None, until: float | None = None) -> tuple[int, int]:
        """The first and the last message that were received in [since, until); (1, 0) for none."""

    def destinations(self) -> list[str]:
        """All that there are deliveries for."""

    def chosen(
        self,
        state: str,
        destination: str,
        within: tuple[int, int],
        beyond: tuple[int, int] | None = None,
        *,
        limit: int = 500,
        newest: bool = False,
    ) -> list[Chosen]:
        """One page of the deliveries in a state to a destination, of the messages from `within[0]` to `within[1]`, oldest or
        `newest` first, from beyond a `Chosen.cursor`; without those given up for a newer rendering. An outcome as `state`:
        of messages, oldest first, whatever the destination."""

    def show(self, message_id: int) -> Detail:
        """All that is kept of a message. Raises Unknown."""

    def written(self, destination: str, after: int = 0, limit: int = 100) -> list[Written]:
        """Deliveries that are done, oldest first, from behind one."""

    def messages(self, after: int = 0, since: float = 0.0, limit: int = 100) -> list[Kept]:
        """Messages as they came, oldest first, from behind one, received since a time."""

    def counts(self, destination: str | None = None) -> Counts:
        """How many there are in each state: every row is counted."""

    def backlog(self, destination: str) -> Backlog:
        """What of it is not done, quickly."""

    # The audit log.
    def audit(self, who: str, action: str, *message_ids: int | None, destination: str | None = None) -> None:
        """Notes what somebody is about to do (`audit.ACTIONS`), with each of these messages, or with a destination. It stays
        for good."""

    def audited(self, after: int = 0, limit: int = 500) -> list[AuditRow]:
        """What was noted, oldest first, from behind the entry of this number."""

    def close(self) -> None:
        """Every later call raises StoreError."""


def owed(body: bytes | None) -> str:
    """The first state of a leg: pending where there are bytes to send."""
    return "not_owed" if body is None else PENDING
