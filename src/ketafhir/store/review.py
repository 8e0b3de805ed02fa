"""What an operator sees and does, in SQL: each function works in the transaction it is given."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ketafhir.store import inbox, states
from ketafhir.store import statements as sql
from ketafhir.store.cursor import Cursor
from ketafhir.store.protocol import NotAllowed, Unknown
from ketafhir.store.rows import AttemptRow, Backlog, Chosen, Counts, DeliveryRow, Detail, Kept, Summary


def retry(
    cursor: Cursor, message_id: int, force: bool, only: Collection[str], destination: str | None, do: bool
) -> int:
    """Queues again what is waiting, parked or dead; what has no delivery is translated again."""
    cursor.reordering()
    deliveries = cursor.execute(sql.DELIVERY_STATES, (message_id,)).fetchall()
    if not deliveries:
        if known(cursor, message_id) == states.TRANSLATED:
            raise NotAllowed(f"message {message_id} is translated, and there was nothing to send")
        if do:
            inbox.translate_again(cursor, message_id)
        return 1
    stuck = [
        row
        for row in deliveries
        if (row[1], states.QUEUED) in states.OPERATOR_STEPS and row[1] in only and destination in (None, row[2])
    ]
    if not stuck:
        raise NotAllowed(f"message {message_id} has nothing to retry: " + ", ".join(row[1] for row in deliveries))
    for delivery_id, state, _ in stuck:
        if state == states.DEAD:
            _refuse_overtaken(cursor, message_id, delivery_id, force)
        if do:
            requeue(cursor, delivery_id)
    return len(stuck)


def _refuse_overtaken(cursor: Cursor, message_id: int, delivery_id: int, force: bool) -> None:
    later, at_work = cursor.execute(sql.OVERTAKEN_BY, (delivery_id,)).fetchone()
    if at_work is not None and (force or at_work == later):
        raise NotAllowed(
            f"message {message_id} was overtaken by message {at_work} of the same patient, which is being sent at this "
            "moment: try again when it has ended"
        )
    if later is not None and not force:
        raise NotAllowed(
            f"message {message_id} was overtaken by message {later} of the same patient: "
            "sent now, it would write an older state over a newer one"
        )


def requeue(cursor: Cursor, delivery_id: int) -> None:
    """To be sent again, holding its partitions as if it had never ended."""
    cursor.execute(sql.REQUEUE, (delivery_id,))
    cursor.execute(sql.OPEN_PARTITIONS, (delivery_id,))


def release(cursor: Cursor, partition: str) -> int:
    """Queues again all that is parked in a partition."""
    cursor.reordering()
    parked = cursor.execute(sql.PARKED_IN, (partition,)).fetchall()
    for (delivery_id,) in parked:
        requeue(cursor, delivery_id)
    return len(parked)


def hold(cursor: Cursor, message_id: int, reason: str) -> int:
    """Parks what waits of a message until an operator acts."""
    cursor.reordering()
    deliveries = cursor.execute(sql.DELIVERY_STATES, (message_id,)).fetchall()
    waiting = [row[0] for row in deliveries if (row[1], states.PARKED) in states.PARK_STEPS]
    if not waiting:
        known(cursor, message_id)
        found = ", ".join(row[1] for row in deliveries) or "no delivery"
        raise NotAllowed(f"message {message_id} has nothing that waits: {found}")
    for delivery_id in waiting:
        cursor.execute(sql.PARK, (reason, delivery_id))
    return len(waiting)


def known(cursor: Cursor, message_id: int) -> str:
    """The outcome of a message. Raises Unknown."""
    found = cursor.execute(sql.MESSAGE_OUTCOME, (message_id,)).fetchone()
    if found is None:
        raise Unknown(f"no message {message_id}")
    return str(found[0])


def page(
    cursor: Cursor, state: str | None, destination: str | None, after: tuple[int, int], limit: int
) -> list[Summary]:
    """One page of the queue, by key and never by offset."""
    if state is None:
        rows = cursor.execute(sql.LIST, (after[0], *after, destination, destination, limit))
    elif state in states.DELIVERY_STATES:
        rows = cursor.execute(sql.LIST_DELIVERIES, (state, after[0], *after, destination, destination, limit))
    elif state in states.OUTCOMES:
        rows = cursor.execute(sql.LIST_OUTCOMES, (state, after[0], destination, limit))
    else:
        raise ValueError(f"{state!r} is no state")
    return [Summary(*row) for row in rows]


def span(cursor: Cursor, since: float | None, until: float | None) -> tuple[int, int]:
    """The first and the last message that came in a span of time; (1, 0) where none did."""
    first = (1,) if since is None else cursor.execute(sql.FIRST_SINCE, (since,)).fetchone()
    last = (
        cursor.execute(sql.NEWEST).fetchone() if until is None else cursor.execute(sql.LAST_UNTIL, (until,)).fetchone()
    )
    return (first[0], last[0]) if first and last and last[0] is not None else (1, 0)


def destinations(cursor: Cursor) -> list[str]:
    """Those that anything was made for, each found by one step in the index."""
    found: list[str] = []
    while (following := cursor.execute(sql.NEXT_DESTINATION, (found[-1] if found else "",)).fetchone()[0]) is not None:
        found.append(following)
    return found


def chosen(
    cursor: Cursor,
    state: str,
    destination: str,
    within: tuple[int, int],
    beyond: tuple[int, int] | None,
    limit: int,
    newest: bool,
) -> list[Chosen]:
    """One page of what is in a state, by key."""
    start = beyond or ((within[1] + 1, 0) if newest else (0, 0))
    if state in states.OUTCOMES:
        rows = cursor.execute(sql.CHOSEN_MESSAGES, (state, *within, start[0], limit))
    else:
        page = sql.CHOSEN_NEWEST if newest else sql.CHOSEN_OLDEST
        rows = cursor.execute(page, (destination, state, states.SUPERSEDED, *within, *start, limit))
    return [Chosen(*row) for row in rows]


def messages(cursor: Cursor, after: int, since: float, limit: int) -> list[Kept]:
    """Messages as they came, oldest first."""
    return [Kept(*row) for row in cursor.execute(sql.KEPT, (after, since, limit))]


def show(cursor: Cursor, message_id: int) -> Detail:
    """All that is kept of a message."""
    found = cursor.execute(sql.MESSAGE, (message_id,)).fetchone()
    if found is None:
        raise Unknown(f"no message {message_id}")
    deliveries = cursor.execute(sql.DELIVERIES, (message_id,)).fetchall()
    fields: list[Any] = [*found, tuple(_delivery(cursor, row) for row in deliveries)]
    return Detail(*fields)


def _delivery(cursor: Cursor, row: tuple[Any, ...]) -> DeliveryRow:
    delivery_id, destination, *rest = row
    partitions = tuple(found[0] for found in cursor.execute(sql.PARTITIONS, (delivery_id,)))
    attempts = cursor.execute(sql.ATTEMPTS, (delivery_id,)).fetchall()
    history = tuple(AttemptRow(number, *attempt) for number, attempt in enumerate(attempts, 1))
    fields: list[Any] = [delivery_id, destination, partitions, *rest, history]
    return DeliveryRow(*fields)


def backlog(cursor: Cursor, destination: str) -> Backlog:
    """What is not done, each number from the part of an index that holds nothing else."""

    def number(state: str) -> int:
        (count,) = cursor.execute(sql.COUNT_STATE, (destination, state)).fetchone()
        return int(count)

    (untranslated,) = cursor.execute(sql.COUNT_UNTRANSLATED).fetchone()
    oldest, first = cursor.execute(sql.OLDEST_WAITING, (destination, destination, destination)).fetchone()
    last = None if first is None else cursor.execute(sql.LAST_KIND, (first,)).fetchone()
    found = {state: number(state) for state in states.DELIVERY_STATES if state != states.DONE}
    return Backlog(found, oldest, last[0] if last else "", untranslated)


def counts(cursor: Cursor, destination: str | None) -> Counts:
    """How many there are in each state."""
    outcomes = dict.fromkeys(states.OUTCOMES, 0) | dict(cursor.execute(sql.COUNT_OUTCOMES).fetchall())
    deliveries = dict.fromkeys(states.DELIVERY_STATES, 0)
    deliveries.update(cursor.execute(sql.COUNT_STATES, (destination, destination)).fetchall())
    (oldest,) = cursor.execute(sql.OLDEST_OPEN, (destination, destination)).fetchone()
    return Counts(outcomes, deliveries, oldest)
