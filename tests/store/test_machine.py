"""Both stores against the model in `machine`: a few runs each in every test run, thousands in `make reliability`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from contract import Clock
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import StoreMachine

from ketafhir.store.protocol import Store
from ketafhir.store.sqlite import SqliteStore
from postgresql_server import PostgresServer


def run(machine: type[StoreMachine], runs: int) -> None:
    few = settings(
        max_examples=runs,
        stateful_step_count=50,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=few)


def on_sqlite(folder: Path) -> type[StoreMachine]:
    paths: dict[int, Path] = {}

    class OnSqlite(StoreMachine):
        @staticmethod
        def new_store(clock: Clock) -> Store:
            store = SqliteStore(folder / f"{len(paths)}.db", clock=clock)
            paths[id(clock)] = folder / f"{len(paths)}.db"
            # What a run does not show is a power cut; without waiting for the disk a run takes a tenth of the time.
            store._database._connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
            return store

        @staticmethod
        def reopened(store: Store, clock: Clock) -> Store:
            store.close()
            return SqliteStore(paths[id(clock)], clock=clock)

        def teardown(self) -> None:
            super().teardown()
            for path in folder.iterdir():
                path.unlink()

    return OnSqlite


def on_postgresql(server: PostgresServer) -> type[StoreMachine]:
    from ketafhir.store.postgresql import PostgresStore

    url = server.url()

    class OnPostgresql(StoreMachine):
        @staticmethod
        def new_store(clock: Clock) -> Store:
            store = PostgresStore(url, clock=clock)
            with store._database.transaction() as cursor:
                cursor.execute(
                    "TRUNCATE message, delivery, delivery_partition, attempt, record, alias, resource_version, paused"
                    " RESTART IDENTITY"
                )
            return store

        @staticmethod
        def reopened(store: Store, clock: Clock) -> Store:
            store.close()
            return PostgresStore(url, clock=clock)

    return OnPostgresql


def test_sqlite_does_what_the_model_does(tmp_path: Path) -> None:
    run(on_sqlite(tmp_path), 60)


def test_postgresql_does_what_the_model_does(postgresql: PostgresServer) -> None:
    run(on_postgresql(postgresql), 30)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_sqlite_does_what_the_model_does_two_thousand_times(tmp_path: Path) -> None:
    run(on_sqlite(tmp_path), int(os.environ.get("KETAFHIR_TEST_RUNS", "2000")))


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_postgresql_does_what_the_model_does_two_thousand_times(postgresql: PostgresServer) -> None:
    run(on_postgresql(postgresql), int(os.environ.get("KETAFHIR_TEST_RUNS", "2000")))
