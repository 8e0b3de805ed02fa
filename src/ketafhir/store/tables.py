"""The store in the tables of a database, whichever it is.

All calls may come from any thread. From asyncio they are made with `asyncio.to_thread`, so that the fsync of a
commit does not stop the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager

from ketafhir.store import audit, ending, inbox, outbox, review, states
from ketafhir.store import statements as sql
from ketafhir.store.audit import AuditRow
from ketafhir.store.cursor import Database
from ketafhir.store.protocol import Accepted, Delivery, Inbound, Leg, Result, Settlement, Unfinished
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


class TableStore:
    """`protocol.Store` in a database, which it closes with itself."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    @property
    def software(self) -> str:
        return self._database.software

    def occupy(self, worker: str) -> bool:
        return self._database.occupy(worker)

    def batch(self) -> AbstractContextManager[None]:
        return self._database.batch()

    def seen(self, sender: str, control_id: str, sha256: bytes) -> Accepted | None:
        with self._database.reading() as cursor:
            return inbox.seen(cursor, sender, control_id, sha256)

    def accept(self, message: Inbound) -> Accepted:
        with self._database.transaction() as cursor:
            return inbox.accept(cursor, message, self._clock())

    def unfinished(self, limit: int = 100) -> list[Unfinished]:
        with self._database.reading() as cursor:
            return inbox.unfinished(cursor, limit)

    def complete(self, message_id: int, result: Result) -> None:
        with self._database.transaction() as cursor:
            inbox.complete(cursor, message_id, result, self._clock())

    def record(self, partition: str) -> tuple[bytes | None, int]:
        with self._database.reading() as cursor:
            return inbox.record(cursor, partition)

    def records_of(self, partition: str) -> list[str]:
        with self._database.reading() as cursor:
            return inbox.records_of(cursor, partition)

    def lookup(self, kind: str, text: str) -> list[str]:
        with self._database.reading() as cursor:
            return inbox.lookup(cursor, kind, text)

    def ack_delivered(self, message_id: int, leg: Leg = "ack") -> None:
        with self._database.transaction() as cursor:
            inbox.set_owed(cursor, message_id, leg, states.DELIVERED)

    def ack_undelivered(self, message_id: int, leg: Leg = "ack") -> None:
        with self._database.transaction() as cursor:
            inbox.set_owed(cursor, message_id, leg, states.UNDELIVERED)

    def claim(self, worker: str, lease_seconds: float, destination: str) -> Delivery | None:
        with self._database.transaction() as cursor:
            return outbox.claim(cursor, worker, lease_seconds, destination, self._clock())

    def mark_inflight(self, delivery: Delivery, lease_seconds: float) -> None:
        with self._database.single() as cursor:
            outbox.mark_inflight(cursor, delivery, lease_seconds, self._clock())

    def give_back(self, delivery: Delivery) -> None:
        with self._database.transaction() as cursor:
            outbox.give_back(cursor, delivery)

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        with self._database.transaction() as cursor:
            outbox.settle(cursor, delivery, settlement, self._clock())

    def settle_and_claim(
        self, delivery: Delivery, settlement: Settlement, worker: str, lease_seconds: float
    ) -> Delivery | None:
        with self._database.transaction() as cursor:
            return outbox.settle_and_claim(cursor, delivery, settlement, worker, lease_seconds, self._clock())

    def reclaim(self, worker: str, but: Collection[int] = ()) -> int:
        with self._database.transaction() as cursor:
            return outbox.reclaim(cursor, worker, self._clock(), but)

    def learn_versions(self, destination: str, versions: Mapping[str, str | None]) -> None:
        with self._database.transaction() as cursor:
            outbox.learn_versions(cursor, destination, versions)

    def versions_of(self, destination: str, references: Iterable[str]) -> dict[str, str]:
        with self._database.single(writing=False) as cursor:
            return outbox.versions_of(cursor, destination, references)

    def retry(
        self,
        message_id: int,
        *,
        force: bool = False,
        only: Collection[str] = (states.QUEUED, states.PARKED, states.DEAD),
        destination: str | None = None,
        do: bool = True,
    ) -> int:
        with self._database.transaction() as cursor:
            return review.retry(cursor, message_id, force, only, destination, do)

    def release(self, partition: str) -> int:
        with self._database.transaction() as cursor:
            return review.release(cursor, partition)

    def park(self, message_id: int, reason: str) -> int:
        with self._database.transaction() as cursor:
            return review.hold(cursor, message_id, reason)

    def pause(self, destination: str, reason: str) -> None:
        with self._database.transaction() as cursor:
            cursor.execute(sql.PAUSE, (destination, reason, self._clock()))

    def resume(self, destination: str) -> bool:
        with self._database.transaction() as cursor:
            cursor.execute(sql.RESUME, (destination,))
            return cursor.rowcount == 1

    def paused(self) -> list[Paused]:
        with self._database.reading() as cursor:
            return [Paused(*row) for row in cursor.execute(sql.PAUSED)]

    def replay(
        self,
        message_ids: Collection[int],
        *,
        destination: str | None = None,
        force: bool = False,
        do: bool = True,
        states: Collection[str] = (states.DONE, states.DEAD),
        through: int | None = None,
        seen: int | None = None,
    ) -> list[Replay]:
        with self._database.transaction() as cursor:
            return ending.replay(cursor, message_ids, destination, force, do, states, through, seen)

    def render_again(self, message_id: int, destinations: Collection[str], seen: int | None = None) -> int:
        with self._database.transaction() as cursor:
            return ending.render_again(cursor, message_id, destinations, self._clock(), seen)

    def purge(self, before: float, *, errors_before: float | None = None, limit: int = 500) -> Purged:
        with self._database.transaction() as cursor:
            purged = ending.purge(cursor, before, errors_before, limit)
        if purged.messages:
            self._database.shrink()
        return purged

    def of_patient(self, partition: str) -> OfPatient:
        with self._database.reading() as cursor:
            return ending.of_patient(cursor, partition)

    def purge_patient(self, partition: str, who: str, *, limit: int = 500) -> int:
        with self._database.transaction() as cursor:
            purged = ending.purge_patient(cursor, partition, limit)
            audit.note(cursor, self._clock(), who, "purge", purged, None)
        if purged:
            self._database.shrink()
        return len(purged)

    def erase(self, before: float, *, limit: int = 500) -> int:
        with self._database.transaction() as cursor:
            erased = ending.erase(cursor, before, limit, self._clock())
        if erased:
            self._database.shrink()
        return erased

    def size(self) -> int:
        with self._database.apart() as cursor:
            return ending.size(cursor)

    def page(
        self,
        *,
        state: str | None = None,
        destination: str | None = None,
        after: tuple[int, int] = (0, 0),
        limit: int = 50,
    ) -> list[Summary]:
        with self._database.reading() as cursor:
            return review.page(cursor, state, destination, after, limit)

    def span(self, since: float | None = None, until: float | None = None) -> tuple[int, int]:
        with self._database.reading() as cursor:
            return review.span(cursor, since, until)

    def destinations(self) -> list[str]:
        with self._database.reading() as cursor:
            return review.destinations(cursor)

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
        with self._database.reading() as cursor:
            return review.chosen(cursor, state, destination, within, beyond, limit, newest)

    def show(self, message_id: int) -> Detail:
        with self._database.reading() as cursor:
            return review.show(cursor, message_id)

    def written(self, destination: str, after: int = 0, limit: int = 100) -> list[Written]:
        with self._database.reading() as cursor:
            return ending.written(cursor, destination, after, limit)

    def messages(self, after: int = 0, since: float = 0.0, limit: int = 100) -> list[Kept]:
        with self._database.reading() as cursor:
            return review.messages(cursor, after, since, limit)

    def counts(self, destination: str | None = None) -> Counts:
        with self._database.apart() as cursor:
            return review.counts(cursor, destination)

    def backlog(self, destination: str) -> Backlog:
        with self._database.reading() as cursor:
            return review.backlog(cursor, destination)

    def audit(self, who: str, action: str, *message_ids: int | None, destination: str | None = None) -> None:
        with self._database.transaction() as cursor:
            audit.note(cursor, self._clock(), who, action, message_ids, destination)

    def audited(self, after: int = 0, limit: int = 500) -> list[AuditRow]:
        with self._database.reading() as cursor:
            return audit.entries(cursor, after, limit)

    def close(self) -> None:
        self._database.close()
