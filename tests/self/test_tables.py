"""The tables hold what they promise: lint, every row hit by a golden case, losses under their ceilings."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from golden.cases import ROOT, Outcome, case_settings, folders
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.hl7v2.stream import split_messages
from ketafhir.mapping import sheet
from ketafhir.mapping.lint import lint
from ketafhir.mapping.tables import COLUMNS, Row, Tables
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session

CEILINGS = Path(__file__).with_name("ceilings.json")


def test_lint_finds_nothing() -> None:
    assert lint(Tables()) == []


def _rows_hit() -> set[tuple[str, str]]:
    """(table, row) of each row that some golden message fills."""
    return {(Path(row.file).stem, row.name) for row in _all_rows_hit()}


@cache
def _all_rows_hit() -> list[Row]:
    hit: list[Row] = []
    for folder in folders():
        if not (folder / "in.hl7").is_file():
            continue
        session = Session(case_settings(folder))
        for one in split_messages((folder / "in.hl7").read_bytes()):
            try:
                step = session.take(parse(one))
            except Refused:
                continue
            for account in step.reading.accounts:
                for table in account.mapping.tables.values() if account.mapping else ():
                    hit += [row for row in table.rows if _fills(row, account.segment.fields)]
    return hit


def test_every_row_of_a_dialect_is_hit_by_a_golden_case() -> None:
    folder = data.path("mappings/dialects")
    hit = {(row.file, row.name) for row in _all_rows_hit()}
    for file in folder.rglob("*.csv"):
        shown = f"dialects/{file.relative_to(folder)}"
        rows = [row["row"] for row, _ in sheet.read(file, ["op", *COLUMNS], shown) if row["op"] != "remove"]
        assert [name for name in rows if (shown, name) not in hit] == [], shown


def _fills(row: Row, fields: list[str]) -> bool:
    valued = any(cell.field < len(fields) and fields[cell.field] for cell in row.cells)
    return valued and (row.when is None or row.when.holds(fields))


def test_every_row_is_hit_by_a_golden_case() -> None:
    tables = Tables()
    hit = _rows_hit()
    # The component table is the same OBX seen from inside a panel: its rows are hit where those of the OBX are.
    hit |= {("OBX_to_Observation.component", row) for name, row in hit if name == "OBX_to_Observation"}
    missed = [
        f"{name} [{row.name}]"
        for name in tables.names()
        for row in tables.table(name).rows
        if row.cells and (name, row.name) not in hit
    ]
    assert missed == []


def _counts() -> dict[str, dict[str, int]]:
    """Preserved and dropped fields by message family, over all golden cases."""
    found: dict[str, Counter[str]] = {}
    for folder in folders():
        family = folder.relative_to(ROOT).parts[0]
        for account in Outcome(folder).accounts:
            found.setdefault(family, Counter()).update(loss.fate for loss in account)
    return {
        family: {fate: counts[fate] for fate in ("preserved", "dropped")} for family, counts in sorted(found.items())
    }


@pytest.mark.parametrize("family", sorted(json.loads(CEILINGS.read_text())))
def test_what_is_not_mapped_stays_under_its_ceiling(family: str) -> None:
    ceiling = json.loads(CEILINGS.read_text())[family]
    now = _counts()[family]
    assert now["preserved"] <= ceiling["preserved"], "a field that was mapped is now only preserved"
    assert now["dropped"] <= ceiling["dropped"], "a field that was mapped or preserved is now dropped"


def test_every_family_has_a_ceiling() -> None:
    assert set(_counts()) == set(json.loads(CEILINGS.read_text()))


def test_every_populated_field_has_a_fate() -> None:
    """The account is full: each field of each message is in it once, and a dropped one says why."""
    for folder in folders():
        for account in Outcome(folder).accounts:
            places = [loss.where for loss in account]
            assert len(places) == len(set(places)), folder.name
            assert all(loss.why for loss in account if loss.fate == "dropped"), folder.name
            assert not any(loss.why == "nothing reads this segment" for loss in account), folder.name
