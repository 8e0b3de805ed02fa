"""`ketafhir simulate`: a synthetic clinic as FHIR NDJSON and as the HL7v2 feeds of the example sites."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ketafhir.errors import ConfigError
from ketafhir.simulate import ndjson
from ketafhir.simulate.feeds import SITES, feed, home
from ketafhir.simulate.visit import Visit, visit

_EPILOG = """\
DIR/fhir/<Type>.ndjson holds the records, DIR/hl7v2/<site>.hl7 all patients as each of the example sites tells them, one
message after another with CR between segments. The record of each patient is that of one site, in turn. Same seed, same bytes.
--fhir-only and --hl7v2-only leave out the other. Exit code: 0 written; 1 it could not be; 2 usage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("--patients", type=_count, required=True, metavar="N", help="how many patients")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="what all is drawn from (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write; files there are replaced"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--fhir-only", action="store_true", help="write no HL7v2")
    only.add_argument("--hl7v2-only", action="store_true", help="write no FHIR, which takes most of the time")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of patients")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Write the clinic. Raises ConfigError where a file cannot be written."""
    try:
        told = write(args.out, args.seed, args.patients, fhir=not args.hl7v2_only, hl7v2=not args.fhir_only)
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename}: {error.strerror}") from error
    for place, count in told.items():
        print(f"{count:>9}  {args.out / place}")
    return 0


def write(out: Path, seed: int, patients: int, *, fhir: bool = True, hl7v2: bool = True) -> dict[str, int]:
    """Write the files; gives how many resources or messages each holds."""
    files = _Files(out)
    try:
        for number in _shown(range(1, patients + 1)):
            one = visit(seed, number)
            if hl7v2:
                _feeds(files, one)
            if fhir:
                _record(files, one)
    finally:
        files.close()
    return dict(sorted(files.counts.items()))


def _feeds(files: _Files, one: Visit) -> None:
    for site in SITES:
        for text in feed(one, site):
            files.write(f"hl7v2/{site}.hl7", text.encode("utf-8"))


def _record(files: _Files, one: Visit) -> None:
    bundle, _ = ndjson.collected(one, home(one))
    for resource in ndjson.resources(bundle):
        if files.first(f"{resource['resourceType']}/{resource['id']}"):
            files.write(f"fhir/{resource['resourceType']}.ndjson", ndjson.line(resource))


def _shown(numbers: range) -> Iterator[int]:
    """The numbers, counted on a terminal."""
    if not sys.stderr.isatty():
        return iter(numbers)
    from tqdm import tqdm

    return iter(tqdm(numbers, desc="simulate", unit=" patients", leave=False))


class _Files:
    """Files by name, opened as they are needed. What patients share (places, staff) is written once."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._open: dict[str, IO[bytes]] = {}
        self._seen: set[str] = set()
        self.counts: dict[str, int] = {}

    def first(self, key: str) -> bool:
        """Whether a resource comes for the first time; only those that can come again are remembered."""
        if not key.startswith(("Practitioner/", "Location/", "Organization/", "Device/", "DeviceMetric/")):
            return True
        known = key in self._seen
        self._seen.add(key)
        return not known

    def write(self, name: str, data: bytes) -> None:
        """One more of the file."""
        if name not in self._open:
            place = self._out / name
            place.parent.mkdir(parents=True, exist_ok=True)
            self._open[name] = open(place, "wb")  # noqa: SIM115  # closed by close()
        self._open[name].write(data)
        self.counts[name] = self.counts.get(name, 0) + 1

    def close(self) -> None:
        """Close them all."""
        for file in self._open.values():
            file.close()
