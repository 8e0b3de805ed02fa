"""What the statements of the store need of a database, so that each is written once for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

_ROW_LOCK = re.compile(r"\s+FOR UPDATE( OF \w+)?( SKIP LOCKED)?")


class Cursor(Protocol):
    """Runs statements in one transaction. Parameters stand as `?`."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor: ...

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Cursor:
        """The statement with each of these parameters; `rowcount` is that of all of them."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...

    def blindly(self) -> AbstractContextManager[Any]:
        """The statements of the block are sent one behind the other, and only one that is asked for its rows is waited for: none
        for their count. What fails is told there, or at its end."""

    def alone(self, *names: str) -> None:
        """Until this transaction ends no other one is past `alone` with one of these names."""

    def claiming(self) -> None:
        """This transaction claims; many may at a time, and none while an operator is `reordering`."""

    def reordering(self) -> None:
        """This transaction puts back what claims have passed already."""


class Database(Protocol):
    """An open database of the newest schema. Whatever goes wrong in it is told as StoreError.

    `software` names it with its version.
    """

    software: str

    def transaction(self) -> AbstractContextManager[Cursor]:
        """All or nothing, and on disk when the block has ended."""

    def reading(self) -> AbstractContextManager[Cursor]:
        """One consistent view."""

    def apart(self) -> AbstractContextManager[Cursor]:
        """One consistent view of what is committed, for what takes long: nobody waits for it."""

    def single(self, *, writing: bool = True) -> AbstractContextManager[Cursor]:
        """For statements that stand alone: no transaction is begun and ended around each where the database needs none."""

    def batch(self) -> AbstractContextManager[None]:
        """The transactions of this thread in the block become one, on disk when it has ended.

        Each of them stays all or nothing by itself. Raises StoreError at the end where not all is on disk.
        """

    def occupy(self, name: str) -> bool:
        """Whether this process alone has `name`, from now on until it closes the database or dies."""

    def shrink(self) -> None:
        """Gives some of the room of what was deleted back to the disk, where the database does not do so by itself."""

    def close(self) -> None:
        """A second call does nothing."""


@cache
def without_row_locks(statement: str) -> str:
    """For a database that gives itself whole to one writing transaction."""
    return _ROW_LOCK.sub("", statement)


@cache
def with_percent_s(statement: str) -> str:
    """For psycopg, which writes its parameters so. No statement of ours has a `?` or `%` of another meaning."""
    return statement.replace("?", "%s")
