"""An SQLite file as the store needs it: private, durable on commit, up to date, its errors told as ours.

WAL with synchronous=FULL: a COMMIT that returned survives a power cut
(sqlite.org/pragma.html#pragma_synchronous; NORMAL may lose the last commits). One connection behind one lock
serves all threads.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from stat import S_IMODE, S_ISREG, S_ISVTX, S_IWOTH
from typing import Any

from ketafhir.errors import StoreError
from ketafhir.store.cursor import Cursor, without_row_locks

_MIGRATIONS = Path(__file__).with_name("migrations") / "sqlite"
_OTHERS = 0o077
_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite reads with the file
_OURS = {"message", "delivery"}  # tables that every store has
_PAGES = 2000  # given back to the disk at a time
_BUSY_MS = 5000  # a `ketafhir queue` beside the service writes for milliseconds

_SETTINGS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # it can only be chosen before the first table is made
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
)

NO_STORE = "it is no store of ketafhir: name the file of [store] path"
_SPOKEN = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process holds the lock",
    "SQLITE_LOCKED": "another process holds the lock",
    "SQLITE_READONLY": "it can only be read: let the user of the service write it, and its folder",
    "SQLITE_PERM": "it may not be opened: run this as the user of the service",
    "SQLITE_CANTOPEN": "it cannot be opened: the user of the service must be able to write its folder too",
    "SQLITE_IOERR": "the disk does not read or write",
    "SQLITE_CORRUPT": "it is damaged: restore a backup",
    "SQLITE_NOTADB": NO_STORE,
}


class SqliteCursor(sqlite3.Cursor):
    """A `cursor.Cursor`. A writing transaction has the whole file to itself: no lock is needed beside it."""

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> SqliteCursor:  # type: ignore[override]
        super().execute(without_row_locks(statement), parameters)
        return self

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> SqliteCursor:  # type: ignore[override]
        super().executemany(without_row_locks(statement), parameters)
        return self

    def blindly(self) -> AbstractContextManager[None]:
        return nullcontext()

    def alone(self, *names: str) -> None:
        pass

    claiming = reordering = alone


class SqliteDatabase:
    """One open SQLite file. Raises StoreError where it cannot be opened, is readable by others or too new."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.software = f"SQLite {sqlite3.sqlite_version}"
        self._lock = threading.RLock()
        self._occupied: dict[str, int] = {}  # by name, the open file that is locked
        self._batching = False  # and so by the thread that has the lock
        self._connection: sqlite3.Connection | None = None
        _make_private(path, create)
        with self._spoken():
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._spoken():
                connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
                check_ours(connection, path, create=create)
                for setting in _SETTINGS:
                    connection.execute(setting).fetchall()
            _refuse_others_beside(path)  # it has them open by now, and nobody else can take their place
            self._connection = connection
            self._identity = _identity(path)
            with self.transaction() as cursor:
                _migrate(cursor)
        except BaseException:
            self._connection = None
            connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """All or nothing, and on disk when the block has ended."""
        with self._in("BEGIN IMMEDIATE") as cursor:
            yield cursor

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """One consistent view."""
        with self._in("BEGIN") as cursor:
            yield cursor

    @contextmanager
    def apart(self) -> Iterator[Cursor]:
        """A connection of its own: with a write-ahead log readers and the writer do not wait for each other."""
        if self._connection is None:
            raise StoreError(f"the store {self.path} is closed")
        with self._spoken(), closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection.cursor(SqliteCursor)

    def single(self, *, writing: bool = True) -> AbstractContextManager[Cursor]:
        """A transaction costs no round trip here."""
        return self.transaction() if writing else self.reading()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One commit for all transactions of this thread in the block, each a savepoint."""
        with self._in("BEGIN IMMEDIATE") as cursor:
            self._batching = True
            try:
                yield
            finally:
                self._batching = False
            if not cursor.connection.in_transaction:  # a disk that is full rolls back by itself
                raise StoreError(f"the store {self.path} has given up a batch of messages")

    def occupy(self, name: str) -> bool:
        """A lock on a file beside this one, which ends with the process however that ends."""
        with self._lock:
            if name in self._occupied:
                return True
            safe = re.sub(r"[^A-Za-z0-9.-]", "_", name)
            lock = os.open(f"{self.path}.{safe}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                return False
            self._occupied[name] = lock
            return True

    def shrink(self) -> None:
        """Some pages at a time, so that nobody waits for long. Of what was deleted no byte is left in the files."""
        with self._lock, self._spoken():
            if self._connection is not None and not self._connection.in_transaction:
                # It gives a row without columns for each page, and `execute` would stop at the first.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
                _empty_wal(self._connection)

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        with self._lock:
            while self._occupied:
                os.close(self._occupied.popitem()[1])
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _in(self, begin: str) -> Iterator[SqliteCursor]:
        with self._lock, self._spoken():
            if self._connection is None:
                raise StoreError(f"the store {self.path} is closed")
            connection = self._connection
            commit, back = "COMMIT", ["ROLLBACK"]
            if self._batching:
                if not connection.in_transaction:  # a full disk has rolled it back
                    raise StoreError(f"the store {self.path} has given up a batch of messages")
                if begin == "BEGIN":  # nothing is written that might have to be taken back
                    yield connection.cursor(SqliteCursor)
                    return
                begin, commit, back = "SAVEPOINT one", "RELEASE one", ["ROLLBACK TO one", "RELEASE one"]
            if begin == "BEGIN IMMEDIATE" and _identity(self.path) != self._identity:
                # SQLite would go on writing a file that nobody finds again.
                raise StoreError(
                    f"the store {self.path} is not where it was, or another: nothing is taken until it is back; stop the "
                    "service before it is moved or restored"
                )
            ended = False
            try:
                connection.execute(begin)
                yield connection.cursor(SqliteCursor)
                connection.execute(commit)
                ended = True
            finally:
                # Also after a COMMIT that failed; a full disk has rolled back by itself.
                if not ended and connection.in_transaction:
                    for statement in back:
                        connection.execute(statement)

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the store {self.path}: {_reason(error)}") from error


def _empty_wal(connection: sqlite3.Connection) -> None:
    """What was deleted stands in its pages until then. Who reads at this moment is not waited for: it is emptied next time."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there now; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _reason(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is an SQLITE_IOERR
    return _SPOKEN.get(primary, str(error))


