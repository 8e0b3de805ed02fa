"""Writes the numbers of the README, made from the tables, between its markers: `python scripts/readme_numbers.py`."""

from __future__ import annotations

from pathlib import Path

from ketafhir.hl7v2.structures import RESPONSES
from ketafhir.hl7v2.versions import VERSIONS as WRITTEN
from ketafhir.mapping import codes
from ketafhir.mapping.tables import Row, Tables
from ketafhir.translate.headers import STRUCTURES
from ketafhir.translate.incoming import READERS, VERSIONS
from ketafhir.translate.outgoing import READ

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
    backs = sum(len(tables.code_map(name).fhir_to_domain) for name in maps)
    answers = sorted({f"{code}^{event}" for code, event, _ in RESPONSES.values()})
    into = [row for row in rows if row.codec and row.path is not None]
    back = [row for row in rows if row.codec and row.path is not None and row.cells]
    lines = [
        ("message types read", len(READERS), ", ".join(sorted(f"{code}^{event}" for code, event in READERS))),
        ("message types written", len(STRUCTURES), ", ".join(sorted(STRUCTURES))),
        ("answers written by the service", len(answers), ", ".join(answers)),
        ("versions read", len(VERSIONS), ", ".join(VERSIONS)),
        ("versions written", len(WRITTEN), ", ".join(WRITTEN)),
        ("segments", len(segments), ", ".join(segments)),
        ("FHIR types that tables fill", len(resources), ", ".join(resources)),
        ("FHIR types read", len(READ), ", ".join(sorted(READ))),
        ("tables, rows", f"{len(names)}, {len(rows)}", "each row read in both directions"),
        ("fields mapped", len(mapped), "by a row; a field of these segments in none of these three lines is preserved"),
        ("fields carried by code", len(by_code), "a mapping module reads and writes them, as their row says"),
        ("fields dropped", len(dropped), "HL7v2 to FHIR; their row says why: transport, places in the message, what is derived"),
        ("elements of FHIR only", sum(not row.cells for row in rows), "FHIR to HL7v2; their row says why"),
        ("rows HL7v2 to FHIR, back", f"{len(into)}, {len(back)}", "with a codec and something to write"),
        ("rows with a loss", sum(bool(row.codec and row.loss) for row in rows), "mapped, but one direction holds less"),
        ("code maps", len(maps), "`mappings/codesystems`"),
        ("codes of HL7v2, of FHIR in them", f"{pairs}, {backs}", "of several that share one the preferred comes back"),
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
