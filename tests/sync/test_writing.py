"""Transactions, batches and single requests: the same on the server, whatever it can."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from fhir_sink import outcome

from ketafhir.store.protocol import LeaseLost
from ketafhir.sync.bundle import Outgoing, matching
from ketafhir.sync.client import FhirClient, TransactionResult
from ketafhir.sync.outcome import Disposition
from ketafhir.sync.writing import Writer, mode_of

D = Disposition
MRN = "identifier=https%3A%2F%2Fwillow.example%2Fmrn%7CSYN-1"


def entry(full_url: str, resource: dict[str, Any], method: str, url: str, **more: str) -> dict[str, Any]:
    return {"fullUrl": full_url, "resource": resource, "request": {"method": method, "url": url, **more}}


def ref(full_url: str) -> dict[str, str]:
    return {"reference": full_url}


PATIENT, VISIT, PARENT = "urn:uuid:pat", "urn:uuid:enc", "urn:uuid:parent"


def stored(children: int = 3) -> bytes:
    """A Bundle as the translator makes it: others' resources by identifier, ours by id; order is no help."""
    identifier = [{"system": "https://willow.example/mrn", "value": "SYN-1"}]
    entries = [
        entry(
            f"urn:uuid:c{number}",
            {
                "resourceType": "MedicationAdministration",
                "id": f"c{number}",
                "subject": ref(PATIENT),
                "partOf": [ref(PARENT)],
            },
            "PUT",
            f"MedicationAdministration/c{number}",
        )
        for number in range(children)
    ]
    entries += [
        entry(
            PARENT,
            {
                "resourceType": "MedicationAdministration",
                "id": "parent",
                "subject": ref(PATIENT),
                "context": ref(VISIT),
            },
            "PUT",
            "MedicationAdministration/parent",
        ),
        entry(
            VISIT,
            {"resourceType": "Encounter", "identifier": [{"system": "urn:v", "value": "V1"}], "subject": ref(PATIENT)},
            "POST",
            "Encounter",
            ifNoneExist="identifier=urn%3Av%7CV1",
        ),
        entry(PATIENT, {"resourceType": "Patient", "identifier": identifier}, "PUT", f"Patient?{MRN}"),
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


class Server:
    """A FHIR server that minds references, and takes only what it says it takes."""

    def __init__(self, *codes: str, most: int = 1000) -> None:
        self.codes, self.most = codes, most
        self.resources: dict[str, dict[str, Any]] = {}
        self.versions: Counter[str] = Counter()
        self.requests: list[httpx.Request] = []
        self.faults: dict[str, int] = {}  # by Type/id, once

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/fhir").strip("/")
        if path == "metadata":
            rest = [
                {
                    "mode": "server",
                    "interaction": [{"code": code} for code in self.codes],
                    "resource": [{"type": "Patient"}],
                }
            ]
            return httpx.Response(200, json={"resourceType": "CapabilityStatement", "rest": rest})
        if path.endswith("_search"):
            kind = path.split("/")[0]
            found = self._matches(kind, parse_qs(request.content.decode())["identifier"][0])
            body = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in found]}
            return httpx.Response(200, json=body)
        sent = json.loads(request.content)
        if path:
            status, response, resource = self._write(request.method, path, sent, request.headers.get("if-match"))
            return httpx.Response(status, json=resource, headers={"ETag": response.get("etag", "")})
        if len(sent["entry"]) > self.most:
            return httpx.Response(413, text="<html>")
        if sent["type"] not in self.codes:
            return outcome(400, f"no {sent['type']} here")
        answers = [{"response": self._entry(one, sent)} for one in sent["entry"]]
        return httpx.Response(
            200, json={"resourceType": "Bundle", "type": f"{sent['type']}-response", "entry": answers}
        )

    def _entry(self, entry: dict[str, Any], bundle: dict[str, Any]) -> dict[str, Any]:
        request, resource = entry["request"], entry["resource"]
        if bundle["type"] == "transaction" and "urn:uuid" in json.dumps([one["resource"] for one in bundle["entry"]]):
            return {"status": "200", "location": request["url"] if "?" not in request["url"] else "Patient/1"}
        path, _, query = request["url"].partition("?")
        query = query or request.get("ifNoneExist", "")
        if query:
            found = self._matches(path, unquote(query.removeprefix("identifier=")))
            path = f"{path}/{found[0]['id']}" if found else path
        _, response, _ = self._write("PUT" if "/" in path else "POST", path, resource, request.get("ifMatch"))
        return response

    def _write(
        self, method: str, path: str, resource: dict[str, Any], if_match: str | None
    ) -> tuple[int, dict[str, Any], Any]:
        text = json.dumps(resource)
        for reference in _references(resource):
            if reference not in self.resources:
                return 400, {"status": "400", "outcome": {}}, {"resourceType": "OperationOutcome", "issue": []}
        assert "urn:uuid" not in text
        place = path if "/" in path else f"{path}/{len(self.resources) + 1}"
        if place in self.faults:
            status = self.faults.pop(place)
            return status, {"status": str(status)}, {"resourceType": "OperationOutcome", "issue": []}
        if if_match and if_match != f'W/"{self.versions[place]}"':
            return 412, {"status": "412"}, {"resourceType": "OperationOutcome", "issue": []}
        kept = {**resource, "id": place.split("/")[1]}
        if self.resources.get(place) != kept:
            self.versions[place] += 1
        self.resources[place] = kept
        version = self.versions[place]
        return 200, {"status": "200", "location": f"{place}/_history/{version}", "etag": f'W/"{version}"'}, kept

    def _matches(self, kind: str, token: str) -> list[dict[str, Any]]:
        system, _, value = token.partition("|")
        wanted = {"system": system, "value": value}
        return [
            one
            for one in self.resources.values()
            if one["resourceType"] == kind and wanted in one.get("identifier", [])
        ]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [part for name, part in value.items() if name == "reference"] + [
            one for name, part in value.items() if name != "reference" for one in _references(part)
        ]
    return [one for part in value for one in _references(part)] if isinstance(value, list) else []


