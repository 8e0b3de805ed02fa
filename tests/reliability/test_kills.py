"""kill -9 at random moments: nothing acknowledged is lost, nothing done twice, each patient in order."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from crashing import (
    Merging,
    Sender,
    Service,
    feed,
    judge_merges,
    judge_sink,
    killable_hapi,
    serving,
    slow_before_merges,
)
from service_peers import fhir_sink

from fhir_peer import HapiServer
from postgresql_server import PostgresServer


def on_sqlite(folder: Path, kills: int, messages: int) -> None:
    with fhir_sink() as sink, serving(folder, str(folder / "store.db"), sink) as service:

        def kill() -> None:
            service.kill()
            service.start()

        feed(service, partial(judge_sink, sink), kill, kills=kills, messages=messages)
        service.stop()


def on_postgresql(
    folder: Path, server: PostgresServer, kills: int, messages: int, sender: type[Sender] = Sender
) -> None:
    judge = judge_merges if sender is Merging else judge_sink
    with fhir_sink() as sink, serving(folder, server.url(), sink, workers=3) as service:
        if sender is Merging:
            sink.seconds = slow_before_merges

        def kill() -> None:
            """Every third time the process that listens, and with it all; else one of its workers."""
            if random.random() < 0.33:
                service.kill()
                service.start()
            else:
                service.kill(worker=True)

        feed(service, partial(judge, sink), kill, kills=kills, messages=messages, sender=sender)
        service.stop()


def of_hapi(folder: Path, kills: int, messages: int) -> None:
    """The FHIR server is killed; its H2 file has every commit on disk before it answers."""
    with killable_hapi(folder) as (hapi, kill), serving(folder, str(folder / "store.db"), hapi) as service:
        feed(service, partial(judge_hapi, hapi), kill, kills=kills, messages=messages)
        service.stop()


def judge_hapi(hapi: HapiServer, acknowledged: list[str], patients: list[str], each: int) -> None:
    """By its history: one version of each Observation, with what was told, in the order of its patient."""
    versions: Counter[str] = Counter()
    told: dict[str, list[tuple[str, int]]] = {patient: [] for patient in patients}
    for patient in patients:
        about = f"subject:Patient.identifier=https://willow.example/mrn%7C{patient}"
        for one in hapi.every(f"Observation?{about}&_sort=_id&_count=200"):
            versions[one["id"]] += len(hapi.every(f"Observation/{one['id']}/_history"))
            told[patient].append((one["meta"]["lastUpdated"], int(one["valueQuantity"]["value"])))
    assert len(versions) == len(acknowledged), "lost, or doubled"
    assert set(versions.values()) == {1}, "an effect was doubled"
    for patient, found in told.items():
        assert [value for _, value in sorted(found)] == list(range(1, each + 1)), f"order of {patient}"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_sqlite_a_few_kills(tmp_path: Path) -> None:
    on_sqlite(tmp_path, kills=6, messages=400)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_postgresql_a_few_kills_with_three_workers(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=6, messages=400)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_few_kills_around_merges(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=4, messages=80, sender=Merging)


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_thirty_kills_around_merges(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=30, messages=400, sender=Merging)


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_sqlite_five_hundred_kills(tmp_path: Path) -> None:
    on_sqlite(tmp_path, kills=500, messages=10_000)


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_postgresql_a_hundred_kills_with_three_workers(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=100, messages=5_000)


@pytest.mark.hapi
@pytest.mark.all
@pytest.mark.timeout(900)
def test_the_fhir_server_is_killed_twice(tmp_path: Path) -> None:
    of_hapi(tmp_path, kills=2, messages=80)


@pytest.mark.reliability
@pytest.mark.timeout(14_400)
def test_the_fhir_server_is_killed_forty_times(tmp_path: Path) -> None:
    of_hapi(tmp_path, kills=40, messages=4000)


def test_a_second_service_on_the_same_file_is_refused(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    (tmp_path / "other").mkdir()
    with fhir_sink() as sink, serving(tmp_path, store, sink) as service:
        service.start()
        other = Service(tmp_path / "other", store, sink.url)
        with pytest.raises(AssertionError, match="served by another process"):
            other.start()
        assert other.process is not None
        assert other.process.wait(10) == 1
        assert other.process.stdout is not None
        other.process.stdout.close()
