"""The margins of the consistency checks: `mappings/limits.csv`, single ones replaced by a site's own `limits.csv`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

from ketafhir.errors import TableError
from ketafhir.mapping import sheet
from ketafhir.plain import names
from ketafhir.therapy.checks import Limits

FILE = "limits.csv"
_COLUMNS = ["limit", "value", "unit", "comment"]


def load(folder: str, site: Path | None = None) -> Limits:
    """The limits in `folder`, with what the site sets instead. Raises TableError with file and line."""
    units: dict[str, str] = {}
    values: dict[str, Decimal] = {}
    for row, line in sheet.read(f"{folder}/{FILE}", _COLUMNS, FILE):
        units[row["limit"]] = row["unit"]
        values[row["limit"]] = _number(row, f"{FILE}:{line}")
    if missing := {name.replace("_", "-") for name in names(Limits)} ^ set(values):
        raise TableError(f"{FILE}: these are set and not known, or known and not set: {', '.join(sorted(missing))}")
    own = site / FILE if site else None
    if site and own and own.is_file():
        _override(values, units, own, f"sites/{site.name}/{FILE}")
    return Limits(**{name.replace("-", "_"): value for name, value in values.items()})


def _override(values: dict[str, Decimal], units: dict[str, str], file: Path, shown: str) -> None:
    seen: set[str] = set()
    for row, line in sheet.read(file, _COLUMNS, shown):
        name, where = row["limit"], f"{shown}:{line}"
        if name not in units:
            raise TableError(f"{where}: there is no limit {name!r}; there are {', '.join(sorted(units))}")
        if name in seen:
            raise TableError(f"{where}: the limit {name} stands twice")
        if row["unit"] != units[name]:
            raise TableError(f"{where}: the unit of {name} is {units[name]}, not {row['unit']!r}")
        seen.add(name)
        values[name] = _number(row, where)


def _number(row: dict[str, str], where: str) -> Decimal:
    try:
        value = Decimal(row["value"])
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise TableError(f"{where}: {row['limit']} is a number, zero or more, not {row['value']!r}")
    return value
