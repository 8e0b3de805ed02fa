"""What terminal and page say alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ketafhir.explain.account import Line

SIGNS = {"mapped": "=", "preserved": "~", "dropped": "x"}
"""One sign for each fate, for those who see no colours."""

MEANINGS = {
    "mapped": "mapped: it goes over, and comes back by the same row",
    "preserved": "preserved: no row maps it; an extension holds its text",
    "dropped": "dropped: it does not come back, for the reason given",
}
HEADINGS = {
    "refusals": "Refused: nothing of these messages is written",
    "codes": "Codes that no map has, and units and types that are not understood",
    "warnings": "Other warnings",
    "notes": "Notes",
    "preserved": "Preserved: no row maps them",
    "dropped": "Dropped, and why",
    "written": "HL7v2 messages that are made",
    "rows": "Rows that read",
}
NOUNS = {"HL7v2": "field", "FHIR": "element"}
"""What a line is about, by the side it is of."""


def target_lines(line: Line) -> Iterator[tuple[str, bool]]:
    """What became of a field, line by line, and whether the line is of less weight (row, codec, reason)."""
    for target in line.targets:
        if target.element:
            shown = f"{target.element}: {target.value}" if target.value and line.fate == "mapped" else target.element
            yield shown, False
        by = ", ".join(
            filter(None, (target.row, target.codec and f"codec {target.codec}", ", ".join(target.resources)))
        )
        if by:
            yield by, True
    if line.why:
        yield line.why, bool(line.targets)
    elif not line.targets and line.fate:
        yield "null: what was told before is deleted" if line.text == '""' else line.fate, True
