"""`ketafhir explain`: what becomes of a message field by field, or of a feed in sums."""

from __future__ import annotations

import io
import itertools
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

from ketafhir.errors import ConfigError, Issue, Refused, TableError, reason_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from ketafhir.explain.account import Told
    from ketafhir.explain.feed import Taken
    from ketafhir.explain.sums import Sums
    from ketafhir.translate.settings import Settings

_BLANK = b"\xef\xbb\xbf \t\r\n"
_HL7V2 = (b"M", b"F", b"B", b"\x0b", b"\xff\xfe", b"\xfe\xff")  # MSH, FHS, BHS, framed for MLLP, UTF-16
_SEND = "send HL7v2 messages or a FHIR resource"
_EPILOG = """\
One message is shown field by field: its text, and the FHIR element, value, row and codec it went by; or that it is preserved,
or dropped and why. A Bundle or resource (FHIR JSON) is shown element by element in the same way, with the field of the HL7v2
message it makes. Of several messages, or lines of NDJSON, the sums are shown: refusals, unknown codes, what is preserved and
dropped, rows, each with its count and first place; sums hold codes and places, and nothing that is of a patient. --number shows
one of them.
Exit code: 0 explained; 1 something is refused, or there is no message; 2 usage.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="HL7v2 messages, a Bundle, a resource or NDJSON; - for standard input"
    )
    parser.add_argument(
        "--store", metavar="FILE|URL", help="in place of a file: the sums of what the service has taken"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration of the service: its [authorities]; with --store its listeners too",
    )
    parser.add_argument("--since", metavar="AGE", help="with --store: what came in that time, such as 12h, 7d or 4w")
    parser.add_argument(
        "--number", metavar="N", type=int, help="of several messages show this one, read after those before it"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page that needs nothing else, instead of text")
    parser.add_argument("--site", metavar="DIR", help="site overlay, as in translate")
    parser.add_argument("--timezone", metavar="ZONE", help="zone of times without offset, such as America/Chicago")


def run(
    args: argparse.Namespace,
    stored: Callable[[argparse.Namespace], Iterator[Taken]] | None = None,
    configured: Callable[[argparse.Namespace], Settings] | None = None,
) -> int:
    """Explain a file, or with `stored` what the store of the service has; gives the exit code. `configured` makes the settings
    where a configuration is named."""
    if args.store:
        return _of_store(args, stored)
    from ketafhir.translate.settings import default

    if args.file is None:
        print("ketafhir explain: name a FILE of messages, or --store", file=sys.stderr)
        return 2
    try:
        settings = configured(args) if args.config and configured else default(args.timezone, args.site)
        file = sys.stdin.buffer if args.file == "-" else open(args.file, "rb")  # noqa: SIM115  # closed at the end of the process
        page = open(args.html, "wb") if args.html else None  # noqa: SIM115  # closed below
    except (ConfigError, TableError, OSError) as error:
        print(f"ketafhir explain: {reason_of(error)}", file=sys.stderr)
        return 2
    try:
        told, sums = explained(iter(lambda: file.read(1 << 16), b""), settings, args.number)
    except Refused as refusal:
        for issue in refusal.issues:
            print(f"ketafhir explain: {args.file}: {issue.line()}", file=sys.stderr)
        return 1
    _tell(page, told, sums)
    return 1 if (told.refused if told else sums.refused) else 0


def _of_store(args: argparse.Namespace, stored: Callable[[argparse.Namespace], Iterator[Taken]] | None) -> int:
    from ketafhir.explain.feed import summed

    if stored is None or args.file is not None or args.number is not None or args.site or args.timezone:
        print("ketafhir explain: --store goes with --config, --since and --html", file=sys.stderr)
        return 2
    sums = summed(stored(args))
    if not sums.messages:
        print("ketafhir explain: the store has no message of that time", file=sys.stderr)
        return 1
    try:
        page = open(args.html, "wb") if args.html else None  # noqa: SIM115  # closed when it is written
    except OSError as error:
        print(f"ketafhir explain: {reason_of(error)}", file=sys.stderr)
        return 2
    _tell(page, None, sums)
    return 1 if sums.refused else 0


def _tell(page: BinaryIO | None, told: Told | None, sums: Sums) -> None:
    if page is None:
        _print(told, sums)
        return
    from ketafhir.explain.page import page_of

    with page:
        page.write(page_of(told, sums).encode("utf-8"))


def explained(source: Iterator[bytes], settings: Settings, number: int | None = None) -> tuple[Told | None, Sums]:
    """The account of the only message, or of that number; else None; and the sums of all messages.

    Raises Refused where there is no such message, or the only one cannot be read at all.
    """
    begin = b""
    for chunk in source:
        begin += chunk
        if begin.lstrip(_BLANK):
            break
    source = itertools.chain([begin], source)
    if begin.lstrip(_BLANK)[:1] in (b"{", b"["):
        return _of_fhir(source, settings, number)
    if begin.lstrip(_BLANK) and not begin.lstrip(_BLANK).startswith(_HL7V2):
        xml = begin.lstrip(_BLANK)[:1] == b"<"
        text = "it is XML, which is not read" if xml else "it is neither HL7v2 (MSH...) nor JSON"
        raise Refused(Issue("error", "input-unknown", text, hint=_SEND, hl7="100"))
    return _of_hl7v2(source, settings, number)


def _of_fhir(source: Iterator[bytes], settings: Settings, number: int | None) -> tuple[Told | None, Sums]:
    from ketafhir.explain import bundles
    from ketafhir.explain.sums import FhirSums
    from ketafhir.fhir import json

    sums, told, count = FhirSums(), None, 0
    for count, data in enumerate(_documents(source), 1):
        wanted = count == (number or 1)
        if number is not None and not wanted:
            continue  # each line stands by itself
        try:
            value = json.loads(data)
            found = bundles.of_value(value, settings)
        except Refused as refusal:
            sums.refuse(count, None, refusal.issues)
            if wanted and number is not None:
                raise
            unread = refusal
            continue
        sums.explained(count, bundles.kind_of(value), found.told, found.kinds)
        if wanted:
            told = found.told
        if count == number:
            break
    if number is None and count > 1:
        return None, sums
    if told is None:
        raise unread if number is None else _no_such(number, count, "line")
    return told, sums


def _documents(source: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of NDJSON, which its first line tells by being a document; else the whole, which is one."""
    lines = _lines(source)
    first = next((line for line in lines if line.strip(_BLANK)), b"")
    if _is_whole(first):
        yield first
        yield from (line for line in lines if line.strip(_BLANK))
    else:
        yield b"\n".join([first, *lines])