def write(
    server: Server, *bundles: bytes, mode: str = "auto", versions: dict[str, str] | None = None
) -> list[TransactionResult]:
    async def scenario() -> list[TransactionResult]:
        client = FhirClient("http://fhir.test/fhir", transport=server.transport)
        writer = Writer(client, mode)
        try:
            return [await writer.write(Outgoing(one), versions or {}) for one in bundles]
        finally:
            await client.aclose()

    return asyncio.run(scenario())


EXPECTED = {
    "Patient/1": [],
    "Encounter/2": ["Patient/1"],
    "MedicationAdministration/parent": ["Encounter/2", "Patient/1"],
    **{f"MedicationAdministration/c{n}": ["MedicationAdministration/parent", "Patient/1"] for n in range(3)},
}


@pytest.mark.parametrize("codes", [("batch",), ()], ids=["batch", "single"])
def test_without_transactions_the_same_is_written_and_again_changes_nothing(codes: tuple[str, ...]) -> None:
    server = Server(*codes)
    first, second = write(server, stored(), stored())
    assert (first.outcome.disposition, second.outcome.disposition) == (D.DONE, D.DONE)
    assert {place: sorted(_references(one)) for place, one in server.resources.items()} == EXPECTED
    assert (
        first.versions
        == second.versions
        == dict.fromkeys(
            ("Patient/1", *(f"MedicationAdministration/{n}" for n in ("parent", "c0", "c1", "c2"))), 'W/"1"'
        )
    )
    assert set(server.versions.values()) == {1}
    assert len(first.entries) == 6


def test_no_identifier_stands_in_a_url() -> None:
    server = Server()
    write(server, stored(), stored())
    assert not [one for one in server.requests if "identifier" in str(one.url) or "SYN-1" in str(one.url)]


def test_the_server_is_asked_once_what_it_can() -> None:
    server = Server("transaction", "batch")
    write(server, stored(), stored())
    assert [one.url.path for one in server.requests] == ["/fhir/metadata", "/fhir", "/fhir"]
    assert json.loads(server.requests[1].content)["type"] == "transaction"


@pytest.mark.parametrize("codes", [("batch",), ()], ids=["batch", "single"])
def test_what_was_written_before_a_failure_is_learned_and_the_rest_follows(codes: tuple[str, ...]) -> None:
    server = Server(*codes)
    server.faults["MedicationAdministration/c1"] = 503
    first, second = write(server, stored(), stored())
    assert first.outcome.disposition is D.UNAVAILABLE
    assert first.versions["MedicationAdministration/parent"] == 'W/"1"'
    assert "MedicationAdministration/c1" not in first.versions
    assert second.outcome.disposition is D.DONE
    assert len(server.resources) == 6


