"""Accepting messages, in SQL: every function works inside the transaction it is given."""

from __future__ import annotations

from ketafhir.store import statements as sql
from ketafhir.store import states
from ketafhir.store.cursor import Cursor
from ketafhir.store.protocol import (
    Accepted,
    Inbound,
    Key,
    Leg,
    NewDelivery,
    NotAllowed,
    RecordChange,
    RecordsChanged,
    Result,
    Unfinished,
    Unknown,
    owed,
)

_LEGS = {"ack": (sql.ACK_STATE, sql.SET_ACK_STATE), "answer": (sql.ANSWER_STATE, sql.SET_ANSWER_STATE)}


def seen(cursor: Cursor, sender: str, control_id: str, sha256: bytes) -> Accepted | None:
    """An earlier message of this sender and MSH-10: the one of the same bytes, else the last, as reused."""
    earlier = cursor.execute(sql.SAME_CONTROL_ID, (sender, control_id)).fetchall()
    for message_id, digest, ack, answer in earlier:
        if digest == sha256:
            return Accepted(message_id, duplicate=True, reused=False, ack=ack, answer=answer)
    if earlier:
        return Accepted(earlier[-1][0], duplicate=False, reused=True, ack=None, answer=None)
    return None


def accept(cursor: Cursor, message: Inbound, now: float) -> Accepted:
    """One new message and all that follows from it, or one more resend of an old one."""
    _alone(cursor, message)
    before = seen(cursor, message.sender, message.control_id, message.sha256)
    if before is not None and before.duplicate:
        cursor.execute(sql.COUNT_RESEND, (before.message_id,))
        return before
    result = message.result or Result(states.RECEIVED)
    reused = before is not None
    message_id = _insert(cursor, message, result, now, reused)
    _follow(cursor, message_id, result, now)
    return Accepted(message_id, duplicate=False, reused=reused, ack=message.ack, answer=result.answer)


def _insert(cursor: Cursor, message: Inbound, result: Result, now: float, reused: bool) -> int:
    if result.outcome not in states.OUTCOMES:
        raise ValueError(f"{result.outcome!r} is no outcome")
    received_at = now if message.received_at is None else message.received_at
    cursor.execute(
        sql.INSERT_MESSAGE,
        (
            *(message.listener, message.peer, message.sender, message.control_id, message.message_type),
            *(message.media_type, received_at, message.raw, message.sha256, result.outcome, result.issues),
            *(message.ack, owed(message.ack), result.answer, owed(result.answer), int(reused)),
        ),
    )
    message_id: int = cursor.fetchone()[0]
    return message_id


def _alone(cursor: Cursor, message: Inbound) -> None:
    """No second one with this MSH-10, nor of these patients, meanwhile: the numbers of their deliveries, which
    order is kept by, are given in the order of the commits."""
    names = _partitions(message.result)
    if message.control_id:
        names.append(f"message {message.sender} {message.control_id}")
    cursor.alone(*names)


def _partitions(result: Result | None) -> list[str]:
    deliveries = result.deliveries if result else ()
    return [f"partition {name}" for delivery in deliveries for name in delivery.partitions]


def complete(cursor: Cursor, message_id: int, result: Result, now: float) -> None:
    """The result of a message that was committed before it was translated."""
    cursor.alone(*_partitions(result))
    _step(cursor, message_id, result.outcome)
    cursor.execute(sql.SET_RESULT, (result.outcome, result.issues, result.answer, owed(result.answer), message_id))
    _follow(cursor, message_id, result, now)


def translate_again(cursor: Cursor, message_id: int) -> None:
    """Back to the messages that wait for translation."""
    refuse_erased(cursor, message_id)
    _step(cursor, message_id, states.RECEIVED)
    cursor.execute(sql.SET_OUTCOME, (states.RECEIVED, message_id))


def refuse_erased(cursor: Cursor, message_id: int) -> None:
    """Raises NotAllowed where the content of a message is gone."""
    found = cursor.execute(sql.MESSAGE_OUTCOME, (message_id,)).fetchone()
    if found is not None and found[1] is not None:
        raise NotAllowed(
            f"message {message_id} has no content any more, by [store] retention_content_days: let it be sent anew"
        )


def _step(cursor: Cursor, message_id: int, outcome: str) -> None:
    found = cursor.execute(sql.MESSAGE_OUTCOME, (message_id,)).fetchone()
    if found is None:
        raise Unknown(f"no message {message_id}")
    if (found[0], outcome) not in states.OUTCOME_STEPS:
        raise NotAllowed(f"message {message_id} is {found[0]}, which does not become {outcome}")


def _follow(cursor: Cursor, message_id: int, result: Result, now: float) -> None:
    for change in sorted(result.records, key=lambda one: one.partition):
        _change_record(cursor, change)
    for key in result.keys:
        _add_key(cursor, key)
    for delivery in result.deliveries:
        _enqueue(cursor, message_id, delivery, now)


def _change_record(cursor: Cursor, change: RecordChange) -> None:
    if change.version == 0:
        cursor.execute(sql.INSERT_RECORD, (change.partition, change.body))
    else:
        cursor.execute(sql.UPDATE_RECORD, (change.body, change.partition, change.version))
    if cursor.rowcount != 1:
        raise RecordsChanged("the record was changed by another message since it was read")


def _add_key(cursor: Cursor, key: Key) -> None:
    cursor.execute(sql.INSERT_ALIAS, (key.kind, key.text, key.partition))


def _enqueue(cursor: Cursor, message_id: int, delivery: NewDelivery, now: float) -> None:
    cursor.execute(sql.INSERT_DELIVERY, (message_id, delivery.destination, delivery.payload, now))
    delivery_id = cursor.fetchone()[0]
    for partition in dict.fromkeys(delivery.partitions):
        cursor.execute(sql.INSERT_PARTITION, (partition, delivery.destination, delivery_id))


def record(cursor: Cursor, partition: str) -> tuple[bytes | None, int]:
    """Body and version, (None, 0) where there is none."""
    found = cursor.execute(sql.RECORD, (partition,)).fetchone()
    return (found[0], found[1]) if found else (None, 0)


def records_of(cursor: Cursor, partition: str) -> list[str]:
    """The partitions of records whose names begin with this one and a blank."""
    start = f"{partition} "
    return [row[0] for row in cursor.execute(sql.RECORDS_OF, (len(start), start))]


def lookup(cursor: Cursor, kind: str, text: str) -> list[str]:
    """The partitions that carry a key."""
    return [row[0] for row in cursor.execute(sql.PARTITIONS_OF_ALIAS, (kind, text))]


def unfinished(cursor: Cursor, limit: int) -> list[Unfinished]:
    """The oldest messages that wait for translation."""
    return [Unfinished(*row) for row in cursor.execute(sql.UNFINISHED, (limit,))]


def set_owed(cursor: Cursor, message_id: int, leg: Leg, state: str) -> None:
    """Whether the sender has been told."""
    read, write = _LEGS[leg]
    found = cursor.execute(read, (message_id,)).fetchone()
    if found is None:
        raise Unknown(f"no message {message_id}")
    if (found[0], state) not in states.OWED_STEPS:
        raise NotAllowed(f"the {leg} of message {message_id} is {found[0]}, which does not become {state}")
    cursor.execute(write, (state, message_id))
