"""The store on PostgreSQL: a database of its own, for several worker processes, on as many machines.

READ COMMITTED with row locks: a claim skips what another holds, an accept waits for the one before it of the
same patient (`Cursor.alone`), and an operator who puts something back waits for the claims under way.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ketafhir.errors import StoreError
from ketafhir.store.cursor import Cursor, with_percent_s
from ketafhir.store.tables import TableStore

_MIGRATIONS = Path(__file__).with_name("migrations") / "postgresql"
_CONNECTIONS = 16  # at a time, of one process
_LONGEST = 1000  # bytes of a text; two of them fit into the row of an index
_CLAIMS = 1  # the number of the lock that claims share, beside those made of names

# A lost network must not hold a patient: PostgreSQL itself ends what stands still.
_SETTINGS = {
    "client_encoding": "UTF8",
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}

_SPOKEN = {
    "08": "the connection is lost",
    "28": "it does not let us in: mend user and password (KETAFHIR_STORE_URL, ~/.pgpass)",
    "3D": "there is no such database: make it, or mend [store] url",
    "42": "its tables are not ours, or not ours to change: ketafhir needs a database of its own",
    "53": "it has no room left (disk, memory or connections)",
    "57": "it is shutting down, or has cancelled the statement",
    "55": "another process holds the lock",
    "40": "two transactions waited for each other",
    "25": "it can only be read",
    "XX": "it is damaged: restore a backup",
}


class PostgresCursor:
    """A `cursor.Cursor`."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        count: int = self._cursor.rowcount
        return count

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> PostgresCursor:
        self._cursor.execute(with_percent_s(statement).encode(), [_storable(one) for one in parameters])
        return self

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> PostgresCursor:
        rows = [[_storable(one) for one in row] for row in parameters]
        self._cursor.executemany(with_percent_s(statement).encode(), rows)
        return self

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        rows: list[Any] = self._cursor.fetchall()
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def blindly(self) -> contextlib.AbstractContextManager[Any]:
        return self._cursor.connection.pipeline()

    def alone(self, *names: str) -> None:
        """In one order for all, so that no two wait for each other."""
        for number in sorted({_number(name) for name in names}):
            self.execute("SELECT pg_advisory_xact_lock(?)", (number,))

    def claiming(self) -> None:
        self.execute("SELECT pg_advisory_xact_lock_shared(?, 0)", (_CLAIMS,))

    def reordering(self) -> None:
        self.execute("SELECT pg_advisory_xact_lock(?, 0)", (_CLAIMS,))


