"""What has ended is deleted by age and by size, its content before what is known of it; what ended in trouble is kept longer, and
what is open always."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ketafhir.errors import StoreError
from ketafhir.store.protocol import Store

_DAY = 86400.0
_CHUNK = 500  # messages of one transaction: nobody waits for long
_log = logging.getLogger("ketafhir.store")


@dataclass(slots=True, frozen=True)
class Retention:
    """0 is for ever, and any size. `error_days` of what was refused, failed or is dead; `megabytes` of messages and payloads;
    `content_days` of the content of what ended well."""

    days: float = 0.0
    error_days: float = 0.0
    megabytes: float = 0.0
    content_days: float = 0.0


def sweep(store: Store, keep: Retention, now: float) -> int:
    """Deletes what is to go; returns how many messages. A size that is passed takes the oldest that ended well, never others."""
    before = now - keep.days * _DAY if keep.days else 0.0
    errors_before = now - keep.error_days * _DAY if keep.error_days else None
    count = 0
    while purged := store.purge(before, errors_before=errors_before, limit=_CHUNK).messages:
        count += purged
    while keep.content_days and store.erase(now - keep.content_days * _DAY, limit=_CHUNK):
        pass
    return count + (_down_to(store, keep.megabytes * 1e6, now) if keep.megabytes else 0)


def _down_to(store: Store, most: float, now: float) -> int:
    """Measured once, since that reads every row."""
    count, size = 0, store.size()
    while size > most:
        purged = store.purge(now, limit=_CHUNK)
        if not purged.messages:
            _log.warning(
                "the store is larger than [store] retention_megabytes, and all that is left is open or ended in trouble"
            )
            break
        count += purged.messages
        size -= purged.bytes
    return count


def swept(store: Store, keep: Retention, now: float) -> None:
    """As `sweep`, for the service: told in the log, and a store that fails is asked again next time."""
    try:
        count = sweep(store, keep, now)
        if count:
            _log.info("retention: %d messages deleted", count)
    except StoreError as error:
        _log.error("retention: %s", error)
