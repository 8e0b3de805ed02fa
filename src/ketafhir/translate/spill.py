"""What was told long ago, out of memory: the history of a file of any length in a temporary database.

A `History` is a handful of mappings in which everything is found by key. `Spill` puts `Spilled` mappings in their
place: what was used lately stays in memory, the rest goes to SQLite and is fetched when it is asked for. The database
has no name and goes with the process. See docs/decisions/spilled-history.md.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping
from hashlib import blake2b
from typing import Any

from ketafhir.plain import names
from ketafhir.therapy.fold import History
from ketafhir.therapy.records import KINDS, Records

_AT_ONCE = 8192  # entries of all mappings together before the older ones leave memory: some 10 MB


class _Temporary(sqlite3.Connection):
    """A database that ends with what uses it: nobody else knows when."""

    def __del__(self) -> None:
        self.close()


class Spill:
    """Moves a history out of memory. Reading or writing of it raises OSError where the temporary database fails."""

    def __init__(self, history: History, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        # An empty name is a file of its own in the temporary folder, deleted when it is closed.
        self._database = sqlite3.connect("", isolation_level=None, factory=_Temporary)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")
        self._all: list[Spilled] = []
        for name in names(history):
            if name != "others":
                setattr(history, name, self._spilled(name, getattr(history, name)))
        others: Any = {kind: self._spilled(f"others_{kind}", getattr(history.others, kind)) for kind in KINDS}
        history.others = Records(**others)

    def _spilled(self, name: str, known: MutableMapping[str, Any]) -> Spilled:
        self._all.append(Spilled(self._database, name, known))
        return self._all[-1]

    def mapping(self, name: str) -> Spilled:
        """A mapping more, which holds nothing yet."""
        return self._spilled(name, {})

    def in_order(self, rows: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        """Rows in the order of their numbers, each once."""
        try:
            self._database.execute("CREATE TABLE rows (number, kind, key, UNIQUE (number, kind, key))")
            self._database.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?)", rows)
            yield from self._database.execute("SELECT number, kind, key FROM rows ORDER BY number, rowid")
        except sqlite3.Error as error:
            raise _failed(error) from error

    def trim(self) -> None:
        """Call it between messages: what was not used lately leaves memory once there is much."""
        if sum(len(one.young) for one in self._all) > self._at_once:
            for one in self._all:
                one.age()


class Spilled(MutableMapping[str, Any]):
    """A mapping in two generations and a table: what is used moves to `young`, what is not leaves with `old`.

    Values must not be changed once they are in it. It iterates in the order in which keys were added, as a dict does.
    """

    __slots__ = ("_added", "_changed", "_database", "_name", "old", "young")

    def __init__(self, database: sqlite3.Connection, name: str, known: MutableMapping[str, Any]) -> None:
        self._database, self._name = database, name
        self.young: dict[str, Any] = dict(known)
        self.old: dict[str, Any] = {}
        self._changed = {key: number for number, key in enumerate(self.young)}
        self._added = len(self.young)
        self._run(f"CREATE TABLE {name} (added INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, entry BLOB NOT NULL)")

    def age(self) -> None:
        """A generation passes: what only the older one has is left to the table."""
        self._write([key for key in self.old if key not in self.young])
        self.old, self.young = self.young, {}

    def _write(self, keys: list[str]) -> None:
        changed = [
            (number, _digest(key), pickle.dumps((key, self._held(key)), pickle.HIGHEST_PROTOCOL))
            for key in keys
            if (number := self._changed.pop(key, None)) is not None
        ]
        statement = (
            f"INSERT INTO {self._name} VALUES (?, ?, ?) "  # noqa: S608  # a name of ours
            "ON CONFLICT (digest) DO UPDATE SET entry = excluded.entry"
        )
        try:
            self._database.executemany(statement, changed)
        except sqlite3.Error as error:
            raise _failed(error) from error

    def _held(self, key: str) -> Any:
        return self.young[key] if key in self.young else self.old[key]

    def __getitem__(self, key: str) -> Any:
        if key in self.young:
            return self.young[key]
        if key in self.old:
            found = self.old[key]
        else:
            row = self._run(f"SELECT entry FROM {self._name} WHERE digest = ?", _digest(key)).fetchone()  # noqa: S608
            if row is None:
                raise KeyError(key)
            found = pickle.loads(row[0])[1]  # noqa: S301  # written above, in a file without name
        self.young[key] = found
        return found

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._changed:
            self._changed[key] = self._added
            self._added += 1
        self.young[key] = value

    def __iter__(self) -> Iterator[str]:
        for key, _ in self.walk():
            yield key

    def walk(self) -> Iterator[tuple[str, Any]]:
        """All entries in the order in which they were added."""
        self._write(list(self._changed))
        for (entry,) in self._run(f"SELECT entry FROM {self._name} ORDER BY added"):  # noqa: S608  # a name of ours
            yield pickle.loads(entry)  # noqa: S301  # as above

    def items(self) -> ItemsView[str, Any]:
        """All entries; looking through them moves none."""
        return _Entries(self)

    def __len__(self) -> int:
        self._write(list(self._changed))
        return int(self._run(f"SELECT COUNT(*) FROM {self._name}").fetchone()[0])  # noqa: S608  # a name of ours

    def __delitem__(self, key: str) -> None:
        raise TypeError("a history forgets nothing")

    def _run(self, statement: str, *values: bytes) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise _failed(error) from error


class _Entries(ItemsView[str, Any]):
    """The entries of a `Spilled` as its table has them."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        held: Spilled = self._mapping  # type: ignore[attr-defined]  # set by MappingView
        return held.walk()


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _failed(error: sqlite3.Error) -> OSError:
    return OSError(f"the temporary database of the records of earlier messages: {error} (TMPDIR names another place)")