@pytest.mark.parametrize("codes", [("batch",), ()], ids=["batch", "single"])
def test_who_has_lost_the_delivery_meanwhile_writes_no_further_part(codes: tuple[str, ...]) -> None:
    """Many parts take longer than a lease: it is renewed before each."""
    server = Server(*codes)
    renewed = []

    async def renew() -> None:
        renewed.append(len(server.resources))
        if len(renewed) == 3:
            raise LeaseLost("another worker has it")

    async def scenario() -> None:
        client = FhirClient("http://fhir.test/fhir", transport=server.transport)
        try:
            await Writer(client).write(Outgoing(stored()), {}, renew)
        finally:
            await client.aclose()

    with pytest.raises(LeaseLost):
        asyncio.run(scenario())
    assert renewed == [0, 1, 2]
    assert len(server.resources) == 2


def test_a_stale_version_is_a_conflict_in_every_mode() -> None:
    for codes in (("batch",), ()):
        server = Server(*codes)
        write(server, stored())
        (result,) = write(server, stored(), versions={"MedicationAdministration/parent": 'W/"7"'})
        assert result.outcome.disposition is D.CONFLICT


def test_two_of_one_identity_are_for_a_person() -> None:
    server = Server()
    for number in ("8", "9"):
        patient = json.loads(stored())["entry"][-1]["resource"]
        server.resources[f"Patient/{number}"] = {**patient, "id": number}
    (result,) = write(server, stored())
    assert result.outcome.disposition is D.IDENTITY


def test_what_is_too_large_is_halved_until_it_fits() -> None:
    server = Server("batch", most=4)
    (result,) = write(server, stored(40), mode="batch")
    assert result.outcome.disposition is D.DONE
    assert len(server.resources) == 43
    sizes = [len(json.loads(one.content)["entry"]) for one in server.requests]
    assert max(sizes[-3:]) <= 4 < max(sizes)


def test_a_transaction_that_is_too_large_is_written_in_parts_of_it() -> None:
    server = Server("transaction", most=5)
    (result,) = write(server, stored(3))
    assert result.outcome.disposition is D.DONE
    sizes = [len(json.loads(one.content)["entry"]) for one in server.requests[1:]]
    assert sizes[0] == 6
    assert sum(sizes[1:]) == 6
    (result,) = write(Server("transaction", most=0), stored(0))
    assert result.outcome.disposition is D.TOO_LARGE


def test_an_answer_with_fewer_entries_is_not_believed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "batch-response", "entry": []})

    async def scenario() -> TransactionResult:
        client = FhirClient("http://fhir.test/fhir", transport=httpx.MockTransport(answer))
        try:
            return await Writer(client, "batch").write(Outgoing(stored()), {})
        finally:
            await client.aclose()

    assert asyncio.run(scenario()).outcome.disposition is D.AMBIGUOUS


@pytest.mark.parametrize(
    ("rest", "mode"),
    [
        ([], "transaction"),
        ([{"mode": "server"}], "transaction"),
        ([{"mode": "server", "interaction": [{"code": "transaction"}, {"code": "batch"}]}], "transaction"),
        ([{"mode": "server", "interaction": [{"code": "batch"}]}], "batch"),
        ([{"mode": "server", "interaction": [{"code": "history-system"}]}], "single"),
        ([{"mode": "server", "resource": [{"type": "Patient"}]}], "single"),
        ([{"mode": "client", "interaction": [{"code": "batch"}]}], "transaction"),
    ],
)
def test_what_a_capability_statement_says(rest: list[dict[str, Any]], mode: str) -> None:
    assert mode_of({"resourceType": "CapabilityStatement", "rest": rest}) == mode


class Lying(Server):
    """Answers every search with whom it likes, or what a test says."""

    def __init__(self, search: httpx.Response) -> None:
        super().__init__()
        self._search = search

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("_search"):
            self.requests.append(request)
            return self._search
        return super()._answer(request)


def test_a_search_that_does_not_go_by_the_identifier_overwrites_nobody() -> None:
    """A server that passes by a parameter it does not know answers with all there are: here with one, another person."""
    other = {
        "resourceType": "Patient",
        "id": "7",
        "identifier": [{"system": "https://willow.example/mrn", "value": "SYN-2"}],
    }
    server = Lying(
        httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": other}]})
    )
    (found,) = write(server, stored())
    assert found.outcome.disposition is D.IDENTITY
    assert "without the identifier" in found.outcome.text
    assert server.resources == {}


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (401, D.UNAUTHORIZED),
        (403, D.UNAUTHORIZED),
        (503, D.UNAVAILABLE),
        (429, D.THROTTLED),
        (404, D.MISCONFIGURED),
        (500, D.TRANSIENT),
        (409, D.TRANSIENT),
        (400, D.REJECTED),
    ],
)
def test_a_search_that_fails_is_judged_as_any_other_request(status: int, disposition: D) -> None:
    """A wrong password is the destination's fault: no message dies of it."""
    (found,) = write(Lying(httpx.Response(status, headers={"Retry-After": "7"} if status == 429 else {})), stored())
    assert found.outcome.disposition is disposition
    assert found.outcome.after == (7.0 if status == 429 else None)


