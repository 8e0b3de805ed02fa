"""`ketafhir audit list|verify|fhir --config FILE`: who has seen, changed or taken out what."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ketafhir.errors import StoreError

if TYPE_CHECKING:
    from ketafhir.store.audit import AuditRow
    from ketafhir.store.protocol import Store

_PAGE = 500
_DIGITS = 18  # of the largest number that both databases hold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three actions."""
    parser.epilog = "Exit code: 0 done; 1 the chain is broken, or the store cannot be opened; 2 usage."
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|verify|fhir")
    listing = actions.add_parser("list", help="print the entries, oldest first, with their digests")
    verify = actions.add_parser("verify", help="whether each entry still covers the one before it; exit 1 if not")
    fhir = actions.add_parser("fhir", help="print the entries as AuditEvents, one a line (NDJSON)")
    listing.add_argument("--json", action="store_true", help="an object a line in place of a table")
    for one in (listing, fhir):
        one.add_argument("--after", type=_entry, default=0, metavar="NUMBER", help="only what comes behind this entry")
    for one in (listing, verify, fhir):
        one.add_argument("--store", metavar="FILE|URL", help="the store of the service")
        one.add_argument("--config", metavar="FILE", help="its configuration, which names the store")


def _entry(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of an entry")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0; 1 where the chain is broken. Raises ConfigError, StoreError."""
    from ketafhir.config import load, required
    from ketafhir.store.opening import open_store

    place = args.store or load(required(args.config)).store.place
    store = open_store(place, create=False)
    try:
        return {"list": _list, "verify": _verify, "fhir": _fhir}[args.action](store, args)
    finally:
        store.close()


def _rows(store: Store, after: int = 0) -> Iterator[AuditRow]:
    while rows := store.audited(after, _PAGE):
        yield from rows
        after = rows[-1].number


def _list(store: Store, args: argparse.Namespace) -> int:
    for row in _rows(store, args.after):
        if args.json:
            sys.stdout.write(json.dumps(asdict(row)) + "\n")
        else:
            message = "" if row.message_id is None else f"message {row.message_id}"
            about = " to ".join(filter(None, (message, row.destination)))
            sys.stdout.write(f"{row.number:<7} {row.at}  {row.who:<24} {row.action:<8} {about:<16} {row.digest}\n")
    return 0


def _verify(store: Store, args: argparse.Namespace) -> int:
    from ketafhir.store.audit import first_broken

    rows = list(_rows(store))
    broken = first_broken(rows)
    if broken is not None:
        raise StoreError(f"entry {broken} of the audit log does not cover what stands before it: it was tampered with")
    last = f", the last {rows[-1].digest}" if rows else ""
    sys.stdout.write(f"{len(rows)} entries, unbroken{last}\n")
    return 0


def _fhir(store: Store, args: argparse.Namespace) -> int:
    from ketafhir.fhir import json as fhir_json
    from ketafhir.translate.audit_event import audit_event

    for row in _rows(store, args.after):
        event = audit_event(row.digest, row.at, row.who, row.action, row.message_id, row.destination)
        sys.stdout.write(fhir_json.dumps(event).decode() + "\n")
    return 0
