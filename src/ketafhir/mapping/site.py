"""The settings of a site: which of several ways of writing its systems use (docs/tables.md).

A way of writing is declared, never sniffed: a value of another way is an error. The defaults, and what each setting may be,
stand in `mappings/settings.csv`; a site overrides some of them in its own `settings.csv` (`setting, value, comment`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ketafhir import data
from ketafhir.errors import ConfigError, TableError
from ketafhir.mapping import sheet
from ketafhir.plain import Plain, names

FILE = "settings.csv"
_DEFAULTS = ["setting", "value", "values", "comment"]
_OWN = ["setting", "value", "comment"]
_PARTS = ("segments", "codesystems", FILE, "limits.csv")


class SiteSettings(Plain):
    """The settings at work, one attribute each; their meaning is the comment in `mappings/settings.csv`."""

    rxa12: str
    rxa_repeat: str
    rxa2: str
    mar_action: str
    mar_action_code: str
    match_seconds: int
    version: str
    rxg_amount: str


def folder(site: str) -> Path:
    """The folder of a site overlay: a path, or the name of one of the example sites. Raises ConfigError."""
    for found in (Path(site), data.path("mappings/sites") / site):
        if any((found / part).exists() for part in _PARTS):
            return found.resolve()
    raise ConfigError(
        f"there is no site overlay {site}: name a folder that holds segments/, codesystems/, {FILE} or limits.csv"
    )


def load(folder: str, site: Path | None) -> SiteSettings:
    """The defaults in `folder`, with what the site sets instead. Raises TableError with file and line."""
    told: dict[str, str] = {}
    allowed: dict[str, str] = {}
    for row, line in sheet.read(f"{folder}/{FILE}", _DEFAULTS, FILE):
        allowed[row["setting"]] = row["values"]
        told[row["setting"]] = _checked(row, row["values"], f"{FILE}:{line}")
    if missing := set(names(SiteSettings)) ^ set(told):
        raise TableError(f"{FILE}: these are set and not known, or known and not set: {', '.join(sorted(missing))}")
    own = site / FILE if site else None
    if site and own and own.is_file():
        for row, where in sheet.overlay(own, _OWN, f"sites/{site.name}/{FILE}", allowed):
            told[row["setting"]] = _checked(row, allowed[row["setting"]], where)
    values: dict[str, Any] = {name: int(told[name]) if allowed[name] == "number" else told[name] for name in told}
    return SiteSettings(**values)


def _checked(row: dict[str, str], values: str, where: str) -> str:
    """The value of a row, which must be one of `values` (`number`: a whole number; empty: any text)."""
    value = row["value"]
    if values == "number":
        if not (value.isascii() and value.isdigit()):
            raise TableError(f"{where}: {row['setting']} is a whole number, not {value!r}")
    elif values and value not in values.split():
        raise TableError(f"{where}: {row['setting']} is {' or '.join(values.split())}, not {value!r}")
    return value
