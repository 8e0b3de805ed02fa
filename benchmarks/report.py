"""The table: CPU time, its ratio to the floor, and how many times longer each peer takes; and the gates."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks import accepting, draining, feed
from benchmarks.rows import CHECK, FLOOR, OURS

PEERS = ("hl7", "hl7types", "hl7apy", "fhir.resources")


class Result(NamedTuple):
    """What came out for one row: a number for each contender, in `unit` (us, ms or KiB)."""

    name: str
    unit: str
    values: dict[str, float]
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours to the floor."""
        return self.values[OURS] / self.values[FLOOR]


GATES = {
    "parse oru": 2.0,
    "translate oru to FHIR": 6.6,
    "cold ketafhir translate": 7.3,
    feed.NAME: 1.1,
    CHECK: 1.0,
    accepting.NAME: 2.0,
    draining.TO_HAPI: 1.1,
    draining.TWO_WORKERS: 0.56,
}
"""The most that ours may be of the floor, by the name of the row."""
LONGEST = {accepting.NAME: 1000.0}
"""The most microseconds that ours may take, whatever the floor takes: 1,000 messages a second."""


def table(results: list[Result]) -> str:
    """The results as a Markdown table: one row each, notes below."""
    head = ["", "floor", "ketafhir", "x floor", *(f"{name} / ours" for name in PEERS)]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for one in results:
        cells = [one.name, _number(one.values[FLOOR], one.unit), _number(one.values[OURS], one.unit)]
        cells.append(f"**{one.ratio:.1f}**")
        cells += [f"{one.values[name] / one.values[OURS]:.1f}" if name in one.values else "" for name in PEERS]
        lines.append("| " + " | ".join(cells) + " |")
    notes = [f"- {one.name}: {one.note}" for one in results if one.note]
    return "\n".join([*lines, "", *notes])


def _number(value: float, unit: str) -> str:
    shown = value / 1000 if unit == "ms" else value
    return f"{shown:.0f} {unit}" if shown >= 99.5 else f"{shown:.1f} {unit}"


def failed(results: list[Result]) -> list[str]:
    """The gates that do not hold, one line each."""
    ratios = {one.name: one.ratio for one in results}
    broken = [
        f"{name} takes {ratios[name]:.2f} times the floor, and may take {most}"
        for name, most in GATES.items()
        if ratios[name] > most
    ]
    taken = {one.name: one.values[OURS] for one in results}
    return broken + [
        f"{name} takes {taken[name]:.0f} us, and may take {most:.0f}"
        for name, most in LONGEST.items()
        if taken[name] > most
    ]
