"""What has ended, in SQL: sent again, rendered again, deleted. Each function works in the transaction it is given."""

from __future__ import annotations

from collections.abc import Collection

from ketafhir.store import inbox, review, states
from ketafhir.store import statements as sql
from ketafhir.store.content import scrubbed
from ketafhir.store.cursor import Cursor
from ketafhir.store.protocol import NotAllowed
from ketafhir.store.rows import OfPatient, Purged, Replay, Written


def replay(
    cursor: Cursor,
    message_ids: Collection[int],
    destination: str | None,
    force: bool,
    do: bool,
    wanted: Collection[str] = (states.DONE, states.DEAD),
    through: int | None = None,
    seen: int | None = None,
) -> list[Replay]:
    """Queues what was done or is dead again, under the number it had: those of one partition keep their order.

    `through`: all that is done up to this message goes again with it, in other calls. `seen`: as `refuse_unseen`.
    """
    cursor.reordering()
    ids = sorted(set(message_ids))
    found = [one for message_id in ids for one in _of_message(cursor, message_id, destination, wanted)]
    own = {delivery_id for _, delivery_id, *_ in found}
    planned = [_against_later(cursor, one, own) if through is None else _beyond(cursor, one, through) for one in found]
    if do:
        for one in planned:
            refuse_unseen(one.message_id, one.replays, seen)
            _refuse(one, force)
        for one in planned:
            review.requeue(cursor, one.delivery_id)
    return planned


_Found = tuple[int, int, str, str, str, str, int]


def _of_message(cursor: Cursor, message_id: int, destination: str | None, wanted: Collection[str]) -> list[_Found]:
    outcome = review.known(cursor, message_id)
    inbox.refuse_erased(cursor, message_id)
    rows = cursor.execute(sql.ENDED_DELIVERIES, (message_id, destination, destination)).fetchall()
    if not rows:
        raise NotAllowed(f"message {message_id} is {outcome}: nothing was sent for it" + _to(destination))
    found = [
        (message_id, *row[:5], row[6])
        for row in rows
        if (row[4], states.QUEUED) in states.REPLAY_STEPS and row[4] in wanted and row[5] != states.SUPERSEDED
    ]
    if not found:
        raise NotAllowed(f"message {message_id} has not ended: " + ", ".join(row[4] for row in rows))
    return found


def _to(destination: str | None) -> str:
    return f" to {destination}" if destination else ""


def _against_later(cursor: Cursor, one: _Found, own: Collection[int]) -> Replay:
    overtaken = blocked = None
    for delivery_id, message_id, state in cursor.execute(sql.LATER, (one[1],)).fetchall():
        if state != states.DONE:
            blocked = blocked or message_id
        elif delivery_id not in own:
            overtaken = overtaken or message_id
    return Replay(*one, overtaken, blocked)


def _beyond(cursor: Cursor, one: _Found, through: int) -> Replay:
    overtaken, blocked = cursor.execute(sql.OVERTAKEN_BEYOND, (through, one[1])).fetchone()
    return Replay(*one, overtaken, blocked)


def _refuse(one: Replay, force: bool) -> None:
    if one.blocked_by is not None:
        raise NotAllowed(
            f"message {one.message_id}: message {one.blocked_by} of the same patient is being sent at this moment: "
            "try again when it has ended"
        )
    refuse_overtaken(one, force)


def refuse_overtaken(one: Replay, force: bool) -> None:
    """Raises NotAllowed where it would write an older state over a newer one, without `force`."""
    if one.overtaken_by is not None and not force:
        raise NotAllowed(
            f"message {one.message_id} was overtaken by message {one.overtaken_by} of the same patient: "
            "sent now, it would write an older state over a newer one"
        )


