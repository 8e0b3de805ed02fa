"""`ketafhir reconcile`: what was acknowledged as written, beside what the FHIR server holds; --mend sends it again."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from ketafhir.config import Config, load, required
from ketafhir.errors import StoreError, TransferError
from ketafhir.store.protocol import Store
from ketafhir.sync.reconcile import MENDED, Difference, Reconciler, to_replay

_DESTINATION = "fhir"
_SAID = {
    "missing": "is not on the server",
    "older": "is older on the server than what it acknowledged",
    "changed": "was changed by somebody else",
    "several": "matches several resources on the server: somebody has to clear that up",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = (
        "Exit code: 0 the server holds what was written, or what differed is queued again; 1 something differs; 2 usage. Messages "
        "that `queue purge` or the retention has deleted are not compared."
    )
    parser.add_argument("--config", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")
    parser.add_argument(
        "--mend", action="store_true", help="send again what is missing or older, and what came after it"
    )
    parser.add_argument("--overwrite", action="store_true", help="with --mend: also what somebody else has changed")
    parser.add_argument(
        "--confirm", action="store_true", help="with --mend: also orders to pumps, which are to be looked at first"
    )
    parser.add_argument("--json", action="store_true", help="JSON in place of lines")


def run(args: argparse.Namespace) -> int:
    """Compare, print each difference as it is found, and mend what is asked for."""
    from ketafhir.store.opening import open_store

    if (args.overwrite or args.confirm) and not args.mend:
        sys.stderr.write("ketafhir reconcile: --overwrite and --confirm go with --mend\n")
        return 2
    config = load(required(args.config))
    if config.fhir.mode == "shadow":
        sys.stderr.write(
            "ketafhir reconcile: [fhir] mode is shadow: only what was written before is compared, and nothing is sent until it "
            "is live\n"
        )
    store = open_store(config.store.place, create=False)
    try:
        return asyncio.run(_reconcile(config, store, args))
    except TransferError as error:
        sys.stderr.write(f"ketafhir reconcile: the FHIR server does not answer: {error}; `ketafhir doctor` says why\n")
        return 1
    finally:
        store.close()


async def _reconcile(config: Config, store: Store, args: argparse.Namespace) -> int:
    from ketafhir.delivering import access_to
    from ketafhir.sync.opening import open_client

    client = open_client(access_to(config.fhir))
    found: list[Difference] = []
    try:
        work = Reconciler(store, client, _DESTINATION, config.fhir.parallel)
        async for one in work.differences():
            found.append(one)
            if not args.json:
                sys.stdout.write(f"{_line(one)}\n")
    finally:
        await client.aclose()
    queued = await _mend(store, found, args) if args.mend else []
    if args.json:
        told = {"compared": work.compared, "differences": [asdict(one) for one in found], "queued": queued}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(f"{work.compared} resources compared, {len(found)} differ\n")
        if queued:
            sys.stdout.write(f"{len(queued)} messages queued again: reconcile again when the service has sent them\n")
    wanted = (*MENDED, "changed") if args.overwrite else MENDED
    return 1 if any(not args.mend or one.what not in wanted for one in found) else 0


async def _mend(store: Store, found: list[Difference], args: argparse.Namespace) -> list[int]:
    from ketafhir.store import queue
    from ketafhir.store.command import user
    from ketafhir.store.states import DONE

    wanted = (*MENDED, "changed") if args.overwrite else MENDED
    damaged = {one.delivery_id for one in found if one.what in wanted}
    if not damaged:
        return []
    messages = await to_replay(store, _DESTINATION, damaged)
    try:
        planned = queue.replay(
            store,
            messages,
            destination=_DESTINATION,
            force=True,
            confirm=args.confirm,
            states=(DONE,),
            who=f"cli {user()}",
            seen=None,  # what it mends is read from the server each time
        )
    except StoreError as error:
        raise StoreError(f"nothing is queued again: {error}") from error
    return list(dict.fromkeys(one.message_id for one in planned))


def _line(one: Difference) -> str:
    versions = f" ({one.found} for {one.known})" if one.found and one.known else ""
    elements = f": {', '.join(one.elements)}" if one.elements else ""
    return f"message {one.message_id}  {one.where} {_SAID[one.what]}{versions}{elements}"
