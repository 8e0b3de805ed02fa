"""`ketafhir queue retry|park|release|pause|resume|replay|purge|export`: what changes the queue, or takes something out of it.

A replay tells what it would do and does nothing without --yes; an order to a pump needs --confirm beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ketafhir.errors import StoreError
from ketafhir.store import bulk, queue
from ketafhir.store.protocol import Store
from ketafhir.store.rows import Detail, Replay
from ketafhir.store.states import DEAD, OUTCOMES, PARKED

_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}


def add_arguments(commands: Any) -> list[ArgumentParser]:
    """The parsers of these commands, made in `commands`."""
    retrying = commands.add_parser("retry", help="try again what waits, is parked or dead")
    retrying.add_argument(
        "id", type=number, nargs="*", help="IDs in the list; none: all that is parked or dead, or as chosen"
    )
    retrying.add_argument("--state", choices=bulk.RETRIED, help="of many: only what is in this state")
    retrying.add_argument("--to", metavar="DESTINATION", help="of many: only what goes to this destination")
    _span(retrying)
    retrying.add_argument("--yes", action="store_true", help="of many: do it; without it only told")
    retrying.add_argument("--force", action="store_true", help="even if a later message has overtaken it")
    _confirm(retrying)
    parking = commands.add_parser("park", help="hold a message, and so its patient, until it is released")
    parking.add_argument("id", type=number, nargs="+", help="IDs in the list")
    parking.add_argument("--reason", default="", help="why, without anything about a patient")
    releasing = commands.add_parser("release", help="let the patient of a parked message go on")
    releasing.add_argument("id", type=number, nargs="+", help="IDs in the list")
    pausing = commands.add_parser(
        "pause", help="send nothing to one destination until it is resumed; messages are taken"
    )
    pausing.add_argument("to", metavar="DESTINATION", help="fhir, or the name of a [[receiver]]")
    pausing.add_argument("--reason", default="", help="why, without anything about a patient")
    resuming = commands.add_parser("resume", help="send again to a destination that was paused")
    resuming.add_argument("to", metavar="DESTINATION", help="as it was paused")
    replaying = commands.add_parser("replay", help="send again what was done or is dead")
    replaying.add_argument("id", type=number, nargs="*", help="IDs in the list; or --since")
    mode = replaying.add_mutually_exclusive_group(required=True)
    mode.add_argument("--as-sent", action="store_true", help="the same bytes again")
    mode.add_argument(
        "--re-render", action="store_true", help="translated anew by the running service, with its tables"
    )
    replaying.add_argument("--to", metavar="DESTINATION", help="with --as-sent: to this destination only")
    replaying.add_argument(
        "--state", choices=(*bulk.REPLAYED, *bulk.RENDERED), help="of many: only what is in this state"
    )
    _span(replaying)
    replaying.add_argument(
        "--force", action="store_true", help="with --as-sent: even if a later message has overtaken it"
    )
    replaying.add_argument("--yes", action="store_true", help="do it; without it only told")
    replaying.add_argument(
        "--seen", type=count, default=0, metavar="N", help="it was replayed N times already, and is to go once more (0)"
    )
    _confirm(replaying)
    purging = commands.add_parser("purge", help="delete what has ended, by age or of one patient")
    which = purging.add_mutually_exclusive_group(required=True)
    which.add_argument("--older-than", type=age, metavar="AGE", help="such as 90d, 12w or 1y")
    which.add_argument(
        "--patient", metavar="AUTHORITY|ID", help="all that has ended of this patient; what was learned of it stays"
    )
    purging.add_argument(
        "--errors-older-than",
        type=age,
        metavar="AGE",
        help="of what was refused, failed or is dead; without it that stays",
    )
    purging.add_argument("--yes", action="store_true", help="do it; without it nothing is deleted")
    exporting = commands.add_parser("export", help="write messages, what was sent, and every attempt into a directory")
    exporting.add_argument("id", type=number, nargs="+", help="IDs in the list")
    exporting.add_argument(
        "--directory", required=True, metavar="DIR", help="made where it is not there, for its owner only"
    )
    exporting.add_argument(
        "--without-content", action="store_true", help="what is known of them alone: nothing about a patient"
    )
    return [retrying, parking, releasing, pausing, resuming, replaying, purging, exporting]


def _span(parser: ArgumentParser) -> None:
    told = "of many: what came since then, such as 2026-03-01T08:00:00Z, or an age such as 7d"
    parser.add_argument("--since", type=_moment, metavar="TIME", help=told)
    parser.add_argument("--until", type=_moment, metavar="TIME", help="of many: what came before then")


def _moment(text: str) -> float:
    try:
        return bulk.moment(text, time.time())
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _confirm(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--confirm", action="store_true", help="also an order to a pump, which is to be looked at first"
    )


def number(text: str) -> int:
    """A whole number from 1, that both databases hold."""
    if not (text.isascii() and text.isdigit() and len(text) <= queue.DIGITS and int(text)):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def count(text: str) -> int:
    """A whole number from 0."""
    return 0 if text == "0" else number(text)


def age(text: str) -> float:
    """Days."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no age, which is such as 90d, 12w or 1y")
    return int(number) * _UNITS[unit]


