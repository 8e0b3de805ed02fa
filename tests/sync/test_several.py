"""A server that says 412 to a whole transaction: which entry it is about is found out, by searches that name nobody in a URL."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qs

import httpx
import pytest
from fhir_sink import BASE, outcome

from ketafhir.sync.bundle import Outgoing
from ketafhir.sync.client import FhirClient
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.writing import Writer

PATIENT = "identifier=urn%3Amrn%7CSYN-1"
VISIT = "identifier=urn%3Avisit%7CV%2F1"


def transaction() -> bytes:
    entries = [
        {"resource": {"resourceType": "Observation", "id": "o"}, "request": {"method": "PUT", "url": "Observation/o"}},
        {"resource": {"resourceType": "Patient"}, "request": {"method": "PUT", "url": f"Patient?{PATIENT}"}},
        {
            "resource": {"resourceType": "Encounter"},
            "request": {"method": "POST", "url": "Encounter", "ifNoneExist": VISIT},
        },
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


class Server:
    """It holds so many of each type, whatever the identifier; 412 is all that it says to a transaction."""

    def __init__(self, said: str = "precondition failed", **found: int) -> None:
        self.said, self.found = said, found
        self.asked: list[tuple[str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/fhir").strip("/")
        assert not request.url.query
        if not path:
            return outcome(412, self.said)
        kind = path.removesuffix("/_search")
        (identifier,) = parse_qs(request.content.decode())["identifier"]
        self.asked.append((kind, identifier))
        if kind not in self.found:
            raise httpx.ReadTimeout("late")
        entries = [{"resource": {"resourceType": kind, "id": str(one)}} for one in range(self.found[kind])]
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "entry": entries})


def written(server: Server) -> Outcome:
    async def scenario() -> Outcome:
        client = FhirClient(BASE, transport=httpx.MockTransport(server.answer))
        try:
            return (await Writer(client, "transaction").write(Outgoing(transaction()), {})).outcome
        finally:
            await client.aclose()

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("found", "places"),
    [
        ({"Patient": 2, "Encounter": 1}, "Bundle.entry[1] (Patient)"),
        ({"Patient": 1, "Encounter": 7}, "Bundle.entry[2] (Encounter)"),
        ({"Patient": 2, "Encounter": 2}, "Bundle.entry[1] (Patient), Bundle.entry[2] (Encounter)"),
    ],
)
def test_the_entry_is_named(found: dict[str, int], places: str) -> None:
    server = Server(**found)
    told = written(server)
    assert told.disposition is Disposition.IDENTITY
    assert told.text == f"412: processing precondition failed: {places}"
    assert server.asked == [("Patient", "urn:mrn|SYN-1"), ("Encounter", "urn:visit|V/1")]


@pytest.mark.parametrize("found", [{"Patient": 1, "Encounter": 1}, {}])
def test_what_cannot_be_found_out_changes_nothing(found: dict[str, int]) -> None:
    told = written(Server(**found))
    assert (told.disposition, told.text) == (Disposition.IDENTITY, "412: processing precondition failed")


def test_a_server_that_names_it_is_not_asked() -> None:
    server = Server("Bundle.entry[1]: Multiple resources match")
    assert written(server).disposition is Disposition.IDENTITY
    assert server.asked == []
