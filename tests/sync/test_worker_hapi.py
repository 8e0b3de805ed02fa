"""The worker and the real server: what it writes, what a repeat changes, who wins a race."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hapi_case import Case, drain, queue, with_client

from fhir_peer import HapiServer
from ketafhir.errors import Permanent
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient

pytestmark = pytest.mark.hapi


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def case(hapi_server: HapiServer) -> Case:
    return Case(hapi_server)


def test_a_transaction_is_written_and_a_repeat_changes_no_version(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle("72.50"), case.number)
    drain(store, case.server.url)
    assert store.versions_of("fhir", [case.observation]) == {case.observation: 'W/"1"'}
    stored = with_client(case.server.url, lambda client: client.read(case.observation))
    assert str(stored["valueQuantity"]["value"]) == "72.50"
    queue(store, case.bundle("72.50"), case.number)
    drain(store, case.server.url)
    assert case.versions() == ["1"]
    queue(store, case.bundle("80"), case.number)
    drain(store, case.server.url)
    assert case.versions() == ["2", "1"]


def test_a_version_written_by_another_is_found_and_followed(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle("1"), case.number)
    drain(store, case.server.url)
    status, stored = case.server.request("GET", case.observation)
    assert status == 200
    case.server.request("PUT", case.observation, stored | {"code": {"text": "another"}})
    queue(store, case.bundle("2"), case.number)
    drain(store, case.server.url)
    assert case.versions() == ["3", "2", "1"]
    assert store.versions_of("fhir", [case.observation]) == {case.observation: 'W/"3"'}


def test_what_was_deleted_is_written_again(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle("1"), case.number)
    drain(store, case.server.url)
    assert case.server.request("DELETE", case.observation)[0] == 200
    queue(store, case.bundle("2"), case.number)
    drain(store, case.server.url)
    assert case.server.request("GET", case.observation)[1]["valueQuantity"]["value"] == 2


def test_a_refusal_is_told_without_the_patient(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle('"ZZCANARY"'), case.number)
    with pytest.raises(Permanent, match="HAPI-0450") as caught:
        drain(store, case.server.url)
    assert "ZZCANARY" not in str(caught.value)


def test_two_patients_under_one_number_stop_that_patient(store: SqliteStore, case: Case) -> None:
    twin = {"resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": case.number}]}
    for _ in range(2):
        assert case.server.request("POST", "Patient", twin)[0] == 201
    queue(store, case.bundle("1"), case.number)
    with pytest.raises(Permanent, match="1 parked") as caught:
        drain(store, case.server.url)
    assert case.number not in str(caught.value)
    assert "Bundle.entry[0] (Patient)" in str(caught.value)
    assert store.show(1).deliveries[0].history[0].kind == "identity"


def test_search_by_identifier_and_metadata(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle("1"), case.number)
    drain(store, case.server.url)

    async def work(client: FhirClient) -> tuple[list[str], str]:
        parameters = [("identifier", f"urn:test:mrn|{case.number}"), ("_count", "1")]
        kinds = [found["resourceType"] async for found in client.search("Patient", parameters)]
        return kinds, (await client.metadata())["fhirVersion"]

    assert with_client(case.server.url, work) == (["Patient"], "4.0.1")