class Renaming(Server):
    """Gives what is put under an id of ours one of its own."""

    def _write(self, method: str, path: str, resource: dict[str, Any], if_match: str | None) -> Any:
        status, response, kept = super()._write(method, path, resource, if_match)
        return status, response, {**kept, "id": "77"} if path.startswith("MedicationAdministration/") else kept


def test_what_is_put_under_another_id_is_no_success_of_a_single_request() -> None:
    (found,) = write(Renaming(), stored())
    assert found.outcome.disposition is D.REJECTED
    assert found.outcome.text == "MedicationAdministration/parent was written as MedicationAdministration/77"


@pytest.mark.parametrize(
    ("severity", "disposition"), [("error", D.REJECTED), ("fatal", D.REJECTED), ("warning", D.DONE)]
)
def test_an_error_within_a_200_is_no_success_of_a_single_request(severity: str, disposition: D) -> None:
    class Saying(Server):
        def _write(self, method: str, path: str, resource: dict[str, Any], if_match: str | None) -> Any:
            status, response, _ = super()._write(method, path, resource, if_match)
            issue = {"severity": severity, "code": "business-rule", "diagnostics": "not stored"}
            return status, response, {"resourceType": "OperationOutcome", "issue": [issue]}

    one = entry("urn:uuid:a", {"resourceType": "Observation"}, "PUT", "Observation/a")
    raw = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [one]}).encode()
    (found,) = write(Saying(), raw)
    assert found.outcome.disposition is disposition


@pytest.mark.parametrize(("status", "url", "disposition"), [
    ("404 Not Found", "Observation/a", D.GONE), ("410", "Observation/a", D.GONE), ("304 Not Modified", "Observation/a", D.REJECTED),
    ("422", "Observation/a", D.REJECTED), ("412", "Observation/a", D.CONFLICT), ("412", "Patient?identifier=x", D.IDENTITY),
    ("503", "Observation/a", D.UNAVAILABLE), ("401", "Observation/a", D.REJECTED), ("403", "Patient?identifier=x", D.REJECTED),
])  # fmt: skip
@pytest.mark.parametrize("codes", [("batch",), ("transaction",)], ids=["batch", "transaction"])
def test_an_entry_that_fails_without_a_word_does_not_stop_the_destination(
    codes: tuple[str, ...], status: str, url: str, disposition: D
) -> None:
    class Wordless(Server):
        def _entry(self, entry: dict[str, Any], bundle: dict[str, Any]) -> dict[str, Any]:
            return {"status": status}

    one = entry("urn:uuid:a", {"resourceType": url.partition("/")[0].partition("?")[0]}, "PUT", url)
    (found,) = write(
        Wordless(*codes), json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [one]}).encode()
    )
    assert found.outcome.disposition is disposition


@pytest.mark.parametrize(
    ("query", "identifier", "found"),
    [
        ("identifier=urn%3Ax%7C1", [{"system": "urn:x", "value": "1"}], True),
        ("identifier=urn%3Ax%7C1", {"system": "urn:x", "value": "1"}, True),
        ("identifier=urn%3Ax%7C1", [{"system": "urn:y", "value": "1"}, {"system": "urn:x", "value": "2"}, 5], False),
        ("identifier=urn%3Ax%7C1", None, False),
        ("identifier=urn%3Ax%7Ca%5C%7Cb%5C%5C%5C%2Cc", [{"system": "urn:x", "value": "a|b\\,c"}], True),
        ("identifier=%7C1", [{"value": "1"}], True),
        ("identifier=1", [{"system": "urn:x", "value": "1"}], True),
        ("_id=9", None, True),
    ],
)
def test_whether_a_search_found_what_was_asked_for(query: str, identifier: Any, found: bool) -> None:
    resources = [{"resourceType": "Patient", "id": "1", "identifier": identifier}]
    assert (matching(resources, query) == resources) is found


@pytest.mark.parametrize(
    "rest", [5, {"mode": "server"}, [{"interaction": 5}], [{"interaction": [{"code": ["transaction"]}]}]]
)
def test_a_capability_statement_of_another_shape_says_nothing(rest: Any) -> None:
    assert mode_of({"rest": rest}) in ("transaction", "single")
