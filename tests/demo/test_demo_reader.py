"""Reading a patient: pages are followed, references too, each thing read once."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from ketafhir.demo.reader import ABOUT_PATIENTS, Reader, bundle, versions
from ketafhir.errors import Permanent, TransferError

BASE = "http://fhir.test/fhir"
PATIENT = {"resourceType": "Patient", "id": "1", "meta": {"versionId": "2", "lastUpdated": "T"}}


def page(*resources: dict[str, object], following: str = "") -> httpx.Response:
    links = [{"relation": "next", "url": following}] if following else []
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "entry": entries, "link": links})


def resource(kind: str, number: str, **more: object) -> dict[str, object]:
    return {"resourceType": kind, "id": number, **more}


@pytest.fixture
def server() -> object:
    with respx.mock(assert_all_called=False) as router:
        for kind in ABOUT_PATIENTS:
            router.get(url__startswith=f"{BASE}/{kind}?subject=").mock(return_value=page())
        yield router


def test_a_patient_is_found_by_number_without_it_standing_in_an_address(server: respx.Router) -> None:
    route = server.post(f"{BASE}/Patient/_search").mock(return_value=page(PATIENT))
    with Reader(BASE + "/") as reader:
        assert reader.patient("urn:id:W", "SYN-1") == PATIENT
    asked = route.calls.last.request
    assert parse_qs(asked.content.decode())["identifier"] == ["urn:id:W|SYN-1"]
    assert "SYN" not in str(asked.url)


def test_none_and_several(server: respx.Router) -> None:
    route = server.post(f"{BASE}/Patient/_search").mock(side_effect=[page(), page(PATIENT, {**PATIENT, "id": "2"})])
    with Reader(BASE) as reader:
        assert reader.patient("urn:id:W", "SYN-1") is None
        with pytest.raises(Permanent, match="2 Patients have the number SYN-1"):
            reader.patient("urn:id:W", "SYN-1")
    assert route.call_count == 2


def test_all_pages_and_what_they_refer_to(server: respx.Router) -> None:
    first = resource("Observation", "o1", device={"reference": "Device/d1"})
    second = resource("Observation", "o2", performer=[{"reference": "Practitioner/p1"}])
    told = resource("Provenance", "v1", target=[{"reference": "Observation/o1/_history/1"}])
    server.get(url__startswith=f"{BASE}/Observation?subject=").mock(
        return_value=page(first, told, following=f"{BASE}?_getpages=2")
    )
    server.get(f"{BASE}?_getpages=2").mock(return_value=page(second))
    server.get(url__regex=re.escape(f"{BASE}/Device?_id=d1") + ".*").mock(
        return_value=page(resource("Device", "d1", owner={"reference": "Organization/g1"}))
    )
    server.get(url__startswith=f"{BASE}/Practitioner?_id=p1").mock(return_value=page(resource("Practitioner", "p1")))
    absent = server.get(url__startswith=f"{BASE}/Organization?_id=g1").mock(return_value=page())
    with Reader(BASE) as reader:
        found = reader.record(PATIENT)
    assert set(found) == {
        "Patient/1", "Observation/o1", "Observation/o2", "Provenance/v1", "Device/d1", "Practitioner/p1",
    }  # fmt: skip
    assert 1 <= absent.call_count <= 5


def test_a_server_that_refuses_is_told(server: respx.Router) -> None:
    server.post(f"{BASE}/Patient/_search").mock(return_value=httpx.Response(401))
    with Reader(BASE) as reader, pytest.raises(TransferError):
        reader.patient("urn:id:W", "SYN-1")


def test_the_token_of_the_environment_is_sent(server: respx.Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KETAFHIR_FHIR_TOKEN", "abc")
    route = server.post(f"{BASE}/Patient/_search").mock(return_value=page(PATIENT))
    with Reader(BASE) as reader:
        reader.patient("urn:id:W", "SYN-1")
    assert route.calls.last.request.headers["Authorization"] == "Bearer abc"


def test_a_record_as_one_bundle_and_its_versions() -> None:
    record = {"Patient/1": PATIENT}
    assert bundle(BASE, record)["entry"] == [{"fullUrl": f"{BASE}/Patient/1", "resource": PATIENT}]
    assert versions(record) == {"Patient/1": ("2", "T")}
