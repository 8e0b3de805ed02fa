"""`ketafhir translate`: HL7v2 or FHIR in, FHIR, HL7v2 or therapy records out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ketafhir.errors import ConfigError, Issue, Refused, TableError

if TYPE_CHECKING:
    import argparse

    from ketafhir.translate.settings import Settings

_EPILOG = """\
Input is told apart by its content: HL7v2 (one message or many) or FHIR JSON (a Bundle of any type, or one resource).
To fhir: one message gives one transaction Bundle; several are folded and give one Bundle a line (NDJSON), in input order.
To hl7v2: ER7 with CR between segments; without --message, every message the Bundle carries.
stderr holds one OperationOutcome. Exit code: 0 translated; 1 something was refused, or the input is neither; 2 usage.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the file to translate, or - for standard input")
    parser.add_argument("--to", required=True, choices=("fhir", "hl7v2", "therapy"), help="what to make of it")
    parser.add_argument("--message", metavar="TYPE", help="with --to hl7v2: only this message, such as RAS^O17")
    parser.add_argument("--report", metavar="FILE", help="write what became of each field (JSON)")
    parser.add_argument("--strict", action="store_true", help="also check HL7v2 conformance with hl7apy; errors refuse")
    parser.add_argument(
        "--site", metavar="DIR", help="site overlay: a folder with segments/, codesystems/ or settings.csv, or its name"
    )
    parser.add_argument("--timezone", metavar="ZONE", help="zone of times without offset, such as America/Chicago")


def run(args: argparse.Namespace) -> int:
    """Translate a file; gives the exit code."""
    from ketafhir.fhir import json
    from ketafhir.fhir.outcome import operation_outcome

    if args.message and args.to != "hl7v2":
        print("ketafhir translate: --message goes with --to hl7v2", file=sys.stderr)
        return 2
    issues: list[Issue] = []
    reports: list[Any] = []
    try:
        from ketafhir.translate.settings import default

        settings = default(args.timezone, args.site)
        source = _open(args.file)
    except (ConfigError, TableError, OSError) as error:
        print(f"ketafhir translate: {error}", file=sys.stderr)
        return 2
    try:
        refused = _translate(args, settings, source, issues, reports)
        _output().flush()
    except OSError as error:
        refused = _cut_short(error, issues)
    if args.report:
        try:
            with open(args.report, "wb") as file:
                file.write(json.dumps(reports[0] if len(reports) == 1 else reports, indent=True) + b"\n")
        except OSError as error:
            print(f"ketafhir translate: {error}", file=sys.stderr)
            return 2
    _tell(json.dumps(operation_outcome(issues)) + b"\n")
    return 1 if refused else 0