def _lines(source: Iterator[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    for chunk in source:
        first, *others = chunk.split(b"\n")
        rest.append(first)
        for one in others:
            yield b"".join(rest)
            rest = [one]
    yield b"".join(rest)


def _is_whole(line: bytes) -> bool:
    from ketafhir.fhir import json

    try:
        json.loads(line)
    except Refused as refusal:
        return refusal.issues[0].code != "json-syntax"
    return True


def _no_such(number: int | None, count: int, unit: str) -> Refused:
    none = "there is no HL7v2 message in the input"
    text = f"there is no {unit} {number}: there are {count}" if count else none
    return Refused(Issue("error", "input-unknown", text, hint="" if count else _SEND, hl7="100"))


def _of_hl7v2(source: Iterator[bytes], settings: Settings, number: int | None) -> tuple[Told | None, Sums]:
    from ketafhir.explain import account
    from ketafhir.explain.sums import Sums
    from ketafhir.hl7v2.stream import split_messages
    from ketafhir.translate.incoming import parse
    from ketafhir.translate.session import Session

    session, sums = Session(settings), Sums()
    told: Told | None = None
    unread: Refused | None = None
    count = 0
    for count, data in enumerate(split_messages(source), 1):
        wanted = count == (number or 1)
        message = None
        try:
            message = parse(data)
            step = session.take(message)
        except Refused as refusal:
            sums.refuse(count, message, refusal.issues)
            if wanted and message is not None:
                told = account.of_refused(message, refusal.issues)
            elif wanted:
                unread = refusal
            continue
        sums.take(count, message, step)
        if wanted:
            told = account.of_step(message, step, settings)
        if count == number:
            break
    if number is None and count > 1:
        return None, sums
    if unread is not None:
        raise unread
    if told is None:
        raise _no_such(number, count, "message")
    return told, sums


def _print(told: Told | None, sums: Sums) -> None:
    import shutil

    from ketafhir.explain.terminal import Terminal

    on_terminal = sys.stdout.isatty()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter still shows the rest
    width = max(40, min(shutil.get_terminal_size((120, 24)).columns, 200))
    terminal = Terminal(width, on_terminal and not os.environ.get("NO_COLOR"))
    for line in terminal.message(told) if told else terminal.sums(sums):
        print(line)