def usage(args: Namespace) -> str:
    """What is wrong with the options of `retry` and `replay` taken together; "" for nothing."""
    if args.queue_command == "purge" and args.patient is not None:
        return _of_patient(args)
    if args.queue_command not in ("retry", "replay"):
        return ""
    again = args.queue_command == "replay"
    rendered = again and args.re_render
    many = args.state or args.since is not None or args.until is not None
    if args.id and (many or (not again and (args.to or args.yes))):
        return "IDs, or what chooses many (--state, --to, --since, --until, --yes)"
    if rendered and (args.to or args.force):
        return "--to and --force go with --as-sent"
    if again and not args.id and args.since is None:
        return "name IDs, or many with --since"
    if again and args.state and args.state not in (bulk.RENDERED if rendered else bulk.REPLAYED):
        return "of --as-sent the --state is done or dead, of --re-render an outcome"
    if args.to and args.state in OUTCOMES:
        return "--to goes with the --state of a delivery"
    return ""


def _of_patient(args: Namespace) -> str:
    if args.errors_older_than is not None:
        return "--errors-older-than goes with --older-than"
    try:
        queue.patient_key(args.patient, getattr(args, "authorities", None))
    except ValueError as error:
        return str(error)
    return ""


def _each(args: Namespace, ids: list[int], what: str, do: Callable[[int], int]) -> int:
    """One after the other; what is refused is told and stops no other."""
    done: list[int] = []
    refusals: list[str] = []
    for message_id in ids:
        try:
            do(message_id)
            done.append(message_id)
        except StoreError as error:
            refusals.append(str(error))
    if args.json:
        _print_json({what: done, "refused": refusals})
    else:
        sys.stdout.write(f"{len(done)} {_SAID[what]}\n")
        sys.stderr.writelines(f"ketafhir queue: {text}\n" for text in refusals)
    return 1 if refusals else 0


_SAID = {"retried": "queued again", "parked": "parked", "released": "released"}


def _retry(store: Store, args: Namespace) -> int:
    if not args.id:
        return _many(store, args, bulk.retry, (args.state,) if args.state else (PARKED, DEAD))

    def one(message_id: int) -> int:
        return queue.retry(store, message_id, force=args.force, confirm=args.confirm)

    return _each(args, args.id, "retried", one)


def _park(store: Store, args: Namespace) -> int:
    return _each(args, args.id, "parked", lambda message_id: queue.park(store, message_id, args.reason))


def _release(store: Store, args: Namespace) -> int:
    return _each(args, args.id, "released", lambda message_id: queue.release(store, message_id))


def _pause(store: Store, args: Namespace) -> int:
    return _destination(args, "paused", queue.pause(store, args.to, args.reason))


def _resume(store: Store, args: Namespace) -> int:
    return _destination(args, "resumed", queue.resume(store, args.to))


def _destination(args: Namespace, what: str, waiting: int) -> int:
    if args.json:
        return _print_json({what: args.to, "waiting": waiting})
    sys.stdout.write(f"{args.to} is {what}: {waiting} waiting\n")
    return 0


def _replay(store: Store, args: Namespace) -> int:
    if not args.id:
        of = bulk.RENDERED if args.re_render else bulk.REPLAYED
        return _many(
            store, args, bulk.render_again if args.re_render else bulk.replay, (args.state,) if args.state else of
        )
    lines = _render_again(store, args) if args.re_render else _as_sent(store, args)
    if args.json:
        _print_json({"done": args.yes, "replay": lines})
    else:
        sys.stdout.writelines(f"{_line(one)}\n" for one in lines)
        sys.stdout.write(f"{len(lines)} {'to be sent again' if args.yes else 'would be sent again: --yes does it'}\n")
    return 0


