"""`ketafhir queue list|show --config FILE`: what is in the store. What changes it is in `store.verbs`.

A list carries nothing about a patient; `show --raw` and `show --payload` print the bytes as they are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from ketafhir.errors import StoreError
from ketafhir.store import queue, verbs
from ketafhir.store.opening import open_store
from ketafhir.store.protocol import NotAllowed, Store
from ketafhir.store.rows import DeliveryRow, Summary
from ketafhir.store.states import DELIVERY_STATES, OUTCOMES

_HEAD = ("ID", "CONTROL ID", "TYPE", "TO", "STATE", "TRIES", "AGE", "NEXT TRY", "REASON")
_REASON_WIDTH = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands and their options, on `ketafhir queue`."""
    parser.epilog = "Exit code: 0 done; 1 something is refused, or the store cannot be opened; 2 usage."
    names = "list|show|retry|park|release|pause|resume|replay|purge|export"
    commands = parser.add_subparsers(dest="queue_command", required=True, metavar=names)
    listing = commands.add_parser("list", help="the messages in the queue, oldest first")
    listing.add_argument("--state", choices=[*DELIVERY_STATES, *OUTCOMES], help="only what is in this state")
    listing.add_argument("--to", metavar="DESTINATION", help="only what goes to this destination")
    listing.add_argument("--limit", type=verbs.number, default=50, help="lines on a page (50)")
    listing.add_argument("--after", default="0.0", metavar="CURSOR", help="the next page, as the last one said")
    showing = commands.add_parser("show", help="one message: outcome, issues, deliveries, attempts")
    showing.add_argument("id", type=verbs.number, help="its ID in the list")
    form = showing.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="the message itself, byte for byte")
    form.add_argument("--payload", action="store_true", help="what is sent for it, one delivery after the other")
    for command in (listing, showing, *verbs.add_arguments(commands)):
        command.add_argument("--store", metavar="FILE|URL", help="the store of the service")
        command.add_argument("--config", metavar="FILE", help="its configuration, which names the store")
        command.add_argument("--json", action="store_true", help="JSON in place of a table")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done, 1 refused or not there, 2 wrong usage. `args.store` is a path or URL, `args.destinations` those of the
    configuration."""
    if not args.store:
        sys.stderr.write("ketafhir queue: name the store with --store FILE, or with --config FILE\n")
        return 2
    try:
        _known(args)
        if wrong := verbs.usage(args):
            sys.stderr.write(f"ketafhir queue: {wrong}\n")
            return 2
        args.who = f"cli {user()}"
        store = open_store(args.store, create=False)
        try:
            _note(store, args)
            return _COMMANDS[args.queue_command](store, args)
        finally:
            store.close()
    except StoreError as error:
        sys.stderr.write(f"ketafhir queue: {error}\n")
        return 1


def _known(args: argparse.Namespace) -> None:
    """A destination that is paused is one that there is, and not a name with a slip in it: what was meant would go on.
    `args.destinations` are those of the configuration, None without one. Raises NotAllowed."""
    if args.queue_command != "pause":
        return
    to, configured = args.to, getattr(args, "destinations", None)
    if to not in (queue.RENDERED if configured is None else configured):
        raise NotAllowed(
            f"there is no destination {to!r}; configured are {', '.join(configured)}"
            if configured
            else f"whether {to!r} is a destination its configuration tells: name it with --config FILE"
        )


_CHANGING = ("retry", "park", "release", "pause", "resume", "replay", "purge", "export")


def _note(store: Store, args: argparse.Namespace) -> None:
    """In the audit log, before it is done; a purge that is only told is none, and a replay is noted with what it does."""
    command = args.queue_command
    if command == "show":
        action = "content" if args.raw or args.payload else "view"
    elif command in _CHANGING and (command == "retry" or getattr(args, "yes", True)) and command != "replay":
        action = command
    else:
        return
    if getattr(args, "patient", None) is not None:
        return  # each message is noted in the commit that deletes it
    told = getattr(args, "id", None)
    ids = [told] if isinstance(told, int) else told
    if ids == []:
        return  # of many, each chunk is noted with what is done
    to = getattr(args, "to", None)
    store.audit(args.who, action, *([None] if ids is None else ids), destination=to)


def user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _list(store: Store, args: argparse.Namespace) -> int:
    try:
        after = queue.cursor_of(args.after)
    except ValueError as error:
        sys.stderr.write(f"ketafhir queue: {error}\n")
        return 2
    rows = store.page(state=args.state, destination=args.to, after=after, limit=args.limit)
    more = "{}.{}".format(*rows[-1].cursor) if len(rows) == args.limit else None
    if args.json:
        paused = [asdict(one) for one in store.paused()]
        return _print_json({"entries": [asdict(row) for row in rows], "after": more, "paused": paused})
    now = time.time()
    for one in store.paused():
        told = f": {one.reason}" if one.reason else ""
        sys.stderr.write(f"{one.destination} is paused since {_time(one.since)}{told}\n")
    _print_table(_HEAD, [_line(row, now) for row in rows])
    if more:
        sys.stderr.write(f"more: --after {more}\n")
    return 0


def _line(row: Summary, now: float) -> tuple[str, ...]:
    reason = f"waits for message {row.behind}" if row.behind else row.reason
    if len(reason) > _REASON_WIDTH:
        reason = reason[: _REASON_WIDTH - 1] + "…"
    waits = row.not_before is not None and row.not_before > now
    return (
        *(str(row.message_id), row.control_id, row.message_type, row.destination or "-", row.state),
        *(str(row.attempts), _age(now - row.received_at), _time(row.not_before) if waits else "-", reason),
    )


def _show(store: Store, args: argparse.Namespace) -> int:
    detail = store.show(args.id)
    if args.raw:
        return _print_bytes(queue.with_content(detail).raw)
    if args.payload:
        return _print_bytes(b"\n".join(row.payload for row in queue.with_content(detail).deliveries))
    if args.json:
        return _print_json(queue.as_json(detail))
    lines = [
        f"message   {detail.message_id}  {detail.message_type}  MSH-10 {detail.control_id}",
        f"from      {detail.sender}  {detail.peer}  through {detail.listener}",
        f"received  {_time(detail.received_at)}" + (f", again {detail.resends}x" if detail.resends else ""),
        *([f"erased    {_time(detail.erased_at)}: its content is gone"] if detail.erased_at is not None else []),
        *([f"replayed  {detail.replays}x"] if detail.replays else []),
        f"outcome   {detail.outcome}" + (", MSH-10 used before for other bytes" if detail.reused else ""),
        f"ACK       {detail.ack_state}, application answer {detail.answer_state}",
        *(f"issue     {_issue(issue)}" for issue in json.loads(detail.issues)),
    ]
    for row in detail.deliveries:
        lines += _delivery_lines(row)
    sys.stdout.write("\n".join(map(_printable, lines)) + "\n")
    return 0


def _delivery_lines(row: DeliveryRow) -> list[str]:
    lines = [f"to        {row.destination}  {row.state}" + (f": {row.reason}" if row.reason else "")]
    if row.not_before and row.state in ("queued", "parked"):
        lines.append(f"          next try {_time(row.not_before)}")
    lines += [
        f"  try {one.number:<4}{_time(one.started_at)}  {one.kind} {one.status} {one.detail}".rstrip()
        for one in row.history
    ]
    return lines


def _issue(issue: object) -> str:
    if not isinstance(issue, dict):
        return str(issue)
    parts = (issue.get(name) for name in ("severity", "code", "row", "where", "text", "hint"))
    return " ".join(str(part) for part in parts if part)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [head, *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _printable(text: str) -> str:
    """A control id or reason must not steer the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _print_json(value: object) -> int:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return 0


def _print_bytes(data: bytes) -> int:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return 0


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


_COMMANDS = {"list": _list, "show": _show, **verbs.COMMANDS}
