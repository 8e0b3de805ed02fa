"""Mapping tables: read from CSV, checked, and compiled once into plain Python.

`mappings/segments/SEG_to_Resource.csv` has one row per fact. A row takes one or several cells of one v2 segment and gives
one value of the therapy model (`domain`) and one FHIR element (`fhir`); both directions are the same row read the other
way. A row without `fhir` is known to HL7v2 only (derived elsewhere, or dropped: `loss` says why), a row without `v2` to FHIR
only. A site replaces, adds or removes single rows by name in `mappings/sites/SITE/segments/`, same file name,
and settings in `mappings/sites/SITE/settings.csv`; the rows that a setting stands for are an overlay as well, below the site's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ketafhir import data
from ketafhir.errors import TableError
from ketafhir.fhir import ids
from ketafhir.mapping import codemaps, codes, sheet
from ketafhir.mapping.codecs import CODECS, codec
from ketafhir.mapping.codecs.base import Codec
from ketafhir.mapping.paths import Path as FhirPath
from ketafhir.mapping.paths import Slice
from ketafhir.plain import names

if TYPE_CHECKING:
    from pathlib import Path

    from ketafhir.mapping.engine import Mapping
    from ketafhir.mapping.site import SiteSettings
    from ketafhir.therapy.checks import Limits

COLUMNS = [
    "row",
    "v2",
    "v2_name",
    "v2_type",
    "when",
    "domain",
    "fhir",
    "fhir_type",
    "codec",
    "vocab",
    "loss",
    "comment",
]


class Cell(NamedTuple):
    """One v2 cell: `RXA-5` or `PV1-3.4`."""

    segment: str
    field: int
    component: int
    text: str


class When(NamedTuple):
    """One clause: IF cell VALUED | NOT VALUED | EQUALS x | NOT EQUALS x | IN x y z."""

    cell: Cell
    negated: bool
    values: frozenset[str] | None

    def holds(self, fields: list[str]) -> bool:
        """Whether the clause is true of a segment's raw fields."""
        text = _cell(fields, self.cell)
        if self.values is None:
            return (bool(text) and text != '""') is not self.negated
        return (text in self.values) is not self.negated


class Row:
    """One row, compiled. `place` names it in errors: file, line and row."""

    __slots__ = (
        "cells", "codec", "codec_name", "comment", "domain", "each", "fhir", "fhir_type", "file", "line", "loss", "name", "path",
        "place", "v2", "v2_name", "v2_type", "vocab", "when", "when_text",
    )  # fmt: skip

    def __init__(self, source: dict[str, str], file: str, line: int, tables: Tables) -> None:
        self.name, self.file, self.line = source["row"], file, line
        self.place = f"{file}:{line} [{self.name}]"
        self.v2, self.domain, self.fhir = source["v2"], source["domain"], source["fhir"]
        self.v2_name, self.v2_type, self.fhir_type = source["v2_name"], source["v2_type"], source["fhir_type"]
        self.loss, self.vocab, self.comment = source["loss"], source["vocab"], source["comment"]
        self.cells = tuple(parse_cell(text, self.place) for text in self.v2.split())
        self.when_text = source["when"]
        self.when = _when(source["when"], self.place)
        if self.cells and self.cells[0].segment[0] == "Z":
            if self.domain:
                raise TableError(f"{self.place}: a row of a Z-segment has no domain: its text stays with the record")
            self.domain = self.name if source["codec"] else ""
        self.codec_name = source["codec"]
        self.each = self.codec_name.startswith("each:")
        name = self.codec_name.removeprefix("each:")
        if name and name not in CODECS:
            raise TableError(f"{self.place}: there is no codec {name!r}")
        try:
            self.codec: Codec | None = codec(name)(self.vocab, tables.code_map) if name else None
            self.path = FhirPath(self.fhir, tables.slices) if self.fhir else None
        except TableError as error:
            raise TableError(f"{self.place}: {error}") from None
        if self.codec and self.cells and self.codec.cells not in (0, len(self.cells)):
            raise TableError(f"{self.place}: the codec {name} takes {self.codec.cells} cells, not {len(self.cells)}")
        if self.codec is None and (self.domain or self.fhir):
            raise TableError(f"{self.place}: a row with a domain field or a FHIR element needs a codec")
        if self.codec is None and not self.loss:
            raise TableError(f"{self.place}: a row that maps nothing must say in `loss` why")


