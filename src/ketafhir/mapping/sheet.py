"""CSV files with fixed columns, read with the line of each row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from os import PathLike

from ketafhir import data
from ketafhir.errors import TableError


def ours(name: str, columns: str) -> list[dict[str, str]]:
    """The rows of a file under `mappings/` with these columns. Raises TableError."""
    return [row for row, _ in read(data.file(f"mappings/{name}"), columns.split(), name)]


def overlay(
    file: str | PathLike[str], columns: list[str], shown: str, known: Collection[str]
) -> Iterator[tuple[dict[str, str], str]]:
    """The rows of a site's own file, whose first column names one of `known`, each once; with their places. Raises TableError."""
    kind = columns[0]
    seen: set[str] = set()
    for row, line in read(file, columns, shown):
        name, where = row[kind], f"{shown}:{line}"
        if name not in known:
            raise TableError(f"{where}: there is no {kind} {name!r}; there are {', '.join(sorted(known))}")
        if name in seen:
            raise TableError(f"{where}: the {kind} {name} stands twice")
        seen.add(name)
        yield row, where


def read(file: str | PathLike[str], columns: list[str], shown: str) -> list[tuple[dict[str, str], int]]:
    """The rows of a file and their lines. `shown` is what errors call it. Raises TableError."""
    import csv

    found = []
    with open(file, encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        if next(reader, None) != columns:
            raise TableError(f"{shown}:1: the columns must be {', '.join(columns)}")
        for cells in filter(None, reader):
            if len(cells) != len(columns):
                raise TableError(f"{shown}:{reader.line_num}: the row has not {len(columns)} columns")
            found.append((dict(zip(columns, cells, strict=True)), reader.line_num))
    return found
