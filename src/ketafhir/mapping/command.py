"""`ketafhir tables lint|show|export`: the mapping tables for people and for other tools."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from ketafhir.plain import names as field_names

if TYPE_CHECKING:
    import argparse

    from ketafhir.mapping.tables import Tables

URL = "https://ketafhir.org/fhir/ConceptMap/"
_TABLE = "http://terminology.hl7.org/CodeSystem/v2-"
_FIELDS = "urn:ketafhir:hl7v2:"  # the fields of a segment are no code system that anybody has published
_RESOURCE = "http://hl7.org/fhir/StructureDefinition/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--site", metavar="DIR", help="with the overlay of this site")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="lint|show|export")
    verbs.add_parser("lint", help="check every row; exit 1 where one is wrong")
    show = verbs.add_parser("show", help="list the tables and settings, or the rows of one table")
    show.add_argument("table", nargs="?", metavar="TABLE", help="such as RXA_to_MedicationAdministration")
    export = verbs.add_parser("export", help="write the code maps and tables as FHIR ConceptMaps")
    export.add_argument(
        "--out", metavar="DIR", help="one file each in this folder (default: NDJSON to standard output)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb; gives the exit code."""
    from ketafhir.mapping.tables import Tables

    site = None
    if args.site:
        from ketafhir.mapping.site import folder

        site = folder(args.site)
    tables = Tables(site)
    verbs = {"lint": _lint, "show": _show, "export": _export}
    return verbs[args.verb](tables, args)


def _lint(tables: Tables, args: argparse.Namespace) -> int:
    from ketafhir.mapping.lint import lint

    found = lint(tables)
    for line in found:
        sys.stdout.write(line + "\n")
    rows = sum(len(tables.table(name).rows) for name in tables.names()) if not found else 0
    if not found:
        sys.stdout.write(f"{len(tables.names())} tables, {rows} rows: nothing to mend\n")
    return 1 if found else 0


def _show(tables: Tables, args: argparse.Namespace) -> int:
    names = [args.table] if args.table else tables.names()
    for name in names:
        table = tables.table(name)
        if not args.table:
            sys.stdout.write(f"{name:40} {len(table.rows):3} rows\n")
            continue
        width = [max(len(str(text)) for text in column) for column in zip(*map(_columns, table.rows), strict=True)]
        for row in table.rows:
            cells = [text.ljust(size) for text, size in zip(_columns(row), width, strict=True)]
            sys.stdout.write("  ".join(cells).rstrip() + (f"  ({row.loss})" if row.loss else "") + "\n")
    if not args.table:
        for setting in field_names(tables.settings):
            sys.stdout.write(f"{setting:40} {getattr(tables.settings, setting)}\n")
    return 0


def _columns(row: Any) -> tuple[str, ...]:
    return row.name, row.v2, row.when_text, row.domain, row.fhir, row.codec_name, row.vocab


def _export(tables: Tables, args: argparse.Namespace) -> int:
    from pathlib import Path

    from ketafhir.fhir import json

    maps = concept_maps(tables)
    if not args.out:
        for one in maps:
            sys.stdout.buffer.write(json.dumps(one) + b"\n")
        return 0
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for one in maps:
        (folder / f"ConceptMap-{one['id']}.json").write_bytes(json.dumps(one, indent=True) + b"\n")
    sys.stdout.write(f"{len(maps)} ConceptMaps in {folder}\n")
    return 0


def concept_maps(tables: Tables) -> list[dict[str, Any]]:
    """All code maps and tables as ConceptMaps."""
    found = [concept_map(tables, name) for name in _map_names(tables)]
    return found + [table_map(tables, name) for name in tables.names()]


def _map_names(tables: Tables) -> list[str]:
    return sorted(path.stem for path in (tables.root / "codesystems").glob("*.csv") if path.stem != "implied")


def _head(name: str, title: str) -> dict[str, Any]:
    identifier = name.replace("_", "-")
    return {
        "resourceType": "ConceptMap",
        "id": identifier,
        "url": URL + identifier,
        "name": "".join(part.capitalize() for part in identifier.split("-")),
        "title": title,
        "status": "active",
        "experimental": False,
    }


def concept_map(tables: Tables, name: str) -> dict[str, Any]:
    """A code map as ConceptMap: v2 code to FHIR code. What has only one side is left out."""
    found = tables.code_map(name)
    elements: dict[str, list[dict[str, str]]] = {}
    for entry in found.entries:
        if entry.v2 and entry.fhir:
            inverse = found.fhir_to_domain.get(entry.fhir) == entry.domain
            target = {"code": entry.fhir, "equivalence": "equivalent" if inverse else "wider"}
            elements.setdefault(entry.v2, []).append(target)
    json = _head(name, f"Code map {name}")
    table, system = _systems().get(name, ("", ""))
    if elements and system:
        listed = [{"code": code, "target": targets} for code, targets in elements.items()]
        source = table if ":" in table else f"{_TABLE}{table}"
        json["group"] = [{"source": source, "target": system, "element": listed}]
    return json


@cache
def _systems() -> dict[str, tuple[str, str]]:
    """Of each code map its HL7v2 table and the FHIR system, where it has both sides."""
    from ketafhir.mapping import sheet

    rows = sheet.ours("conceptmaps.csv", "map table fhir comment")
    return {row["map"]: (row["table"], row["fhir"]) for row in rows}


def table_map(tables: Tables, name: str) -> dict[str, Any]:
    """A table as ConceptMap: v2 field to FHIR element, as the v2-to-FHIR guide publishes its segment maps."""
    table = tables.table(name)
    elements = []
    for row in table.rows:
        for cell in row.cells:
            target: dict[str, Any] = {"equivalence": "unmatched"}
            if row.fhir:
                target = {
                    "code": f"{table.resource}.{row.fhir}",
                    "equivalence": "wider" if row.loss else "equivalent",
                }
            if row.loss or row.comment:
                target["comment"] = "; ".join(part for part in (row.loss, row.comment) if part)
            elif not row.fhir:
                target["comment"] = "read by code"
            elements.append({"code": f"{cell.segment}-{cell.text}", "display": row.v2_name, "target": [target]})
    resource = _RESOURCE + table.resource.partition(".")[0]
    group = {"source": _FIELDS + table.segment, "target": resource, "element": elements}
    return {**_head(name, f"Segment {table.segment} to {table.resource}"), "group": [group]}
