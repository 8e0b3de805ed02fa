"""Who has seen, changed or taken out what: an append-only log in which each entry covers the one before it.

An entry is written before what it tells of is done, so that nothing is done that is not told. It names messages by their numbers,
destinations as the configuration does, and holds nothing of a message. The digest chain shows an entry that was changed or
taken out behind the back of the database, as long as its last digest is known elsewhere (`ketafhir audit list` prints it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from ketafhir.store import statements as sql
from ketafhir.store.cursor import Cursor

ACTIONS = ("view", "content", "retry", "park", "release", "pause", "resume", "replay", "purge", "export")
"""What is told: that a message was shown, its bytes were, or what was done with it or with a destination."""


@dataclass(slots=True, frozen=True)
class AuditRow:
    """`at` is UTC, `who` a name of the configuration or of the operating system; `message_id` None: of all, or of many;
    `destination` None: of all, or of none."""

    number: int
    at: str
    who: str
    action: str
    message_id: int | None
    destination: str | None
    digest: str


def note(
    cursor: Cursor, now: float, who: str, action: str, message_ids: Sequence[int | None], destination: str | None
) -> None:
    """One entry for each message."""
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action of the audit log")
    cursor.alone("audit")
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    last = cursor.execute(sql.LAST_AUDIT).fetchone()
    digest = last[0] if last else ""
    for message_id in message_ids:
        digest = _digest(digest, at, who, action, message_id, destination)
        cursor.execute(sql.INSERT_AUDIT, (at, who, action, message_id, destination, digest))


def entries(cursor: Cursor, after: int, limit: int) -> list[AuditRow]:
    """Oldest first, from behind a number."""
    return [AuditRow(*row) for row in cursor.execute(sql.AUDIT, (after, limit))]


def first_broken(rows: Iterable[AuditRow]) -> int | None:
    """The number of the first entry whose digest does not cover it and the one before; None where all do."""
    before = ""
    for row in rows:
        if row.digest != _digest(before, row.at, row.who, row.action, row.message_id, row.destination):
            return row.number
        before = row.digest
    return None


def _digest(before: str, at: str, who: str, action: str, message_id: int | None, destination: str | None) -> str:
    """An entry without a destination has the digest that it had before there were any."""
    told = [before, at, who, action, "" if message_id is None else str(message_id)]
    told += [] if destination is None else [destination]
    return sha256("\n".join(told).encode()).hexdigest()
