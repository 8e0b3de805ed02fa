"""The store on SQLite: one file, one process that serves, and `ketafhir queue` beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ketafhir.store.sqlite_file import SqliteDatabase
from ketafhir.store.tables import TableStore


class SqliteStore(TableStore):
    """`protocol.Store` in the file `path`, which is made (0600) when it is not there and `create` is set."""

    _database: SqliteDatabase

    def __init__(self, path: str | Path, *, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        super().__init__(SqliteDatabase(Path(path), create=create), clock)
