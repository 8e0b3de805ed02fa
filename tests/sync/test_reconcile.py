"""What was acknowledged as written beside what a server holds: what is found, and what a mend sends again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from ketafhir.errors import Permanent
from ketafhir.store.protocol import Inbound, NewDelivery, Result, done
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient
from ketafhir.sync.reconcile import Difference, Reconciler, differing, to_replay

BASE = "http://fhir.test/fhir"
WHO = "urn:mrn|ZZCANARY"


class Server:
    """Resources by `Type/id` with their versions; searched by identifier."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[int, dict[str, Any]]] = {}
        self.urls: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        path = request.url.path.removeprefix("/fhir/")
        if request.method == "GET":
            return httpx.Response(200, json=self._shown(path)) if path in self.held else httpx.Response(404, json=GONE)
        kind = path.partition("/")[0]
        wanted = parse_qs(request.content.decode())["identifier"][0]
        value = wanted.partition("|")[2]
        found = [one for one in self.held if one.startswith(f"{kind}/") and value in str(self.held[one][1])]
        entries = [{"resource": self._shown(one)} for one in found]
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "entry": entries})

    def _shown(self, reference: str) -> dict[str, Any]:
        version, resource = self.held[reference]
        kind, _, own = reference.partition("/")
        meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": "2026-11-03T08:00:00Z"}
        return {**resource, "resourceType": kind, "id": own, "meta": meta, "text": {"status": "generated"}}


GONE = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}


class Case:
    """A store and a server, and a writer that puts the same into both."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "s.db")
        self.server = Server()
        self._names = 0

    def write(self, patient: str, *references: str, text: str, create: bool = False, kind: str = "RAS^O17") -> int:
        """One message; the server gets it and acknowledges it."""
        who = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "ZZCANARY"}], "note": text}
        asked = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={WHO}"}
        if not create:
            asked = {"method": "PUT", "url": f"Patient?identifier={WHO}"}
        entries = [{"fullUrl": "urn:uuid:p", "resource": who, "request": asked}]
        versions: dict[str, str] = {}
        if not create or "Patient/1" not in self.server.held:
            self._put("Patient/1", who)
        if not create:
            versions["Patient/1"] = f'W/"{self.server.held["Patient/1"][0]}"'
        for reference in references:
            own = {"resourceType": reference.partition("/")[0], "note": text, "subject": {"reference": "urn:uuid:p"}}
            entries.append(
                {"fullUrl": f"urn:uuid:{reference}", "resource": own, "request": {"method": "PUT", "url": reference}}
            )
            self._put(reference, {**own, "subject": {"reference": "Patient/1"}})
            versions[reference] = f'W/"{self.server.held[reference][0]}"'
        bundle = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
        self._names += 1
        raw = b"%d" % self._names
        result = Result("translated", deliveries=[NewDelivery("fhir", (patient,), bundle)])
        number = self.store.accept(
            Inbound(raw, hashlib.sha256(raw).digest(), "l", "h", "s", str(self._names), kind, None, result)
        ).message_id
        delivery = self.store.claim("w", 60, "fhir")
        assert delivery is not None
        self.store.mark_inflight(delivery, 60)
        self.store.settle(delivery, done(versions, "200"))
        return number

    def _put(self, reference: str, resource: dict[str, Any]) -> None:
        version, held = self.server.held.get(reference, (0, None))
        self.server.held[reference] = (version + (held != resource), resource)

    def found(self) -> list[Difference]:
        async def scenario() -> list[Difference]:
            client = FhirClient(BASE, transport=httpx.MockTransport(self.server))
            found = [one async for one in Reconciler(self.store, client, "fhir").differences()]
            await client.aclose()
            return found

        return asyncio.run(scenario())

    def told(self) -> list[tuple[str, str, int]]:
        return [(one.what, one.where, one.message_id) for one in self.found()]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    yield made
    made.store.close()


def test_a_server_that_holds_what_it_acknowledged_differs_in_nothing(case: Case) -> None:
    case.write("p", "Observation/a", "Encounter/e", text="1")
    case.write("p", "Observation/a", text="2")
    case.write("p", "Observation/b", text="3", create=True)
    assert case.found() == []
    assert not [url for url in case.server.urls if "ZZCANARY" in url], "identifiers are searched by POST"


def test_what_is_missing_older_or_changed_is_found_with_the_message_that_wrote_it_last(case: Case) -> None:
    case.write("p", "Observation/a", "Observation/b", "Observation/c", text="1")
    second = case.write("p", "Observation/a", text="2")
    case.write("q", "Observation/d", text="3")
    held = case.server.held
    held["Observation/a"] = (1, {**held["Observation/a"][1], "note": "1"})
    del held["Observation/b"]
    held["Observation/c"] = (2, {**held["Observation/c"][1], "note": "by another"})
    assert case.told() == [
        ("missing", "Observation/b", 1),
        ("changed", "Observation/c", 1),
        ("older", "Observation/a", second),
    ]
    older = case.found()[2]
    assert (older.known, older.found, older.elements) == ('W/"2"', 'W/"1"', ("note",))
    assert "ZZCANARY" not in repr(case.found())


def test_what_is_addressed_by_an_identifier_is_found_too(case: Case) -> None:
    case.write("p", "Observation/a", text="1")
    case.write("p", "Observation/a", text="1", create=True)
    case.server.held["Patient/1"] = (2, {**case.server.held["Patient/1"][1], "note": "by another"})
    assert case.told() == [("changed", "Patient", 1)]
    case.server.held["Patient/2"] = case.server.held["Patient/1"]
    assert case.told()[0] == ("several", "Patient", 1)
    del case.server.held["Patient/1"], case.server.held["Patient/2"]
    assert case.told()[0] == ("missing", "Patient", 1)


def test_a_search_that_does_not_go_by_the_identifier_compares_nothing(case: Case) -> None:
    """Else another person's record would be told of as changed, and mended."""
    case.write("p", text="one", kind="ADT^A08")
    case.server.held["Patient/1"] = (1, {"identifier": [{"system": "urn:other", "value": "ZZCANARY"}]})
    with pytest.raises(Permanent, match="without the identifier"):
        case.found()


