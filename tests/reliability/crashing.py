"""A feed of several senders into `ketafhir serve`, which is killed again and again; and what must then be true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service_peers import CONFIG, Peer, Reply, Sink, er7, header, heart_rate

from fhir_peer import HapiServer
from ketafhir.hapi import server
from ketafhir.hapi.settings import Settings
from ketafhir.store.opening import open_store
from ketafhir.store.protocol import Store

_NICE = 10
DELIVERY = """
[delivery]
wait = 0.05
longest_wait = 1
"""


@dataclass
class Service:
    """`ketafhir serve` on one store and FHIR server, started anew after each kill."""

    folder: Path
    store: str
    fhir: str
    workers: int = 0
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        file = self.folder / "ketafhir.toml"
        file.write_text(CONFIG + DELIVERY)
        command = [sys.executable, "-m", "ketafhir", "serve", "--config", str(file), "--fhir", self.fhir]
        command += ["--store", self.store, *(["--workers", str(self.workers)] if self.workers else [])]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on"), (self.folder / "log").read_text()[-2000:]
        self.port = int(line.rpartition(":")[2])

    def kill(self, worker: bool = False) -> None:
        """With -9: the process that listens, or one of its workers, which it starts again."""
        assert self.process is not None
        if worker:
            if children := _children(self.process.pid):  # none in the moment before they are started again
                _signal(random.choice(children))
            return
        self.port = 0
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass
class Sender:
    """Sends the messages of its own patients in order, each until it is acknowledged."""

    service: Service
    patients: list[str]
    each: int
    acknowledged: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    at_work: bool = True
    _peer: Peer | None = None

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """MSH-10 and message; three of four wait for the commit ACK alone."""
        for number in range(1, self.each + 1):
            for patient in self.patients:
                control_id = f"{patient}-{number}"
                mode = {"MSH_15": "AL", "MSH_16": "NE"} if number % 4 else {}
                yield control_id, heart_rate(control_id, patient, value=str(number), **mode)

    def run(self) -> None:
        try:
            for control_id, message in self.messages():
                self._send(message)
                self.acknowledged.append(control_id)
        except BaseException as error:
            self.failure = error
        finally:
            self.at_work = False
            self._close()

    def _close(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = None

    def _send(self, message: bytes) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if self._peer is None:
                    self._peer = Peer(self.service.port)
                reply: Reply = self._peer.send(message)
            except (OSError, AssertionError):
                self._close()
                time.sleep(0.02)
                continue
            if reply.code in ("AA", "CA"):
                return
            assert reply.code in ("AR", "CE"), reply.payload  # it could not be stored
        raise AssertionError("never acknowledged")


class Merging(Sender):
    """Half-way each of its patients takes in the number of another, whose messages came before: a barrier for both."""

    def messages(self) -> Iterator[tuple[str, bytes]]:
        numbers = sorted(
            [*self.patients, *map(gone, self.patients)], key=_is_slow
        )  # the slow ones just before the merges
        told = Sender(self.service, numbers, self.each // 2).messages()
        yield from told
        for patient in self.patients:
            yield (
                f"{patient}-merge",
                er7(
                    header(f"{patient}-merge", "ADT^A40^ADT_A39", MSH_15="AL", MSH_16="NE"),
                    "EVN|A40|20260309083000-0500",
                    f"PID|1||{patient}^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F",
                    f"MRG|{gone(patient)}^^^WILLOW^MR",
                ),
            )
        for number in range(self.each // 2 + 1, self.each + 1):
            for patient in self.patients:
                yield f"{patient}-{number}", heart_rate(f"{patient}-{number}", patient, value=str(number))


def gone(patient: str) -> str:
    """The number that is merged into that of a patient."""
    return f"{patient}-OLD"


Judge = Callable[[list[str], list[str], int], None]
"""Called with the messages that were acknowledged, the patients, and how many messages each has."""


def feed(
    service: Service,
    judged: Judge,
    kill: Callable[[], None],
    *,
    kills: int,
    messages: int,
    senders: int = 4,
    sender: type[Sender] = Sender,
) -> None:
    """Feeds and kills, waits until all is delivered, and judges."""
    patients = [f"SYN-{number}" for number in range(senders * 5)]
    each = messages // len(patients)
    found = [sender(service, patients[number::senders], each) for number in range(senders)]
    threads = [threading.Thread(target=one.run) for one in found]
    service.start()
    for thread in threads:
        thread.start()
    done = 0
    while done < kills or any(thread.is_alive() for thread in threads):
        if done % 2:  # else it might never come to work on a slow machine
            _progress(found)
        time.sleep(random.uniform(0, 0.2))
        if done < kills:
            kill()
            done += 1
        assert not any(one.failure for one in found), [one.failure for one in found]
    for thread in threads:
        thread.join()
    acknowledged = [name for one in found for name in one.acknowledged]
    judge_store(service, acknowledged, sum(1 for one in found for _ in one.messages()))
    judged(acknowledged, patients, each)


def _progress(senders: list[Sender]) -> None:
    """Wait until another message is acknowledged."""
    before, until = sum(len(one.acknowledged) for one in senders), time.monotonic() + 30
    while sum(len(one.acknowledged) for one in senders) == before and time.monotonic() < until:
        if not any(one.at_work for one in senders):
            return
        time.sleep(0.005)


def is_at_work(store: Store) -> bool:
    """Whether something is still to be translated or delivered."""
    counts = store.counts()
    waiting = [counts.deliveries[state] for state in ("queued", "claimed", "inflight", "parked")]
    return any(waiting) or counts.outcomes["received"] > 0


def judge_store(service: Service, acknowledged: list[str], messages: int) -> None:
    """Every acknowledged message is stored once, and is delivered."""
    store = open_store(service.store, create=False)
    try:
        until = time.monotonic() + 120
        while is_at_work(store):
            assert time.monotonic() < until, store.counts()
            time.sleep(0.05)
        kept: Counter[str] = Counter()
        after = (0, 0)
        while rows := store.page(after=after, limit=500):
            kept.update(row.control_id for row in rows)
            assert {row.state for row in rows} == {"done"}
            after = rows[-1].cursor
    finally:
        store.close()
    assert len(acknowledged) == len(set(acknowledged)) == messages
    assert kept == Counter(acknowledged), "lost, or taken twice"


def judge_sink(sink: Sink, acknowledged: list[str], patients: list[str], each: int) -> None:
    """Every acknowledged message had its effect once, and each patient's came in order."""
    written: dict[str, list[int]] = {patient: [] for patient in patients}
    resources: dict[str, list[dict[str, Any]]] = {}
    for bundle in list(sink.bundles):
        patient, number = _tells(bundle)
        if written[patient][-1:] != [number]:  # the same once more, since it was not known whether it was done
            written[patient].append(number)
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Observation":
                resources.setdefault(entry["request"]["url"], []).append(entry["resource"])
    for patient in patients:
        assert written[patient] == list(range(1, each + 1)), f"order of {patient}"
    assert len(resources) == len(acknowledged), "an effect was doubled"
    assert all(one == versions[0] for versions in resources.values() for one in versions)


