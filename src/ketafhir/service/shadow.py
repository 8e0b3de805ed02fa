"""Shadow mode: everything is done but the write. What would be sent is written into a directory, with its loss report.

A file is named by numbers of the store, and by nothing of a message: `00000012-fhir.json` the Bundle that message 12
would have sent, `00000012-losses.json` what became of each of its fields.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from ketafhir.errors import ConfigError, Refused
from ketafhir.store.protocol import Delivery, Store
from ketafhir.store.rows import Detail
from ketafhir.sync.courier import Begin, Carried
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.translate import incoming, losses
from ketafhir.translate.settings import Settings


class ShadowCourier:
    """A `sync.courier.Courier` into `folder`. `feeds` are settings and charset of each listener, by its name.

    Raises ConfigError where the directory cannot be made, or is open to others.
    """

    def __init__(self, store: Store, folder: Path, feeds: Mapping[str, tuple[Settings, str]]) -> None:
        self._store = store
        self._folder = folder
        self._feeds = feeds
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
        except OSError as error:
            raise ConfigError(f"[fhir] shadow_directory {folder}: {error.strerror}") from error
        if mode & 0o077:
            raise ConfigError(f"[fhir] shadow_directory {folder} is open to other users: chmod 700 {folder}")

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        """Writes both files; the same again writes the same over them."""
        await begin()
        try:
            await asyncio.to_thread(self._write, delivery)
        except OSError as error:
            return Carried(Outcome(Disposition.UNAVAILABLE, f"the shadow directory: {error.strerror or error}"))
        return Carried(Outcome(Disposition.DONE, "shadow"))

    def _write(self, delivery: Delivery) -> None:
        name = f"{delivery.message_id:08d}"
        report = self._report(self._store.show(delivery.message_id))
        self._replace(f"{name}-losses.json", orjson.dumps(report, option=orjson.OPT_INDENT_2))
        self._replace(f"{name}-fhir.json", delivery.payload)

    def _report(self, detail: Detail) -> dict[str, object]:
        told: dict[str, object] = {"message": detail.message_id, "issues": orjson.loads(detail.issues)}
        feed = feed_of(self._feeds, detail.listener)
        if feed is None:
            return {**told, "unread": "its listener is not configured any more"}
        settings, charset = feed
        try:
            message = incoming.parse(detail.raw, charset or None)
            return {**told, **losses.summary(losses.of_message(message, incoming.read(message, settings)))}
        except Refused as error:  # the tables were changed meanwhile
            return {**told, "unread": error.issues[0].code}

    def _replace(self, name: str, data: bytes) -> None:
        """Whole or not at all, for its owner only; a link that stands there is replaced and not followed."""
        waiting = self._folder / f".{name}.new"
        waiting.unlink(missing_ok=True)
        with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self._folder / name)


def feed_of(feeds: Mapping[str, tuple[Settings, str]], listener: str) -> tuple[Settings, str] | None:
    """Settings and charset of a listener; of the only one there is, whatever it was called."""
    only = next(iter(feeds.values())) if len(feeds) == 1 else None
    return feeds.get(listener, only)
