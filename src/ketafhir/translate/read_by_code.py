"""Elements that mapping modules read by code, and the fields they go into: `mappings/read-by-code.csv`.

Only the account of a Bundle needs it (`translate.bundle_losses`, `ketafhir explain`); no translation does.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ketafhir import data
from ketafhir.mapping import sheet
from ketafhir.mapping.paths import EXTENSION

_NAME = "read-by-code.csv"
_COLUMNS = ["resource", "element", "v2", "comment"]
_ANY = "*"


class ByCode(NamedTuple):
    """One element that is read by code: its path, the fields of HL7v2 it may go into (`RXA-5`), where its row stands, and what
    there is to say of it."""

    element: str
    fields: tuple[str, ...]
    place: str
    comment: str


@cache
def _all() -> dict[str, tuple[ByCode, ...]]:
    found: dict[str, list[ByCode]] = {}
    for row, line in sheet.read(data.file(f"mappings/{_NAME}"), _COLUMNS, _NAME):
        one = ByCode(row["element"], tuple(row["v2"].split()), f"{_NAME}:{line} [{row['element']}]", row["comment"])
        found.setdefault(row["resource"], []).append(one)
    return {kind: tuple(some) for kind, some in found.items()}


def elements_of(kind: str) -> tuple[ByCode, ...]:
    """What is read by code of one resource type, and of all; none of a type that is not read."""
    return (*_all()[kind], *_all()[_ANY]) if is_read(kind) else ()


def is_read(kind: str) -> bool:
    """Whether resources of this type are read at all."""
    return kind in _all() and kind != _ANY


def extension_of(url: str) -> tuple[ByCode, ...]:
    """What is said of an extension that may stand anywhere."""
    name = url.removeprefix(EXTENSION)
    return tuple(one for one in _all()[_ANY] if one.element == f"extension[{name}]")
