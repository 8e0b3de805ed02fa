"""The way out to HL7v2: records written as segments of a message."""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import encode_segment
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.context import Context
from ketafhir.mapping.engine import Preserved, put_back
from ketafhir.mapping.tables import Tables
from ketafhir.patterns import pattern
from ketafhir.therapy.records import Records

_ESCAPES = {"|": "\\F\\", "\r": "\\X0D\\", "\n": "\\.br\\"}
_ends_more = pattern(r"[|\r\n]")


class Composing:
    """One HL7v2 message being written: `lines` are its segments below the MSH, in order.

    `used` are records written besides those the message is about (their times count for MSH-7).
    """

    def __init__(self, records: Records, tables: Tables, c: Context) -> None:
        self.records, self.tables, self.c = records, tables, c
        self.lines: list[str] = []
        self.used: list[Any] = []

    def cells(self, record: Any, *tables: str, preserved: Preserved | None = None) -> dict[int, str]:
        """The cells of one segment of a record, by field number."""
        return self.tables.mapping(*tables).to_v2(record, self.c, preserved)

    def add(self, name: str, cells: dict[int, str]) -> None:
        """Append a segment."""
        self.lines.append(segment_of(name, cells))

    def add_preserved(self, name: str, preserved: Preserved, number: int = 1) -> None:
        """Append the segments of this name that were preserved as a whole (`NK1-2`, `NK1[2]-2`, ...), from one number on."""
        while True:
            cells: dict[int, str] = {}
            put_back(cells, name, preserved, number)
            if not cells:
                return
            self.add(name, cells)
            number += 1

    def notes(self, texts: tuple[str, ...]) -> None:
        """Append NTE segments."""
        for number, text in enumerate(texts, 1):
            self.add("NTE", {1: str(number), 3: escape(text)})


def segment_of(name: str, cells: dict[int, str]) -> str:
    """A segment without its CR. What would end a field, a segment or a frame of MLLP is written as an escape, whoever told it:
    raw texts of a Bundle (what was preserved) may be anybody's."""
    if _ends_more.search("".join(cells.values())):
        cells = {number: _ends_more.sub(lambda found: _ESCAPES[found[0]], cell) for number, cell in cells.items()}
    return encode_segment(name, cells)
