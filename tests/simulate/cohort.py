"""`make cohort`: a thousand patients through every law and onto the FHIR server; docs/cohort.md holds what came of it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from fhir_peer import HapiServer
from ketafhir.simulate.feeds import SITES, feed, home
from ketafhir.simulate.ndjson import collected, resources
from ketafhir.simulate.visit import visit
from simulate.laws import assert_one_record, way_back
from simulate.on_server import load
from simulate.shapes import shape
from validator_warnings import complaints

SEED = 1
PATIENCE = 600.0  # seconds for an answer: a large transaction on a busy machine
HEAP = "8g"  # everything is in memory, and a thousand patients fill several GiB
SHARED = ("Practitioner", "Location", "Device", "DeviceMetric")
Json = dict[str, Any]
PAGE = Path(__file__).parents[2] / "docs" / "cohort.md"


@dataclass(slots=True)
class Patient:
    """What came of one patient; `body` is the record as JSON."""

    number: int
    body: str
    messages: dict[str, int]
    what: list[str]
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """What came of all of them."""

    patients: int = 0
    loaded: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    resources: Counter[str] = field(default_factory=Counter)
    put: Counter[str] = field(default_factory=Counter)
    what: Counter[str] = field(default_factory=Counter)
    shapes: int = 0
    broken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def patient(number: int) -> Patient:
    """One patient through the laws."""
    one = visit(SEED, number)
    site = home(one)
    what = ["refused" if one.rule else one.person.indication.protocol]
    if one.course:
        ended = one.course.ending.removeprefix("keta.reason-")
        what += [f"ended: {ended}", *(["paused"] if one.course.pause else []), *(["bolus"] if one.course.bolus else [])]
        what += [name for name in ("late", "corrected") if getattr(one, name)]
        what += ["adverse event"] * len(one.adverse) + ["rescue medicine"] * len(one.rescues)
    bundle, _ = collected(one, site)
    found = Patient(
        number, json.dumps(resources(bundle), default=float), {name: len(feed(one, name)) for name in SITES}, what
    )
    try:
        assert_one_record(one)
    except AssertionError as error:
        found.broken.append(f"patient {number}: {error}"[:500])
    found.broken += [f"patient {number} at {site}, back: {text}" for text in way_back(bundle, site)]
    return found


class Loading:
    """Puts records on the server beside the laws, one after the other; after `minutes` no further ones."""

    def __init__(self, server: HapiServer, told: Result, minutes: float) -> None:
        self._server, self._told = server, told
        self._until = time.monotonic() + minutes * 60
        self._thread = ThreadPoolExecutor(1)
        self._shared: set[str] = set()
        self._waiting = BoundedSemaphore(50)  # records are large: the laws must not run far ahead of the server

    def add(self, number: int, record: list[Json]) -> None:
        """One more patient."""
        self._waiting.acquire()
        self._thread.submit(self._load, number, record).add_done_callback(lambda _: self._waiting.release())

    def wait(self) -> None:
        """Until all are there."""
        self._thread.shutdown()

    def _load(self, number: int, record: list[Json]) -> None:
        begun = time.monotonic()
        if begun > self._until:
            return
        # Staff, places and pumps are of many patients: once is enough.
        new = [one for one in record if f"{one['resourceType']}/{one['id']}" not in self._shared]
        try:
            load(self._server, new)
            self._told.loaded += 1
        except Exception as error:
            self._told.refused.append(f"patient {number}: {error}"[:500])
        self._shared |= {f"{one['resourceType']}/{one['id']}" for one in new if one["resourceType"] in SHARED}
        for one in new:
            self._told.put[one["resourceType"]] += 1
        self._told.seconds["loading"] = self._told.seconds.get("loading", 0) + time.monotonic() - begun


def run(server: HapiServer, patients: int) -> Result:
    """All of them, told on standard error as they go by."""
    told = Result(patients)
    loading = Loading(server, told, float(os.environ.get("LOAD_MINUTES", "600")))
    shapes: dict[Any, Json] = {}
    begun = time.monotonic()
    ids: set[str] = set()
    with ProcessPoolExecutor(2) as pool:
        for one in pool.map(patient, range(1, patients + 1), chunksize=4):
            record: list[Json] = json.loads(one.body)
            told.messages.update(one.messages)
            told.what.update(one.what)
            told.broken += one.broken
            for resource in record:
                shapes.setdefault(shape(resource), resource)
                key = f"{resource['resourceType']}/{resource['id']}"
                told.resources[resource["resourceType"]] += key not in ids
                ids.add(key)
            loading.add(one.number, record)
            if one.number % 20 == 0 or one.number == patients:
                sys.stderr.write(f"\r{one.number} of {patients} patients, {time.monotonic() - begun:.0f} s ")
                sys.stderr.flush()
    told.seconds["laws"] = time.monotonic() - begun
    loading.wait()
    before = time.monotonic()
    told.shapes = len(shapes)
    told.complaints = sorted(set(complaints(server, shapes.values())[0]))
    told.seconds["$validate of the shapes"] = time.monotonic() - before
    for kind in told.resources:
        _, answer = server.request("GET", f"{kind}?_summary=count")
        told.held[kind] = answer["total"]
    return told


INTRODUCTION = """\
`make cohort` simulates {patients} patients (seed {seed}), holds every one against the laws of `tests/simulate/laws.py`, loads
records into the FHIR server and asks its `$validate` about one resource of each distinct shape (paths of elements, codes,
profiles). This page is what the last run wrote. `PATIENTS` sets another number, `LOAD_MINUTES` ends the loading."""

LAWS = """\
What the laws say: the feeds of the three sites give one record, which is that of the course (segments, rates, times, status,
total); where nothing came late or wrong no check speaks; FHIR to HL7v2 to FHIR is equal but for what `laws.way_back` declares.
The warnings that are explained: [validation.md](validation.md#warnings-of-a-server)."""

PICTURE = """\
![Rate, concentration and vital signs of three patients](pictures/cohort.png)

The pump's rate, the concentration at the effect site of the simulated body, systolic pressure and heart rate by the minute."""


def page(told: Result) -> str:
    """docs/cohort.md of a result."""
    ended = {
        "patients of whom the sites or the way back differ": told.broken,
        "patients the server refused": told.refused,
        "errors and unexplained warnings of $validate": told.complaints,
    }
    rows: dict[str, int] = {name: len(found) for name, found in ended.items()}
    rows |= {f"messages, {name}": count for name, count in sorted(told.messages.items())}
    rows |= {"resources": told.resources.total(), "distinct shapes": told.shapes, "patients loaded": told.loaded}
    rows |= {f"seconds, {name}": round(value) for name, value in told.seconds.items()}
    kinds = [
        f"| {kind} | {count} | {told.put[kind]} | {told.held[kind]} |" for kind, count in sorted(told.resources.items())
    ]
    parts = [
        "# The cohort",
        INTRODUCTION.format(patients=told.patients, seed=SEED),
        _table(["", ""], [f"| {name} | {count} |" for name, count in rows.items()]),
        LAWS,
        "## Who they are",
        _table(["", "patients or events"], [f"| {name} | {count} |" for name, count in sorted(told.what.items())]),
        "## What was written and what the server holds",
        _table(["resource", "written", "put on the server", "held there"], kinds),
        "## Three of them",
        PICTURE,
    ]
    for name, found in ended.items():
        if found:
            parts += [f"## {name[0].upper()}{name[1:]}", "\n".join(f"- {text}" for text in found[:40])]
    return "\n\n".join(parts) + "\n"


def _table(heads: list[str], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows])


def main() -> int:
    """Run it; 0 where nothing is broken, refused or complained of."""
    patients = int(os.environ.get("PATIENTS", "1000"))
    url = os.environ.get("KETAFHIR_TEST_FHIR")
    if url:
        told = run(HapiServer(url.rstrip("/"), PATIENCE), patients)
    else:
        from ketafhir.hapi import server
        from ketafhir.hapi.settings import Settings
        from ketafhir.profiles.install import install

        with tempfile.TemporaryDirectory() as folder:
            started = server.start(Settings(port=0, heap=HEAP, long_running=True), work_dir=Path(folder))
            try:
                install(started.url)
                told = run(HapiServer(started.url, PATIENCE), patients)
            finally:
                server.stop(started.port, work_dir=Path(folder))
    PAGE.write_text(page(told), "utf-8")
    from simulate.plots import draw

    draw(SEED, PAGE.parent / "pictures" / "cohort.png")
    sys.stdout.write(
        f"\n{PAGE}: {len(told.broken)} broken, {len(told.refused)} refused, {len(told.complaints)} complaints\n"
    )
    return 1 if told.broken or told.refused or told.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