class Table:
    """One table: the rows of one segment for one resource."""

    __slots__ = ("file", "name", "resource", "rows", "segment")

    def __init__(self, name: str, rows: list[Row]) -> None:
        self.name, self.rows = name, rows
        self.segment, _, self.resource = name.partition("_to_")
        for row in rows:
            for cell in row.cells:
                if cell.segment != self.segment:
                    raise TableError(f"{row.place}: the cell {cell.segment}-{cell.text} is not of {self.segment}")
        claimed: dict[str, list[Slice]] = {}
        paths = [row.path for row in rows if row.path]
        for path in paths:
            for step in path.steps:
                if step.slice:
                    claimed.setdefault(step.key, []).append(step.slice)
        for path in paths:
            path.claimed = tuple(
                one
                for key in {path.key, *(step.key for step in path.steps if step.first)}
                for one in claimed.get(key, ())
            )


class Tables:
    """All tables of one site (or of none), with code maps and slices."""

    def __init__(self, site: Path | None = None) -> None:
        self.site = site
        self.folder = data.file("mappings")
        self.slices = _slices(f"{self.folder}/slices.csv")
        self._tables: dict[str, Table] = {}
        self._maps: dict[str, codemaps.CodeMap] = {}
        self._mappings: dict[tuple[str, ...], Mapping] = {}
        self._settings: SiteSettings | None = None
        self._limits: Limits | None = None
        self._z_tables: tuple[str, ...] | None = None
        if site is not None:
            self._check_overlay(site)

    @property
    def root(self) -> Path:
        """The folder of the tables."""
        return data.path("mappings")

    @property
    def settings(self) -> SiteSettings:
        """The settings of the site, or the defaults. Raises TableError."""
        if self._settings is None:
            from ketafhir.mapping import site

            self._settings = site.load(self.folder, self.site)
        return self._settings

    @property
    def limits(self) -> Limits:
        """The margins of the consistency checks, the site's own before ours. Raises TableError."""
        if self._limits is None:
            from ketafhir.mapping import limits

            self._limits = limits.load(self.folder, self.site)
        return self._limits

    @property
    def dialects(self) -> list[str]:
        """The folders of `mappings/` with the rows that the settings ask for (`dialects/SETTING/VALUE`). Raises TableError."""
        told = ((name, getattr(self.settings, name)) for name in names(self.settings))
        folders = (f"dialects/{name}/{value}" for name, value in told)
        return [one for one in folders if os.path.isdir(f"{self.folder}/{one}")]

    @property
    def z_tables(self) -> tuple[str, ...]:
        """The names of the tables of Z-segments (mapping/zsegments.py)."""
        if self._z_tables is None:
            folders = (f"{root}/segments" for root in (self.folder, self.site) if root)
            listed = (os.listdir(folder) for folder in folders if os.path.isdir(folder))
            found = {name.removesuffix(".csv") for names in listed for name in names if name[0] == "Z"}
            self._z_tables = tuple(sorted(found))
        return self._z_tables

    def _check_overlay(self, site: Path) -> None:
        """Compile and lint all that a site overrides at once: a fault must not wait for the message that meets it."""
        from ketafhir.mapping import lint

        assert self.settings
        assert self.limits
        for path in sorted((site / "segments").glob("*.csv")):
            if path.stem not in self.names():
                raise TableError(f"sites/{site.name}/segments/{path.name}: there is no such table to override")
            found = lint.of_table(self.table(path.stem))
            if path.stem in self.z_tables:
                found += lint.of_z_table(self.table(path.stem), self)
            if found:
                raise TableError("; ".join(found))
        for path in sorted((site / "codesystems").glob("*.csv")):
            self.code_map(path.stem)

    def table(self, name: str) -> Table:
        """The table `SEG_to_Resource`, read and compiled when first asked for."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = Table(name, self._rows(name))
        return found

    def mapping(self, *names: str) -> Mapping:
        """Tables of one segment that fill one record, joined and compiled once."""
        found = self._mappings.get(names)
        if found is None:
            from ketafhir.mapping.engine import Mapping

            found = self._mappings[names] = Mapping(self, *names)
        return found

    def names(self) -> list[str]:
        """The names of all tables there are."""
        ours = {path.stem for path in (self.root / "segments").glob("*_to_*.csv")}
        return sorted(ours.union(self.z_tables))

    def code_map(self, name: str) -> codemaps.CodeMap:
        """The code map of that name; a site's own replaces the default."""
        found = self._maps.get(name)
        if found is None:
            found = self._maps[name] = self._load_map(name)
        return found

    def _load_map(self, name: str) -> codemaps.CodeMap:
        shown = f"codesystems/{name}.csv"
        own = self.site / shown if self.site else None
        if self.site and own and own.is_file():
            return codemaps.load(name, own, f"sites/{self.site.name}/{shown}")
        file = f"{self.folder}/{shown}"
        if not os.path.isfile(file):
            raise TableError(f"there is no code map {shown}")
        return codemaps.load(name, file, shown)

    def _rows(self, name: str) -> list[Row]:
        shown = f"segments/{name}.csv"
        file = f"{self.folder}/{shown}"
        if not os.path.isfile(file) and name not in self.z_tables:
            raise TableError(f"there is no table {shown}; `ketafhir tables show` lists them")
        rows: dict[str, Row] = {}
        for source, line in sheet.read(file, COLUMNS, shown) if os.path.isfile(file) else ():
            row = Row(source, shown, line, self)
            if row.name in rows:
                raise TableError(f"{row.place}: the row name stands twice")
            rows[row.name] = row
        for dialect in self.dialects if self.site else ():
            if os.path.isfile(f"{self.folder}/{dialect}/{shown}"):
                self._overlay(rows, f"{self.folder}/{dialect}/{shown}", f"{dialect}/{shown}")
        overlay = self.site / shown if self.site else None
        if self.site and overlay and overlay.is_file():
            self._overlay(rows, overlay, f"sites/{self.site.name}/{shown}")
        return list(rows.values())

    def _overlay(self, rows: dict[str, Row], path: str | Path, file: str) -> None:
        for source, line in sheet.read(path, ["op", *COLUMNS], file):
            op, name = source["op"], source["row"]
            where = f"{file}:{line} [{name}]"
            if op not in ("replace", "add", "remove"):
                raise TableError(f"{where}: op is replace, add or remove, not {op!r}")
            if (name in rows) is (op == "add"):
                raise TableError(f"{where}: {op} of a row that {'is there already' if op == 'add' else 'is not there'}")
            if op == "remove":
                del rows[name]
            else:
                rows[name] = Row(source, file, line, self)


