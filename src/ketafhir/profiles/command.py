"""`ketafhir profiles terminology|checks`: what is made from the mapping tables, and from the compiled definitions."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="terminology|checks")
    made = verbs.add_parser("terminology", help="write what the package takes from the mapping tables")
    made.add_argument("--out", metavar="DIR", required=True, help="one file each in this folder")
    checks = verbs.add_parser("checks", help="write what a check of resources needs of the definitions, in short")
    checks.add_argument("--core", metavar="DIR", required=True, help="the definitions of R4, one JSON file each")
    checks.add_argument("--definitions", metavar="DIR", required=True, help="the compiled definitions of this project")
    checks.add_argument("--out", metavar="FILE", required=True)


def run(args: argparse.Namespace) -> int:
    """Run the verb; gives the exit code."""
    return _checks(args) if args.verb == "checks" else _terminology(Path(args.out))


def _checks(args: argparse.Namespace) -> int:
    from ketafhir.fhir import json
    from ketafhir.profiles import compact, terminology

    compiled = [json.loads(file.read_bytes()) for file in sorted(Path(args.definitions).glob("*.json"))]
    made = compact.compact(compact.Core(Path(args.core)), [*compiled, *terminology.resources("")])
    # One definition on a line: a change shows where it is.
    lines = [json.dumps(url) + b":" + json.dumps(one) for url, one in made["definitions"].items()]
    codes = [json.dumps(system) + b":" + json.dumps(some) for system, some in made["codes"].items()]
    parts = (b'{"definitions":{', b",\n".join(lines), b'},"codes":{', b",\n".join(codes), b"}}", b"")
    Path(args.out).write_bytes(b"\n".join(parts))
    print(f"{len(lines)} definitions in {args.out}")
    return 0


def _terminology(folder: Path) -> int:
    from ketafhir import __version__
    from ketafhir.fhir import json
    from ketafhir.profiles import terminology

    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for one in terminology.resources(__version__):
        (folder / f"{one['resourceType']}-{one['id']}.json").write_bytes(json.dumps(one, indent=True) + b"\n")
        count += 1
    print(f"{count} resources in {folder}")
    return 0
