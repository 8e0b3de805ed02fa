"""Fixtures for every folder of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fhir_peer import HapiServer
from postgresql_server import Missing, PostgresServer


@pytest.fixture(scope="session")
def hapi_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HapiServer]:
    """One server in memory for the whole run, or the one at KETAFHIR_TEST_FHIR; for tests marked `hapi`."""
    given = os.environ.get("KETAFHIR_TEST_FHIR")
    from ketafhir.profiles.install import install

    if given:
        install(given.rstrip("/"))
        yield HapiServer(given.rstrip("/"))
        return
    from ketafhir.hapi import server
    from ketafhir.hapi.settings import Settings

    work = tmp_path_factory.mktemp("fhir-server")
    started = server.start(Settings(port=0, heap="3g"), work_dir=work)  # what the tests write stays in memory
    install(started.url)
    yield HapiServer(started.url)
    server.stop(started.port, work_dir=work)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run. Where it cannot be had the tests are skipped, or fail if
    KETAFHIR_TEST_POSTGRESQL says `required`."""
    try:
        pytest.importorskip("psycopg", reason="psycopg is missing: make setup")
        server = PostgresServer()
    except (Missing, pytest.skip.Exception) as error:
        if os.environ.get("KETAFHIR_TEST_POSTGRESQL") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop()
