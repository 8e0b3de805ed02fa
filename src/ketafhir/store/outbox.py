"""Handing deliveries out and settling them, in SQL: each function works in the transaction it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ketafhir.store import statements as sql
from ketafhir.store import states
from ketafhir.store.cursor import Cursor
from ketafhir.store.protocol import Delivery, LeaseLost, NotAllowed, Settlement

STOPPED = "the worker stopped in mid-attempt: whether it was done is not known"


def claim(cursor: Cursor, worker: str, lease_seconds: float, destination: str, now: float) -> Delivery | None:
    """The oldest delivery that may go now, under a new token."""
    with cursor.blindly():
        cursor.claiming()
        expired = cursor.execute(sql.EXPIRED, (now,)).fetchall()
    return _next(cursor, expired, worker, lease_seconds, destination, now)


def settle_and_claim(
    cursor: Cursor, delivery: Delivery, settlement: Settlement, worker: str, lease_seconds: float, now: float
) -> Delivery | None:
    """`settle`, then `claim` for the same destination."""
    with cursor.blindly():
        # Before any row: an operator who reorders holds this while it waits for rows.
        cursor.claiming()
        held = _held(cursor, delivery, settlement.state)
        _settle(cursor, delivery, settlement, held, now)
        expired = cursor.execute(sql.EXPIRED, (now,)).fetchall()
    return _next(cursor, expired, worker, lease_seconds, delivery.destination, now)


def _next(
    cursor: Cursor,
    expired: list[tuple[int, str, float, str]],
    worker: str,
    lease_seconds: float,
    destination: str,
    now: float,
) -> Delivery | None:
    _free(cursor, expired, now)
    due = (worker, now + lease_seconds, destination, now, destination)
    found = cursor.execute(sql.CLAIM_NEXT, due).fetchone()
    return None if found is None else Delivery(*found)


def reclaim(cursor: Cursor, worker: str, now: float, but: Collection[int]) -> int:
    """What is held under this name and by nobody: all but what its process knows of."""
    held = [row for row in cursor.execute(sql.HELD_BY, (worker,)).fetchall() if row[0] not in but]
    _free(cursor, held, now)
    return len(held)


def _free(cursor: Cursor, held: list[tuple[int, str, float, str]], now: float) -> None:
    """Claimed: back for nothing. In flight: back with an attempt, since it may have been done."""
    for delivery_id, state, sent_at, worker in held:
        if state == states.CLAIMED:
            cursor.execute(sql.REQUEUE_UNSENT, (delivery_id,))
        else:
            attempt = (delivery_id, worker, sent_at, now, "ambiguous", "", STOPPED)
            cursor.execute(sql.INSERT_ATTEMPT, attempt)
            cursor.execute(sql.REQUEUE_AMBIGUOUS, (STOPPED, delivery_id))


def mark_inflight(cursor: Cursor, delivery: Delivery, lease_seconds: float, now: float) -> None:
    """From here on it may have been done."""
    cursor.execute(sql.MARK_INFLIGHT, (now, now + lease_seconds, delivery.id, delivery.token))
    if cursor.rowcount != 1:
        _held(cursor, delivery, states.INFLIGHT)  # tells why
        raise LeaseLost(f"delivery {delivery.id} is no longer held by this worker")


def give_back(cursor: Cursor, delivery: Delivery) -> None:
    """Claimed and not sent after all."""
    state, _, _ = _held(cursor, delivery, states.QUEUED)
    if state != states.CLAIMED:
        raise NotAllowed(f"delivery {delivery.id} is {state}: only what was not sent is given back")
    cursor.execute(sql.FREE, (delivery.id,))


def settle(cursor: Cursor, delivery: Delivery, settlement: Settlement, now: float) -> None:
    """The attempt, the new state and what was learned."""
    held = _held(cursor, delivery, settlement.state)
    with cursor.blindly():
        _settle(cursor, delivery, settlement, held, now)


def _settle(
    cursor: Cursor, delivery: Delivery, settlement: Settlement, held: tuple[str, float | None, str], now: float
) -> None:
    _, sent_at, worker = held
    started_at = now if sent_at is None else sent_at
    attempt = (delivery.id, worker, started_at, now, settlement.kind, settlement.status, settlement.reason)
    is_open = settlement.state in states.OPEN
    cursor.execute(sql.INSERT_ATTEMPT, attempt)
    cursor.execute(
        sql.SETTLE,
        (
            *(settlement.state, settlement.reason, settlement.not_before, int(settlement.counted)),
            *(int(settlement.rejected), None if is_open else now, delivery.id),
        ),
    )
    if not is_open:
        cursor.execute(sql.CLOSE_PARTITIONS, (delivery.id,))
    learn_versions(cursor, delivery.destination, settlement.versions or {})


def _held(cursor: Cursor, delivery: Delivery, state: str) -> tuple[str, float | None, str]:
    """State, time of sending and worker of a delivery that is still its claimer's, and may become `state`."""
    found: tuple[str, float | None, str] | None = cursor.execute(sql.HELD, (delivery.id, delivery.token)).fetchone()
    if found is None or found[0] not in (states.CLAIMED, states.INFLIGHT):
        raise LeaseLost(f"delivery {delivery.id} is no longer held by this worker")
    if (found[0], state) not in states.DELIVERY_STEPS:
        raise NotAllowed(f"delivery {delivery.id} is {found[0]}, which does not become {state}")
    return found


def learn_versions(cursor: Cursor, destination: str, versions: Mapping[str, str | None]) -> None:
    """The ETag of each reference; None forgets it."""
    known = sorted(versions.items())
    forgotten = [(destination, reference) for reference, etag in known if etag is None]
    learned = [(destination, reference, etag) for reference, etag in known if etag is not None]
    if forgotten:
        cursor.executemany(sql.FORGET_VERSION, forgotten)
    if learned:
        cursor.executemany(sql.LEARN_VERSION, learned)


def versions_of(cursor: Cursor, destination: str, references: Iterable[str]) -> dict[str, str]:
    """The ETags known for these references."""
    wanted = list(dict.fromkeys(references))
    known: dict[str, str] = {}
    for start in range(0, len(wanted), sql.VERSIONS_AT_ONCE):
        some = wanted[start : start + sql.VERSIONS_AT_ONCE]
        some += some[-1:] * (sql.VERSIONS_AT_ONCE - len(some))
        known.update(cursor.execute(sql.VERSIONS, (destination, *some)).fetchall())
    return known
