"""The worker and the real server: what it writes, what a repeat changes, who wins a race."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_peer import HapiServer
from ketafhir.errors import Permanent
from ketafhir.store.protocol import Inbound, NewDelivery, Result
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient
from ketafhir.sync.courier import FhirCourier
from ketafhir.sync.worker import Worker

pytestmark = pytest.mark.hapi


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


class Case:
    """A patient of this test alone, with one Observation under an id of ours."""

    def __init__(self, server: HapiServer) -> None:
        self.server = server
        self.number = server.unique("MRN")
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, self.number))
        self.observation = f"Observation/{self.id}"

    def bundle(self, rate: str) -> bytes:
        """The patient by identifier and the Observation by id, `rate` as its decimal, verbatim."""
        identifier = [{"system": "urn:test:mrn", "value": self.number}]
        patient = {
            "fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111",
            "resource": {"resourceType": "Patient", "identifier": identifier},
            "request": {"method": "PUT", "url": f"Patient?identifier=urn:test:mrn|{self.number}"},
        }
        observation = {
            "fullUrl": f"urn:uuid:{self.id}",
            "resource": {
                "resourceType": "Observation",
                "id": self.id,
                "status": "final",
                "code": {"text": "rate"},
                "subject": {"reference": patient["fullUrl"]},
                "valueQuantity": {"value": "RATE"},
            },
            "request": {"method": "PUT", "url": self.observation},
        }
        document = {"resourceType": "Bundle", "type": "transaction", "entry": [patient, observation]}
        return json.dumps(document).replace('"RATE"', rate).encode()

    def versions(self) -> list[str]:
        status, history = self.server.request("GET", f"{self.observation}/_history")
        assert status == 200
        return [entry["resource"]["meta"]["versionId"] for entry in history["entry"]]


@pytest.fixture
def case(hapi_server: HapiServer) -> Case:
    return Case(hapi_server)


def queue(store: SqliteStore, payload: bytes, patient: str) -> None:
    raw = uuid.uuid4().bytes
    result = Result("translated", deliveries=[NewDelivery("fhir", (patient,), payload)])
    digest = hashlib.sha256(raw).digest()
    store.accept(Inbound(raw, digest, "l", "h", "s", raw.hex(), "RAS^O17", b"AA", result))


def with_client(url: str, work: Callable[[FhirClient], Any]) -> Any:
    async def scenario() -> Any:
        client = FhirClient(url)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def drain(store: SqliteStore, url: str) -> None:
    async def work(client: FhirClient) -> None:
        worker = Worker(store, FhirCourier(store, client, "fhir"), "fhir", poll_seconds=0.05)
        task = asyncio.create_task(worker.run())
        try:
            await worker.drain(30)
        finally:
            worker.stop()
            await task

    with_client(url, work)


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
    assert store.show(1).deliveries[0].history[0].kind == "identity"


def test_search_by_identifier_and_metadata(store: SqliteStore, case: Case) -> None:
    queue(store, case.bundle("1"), case.number)
    drain(store, case.server.url)

    async def work(client: FhirClient) -> tuple[list[str], str]:
        parameters = [("identifier", f"urn:test:mrn|{case.number}"), ("_count", "1")]
        kinds = [found["resourceType"] async for found in client.search("Patient", parameters)]
        return kinds, (await client.metadata())["fhirVersion"]

    assert with_client(case.server.url, work) == (["Patient"], "4.0.1")