def _output() -> BinaryIO:
    """Standard output, as bytes. Raises OSError where the caller has closed it."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    return sys.stdout.buffer


def _cut_short(error: OSError, issues: list[Issue]) -> bool:
    """Say that reading or writing failed, and let go of an output that takes no more."""
    reason = error.strerror or str(error)
    issues.append(Issue("error", "output-failed", f"the input or the output broke off: {reason}", hl7="207"))
    if sys.stdout is not None:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is still buffered would fail once more at exit
    return True


def _tell(outcome: bytes) -> None:
    """The OperationOutcome, in UTF-8 whatever the terminal is set to: it is JSON."""
    if sys.stderr is not None:
        sys.stderr.flush()
        sys.stderr.buffer.write(outcome)
        sys.stderr.buffer.flush()


def _open(name: str) -> Iterator[bytes]:
    """The input in chunks; opened at once, so that a missing file is a usage error."""
    file = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115  # closed at the end of the process

    def chunks() -> Iterator[bytes]:
        while chunk := file.read(1 << 16):
            yield chunk

    return chunks()


def _translate(
    args: argparse.Namespace,
    settings: Settings,
    source: Iterator[bytes],
    issues: list[Issue],
    reports: list[Any],
) -> bool:
    """Read the first bytes to tell what the input is, and translate it. Gives whether anything was refused."""
    first = b""
    for chunk in source:
        first += chunk
        if first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00"):
            break
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00")[:1]
    try:
        if start in (b"{", b"["):
            return _from_fhir(args, settings, first + b"".join(source), issues, reports)
        if start in (b"M", b"F", b"B") or first[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return _from_hl7v2(args, settings, _chain(first, source), issues, reports)
    except Refused as refusal:
        issues.extend(refusal.issues)
        return True
    text = "the input is empty" if not start else "the input is neither HL7v2 (MSH...) nor JSON"
    issues.append(
        Issue(
            "error",
            "input-unknown",
            text,
            where=args.file,
            hint="send HL7v2 messages or a FHIR resource",
            hl7="100",
        )
    )
    return True


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _from_fhir(
    args: argparse.Namespace, settings: Settings, data: bytes, issues: list[Issue], reports: list[Any]
) -> bool:
    from ketafhir.fhir import json
    from ketafhir.translate import bundle_losses, losses, outgoing
    from ketafhir.translate.writing import sender_urn

    value = json.loads(data)
    taking = outgoing.take(value, settings)
    if args.to == "hl7v2":
        out = "".join(outgoing.compose(outgoing.outbound(taking), settings, args.message)).encode()
        if args.strict:
            _check_strict(out, taking.c.issues)
        _output().write(out)
    elif args.to == "therapy":
        _write_records(taking.records)
    else:
        from ketafhir.translate.session import render_records

        source = sender_urn(*outgoing.outbound(taking).senders.get("", ("", "")))
        _output().write(json.dumps(render_records(taking.records, settings, taking.c, source)) + b"\n")
    issues.extend(taking.c.issues)
    reports.append(losses.summary(bundle_losses.of_bundle(taking, settings.tables)))
    return False


def _from_hl7v2(
    args: argparse.Namespace,
    settings: Settings,
    source: Iterator[bytes],
    issues: list[Issue],
    reports: list[Any],
) -> bool:
    from ketafhir.fhir import json
    from ketafhir.hl7v2.stream import split_messages
    from ketafhir.translate import losses
    from ketafhir.translate.incoming import parse
    from ketafhir.translate.session import Session

    session = Session(settings)
    refused = False
    count = 0
    taken = False
    for count, data in enumerate(_progress(split_messages(source)), 1):
        try:
            message = parse(data)
            found = _strict(message) if args.strict else []
            step = session.take(message)
        except Refused as refusal:
            refused = True
            issues.extend(_numbered(refusal.issues, count))
            continue
        taken = True
        if args.report:
            reports.append({"message": count, **losses.summary(losses.of_message(message, step.reading))})
        issues.extend(_numbered([*found, *step.issues], count))
        if args.to == "fhir":
            _output().write(json.dumps(step.bundle) + b"\n")
    if not count:
        raise Refused(
            Issue("error", "input-unknown", "there is no HL7v2 message in the input", where=args.file, hl7="100")
        )
    if count == 1:
        issues[:] = [_unnumbered(issue) for issue in issues]
    if args.to == "therapy" and taken:
        from ketafhir.therapy.fold import settle

        _write_records(settle(session.history))
    elif args.to == "hl7v2" and taken:
        from ketafhir.therapy.fold import settle
        from ketafhir.translate import outgoing
        from ketafhir.translate.provenance import event_of

        records = settle(session.history)
        out = outgoing.Outbound(records, settings.context(), {"": message.sender}, event_of(records))
        text = "".join(outgoing.compose(out, settings, args.message)).encode()
        if args.strict:
            _check_strict(text, out.c.issues)
        _output().write(text)
        issues.extend(out.c.issues)
    return refused


def _numbered(issues: list[Issue], count: int) -> list[Issue]:
    """Issues of one message among several name the message."""
    from ketafhir.plain import replace

    return [replace(issue, where=f"message {count}: {issue.where}".rstrip(": ")) for issue in issues]


def _unnumbered(issue: Issue) -> Issue:
    from ketafhir.plain import replace

    return replace(issue, where=issue.where.removeprefix("message 1: ").removeprefix("message 1"))


def _strict(message: Any) -> list[Issue]:
    """What hl7apy finds, with the structures it cannot check. Raises Refused where there is an error among it."""
    from ketafhir.hl7v2.groups import walk
    from ketafhir.hl7v2.strict import check

    found = check(message, walk(message))
    if any(issue.severity == "error" for issue in found):
        raise Refused(*found)
    return found


def _check_strict(out: bytes, issues: list[Issue]) -> None:
    """The same for what is written. Raises Refused, with the findings there were before."""
    from ketafhir.hl7v2.stream import split_messages
    from ketafhir.translate.incoming import parse

    for data in split_messages(out):
        try:
            issues.extend(_strict(parse(data)))
        except Refused as refusal:
            raise Refused(*issues, *refusal.issues) from None


def _write_records(records: Any) -> None:
    from ketafhir.fhir import json
    from ketafhir.therapy.asjson import dump

    _output().write(json.dumps(dump(records), indent=True) + b"\n")


def _progress(messages: Iterator[bytes]) -> Iterator[bytes]:
    """The messages, counted on a terminal where that takes long enough to be seen."""
    if not sys.stderr.isatty():
        return messages
    from tqdm import tqdm

    return iter(tqdm(messages, desc="translate", unit=" messages", delay=1, leave=False))