def test_what_is_addressed_by_an_identifier_may_be_older_too(case: Case) -> None:
    case.write("p", "Observation/a", text="1")
    before = case.server.held["Patient/1"]
    second = case.write("p", "Observation/b", text="2")
    case.server.held["Patient/1"] = before
    assert case.told() == [("older", "Patient", second)]


def test_what_was_only_created_belongs_to_others_too(case: Case) -> None:
    case.write("p", "Observation/a", text="1", create=True)
    case.server.held["Patient/1"] = (9, {**case.server.held["Patient/1"][1], "note": "by another"})
    assert case.found() == []
    del case.server.held["Patient/1"]
    assert case.told() == [("missing", "Patient", 1)]


def test_a_lower_version_of_the_same_content_is_no_difference(case: Case) -> None:
    """A server that was restored, and written anew by a replay."""
    for text in ("1", "2", "3"):
        case.write("p", "Observation/a", text=text)
    case.server.held["Observation/a"] = (1, case.server.held["Observation/a"][1])
    assert case.found() == []


def test_a_reference_that_leads_elsewhere_is_a_difference(case: Case) -> None:
    case.write("p", "Observation/a", text="1")
    case.server.held["Observation/a"] = (
        1,
        {**case.server.held["Observation/a"][1], "subject": {"reference": "Patient/7"}},
    )
    assert [(one.what, one.elements) for one in case.found()] == [("changed", ("subject",))]


def test_what_is_not_done_is_not_compared(case: Case) -> None:
    case.write("p", "Observation/a", text="1")
    case.server.held.clear()
    case.store.replay([1])
    assert case.found() == []


def test_a_mend_sends_the_damaged_and_what_came_after_it_of_the_same_patients(case: Case) -> None:
    first = case.write("p", "Observation/a", "Observation/b", text="1")
    case.write("q", "Observation/q", text="1")
    third = case.write("p", "Observation/a", text="2")
    del case.server.held["Observation/b"]
    (damaged,) = case.found()
    assert asyncio.run(to_replay(case.store, "fhir", {damaged.delivery_id})) == [first, third]
    case.store.replay([first, third], force=True, states=("done",))
    for number in (first, third):
        delivery = case.store.claim("w", 60, "fhir")
        assert delivery is not None
        assert delivery.message_id == number, "in the order of their first writing"
        case.store.mark_inflight(delivery, 60)
        case.store.settle(delivery, done())


@pytest.mark.parametrize(
    ("mine", "theirs", "names"),
    [
        ({"a": [1, 2]}, {"a": [1, 2]}, ()),
        ({"a": [1, 2]}, {"a": [2, 1]}, ("a",)),
        ({"a": 1}, {}, ("a",)),
        ({}, {"a": 1}, ("a",)),
        ({"meta": {"profile": ["x"]}}, {"meta": {"profile": ["y", "x"], "versionId": "3"}}, ()),
        ({"meta": {"profile": ["x"]}}, {"meta": {"profile": ["y"]}}, ("meta",)),
        ({"id": "1"}, {"id": "2", "text": {"div": "x"}}, ()),
        ({"text": {"div": "x"}}, {"text": {"div": "y"}}, ("text",)),
        ({"s": {"reference": "urn:uuid:1"}}, {"s": {"reference": "Patient/1"}}, ()),
        ({"s": {"reference": "urn:uuid:1"}}, {"s": {"reference": "Patient/2"}}, ("s",)),
        ({"s": {"reference": "urn:uuid:2"}}, {"s": {"reference": "Patient/2"}}, ()),
    ],
)
def test_what_counts_as_a_difference(mine: dict[str, Any], theirs: dict[str, Any], names: tuple[str, ...]) -> None:
    assert differing(mine, theirs, {"urn:uuid:1": "Patient/1", "urn:uuid:2": ""}) == names
