"""Writes the numbers of the README, made from the tables, between its markers: `python scripts/readme_numbers.py`."""

from __future__ import annotations

from pathlib import Path

from ketafhir.mapping import codes
from ketafhir.mapping.tables import Row, Tables
from ketafhir.translate.incoming import READERS, VERSIONS

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- numbers: made by scripts/readme_numbers.py -->", "<!-- end of numbers -->"


def block() -> str:
    """The table, as it follows from the tables now."""
    tables = Tables()
    names = tables.names()
    rows = [row for name in names for row in tables.table(name).rows]
    segments = sorted({tables.table(name).segment for name in names})
    resources = sorted({tables.table(name).resource.partition(".")[0] for name in names})
    mapped = {field for row in rows if row.codec for field in _fields(row)}
    by_code = {field for row in rows if _by_code(row) for field in _fields(row)} - mapped
    dropped = {field for row in rows if row.codec is None for field in _fields(row)} - mapped - by_code
    maps = sorted(path.stem for path in (tables.root / "codesystems").glob("*.csv") if path.stem != "implied")
    pairs = sum(len(tables.code_map(name).v2_to_domain) for name in maps)
    lines = [
        ("message types", len(READERS), ", ".join(sorted(f"{code}^{event}" for code, event in READERS))),
        ("versions", len(VERSIONS), ", ".join(VERSIONS)),
        ("segments", len(segments), ", ".join(segments)),
        ("FHIR types that tables fill", len(resources), ", ".join(resources)),
        ("tables, rows", f"{len(names)}, {len(rows)}", "each row read in both directions"),
        ("fields mapped", len(mapped), "by a row; a field of these segments in none of these three lines is preserved"),
        ("fields carried by code", len(by_code), "a mapping module reads and writes them, as their row says"),
        ("fields dropped", len(dropped), "HL7v2 to FHIR; their row says why: transport, places in the message, what is derived"),
        ("elements of FHIR only", sum(not row.cells for row in rows), "FHIR to HL7v2; their row says why"),
        ("rows with a loss", sum(bool(row.codec and row.loss) for row in rows), "mapped, but one direction holds less"),
        ("code maps, codes of HL7v2 in them", f"{len(maps)}, {pairs}", "`mappings/codesystems`"),
        ("codes with their public source", len(codes.codes()), "`mappings/codes.csv`"),
    ]  # fmt: skip
    return "\n".join(
        [
            "| made from the tables | | |",
            "|---|---:|---|",
            *(f"| {what} | {count} | {of} |" for what, count, of in lines),
        ]
    )


def _fields(row: Row) -> list[tuple[str, int]]:
    return [(cell.segment, cell.field) for cell in row.cells]


def _by_code(row: Row) -> bool:
    return row.codec is None and row.loss.startswith("by code")


def written() -> str:
    """What stands between the markers now."""
    return README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    """Bring the README up to date."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{block()}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    write()
