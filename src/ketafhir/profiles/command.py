"""`ketafhir profiles terminology`: what the FHIR package takes from the mapping tables."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="terminology")
    made = verbs.add_parser("terminology", help="write what the package takes from the mapping tables")
    made.add_argument("--out", metavar="DIR", required=True, help="one file each in this folder")


def run(args: argparse.Namespace) -> int:
    """Run the verb; gives the exit code."""
    return _terminology(Path(args.out))


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
