"""A steady feed for a long time: nothing grows, nothing is lost, and commits are acknowledged at once."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from crashing import Service, is_at_work, killable_hapi, serving
from service_peers import Peer, Sink, fhir_sink, heart_rate

from fhir_peer import HapiServer
from ketafhir.store.opening import open_store

SENDERS = 4
MINUTES = float(os.environ.get("KETAFHIR_TEST_SOAK_MINUTES", "60"))
HAPI_MINUTES = float(os.environ.get("KETAFHIR_TEST_SOAK_MINUTES", "15"))


@dataclass
class Sample:
    """What the service holds at one moment: memory and WAL in bytes, open files."""

    memory: int
    files: int
    wal: int


@dataclass
class Soak:
    """A feed of `rate` messages a second for `seconds`; every hour has other patients."""

    service: Service
    rate: float
    seconds: float
    taken: list[float] = field(default_factory=list)  # seconds to each commit ACK
    samples: list[Sample] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)

    def run(self, tally: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        every = max(1.0, self.seconds / 60)
        while any(thread.is_alive() for thread in threads):
            threads[0].join(every)
            self.samples.append(self._sample())
            tally()
        assert not self.failures, self.failures

    def _send(self, sender: int) -> None:
        try:
            begin = time.monotonic()
            with Peer(self.service.port) as peer:
                for number in range(int(self.rate * self.seconds / SENDERS)):
                    due = begin + number * SENDERS / self.rate
                    time.sleep(max(0.0, due - time.monotonic()))
                    patient = f"SYN-{sender}-{number // 100}"  # a stay of some minutes
                    message = heart_rate(
                        f"M{sender}-{number}", patient, value=str(60 + number % 40), MSH_15="AL", MSH_16="NE"
                    )
                    sent = time.monotonic()
                    reply = peer.send(message)
                    self.taken.append(time.monotonic() - sent)
                    assert (reply.code, reply.about) == ("CA", f"M{sender}-{number}"), reply.payload
        except BaseException as error:
            self.failures.append(error)

    def _sample(self) -> Sample:
        assert self.service.process is not None
        process = Path(f"/proc/{self.service.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        wal = Path(f"{self.service.store}-wal")
        size = wal.stat().st_size if wal.exists() else 0
        return Sample(int(status["VmRSS"].split()[0]) * 1024, len(os.listdir(process / "fd")), size)

    def tally(self, sink: Sink) -> None:
        """Count what the sink has got, and let go of it."""
        got, sink.bundles = sink.bundles, []
        for bundle in got:
            for entry in bundle["entry"]:
                if entry["resource"]["resourceType"] == "Observation":
                    self.written[entry["request"]["url"]] += 1

    @property
    def p99(self) -> float:
        return sorted(self.taken)[int(len(self.taken) * 0.99)]


def soak(folder: Path, rate: float, seconds: float) -> Iterator[Soak]:
    with fhir_sink() as sink, serving(folder, str(folder / "store.db"), sink) as service:
        service.start()
        one = Soak(service, rate, seconds)
        one.run(lambda: one.tally(sink))
        all_done(service, len(one.taken))
        one.tally(sink)
        assert len(one.written) == len(one.taken), "lost"
        assert set(one.written.values()) == {1}, "done twice"
        yield one
        service.stop()


def all_done(service: Service, messages: int) -> None:
    """Wait until all is delivered."""
    store = open_store(service.store, create=False)
    try:
        until = time.monotonic() + 120
        while is_at_work(store):
            assert time.monotonic() < until, store.counts()
            time.sleep(0.1)
        assert store.counts().deliveries["done"] == messages
    finally:
        store.close()


def soak_hapi(folder: Path, rate: float, seconds: float) -> Soak:
    """Into the real FHIR server, which is killed and started again when half of the time is over."""
    with killable_hapi(folder) as (hapi, kill), serving(folder, str(folder / "store.db"), hapi) as service:
        service.start()
        one = Soak(service, rate, seconds)
        restart = threading.Timer(seconds / 2, kill)
        restart.start()
        one.run(lambda: None)
        restart.join()
        all_done(service, len(one.taken))
        judge_hapi(hapi, one)
        service.stop()
    return one


def judge_hapi(hapi: HapiServer, soak: Soak) -> None:
    """Each message has left one version of one Observation, of its patient and with its value."""
    told: Counter[tuple[str, int]] = Counter()
    versions: Counter[str] = Counter()
    patients = {one["id"]: _mrn(one) for one in hapi.every("Patient?_count=200")}
    for one in hapi.every("Observation/_history?_count=200"):
        versions[one["id"]] += 1
        told[patients[one["subject"]["reference"].rpartition("/")[2]], int(one["valueQuantity"]["value"])] += 1
    assert len(versions) == len(soak.taken), "lost"
    assert set(versions.values()) == {1}, "done twice"
    each = range(int(soak.rate * soak.seconds / SENDERS))
    sent = [(f"SYN-{sender}-{number // 100}", 60 + number % 40) for sender in range(SENDERS) for number in each]
    assert told == Counter(sent)


def _mrn(patient: dict[str, Any]) -> str:
    return next(str(one["value"]) for one in patient["identifier"] if one["value"].startswith("SYN-"))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_steady_feed_of_some_seconds(tmp_path: Path) -> None:
    for one in soak(tmp_path, rate=40, seconds=8):
        assert len(one.taken) == 320
        assert one.samples[-1].files <= one.samples[0].files + 8


@pytest.mark.reliability
@pytest.mark.timeout(9000)
def test_a_steady_feed_of_an_hour(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """50 messages a second. Memory, open files and the WAL of the second half are those of the first."""
    for one in soak(tmp_path, rate=50, seconds=MINUTES * 60):
        flat(one, record_property)


@pytest.mark.reliability
@pytest.mark.timeout(9000)
def test_a_steady_feed_into_the_fhir_server_with_a_restart(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """5 messages a second for a quarter of an hour."""
    flat(soak_hapi(tmp_path, rate=5, seconds=HAPI_MINUTES * 60), record_property)


def flat(one: Soak, record_property: Callable[[str, object], None]) -> None:
    """Memory, open files and the WAL of the second half are those of the first, and commits are acknowledged at once."""
    half = len(one.samples) // 2
    early, late = one.samples[2:half], one.samples[half:]
    record_property("p99 of the commit ACK in ms", round(one.p99 * 1000, 1))
    record_property("memory in MiB", (early[-1].memory >> 20, late[-1].memory >> 20))
    record_property("open files", (max(one.files for one in early), max(one.files for one in late)))
    record_property("WAL in MiB", (max(one.wal for one in early) >> 20, max(one.wal for one in late) >> 20))
    assert max(one.files for one in late) <= max(one.files for one in early) + 4
    assert max(one.memory for one in late) <= 1.1 * max(one.memory for one in early)
    assert max(one.wal for one in late) <= 1.5 * max(one.wal for one in early) + (4 << 20)
    assert one.p99 < 0.050, one.p99
