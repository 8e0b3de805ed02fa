"""kill -9 at random moments: nothing acknowledged is lost, nothing done twice, each patient in order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from crashing import Service, feed, serving
from service_peers import fhir_sink

from postgresql_server import PostgresServer


def on_sqlite(folder: Path, kills: int, messages: int) -> None:
    with fhir_sink() as sink, serving(folder, str(folder / "store.db"), sink) as service:

        def kill() -> None:
            service.kill()
            service.start()

        feed(service, sink, kill, kills=kills, messages=messages)
        service.stop()


def on_postgresql(folder: Path, server: PostgresServer, kills: int, messages: int) -> None:
    with fhir_sink() as sink, serving(folder, server.url(), sink, workers=3) as service:

        def kill() -> None:
            """Every third time the process that listens, and with it all; else one of its workers."""
            if random.random() < 0.33:
                service.kill()
                service.start()
            else:
                service.kill(worker=True)

        feed(service, sink, kill, kills=kills, messages=messages)
        service.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_sqlite_a_few_kills(tmp_path: Path) -> None:
    on_sqlite(tmp_path, kills=6, messages=400)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_postgresql_a_few_kills_with_three_workers(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=6, messages=400)


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_sqlite_five_hundred_kills(tmp_path: Path) -> None:
    on_sqlite(tmp_path, kills=500, messages=10_000)


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_postgresql_a_hundred_kills_with_three_workers(tmp_path: Path, postgresql: PostgresServer) -> None:
    on_postgresql(tmp_path, postgresql, kills=100, messages=5_000)


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
