"""One patient of one test on the real server: what is queued for it, delivered, and found there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from fhir_peer import HapiServer
from ketafhir.store.protocol import Inbound, NewDelivery, Result
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient
from ketafhir.sync.courier import FhirCourier
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.worker import Worker


class Case:
    """A patient of this test alone, with one Observation under an id of ours."""

    def __init__(self, server: HapiServer) -> None:
        self.server = server
        self.number = server.unique("MRN")
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, self.number))
        self.observation = f"Observation/{self.id}"

    def bundle(self, rate: str, create: bool = False) -> bytes:
        """The patient by identifier, written or only created, and the Observation by id, `rate` as its decimal, verbatim."""
        identifier = [{"system": "urn:test:mrn", "value": self.number}]
        patient = {
            "fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111",
            "resource": {"resourceType": "Patient", "identifier": identifier},
            "request": {"method": "PUT", "url": f"Patient?identifier=urn:test:mrn|{self.number}"},
        }
        if create:
            patient["request"] = {
                "method": "POST",
                "url": "Patient",
                "ifNoneExist": f"identifier=urn:test:mrn|{self.number}",
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

    def rates(self) -> list[str]:
        """What each version says, the oldest first."""
        status, newest = self.server.request("GET", self.observation)
        assert status == 200
        found = []
        for number in range(1, int(newest["meta"]["versionId"]) + 1):  # a page of _history has 50 at most
            status, one = self.server.request("GET", f"{self.observation}/_history/{number}")
            assert status == 200
            found.append(str(one["valueQuantity"]["value"]))
        return found

    def patients(self) -> int:
        """How many resources the server has for the number of this patient."""
        status, found = self.server.request("GET", f"Patient?identifier=urn:test:mrn%7C{self.number}")
        assert status == 200
        return len(found.get("entry", ()))


def queue(store: SqliteStore, payload: bytes, patient: str) -> None:
    raw = uuid.uuid4().bytes
    result = Result("translated", deliveries=[NewDelivery("fhir", (patient,), payload)])
    digest = hashlib.sha256(raw).digest()
    store.accept(Inbound(raw, digest, "l", "h", "s", raw.hex(), "RAS^O17", b"AA", result))


def with_client(url: str, work: Callable[[FhirClient], Any], transport: httpx.AsyncBaseTransport | None = None) -> Any:
    async def scenario() -> Any:
        client = FhirClient(url, transport=transport)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def drain(
    store: SqliteStore,
    url: str,
    transport: httpx.AsyncBaseTransport | None = None,
    policy: RetryPolicy | None = None,
    seconds: float = 30,
) -> None:
    async def work(client: FhirClient) -> None:
        worker = Worker(store, FhirCourier(store, client, "fhir"), "fhir", poll_seconds=0.05, policy=policy)
        task = asyncio.create_task(worker.run())
        try:
            await worker.drain(seconds)
        finally:
            worker.stop()
            await task

    with_client(url, work, transport)
