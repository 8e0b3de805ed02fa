"""`ketafhir translate`: HL7v2 or FHIR in, FHIR, HL7v2 or therapy records out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ketafhir.errors import ConfigError, Issue, Refused, TableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ketafhir.hl7v2.er7 import Message
    from ketafhir.translate.outputs import Findings, Rejects, Report
    from ketafhir.translate.pump_orders import PumpOrders
    from ketafhir.translate.session import Session
    from ketafhir.translate.settings import Settings

_EPILOG = """\
Input is told apart by its content: HL7v2 (one message or many) or FHIR JSON (a Bundle of any type, or one resource).
To fhir: one message gives one transaction Bundle; several are folded and give one Bundle a line (NDJSON), in input order.
To hl7v2: ER7 with CR between segments; without --message, every message the Bundle carries.
--rejects writes the messages refused as an HL7 batch file, each as it came, with the reasons in BHS-10: mend them there,
and translate the file after the one they came from, or send it.
stderr holds one OperationOutcome. Exit code: 0 translated; 1 something was refused, or the input is neither; 2 usage.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the file to translate, or - for standard input")
    parser.add_argument("--to", required=True, choices=("fhir", "hl7v2", "therapy"), help="what to make of it")
    parser.add_argument("--message", metavar="TYPE", help="with --to hl7v2: only this message, such as RAS^O17")
    parser.add_argument(
        "--version", metavar="N", help="with --to hl7v2: the version written, 2.3 to 2.8.1 (default 2.5.1)"
    )
    parser.add_argument("--report", metavar="FILE", help="write what became of each field (JSON)")
    parser.add_argument("--rejects", metavar="FILE", help="write the messages that are refused (HL7v2)")
    parser.add_argument("--strict", action="store_true", help="also check HL7v2 conformance with hl7apy; errors refuse")
    parser.add_argument(
        "--site",
        metavar="DIR",
        help="site overlay: a folder with segments/, codesystems/, settings.csv or limits.csv, or its name",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="with --message RGV^O15: the configuration that allows orders to pumps ([pump])",
    )
    parser.add_argument("--timezone", metavar="ZONE", help="zone of times without offset, such as America/Chicago")


def run(args: argparse.Namespace, pump: Callable[[str], PumpOrders | None] | None = None) -> int:
    """Translate a file; gives the exit code. `pump` reads what a configuration says of orders to pumps."""
    from ketafhir.translate.outputs import Findings, Rejects, Report

    if (args.message or args.version) and args.to != "hl7v2":
        print("ketafhir translate: --message and --version go with --to hl7v2", file=sys.stderr)
        return 2
    issues = Findings()
    try:
        from ketafhir.translate.settings import default

        settings = default(args.timezone, args.site)
        if args.config and pump is not None:
            settings = settings.allowing(pump(args.config))
        source = _open(args.file)
        run = _Run(
            args, settings, issues, Report(args.report) if args.report else None,
            Rejects(args.rejects) if args.rejects else None,
        )  # fmt: skip
    except (ConfigError, TableError, OSError) as error:
        print(f"ketafhir translate: {error}", file=sys.stderr)
        return 2
    try:
        try:
            refused = _translate(run, source)
        finally:
            for file in (run.report, run.rejects):
                if file is not None:
                    file.close()
        _output().flush()
    except OSError as error:
        refused = _cut_short(error, issues)
    _tell(issues)
    return 1 if refused else 0


class _Run(NamedTuple):
    """One run of the command: what is asked, and where everything goes beside the result."""

    args: argparse.Namespace
    settings: Settings
    issues: Findings
    report: Report | None
    rejects: Rejects | None


