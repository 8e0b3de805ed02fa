"""The margins of the consistency checks: `mappings/limits.csv`, single ones replaced by a site's own `limits.csv`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from ketafhir.errors import TableError
from ketafhir.mapping import sheet
from ketafhir.plain import names
from ketafhir.therapy.checks import Limits

if TYPE_CHECKING:
    from pathlib import Path

FILE = "limits.csv"
_COLUMNS = ["limit", "value", "unit", "comment"]
_SCORE = "{score}"


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
        for row, where in sheet.overlay(own, _COLUMNS, f"sites/{site.name}/{FILE}", units):
            name = row["limit"]
            if row["unit"] != units[name]:
                raise TableError(f"{where}: the unit of {name} is {units[name]}, not {row['unit']!r}")
            values[name] = _number(row, where)
    return Limits(**{name.replace("-", "_"): value for name, value in values.items()})


def _number(row: dict[str, str], where: str) -> Decimal:
    try:
        value = Decimal(row["value"])
    except InvalidOperation:
        value = Decimal("NaN")
    signed = row["unit"] == _SCORE
    if not value.is_finite() or (value < 0 and not signed):
        least = "" if signed else ", zero or more"
        raise TableError(f"{where}: {row['limit']} is a number{least}, not {row['value']!r}")
    return value
