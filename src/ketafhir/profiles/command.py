"""`ketafhir profiles install|package|pages|terminology|checks`: the FHIR package, onto a server or into a file, and its parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from ketafhir.errors import TransferError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="install|package|pages|terminology|checks")
    onto = verbs.add_parser(
        "install", help="put the profiles and all they need on a FHIR server; again changes nothing"
    )
    onto.add_argument("--server", metavar="URL", required=True, help="the base URL of the server")
    packed = verbs.add_parser("package", help="write the FHIR NPM package")
    packed.add_argument("--out", metavar="DIR", default="dist", help="default: dist")
    pages = verbs.add_parser("pages", help="write a page for each profile: elements, mapping rows, example")
    pages.add_argument("--out", metavar="DIR", required=True, help="one file each in this folder (Markdown)")
    made = verbs.add_parser("terminology", help="write what the package takes from the mapping tables")
    made.add_argument("--out", metavar="DIR", required=True, help="one file each in this folder")
    checks = verbs.add_parser("checks", help="write what a check of resources needs of the definitions, in short")
    checks.add_argument("--core", metavar="DIR", required=True, help="the definitions of R4, one JSON file each")
    checks.add_argument("--definitions", metavar="DIR", required=True, help="the compiled definitions of this project")
    checks.add_argument("--out", metavar="FILE", required=True, help="the definitions in short (JSON)")
    checks.add_argument("--codes", metavar="FILE", required=True, help="the codes of the HL7 tables (CSV)")


def run(args: argparse.Namespace) -> int:
    """Run the verb; gives the exit code."""
    verbs = {
        "install": _install, "package": _package, "pages": _pages, "terminology": _terminology, "checks": _checks,
    }  # fmt: skip
    return verbs[args.verb](args)


def _install(args: argparse.Namespace) -> int:
    import os
    import sys

    from ketafhir.profiles.install import install

    def progress(number: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} of {total}" + ("\n" if number == total else ""))

    try:
        done = install(args.server, os.environ.get("KETAFHIR_FHIR_TOKEN"), progress)
    except TransferError as error:
        raise TransferError(f"{args.server}: {error}; check the address, and that the server runs") from error
    print(f"{done.written} resources written, {done.unchanged} stood there already")
    return 0


def _package(args: argparse.Namespace) -> int:
    from ketafhir.profiles import package

    print(package.write(Path(args.out)))
    return 0


def _pages(args: argparse.Namespace) -> int:
    from ketafhir.profiles.pages import pages

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(pages())
    for name, text in made.items():
        (folder / name).write_text(text, "utf-8")
    print(f"{len(made)} pages in {folder}")
    return 0


def _checks(args: argparse.Namespace) -> int:
    from ketafhir.fhir import json
    from ketafhir.profiles import compact, terminology

    compiled = [json.loads(file.read_bytes()) for file in sorted(Path(args.definitions).glob("*.json"))]
    made = compact.compact(compact.Core(Path(args.core)), [*compiled, *terminology.resources("")])
    # One definition on a line: a change shows where it is.
    lines = [json.dumps(url) + b":" + json.dumps(one) for url, one in made["definitions"].items()]
    forms = [json.dumps(url) + b":" + json.dumps(one) for url, one in made["forms"].items()]
    parts = (b'{"definitions":{', b",\n".join(lines), b'},"forms":{', b",\n".join(forms), b"}}", b"")
    Path(args.out).write_bytes(b"\n".join(parts))
    codes = [f"{system},{' '.join(some)}\n" for system, some in made["codes"].items()]
    Path(args.codes).write_text("system,codes\n" + "".join(codes), "utf-8")
    print(f"{len(lines)} definitions in {args.out}")
    return 0


def _terminology(args: argparse.Namespace) -> int:
    from ketafhir import __version__
    from ketafhir.fhir import json
    from ketafhir.profiles import terminology

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for one in terminology.resources(__version__):
        (folder / f"{one['resourceType']}-{one['id']}.json").write_bytes(json.dumps(one, indent=True) + b"\n")
        count += 1
    print(f"{count} resources in {folder}")
    return 0