def _output() -> BinaryIO:
    """Standard output, as bytes. Raises OSError where the caller has closed it."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    return sys.stdout.buffer


def _cut_short(error: OSError, issues: Findings) -> bool:
    """Say that reading or writing failed, and let go of an output that takes no more."""
    reason = error.strerror or str(error)
    issues.extend([Issue("error", "output-failed", f"the input or the output broke off: {reason}", hl7="207")])
    if sys.stdout is not None:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is still buffered would fail once more at exit
    return True


def _tell(issues: Findings) -> None:
    """The OperationOutcome, in UTF-8 whatever the terminal is set to: it is JSON."""
    if sys.stderr is not None:
        sys.stderr.flush()
        for piece in issues.json():
            sys.stderr.buffer.write(piece)
        sys.stderr.buffer.write(b"\n")
        sys.stderr.buffer.flush()


def _open(name: str) -> Iterator[bytes]:
    """The input in chunks; opened at once, so that a missing file is a usage error."""
    file = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115  # closed at the end of the process

    def chunks() -> Iterator[bytes]:
        while chunk := file.read(1 << 16):
            yield chunk

    return chunks()


def _translate(run: _Run, source: Iterator[bytes]) -> bool:
    """Read the first bytes to tell what the input is, and translate it. Gives whether anything was refused."""
    first = b""
    for chunk in source:
        first += chunk
        if first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00"):
            break
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00")[:1]
    try:
        if start in (b"{", b"["):
            return _from_fhir(run, first + b"".join(source))
        if start in (b"M", b"F", b"B") or first[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return _from_hl7v2(run, _chain(first, source))
    except Refused as refusal:
        run.issues.extend(refusal.issues)
        return True
    text = "the input is empty" if not start else "the input is neither HL7v2 (MSH...) nor JSON"
    hint = "send HL7v2 messages or a FHIR resource"
    run.issues.extend([Issue("error", "input-unknown", text, where=run.args.file, hint=hint, hl7="100")])
    return True


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _from_fhir(run: _Run, data: bytes) -> bool:
    from ketafhir.fhir import json
    from ketafhir.translate import bundle_losses, losses, outgoing
    from ketafhir.translate.writing import sender_urn

    args, settings = run.args, run.settings
    value = json.loads(data)
    taking = outgoing.take(value, settings)
    if args.to == "hl7v2":
        made = outgoing.compose(outgoing.outbound(taking), settings, args.message)
        out = "".join(outgoing.as_version(made, args.version, taking.c)).encode()
        if args.strict:
            _check_strict(out, taking.c.issues)
        _output().write(out)
    elif args.to == "therapy":
        _write_records(taking.records)
    else:
        from ketafhir.translate.session import render_records

        source = sender_urn(*outgoing.outbound(taking).senders.get("", ("", "")))
        _output().write(json.dumps(render_records(taking.records, settings, taking.c, source)) + b"\n")
    run.issues.extend(taking.c.issues)
    if run.report is not None:
        run.report.add(losses.summary(bundle_losses.of_bundle(taking, settings.tables)))
    return False


def _from_hl7v2(run: _Run, source: Iterator[bytes]) -> bool:
    from ketafhir.fhir import json
    from ketafhir.hl7v2.batch import counted
    from ketafhir.hl7v2.stream import split_batches
    from ketafhir.translate import losses
    from ketafhir.translate.incoming import parse
    from ketafhir.translate.session import Session

    args, issues = run.args, run.issues
    session = Session(run.settings)
    refused = False
    count = 0
    taken: Message | None = None
    miscounts: list[Issue] = []
    for count, data in enumerate(_progress(counted(split_batches(source), miscounts)), 1):
        if count > 1:
            issues.make_room()
        try:
            message = parse(data)
            found = _strict(message) if args.strict else []
            step = session.take(message)
        except Refused as refusal:
            refused = True
            issues.extend(_numbered(refusal.issues, count))
            if run.rejects is not None:
                run.rejects.add(data, count, refusal.issues)
            continue
        taken = message
        if run.report is not None:
            run.report.add({"message": count, **losses.summary(losses.of_message(message, step.reading))})
        issues.extend(_numbered([*found, *step.issues], count))
        if args.to == "fhir":
            _output().write(json.dumps(step.bundle) + b"\n")
    if not count:
        raise Refused(
            Issue("error", "input-unknown", "there is no HL7v2 message in the input", where=args.file, hl7="100")
        )
    issues.extend(miscounts)
    if count == 1:
        issues.held[:] = [_unnumbered(issue) for issue in issues.held]
    if taken is not None and args.to != "fhir":
        _write_last_state(run, session, taken.sender)
    return refused


def _write_last_state(run: _Run, session: Session, sender: tuple[str, str]) -> None:
    """What all messages of the input amount to, as records or written back to HL7v2."""
    from ketafhir.therapy.fold import settle

    records = settle(session.history)
    if run.args.to == "therapy":
        _write_records(records)
        return
    from ketafhir.translate import outgoing
    from ketafhir.translate.provenance import event_of

    out = outgoing.Outbound(records, run.settings.context(), {"": sender}, event_of(records))
    made = outgoing.compose(out, run.settings, run.args.message)
    text = "".join(outgoing.as_version(made, run.args.version, out.c)).encode()
    if run.args.strict:
        _check_strict(text, out.c.issues)
    _output().write(text)
    run.issues.extend(out.c.issues)


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
