"""`ketafhir demo`: the stories over MLLP into a real FHIR server and back, every milligram accounted for."""

from __future__ import annotations

import argparse
from pathlib import Path

_EPILOG = """\
Exit code 0: all agrees. 1: something differs or went wrong; what and where is said last."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--fhir-server", metavar="URL", help="use this FHIR server in place of one started for the demo"
    )
    parser.add_argument(
        "--stories",
        type=Path,
        metavar="DIR",
        help="your own stories, one folder each (examples/stories/README.md)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the FHIR server running at the end, to look around in it"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="for the pictures (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Play the stories; 0 where all agrees. Raises KetafhirError where it cannot go on."""
    from ketafhir.demo.run import play

    return play(args.stories, args.fhir_server, keep=args.keep, out=args.out)