def judge_merges(sink: Sink, _acknowledged: list[str], patients: list[str], each: int) -> None:
    """What was told of either number went before its merge, in order, and what was told afterwards went after it.

    The merge moves all that was told of the number that is gone.
    """
    half = each // 2
    merges: dict[str, list[int]] = {}
    told: dict[str, list[tuple[int, int]]] = {}
    for place, bundle in enumerate(list(sink.bundles)):
        if any("link" in entry["resource"] for entry in bundle["entry"]):
            patient = min(_numbers(bundle), key=len)
            merges.setdefault(patient, []).append(place)
            assert _values(bundle) == list(range(1, half + 1)), "not all of it was moved"
        else:
            patient, number = _tells(bundle)
            told.setdefault(patient, []).append((place, number))
    assert merges.keys() == set(patients)
    for patient in patients:
        first, last = merges[patient][0], merges[patient][-1]
        for one, count in (patient, each), (gone(patient), half):
            written = list(dict.fromkeys(number for _, number in told[one]))
            assert written == list(range(1, count + 1)), f"order of {one}"
            for place, number in told[one]:
                assert place < first if number <= half else place > last, f"{one}-{number} passed the merge"


def slow_before_merges(bundle: dict[str, Any]) -> float:
    """Seconds: of half of the patients their own messages are slow, of the others those of the number that goes."""
    numbers = _numbers(bundle)
    return 0.5 if len(numbers) == 1 and _is_slow(numbers[0]) else 0


def _is_slow(number: str) -> bool:
    odd = int(number.split("-")[1]) % 2 == 1
    return number.endswith("-OLD") == odd


def _values(bundle: dict[str, Any]) -> list[int]:
    resources = [entry["resource"] for entry in bundle["entry"]]
    return sorted(int(one["valueQuantity"]["value"]) for one in resources if one["resourceType"] == "Observation")


def _tells(bundle: dict[str, Any]) -> tuple[str, int]:
    """The patient and the number of the message that a Bundle was made from."""
    by_type = {entry["resource"]["resourceType"]: entry["resource"] for entry in bundle["entry"]}
    return _numbers(bundle)[0], int(by_type["Observation"]["valueQuantity"]["value"])


def _numbers(bundle: dict[str, Any]) -> list[str]:
    patients = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient"]
    return [one["value"] for patient in patients for one in patient["identifier"] if one["value"].startswith("SYN-")]


@contextmanager
def serving(folder: Path, store: str, sink: Sink | HapiServer, workers: int = 0) -> Iterator[Service]:
    service = Service(folder, store, sink.url, workers)
    try:
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.kill()


@contextmanager
def killable_hapi(folder: Path) -> Iterator[tuple[HapiServer, Callable[[], None]]]:
    """A real FHIR server whose H2 file has every commit on disk before it answers, and what kills it and starts it again."""
    settings, work = Settings(port=0, data_dir=folder / "data"), folder / "work"
    running = _behind(settings, work)
    settings = replace(settings, port=urlsplit(running.url).port or 0)

    def kill() -> None:
        nonlocal running
        assert running.pid is not None
        os.kill(running.pid, signal.SIGKILL)
        running = _behind(settings, work)

    try:
        yield HapiServer(running.url), kill
    finally:
        server.stop(settings.port, work_dir=work)


def _behind(settings: Settings, work: Path) -> server.Server:
    """The server with less of a right to the processors than all else: it has a machine of its own where people use it."""

    def start() -> server.Server:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # of this thread, and of what it starts
        return server.start(settings, work_dir=work)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(start).result()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def _signal(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