def _make_private(path: Path, create: bool) -> None:
    """The file is made 0600 before SQLite opens it; its WAL takes the same rights from it."""
    if path.is_dir():
        raise StoreError(f"the store {path} is a directory: name the file in it, such as {path / 'ketafhir.sqlite'}")
    try:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise StoreError(f"there is no store {path}: `ketafhir serve` makes it, where [store] path says") from error
    except OSError as error:
        remedy = "run this as the user of the service" if isinstance(error, PermissionError) else "name another file"
        raise StoreError(f"the store {path}: {error.strerror}: {remedy}") from error
    if not S_ISREG(mode):
        raise StoreError(f"the store {path}: {NO_STORE}")
    if mode & _OTHERS:
        raise StoreError(f"the store {path} is open to other users (mode {S_IMODE(mode):04o}): chmod 600 {path}")
    folder = S_IMODE(path.parent.stat().st_mode)
    if folder & S_IWOTH and not folder & S_ISVTX:
        raise StoreError(
            f"the store {path}: every user can replace files in its folder (mode {folder:04o}): chmod 700 {path.parent}, or "
            "name a file in a folder of its own"
        )
    _refuse_others_beside(path)


def _refuse_others_beside(path: Path) -> None:
    """In a folder such as /tmp another user may have put a write-ahead log for ours, which SQLite would take over."""
    allowed = {0, os.geteuid(), path.stat().st_uid}
    for suffix in _BESIDE:
        beside = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            if beside.lstat().st_uid not in allowed:
                raise StoreError(f"the store {path}: {beside} belongs to another user: look whose it is, and remove it")


def check_ours(connection: sqlite3.Connection, path: Path, *, create: bool = False) -> None:
    """Nothing is changed in a file that is not ours, or of a later time. Raises StoreError."""
    (current,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ours = current > 0 and tables >= _OURS
    if not ours and (tables or current or not create):
        raise StoreError(f"the store {path}: {NO_STORE}")
    newest = int(_scripts()[-1].name[:4])
    if current > newest:
        raise StoreError(
            f"the store {path} was written by a newer ketafhir (schema {current}, known {newest}): use that version, or "
            "restore a backup of this one"
        )


def _scripts() -> list[Path]:
    return sorted(_MIGRATIONS.glob("[0-9]*.sql"))


def _migrate(cursor: Cursor) -> None:
    """Runs the migrations that the file has not seen, forward only. Its number is kept in user_version."""
    (current,) = cursor.execute("PRAGMA user_version").fetchone()
    scripts = _scripts()
    newest = int(scripts[-1].name[:4])
    for script in scripts[current:]:
        for statement in _statements(script.read_text("utf-8")):
            cursor.execute(statement)
    if current < newest:
        cursor.execute(f"PRAGMA user_version = {newest}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit in the middle of our transaction."""
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        if sqlite3.complete_statement("\n".join(lines)):
            yield "\n".join(lines)
            lines.clear()