def parse_cell(text: str, where: str) -> Cell:
    """`RXA-5` or `PV1-3.4`."""
    segment, dash, rest = text.partition("-")
    field, _, component = rest.partition(".")
    if not dash or len(segment) != 3 or not field.isdigit() or (component and not component.isdigit()):
        raise TableError(f"{where}: {text!r} is no v2 cell; write RXA-5 or PV1-3.4")
    return Cell(segment, int(field), int(component or 0), rest)


def _when(text: str, where: str) -> When | None:
    if not text:
        return None
    words = text.split()
    if len(words) >= 3 and words[0] == "IF":
        cell, rest = parse_cell(words[1], where), words[2:]
        negated = rest[0] == "NOT"
        rest = rest[1:] if negated else rest
        if rest == ["VALUED"]:
            return When(cell, negated, None)
        if rest and rest[0] in ("EQUALS", "IN") and len(rest) > 1:
            return When(cell, negated, frozenset(rest[1:]))
    raise TableError(f"{where}: {text!r} is no condition; write IF cell [NOT] VALUED | EQUALS x | IN x y")


def _cell(fields: list[str], cell: Cell) -> str:
    text = fields[cell.field] if cell.field < len(fields) else ""
    if cell.component:
        parts = text.split("^")
        return parts[cell.component - 1] if cell.component <= len(parts) else ""
    return text


def _slices(file: str) -> dict[tuple[str, str], Slice]:
    found = {}
    for row, _ in sheet.read(file, ["element", "slice", "at", "code", "comment"], "slices.csv"):
        one = codes.code(row["code"])
        way = row["at"].removesuffix("=")
        found[row["element"], row["slice"]] = Slice(
            row["slice"], row["element"], tuple(way.split(".")) if way else (), one.system, one.code, one.display,
            bare=way != row["at"],
        )  # fmt: skip
    return found


def digest(tables: Tables) -> str:
    """A short digest of all table texts at work, for Provenance: what a faulty row ever wrote can be found by it."""
    texts = []
    own = [*(f"{tables.folder}/{one}" for one in tables.dialects), tables.site] if tables.site else []
    for root in [tables.folder, *own]:
        for folder in (f"{root}", f"{root}/codesystems", f"{root}/segments"):
            names = (
                sorted(name for name in os.listdir(folder) if name.endswith(".csv")) if os.path.isdir(folder) else ()
            )
            for name in names:
                with open(f"{folder}/{name}", "rb") as file:
                    texts.append(name.encode() + file.read())
    return ids.digest(b"".join(texts))[:12]


def any_value(value: Any) -> bool:
    """Whether a domain value says anything."""
    return bool(value) or value not in (None, "", ())
