"""Code maps: small tables that say which v2 code, word of ours and FHIR code mean the same, and which is the inverse.

`mappings/codesystems/NAME.csv` has the columns `domain, v2, fhir, prefer, comment`. Where several rows share a code,
`prefer` names the row that the way back takes: `both`, `v2` (only from and to HL7v2), `fhir` (only from and to FHIR) or empty
(neither). A code that stands in no row is an error, never passed through.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from os import PathLike
from typing import NamedTuple

from ketafhir.errors import TableError
from ketafhir.mapping import codes, sheet

_COLUMNS = ["domain", "v2", "fhir", "prefer", "comment"]


class Entry(NamedTuple):
    """One row of a code map."""

    domain: str
    v2: str
    fhir: str
    prefer: str
    line: int


class CodeMap:
    """One code map, ready for all four directions."""

    __slots__ = (
        "domain_to_fhir",
        "domain_to_v2",
        "entries",
        "fhir_to_domain",
        "file",
        "name",
        "v2_to_domain",
    )

    def __init__(self, name: str, file: str, entries: list[Entry]) -> None:
        self.name, self.file, self.entries = name, file, entries
        self.v2_to_domain = self._to_domain("v2")
        self.fhir_to_domain = self._to_domain("fhir")
        self.domain_to_v2 = self._from_domain("v2")
        self.domain_to_fhir = self._from_domain("fhir")

    def _to_domain(self, side: str) -> dict[str, str]:
        """Code to word: of several rows with one code, the one that `prefer` names."""
        return {getattr(one, side): one.domain for one in self._chosen(side, lambda one: str(getattr(one, side)))}

    def _from_domain(self, side: str) -> dict[str, str]:
        """Word to code: of several rows with one word, the one that `prefer` names."""
        return {one.domain: getattr(one, side) for one in self._chosen(side, lambda one: one.domain)}

    def _chosen(self, side: str, by: Callable[[Entry], str]) -> list[Entry]:
        found: dict[str, Entry] = {}
        for one in self.entries:
            if not getattr(one, side):
                continue
            known = found.get(by(one))
            if known is None or (one.prefer in ("both", side) and known.prefer not in ("both", side)):
                found[by(one)] = one
            elif one.prefer in ("both", side) and (one.domain, getattr(one, side)) != (
                known.domain,
                getattr(known, side),
            ):
                raise TableError(f"{self.file}:{one.line}: two rows are the preferred {side} side of {by(one)!r}")
        return list(found.values())


def load(name: str, file: str | PathLike[str], shown: str) -> CodeMap:
    """Read one code map; raises TableError with file and line. `shown` is what errors call the file."""
    entries = []
    for row, line in sheet.read(file, _COLUMNS, shown):
        if row["prefer"] not in ("", "both", "v2", "fhir"):
            raise TableError(f"{shown}:{line}: prefer is both, v2, fhir or empty, not {row['prefer']!r}")
        entries.append(Entry(row["domain"], row["v2"], row["fhir"], row["prefer"], line))
    return CodeMap(name, shown, entries)


Maps = Callable[[str], CodeMap]
"""How a codec gets the code map of its `vocab`: the tables of a site may have their own."""


@cache
def _implications() -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in sheet.ours("codesystems/implied.csv", "code implies comment"):
        one = codes.code(row["code"])
        found[one.system, one.code] = tuple(row["implies"].split())
    return found


def implied(system: str, code: str) -> tuple[str, ...]:
    """Names of the catalogue whose codings are written in FHIR beside this one (`mappings/codesystems/implied.csv`)."""
    return _implications().get((system, code), ())