class PostgresDatabase:
    """A PostgreSQL database by its URL. Raises StoreError where it cannot be opened, or is too new.

    Connections are made as threads need them, and made anew where one was lost.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._url = url
        self._name = _name(url)
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        self._batches = threading.local()
        self._holder: psycopg.Connection[Any] | None = None  # of the names that this process occupies
        self._closed = False
        try:
            with self.transaction() as cursor:
                self._check(cursor, create)
                self._migrate(cursor)
                self.software = f"PostgreSQL {cursor.execute('SHOW server_version').fetchone()[0]}"
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """All or nothing, and on disk when the block has ended."""
        with self._in() as cursor:
            yield cursor

    @contextlib.contextmanager
    def reading(self) -> Iterator[Cursor]:
        """One consistent view; of its own transaction within a batch."""
        with self._in(writing=False) as cursor:
            yield cursor

    def apart(self) -> contextlib.AbstractContextManager[Cursor]:
        """A connection of its own, as any other."""
        return self.reading()

    @contextlib.contextmanager
    def single(self, *, writing: bool = True) -> Iterator[Cursor]:
        """A connection commits each statement that stands in no transaction."""
        with self._spoken(), self._room, self._connection() as connection, connection.cursor() as cursor:
            yield PostgresCursor(cursor)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """One commit for all transactions of this thread in the block, each a savepoint."""
        with self._in() as cursor:
            self._batches.cursor = cursor
            try:
                yield
            finally:
                del self._batches.cursor

    def occupy(self, name: str) -> bool:
        """A lock of a connection that is kept for it; PostgreSQL frees it when the process is gone."""
        with self._spoken(), self._lock:
            if self._holder is None or self._holder.closed:
                self._holder = self._connected()
            row = self._holder.execute(b"SELECT pg_try_advisory_lock(%s)", [_number(f"worker {name}")]).fetchone()
            return bool(row and row[0])

    def shrink(self) -> None:
        """PostgreSQL vacuums by itself."""

    def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        with self._lock:
            self._closed = True
            if self._holder is not None:
                self._holder.close()
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _in(self, *, writing: bool = True) -> Iterator[PostgresCursor]:
        outer: PostgresCursor | None = getattr(self._batches, "cursor", None)
        with self._spoken():
            if outer is not None:
                with outer._cursor.connection.transaction():
                    yield outer
                return
            with self._room, self._connection() as connection:
                # They go with the BEGIN: no round trip of their own.
                connection.isolation_level = None if writing else psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = None if writing else True
                with connection.transaction(), connection.cursor() as cursor:
                    yield PostgresCursor(cursor)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._taken() or self._connected()
        try:
            yield connection
        finally:
            with self._lock:
                kept = not (self._closed or connection.closed or connection.broken)
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _taken(self) -> psycopg.Connection[Any] | None:
        """An idle connection that is alive: PostgreSQL may have been restarted meanwhile."""
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError(f"the store {self._name} is closed")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if _alive(connection):
                return connection
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] = psycopg.connect(
            self._url, autocommit=True, connect_timeout=5, application_name="ketafhir", keepalives_idle=30
        )
        for name, value in _SETTINGS.items():
            connection.execute(b"SELECT set_config(%s, %s, false)", (name, value))
        return connection

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """Without the words of PostgreSQL, which quote the row."""
        try:
            yield
        except psycopg.Error as error:
            raise StoreError(f"the store {self._name}: {_reason(error)}") from None

    def _check(self, cursor: Cursor, create: bool) -> None:
        if not create and cursor.execute("SELECT to_regclass('ketafhir_schema')").fetchone() == (None,):
            raise StoreError(f"there is no store in {self._name}: `ketafhir serve` makes it, where [store] url says")
        if cursor.execute("SHOW fsync").fetchone() != ("on",):
            raise StoreError(f"the store {self._name} does not sync its writes: set fsync = on in postgresql.conf")

    def _migrate(self, cursor: Cursor) -> None:
        """Runs the migrations that the database has not seen, forward only."""
        cursor.alone("migration")
        cursor.execute("CREATE TABLE IF NOT EXISTS ketafhir_schema (version INTEGER NOT NULL)")
        (current,) = cursor.execute("SELECT COALESCE(MAX(version), 0) FROM ketafhir_schema").fetchone()
        scripts = sorted(_MIGRATIONS.glob("[0-9]*.sql"))
        newest = int(scripts[-1].name[:4])
        if current > newest:
            raise StoreError(
                f"the store {self._name} was written by a newer ketafhir (schema {current}, known {newest}): "
                "use that version, or restore a backup of this one"
            )
        for number, script in enumerate(scripts[current:], current + 1):
            for statement in script.read_text("utf-8").split(";\n"):
                if statement.strip():
                    cursor.execute(statement)
            cursor.execute("INSERT INTO ketafhir_schema (version) VALUES (?)", (number,))


class PostgresStore(TableStore):
    """`protocol.Store` in the database of a `postgresql://` URL; its tables are made where they are missing."""

    _database: PostgresDatabase

    def __init__(self, url: str, *, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        """Without `create` a database that holds no store is refused."""
        super().__init__(PostgresDatabase(url, create=create), clock)


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _storable(value: Any) -> Any:
    """PostgreSQL has no NUL in a text, and no room in an index for a long one: that becomes its beginning and a digest."""
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "\N{SYMBOL FOR NULL}")
    if len(text) > _LONGEST // 4 and len(data := text.encode("utf-8", "replace")) > _LONGEST:
        return f"{text[:200]} {sha256(data).hexdigest()}"
    return text


def _alive(connection: psycopg.Connection[Any]) -> bool:
    """A server that has ended has closed its side, which can be read; one that is asked costs a round trip each time."""
    if connection.closed:
        return False
    try:
        if not select.select([connection.fileno()], [], [], 0)[0]:
            return True
        connection.execute(b"SELECT 1")
    except psycopg.Error:
        return False
    return True


def _name(url: str) -> str:
    """What errors call it, without user and password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        raise StoreError("[store] url is no URL of a PostgreSQL database (postgresql://HOST/DATABASE)") from None
    return f"postgresql://{parts.get('host') or ''}/{parts.get('dbname') or ''}"


def _reason(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if not state:
        return "no connection: is the database up, and its address right?"
    return f"{_SPOKEN.get(state[:2], type(error).__name__)} ({state})"
