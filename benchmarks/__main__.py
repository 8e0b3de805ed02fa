"""`make bench`: measure, print one table and the gates, and fail where a gate does not hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import accepting, draining, feed, memory, messages, network, rows
from benchmarks.report import GATES, Result, failed, table
from benchmarks.rows import FLOOR, OURS
from benchmarks.timing import apart, interleaved, processes

_IMPORTS = {
    "hl7": "import hl7",
    "hl7types": "from hl7types.hl7.v2_5_1.messages import ORU_R01",
    "hl7apy": "import hl7apy.parser",
    "fhir.resources": "from fhir.resources.R4B.bundle import Bundle",
}


def main() -> int:
    """Run it all: about six minutes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all medians and ratios")
    args = parser.parse_args()
    results = []
    for number, row in enumerate(rows.all_rows()):
        _say(row.name)
        results.append(Result(row.name, "us", apart(_timed, number), row.note))
    _say(network.NAME)
    results.append(Result(network.NAME, "us", network.measure(), network.NOTE))
    _say("cold ketafhir translate")
    results.append(cold())
    for number, row in enumerate(memory.all_rows()):
        _say(row.name)
        results.append(Result(row.name, "KiB", apart(_kept, number), row.note))
    _say(feed.NAME)
    results.append(Result(feed.NAME, "KiB", feed.measure(), feed.NOTE))
    _say(accepting.NAME)
    committed, translated = accepting.measure()
    results.append(Result(accepting.NAME, "us", committed, accepting.NOTE))
    results.append(Result(accepting.TRANSLATED, "us", translated, accepting.TRANSLATED_NOTE))
    for name, note, measure in (
        (draining.TO_HAPI, draining.TO_HAPI_NOTE, draining.measure_hapi),
        (draining.TWO_WORKERS, draining.TWO_WORKERS_NOTE, draining.measure_workers),
    ):
        _say(name)
        results.append(Result(name, "us", measure(), note))
    print(table(results))
    if args.json:
        args.json.write_text(json.dumps([{**one._asdict(), "ratio": one.ratio} for one in results], indent=2) + "\n")
    broken = failed(results)
    print("\n" + "\n".join(broken or [f"All {len(GATES)} gates hold."]))
    return 1 if broken else 0


def _timed(number: int) -> dict[str, float]:
    return interleaved(rows.all_rows()[number].contenders())


def _kept(number: int) -> dict[str, float]:
    contenders = memory.all_rows()[number].contenders()
    return {name: memory.retained(*contender) for name, contender in contenders.items()}


def cold() -> Result:
    """A fresh process that translates one file, beside one that does nothing; of the peers only the import."""
    python = sys.executable
    file = str(messages.FOLDER / messages.NAMES["oru"])
    commands = {
        FLOOR: [python, "-c", "pass"],
        OURS: [str(Path(python).with_name("ketafhir")), "translate", file, "--to", "fhir"],
        **{name: [python, "-c", statement] for name, statement in _IMPORTS.items()},
    }
    return Result("cold ketafhir translate", "ms", processes(commands), "of the peers only the import")


def _say(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{name:<60}")


if __name__ == "__main__":
    sys.exit(main())