def refuse_unseen(message_id: int, replays: int, seen: int | None) -> None:
    """Raises NotAllowed where it was sent again more often than has been `seen`; None: not looked at."""
    if seen is None or replays <= seen:
        return
    times = "once" if replays == 1 else f"{replays} times"
    raise NotAllowed(
        f"message {message_id} was sent again {times} already: look at it, and where it is to go once more, say seen {replays}"
    )


def render_again(
    cursor: Cursor, message_id: int, destinations: Collection[str], now: float, seen: int | None = None
) -> int:
    """The message waits for a translation, and what of it had not been sent is given up. `seen`: as `refuse_unseen`."""
    cursor.reordering()
    (replays,) = cursor.execute(sql.REPLAYS, (message_id,)).fetchone()
    refuse_unseen(message_id, replays, seen)
    rows = [row for to in destinations for row in cursor.execute(sql.STATES_AT, (message_id, to)).fetchall()]
    if any(state in (states.CLAIMED, states.INFLIGHT) for _, state in rows):
        raise NotAllowed(f"message {message_id} is being sent at this moment: try again when that has ended")
    inbox.translate_again(cursor, message_id)
    waiting = [delivery_id for delivery_id, state in rows if (state, states.DEAD) in states.SUPERSEDE_STEPS]
    for delivery_id in waiting:
        cursor.execute(sql.SUPERSEDE, (states.SUPERSEDED, now, delivery_id))
        cursor.execute(sql.CLOSE_PARTITIONS, (delivery_id,))
    return len(waiting)


def purge(cursor: Cursor, before: float, errors_before: float | None, limit: int) -> Purged:
    """Deletes messages that have ended, with all that hangs on them."""
    cursor.reordering()  # no claim looks at what goes
    found = cursor.execute(sql.ENDED_WELL, (before, before, limit)).fetchall()
    if errors_before is not None and len(found) < limit:
        rest = (errors_before, errors_before, limit - len(found))
        found += cursor.execute(sql.ENDED_IN_TROUBLE, rest).fetchall()
    for message_id, _ in found:
        for statement in sql.PURGE:
            cursor.execute(statement, (message_id,))
    return Purged(len(found), sum(size for _, size in found))


def of_patient(cursor: Cursor, partition: str) -> OfPatient:
    """What was made for a partition, by the messages it is of."""
    rows = cursor.execute(sql.OF_PATIENT, (partition,)).fetchall()
    return OfPatient(
        tuple(number for number, open_ in rows if not open_), tuple(number for number, open_ in rows if open_)
    )


def purge_patient(cursor: Cursor, partition: str, limit: int) -> tuple[int, ...]:
    """Deletes messages of which all has ended, with all that hangs on them; which ones."""
    cursor.reordering()
    found = of_patient(cursor, partition).ended[:limit]
    for message_id in found:
        for statement in sql.PURGE:
            cursor.execute(statement, (message_id,))
    return found


def erase(cursor: Cursor, before: float, limit: int, now: float) -> int:
    """Empties messages that have ended well of what they held; what is known of them stays."""
    cursor.reordering()
    found = cursor.execute(sql.UNERASED, (before, before, limit)).fetchall()
    for message_id, _ in found:
        (issues,) = cursor.execute(sql.ISSUES, (message_id,)).fetchone()
        cursor.execute(sql.ERASE_MESSAGE, (b"", scrubbed(issues), now, message_id))
        cursor.execute(sql.ERASE_PAYLOADS, (b"", message_id))
    return len(found)


def written(cursor: Cursor, destination: str, after: int, limit: int) -> list[Written]:
    """Deliveries that are done, oldest first."""
    rows = cursor.execute(sql.WRITTEN, (destination, after, limit)).fetchall()
    return [
        Written(
            delivery_id, message_id, payload, tuple(one[0] for one in cursor.execute(sql.PARTITIONS, (delivery_id,)))
        )
        for delivery_id, message_id, payload in rows
    ]


def size(cursor: Cursor) -> int:
    """Bytes of messages and payloads."""
    (found,) = cursor.execute(sql.BYTES).fetchone()
    return int(found)
