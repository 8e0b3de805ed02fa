"""`ketafhir translate`: HL7v2 or FHIR in, FHIR, HL7v2 or therapy records out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ketafhir.errors import ConfigError, Issue, TableError, reason_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ketafhir.translate.outputs import Findings
    from ketafhir.translate.settings import Settings

_EPILOG = """\
Input is told apart by its content: HL7v2 (one message or many) or FHIR JSON (a Bundle of any type, one resource,
or NDJSON of them: later Bundles replace what earlier ones wrote).
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
        "--version",
        metavar="N",
        help="with --to hl7v2: the version written, 2.3 to 2.8.1 (default: that of the site, else 2.5.1)",
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
        help="the configuration of the service: its [authorities], and whether it allows orders to pumps ([pump])",
    )
    parser.add_argument("--timezone", metavar="ZONE", help="zone of times without offset, such as America/Chicago")


def run(args: argparse.Namespace, configured: Callable[[argparse.Namespace], Settings] | None = None) -> int:
    """Translate a file; gives the exit code. `configured` makes the settings where a configuration is named."""
    from ketafhir.translate.outputs import Findings, Rejects, Report
    from ketafhir.translate.running import Asked, Run, translate

    if (args.message or args.version) and args.to != "hl7v2":
        print("ketafhir translate: --message and --version go with --to hl7v2", file=sys.stderr)
        return 2
    issues = Findings()
    try:
        from ketafhir.translate.settings import default

        settings = configured(args) if args.config and configured else default(args.timezone, args.site)
        source = _open(args.file)
        report = Report(args.report) if args.report else None
        rejects = Rejects(args.rejects) if args.rejects else None
    except (ConfigError, TableError, OSError) as error:
        print(f"ketafhir translate: {reason_of(error)}", file=sys.stderr)
        return 2
    try:
        try:
            asked = Asked(args.to, args.message, args.version, args.strict)
            refused = translate(Run(asked, settings, issues, _output(), args.file, report, rejects, _progress), source)
        finally:
            for file in (report, rejects):
                if file is not None:
                    file.close()
        _output().flush()
    except OSError as error:
        refused = _cut_short(error, issues)
    _tell(issues)
    return 1 if refused else 0


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


def _progress(messages: Iterator[bytes]) -> Iterator[bytes]:
    """The messages, counted on a terminal where that takes long enough to be seen."""
    if not sys.stderr.isatty():
        return messages
    from tqdm import tqdm

    return iter(tqdm(messages, desc="translate", unit=" messages", delay=1, leave=False))