def _many(
    store: Store,
    args: Namespace,
    do: Callable[[Store, bulk.Selection, bulk.How], bulk.Told],
    states: tuple[str, ...],
) -> int:
    """What is chosen by state, destination and time: told, or done with --yes."""
    to = getattr(args, "to", None)

    def note(ids: Sequence[int]) -> None:
        store.audit(args.who, args.queue_command, *ids, destination=to)

    def progress(count: int) -> None:
        if args.yes and count >= bulk.CHUNK:
            sys.stderr.write(f"{count} messages so far\n")

    how = bulk.How(args.force, args.confirm, args.yes, getattr(args, "seen", 0), note, progress)
    told = do(store, bulk.Selection(states, to, args.since, args.until), how)
    if args.json:
        _print_json(bulk.as_json(told, args.yes))
    else:
        for (place, state), count in sorted(told.found.items()):
            sys.stdout.write(f"{count} {state}{f' to {place}' if place else ''}\n")
        sys.stdout.write(f"{told.again} {'to be sent again' if args.yes else 'would be sent again: --yes does it'}\n")
        sys.stderr.writelines(f"ketafhir queue: {text}\n" for text in told.refused)
        if told.refusals > len(told.refused):
            sys.stderr.write(f"ketafhir queue: and {told.refusals - len(told.refused)} more\n")
    return 1 if told.refusals else 0


def _as_sent(store: Store, args: Namespace) -> list[dict[str, Any]]:
    wanted = {"destination": args.to, "force": args.force, "confirm": args.confirm}
    found = queue.replay(store, args.id, **wanted, do=args.yes, who=args.who, seen=args.seen)
    return [
        {
            "message": one.message_id,
            "control_id": one.control_id,
            "type": one.message_type,
            "to": one.destination,
            "was": one.state,
            "needs": [] if args.yes else [need for need, true in _needs(one, args.seen) if true],
        }
        for one in found
    ]


def _needs(one: Replay, seen: int) -> list[tuple[str, bool]]:
    return [
        (f"message {one.blocked_by} of the same patient to be sent first", one.blocked_by is not None),
        (f"--force: message {one.overtaken_by} of the same patient was written since", one.overtaken_by is not None),
        *_always(one, seen),
    ]


def _always(one: Replay | Detail, seen: int) -> list[tuple[str, bool]]:
    return [
        ("--confirm: it is an order to a pump", queue.is_pump_order(one.message_type)),
        (f"--seen {one.replays}: it was sent again before", one.replays > seen),
    ]


def _render_again(store: Store, args: Namespace) -> list[dict[str, Any]]:
    return [
        {
            "message": one.message_id,
            "control_id": one.control_id,
            "type": one.message_type,
            "to": "fhir",
            "was": one.outcome + (f", {given_up} waiting given up" if given_up else ""),
            "needs": [] if args.yes else [need for need, true in _always(one, args.seen) if true],
        }
        for one, given_up in queue.render_again(
            store, args.id, confirm=args.confirm, do=args.yes, who=args.who, seen=args.seen
        )
    ]


def _line(one: dict[str, Any]) -> str:
    needs = "".join(f"; needs {need}" for need in one["needs"])
    text = (
        f"message {one['message']}  {one['type']}  MSH-10 {one['control_id']}  to {one['to']}, was {one['was']}{needs}"
    )
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _purge(store: Store, args: Namespace) -> int:
    if args.patient is not None:
        return _purge_patient(store, args)
    if not args.yes:
        sys.stderr.write("ketafhir queue: purge deletes for good: --yes does it, and export or a backup keeps a copy\n")
        return 1
    purged = queue.purge(store, args.older_than, args.errors_older_than)
    if args.json:
        return _print_json({"purged": purged})
    sys.stdout.write(f"{purged} deleted\n")
    return 0


def _purge_patient(store: Store, args: Namespace) -> int:
    patient = queue.patient_key(args.patient, getattr(args, "authorities", None))
    found = queue.purge_patient(store, patient, who=args.who, do=args.yes)
    if args.json:
        _print_json({"done": args.yes, "purged" if args.yes else "ended": len(found.ended), "open": found.open})
    else:
        sys.stdout.write(f"{len(found.ended)} {'deleted' if args.yes else 'would be deleted: --yes does it'}\n")
        sys.stdout.write("What was learned of the patient stays: a later message joins it.\n")
        sys.stderr.writelines(f"ketafhir queue: message {one} is open, and stays\n" for one in found.open)
    return 1 if found.open else 0


def _export(store: Store, args: Namespace) -> int:
    folder = Path(args.directory)
    written: list[str] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message_id in args.id:
            for name, data in queue.export(store, message_id, content=not args.without_content).files.items():
                _write(folder / name, data)
                written.append(name)
    except OSError as error:
        sys.stderr.write(f"ketafhir queue: {error.filename or folder}: {error.strerror}: name another --directory\n")
        return 1
    if args.json:
        return _print_json({"written": written})
    sys.stdout.writelines(f"{folder / name}\n" for name in written)
    return 0


def _write(path: Path, data: bytes) -> None:
    """For its owner only; what stands there already is never written over, nor followed as a link."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(data)


def _print_json(value: object) -> int:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return 0


COMMANDS: dict[str, Callable[[Store, Namespace], int]] = {
    "retry": _retry, "park": _park, "release": _release, "pause": _pause, "resume": _resume,
    "replay": _replay, "purge": _purge, "export": _export,
}  # fmt: skip
