"""Units: what is sent (UCUM, MDC or free text) to UCUM, by `mappings/units.csv`.

`kind` says what a unit measures, so that a rate is never taken for an amount; `amount` and `per` are the halves of a
compound rate (mL/h is mL per h). A unit that stands in no row is not guessed.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ketafhir.mapping import codes, sheet


class Unit(NamedTuple):
    """A UCUM unit, what it measures, and for a rate its halves."""

    ucum: str
    kind: str
    amount: str
    per: str


AMOUNTS = frozenset({"mass", "volume", "substance", "arbitrary", "mass-per-weight"})
"""Kinds of unit in which a drug can be given."""


@cache
def table() -> dict[str, Unit]:
    """Every spelling that is understood."""
    rows = sheet.ours("units.csv", "sent ucum kind amount per comment")
    found = {row["sent"]: Unit(row["ucum"], row["kind"], row["amount"], row["per"]) for row in rows}
    # Devices say units in MDC, by number or by reference ID; the catalogue has their UCUM codes.
    for one in codes.codes("mdc.dim-"):
        if one.unit in found:
            found.setdefault(one.code, found[one.unit])
            found.setdefault(one.display, found[one.unit])
    return found


def find(text: str) -> Unit | None:
    """The unit of one spelling, or None."""
    units = table()
    return units.get(text) or units.get(text.strip())


def alternatives(kinds: frozenset[str]) -> str:
    """The UCUM units of these kinds, for an error that says what would be taken."""
    return ", ".join(dict.fromkeys(unit.ucum for unit in table().values() if unit.kind in kinds))
