"""The real server: what the rest of the project, and whoever points a client at it, relies on.

The features are asked of the one server of the run. Settings need one of their own.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fhir_peer import HapiServer
from ketafhir.errors import FhirServerError
from ketafhir.hapi import server
from ketafhir.hapi.settings import Settings

pytestmark = pytest.mark.hapi

MRN = "urn:test:mrn"
BODY_TEMPERATURE = "http://hl7.org/fhir/StructureDefinition/bodytemp"
TOKEN = "correct-horse-battery-staple"


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": MRN, "value": number}], **more}


def temperature(**quantity: Any) -> dict[str, Any]:
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    return {
        "resourceType": "Observation",
        "meta": {"profile": [BODY_TEMPERATURE]},
        "status": "final",
        "category": [{"coding": [category]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
        "subject": {"identifier": {"system": MRN, "value": "any"}},
        "effectiveDateTime": "2026-03-02T09:00:00+01:00",
        "valueQuantity": {"system": "http://unitsofmeasure.org", **quantity},
    }


def errors(outcome: dict[str, Any]) -> list[str]:
    return [issue["diagnostics"] for issue in outcome["issue"] if issue["severity"] in ("error", "fatal")]


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**more.pop("entry", {}), "resource": resource, "request": {"method": method, "url": url, **more}}


# --- features, on the server of the run ---


def test_it_says_what_it_can(hapi_server: HapiServer) -> None:
    status, capabilities = hapi_server.request("GET", "metadata")
    assert status == 200
    assert capabilities["fhirVersion"] == "4.0.1"
    assert {"MedicationAdministration", "Provenance"} <= {
        resource["type"] for resource in capabilities["rest"][0]["resource"]
    }


def test_conditional_create_happens_once(hapi_server: HapiServer) -> None:
    number = hapi_server.unique("P")
    bundle = transaction(entry("POST", "Patient", patient(number), ifNoneExist=f"identifier={MRN}|{number}"))
    answers = [hapi_server.request("POST", "", bundle)[1]["entry"][0]["response"] for _ in range(2)]
    assert [answer["status"][:3] for answer in answers] == ["201", "200"]
    assert answers[0]["location"] == answers[1]["location"]
    assert hapi_server.request("GET", f"Patient?identifier={MRN}|{number}")[1]["total"] == 1


def test_conditional_update_creates_then_changes_nothing_then_changes(hapi_server: HapiServer) -> None:
    number = hapi_server.unique("P")
    versions = []
    for gender in ("female", "female", "male"):
        put = entry("PUT", f"Patient?identifier={MRN}|{number}", patient(number, gender=gender))
        status, answer = hapi_server.request("POST", "", transaction(put))
        assert status == 200, answer
        versions.append(answer["entry"][0]["response"]["etag"])
    assert [version.removeprefix("W/").strip('"') for version in versions] == ["1", "1", "2"]


def test_a_transaction_resolves_its_references_or_does_nothing(hapi_server: HapiServer) -> None:
    number, derived = hapi_server.unique("P"), hapi_server.unique("obs-")
    full_url = "urn:uuid:7d6ddd0c-4ec8-4d4a-a4a7-fb6f0b1a5a6e"
    observation = temperature(value=36.60, code="Cel", unit="C") | {
        "id": derived,
        "subject": {"reference": full_url},
    }
    entries = [
        entry(
            "POST",
            "Patient",
            patient(number),
            entry={"fullUrl": "urn:uuid:7d6ddd0c-4ec8-4d4a-a4a7-fb6f0b1a5a6e"},
        ),
        entry("PUT", f"Observation/{derived}", observation),
    ]
    status, answer = hapi_server.request("POST", "", transaction(*entries))
    assert status == 200, answer
    found = hapi_server.request("GET", f"Observation?_id={derived}&_include=Observation:subject")[1]
    assert [one["resource"]["resourceType"] for one in found["entry"]] == ["Observation", "Patient"]
    assert found["entry"][0]["resource"]["valueQuantity"]["value"] == 36.6

    other = hapi_server.unique("P")
    dangling = patient(other, managingOrganization={"reference": "Organization/never-heard-of"})
    status, answer = hapi_server.request("POST", "", transaction(entry("POST", "Patient", dangling)))
    assert status == 400, answer
    assert hapi_server.request("GET", f"Patient?identifier={MRN}|{other}")[1]["total"] == 0


def test_versions_if_match_patch_and_history(hapi_server: HapiServer) -> None:
    where = f"Patient/{hapi_server.unique('pat-')}"
    body = patient("any") | {"id": where.removeprefix("Patient/")}
    assert hapi_server.request("PUT", where, body)[0] == 201
    changed = body | {"gender": "female"}
    assert hapi_server.request("PUT", where, changed, {"If-Match": 'W/"1"'})[0] == 200
    assert hapi_server.request("PUT", where, body, {"If-Match": 'W/"1"'})[0] in (409, 412)  # HAPI says 409
    patch = [{"op": "replace", "path": "/gender", "value": "male"}]
    status, patched = hapi_server.request("PATCH", where, patch, {"Content-Type": "application/json-patch+json"})
    assert (status, patched["gender"]) == (200, "male")
    assert hapi_server.request("GET", f"{where}/_history/2")[1]["gender"] == "female"
    assert hapi_server.request("GET", f"{where}/_history")[1]["total"] == 3
    status, outcome = hapi_server.request("DELETE", where)
    if status == 409:  # a job of HAPI's own may hold the row for a moment
        time.sleep(2)
        status, outcome = hapi_server.request("DELETE", where)
    assert status == 200, outcome
    assert hapi_server.request("GET", where)[0] == 410
    assert hapi_server.request("GET", f"{where}/_history")[1]["total"] == 4


def test_everything_of_a_patient(hapi_server: HapiServer) -> None:
    who, what = hapi_server.unique("pat-"), hapi_server.unique("obs-")
    observation = temperature(value=36.6, code="Cel") | {
        "id": what,
        "subject": {"reference": f"Patient/{who}"},
    }
    hapi_server.request("PUT", f"Patient/{who}", patient("any") | {"id": who})
    hapi_server.request("PUT", f"Observation/{what}", observation)
    found = hapi_server.request("GET", f"Patient/{who}/$everything")[1]["entry"]
    assert {one["resource"]["id"] for one in found} == {who, what}


def test_a_vital_sign_is_judged_by_its_profile(hapi_server: HapiServer) -> None:
    good = hapi_server.request("POST", "Observation/$validate", temperature(value=36.6, code="Cel", unit="C"))[1]
    assert errors(good) == []
    wrong_unit = hapi_server.request("POST", "Observation/$validate", temperature(value=98, code="mg", unit="mg"))[1]
    assert any("mg" in text for text in errors(wrong_unit))
    no_code = hapi_server.request("POST", "Observation/$validate", temperature(value=36.6, unit="C"))[1]
    assert any("valueQuantity.code" in text or "Quantity.code" in text for text in errors(no_code))


def test_own_profiles_and_terminology_are_judged_too(hapi_server: HapiServer) -> None:
    name = hapi_server.unique("own-")
    system = f"http://example.org/CodeSystem/{name}"
    concepts = [{"code": "bolus"}, {"code": "infusion"}]
    definitions = [
        {
            "resourceType": "CodeSystem",
            "url": system,
            "status": "active",
            "content": "complete",
            "concept": concepts,
        },
        {
            "resourceType": "ValueSet",
            "url": f"http://example.org/ValueSet/{name}",
            "status": "active",
            "compose": {"include": [{"system": system}]},
        },
        {
            "resourceType": "StructureDefinition",
            "url": f"http://example.org/StructureDefinition/{name}",
            "name": "Own",
            "status": "active",
            "kind": "resource",
            "abstract": False,
            "type": "Basic",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
            "derivation": "constraint",
            "differential": {
                "element": [
                    {
                        "id": "Basic.code",
                        "path": "Basic.code",
                        "binding": {
                            "strength": "required",
                            "valueSet": f"http://example.org/ValueSet/{name}",
                        },
                    }
                ]
            },
        },
    ]
    for definition in definitions:
        kind = definition["resourceType"]
        status, answer = hapi_server.request("PUT", f"{kind}/{name}", definition | {"id": name})
        assert status == 201, answer
    for code, valid in (("bolus", True), ("banana", False)):
        basic = {
            "resourceType": "Basic",
            "meta": {"profile": [f"http://example.org/StructureDefinition/{name}"]},
            "code": {"coding": [{"system": system, "code": code}]},
        }
        outcome = hapi_server.request("POST", "Basic/$validate", basic)[1]
        assert (errors(outcome) == []) is valid, outcome
    expanded = hapi_server.request("GET", f"ValueSet/{name}/$expand")[1]
    assert {one["code"] for one in expanded["expansion"]["contains"]} == {"bolus", "infusion"}


def test_a_search_parameter_works_at_once(hapi_server: HapiServer) -> None:
    code = hapi_server.unique("batch-")
    parameter = {
        "resourceType": "SearchParameter",
        "id": code,
        "url": f"http://example.org/SearchParameter/{code}",
        "name": "batch",
        "status": "active",
        "description": "by batch number",
        "code": code,
        "base": ["Medication"],
        "type": "string",
        "expression": "Medication.batch.lotNumber",
    }
    assert hapi_server.request("PUT", f"SearchParameter/{code}", parameter)[0] == 201
    lot = hapi_server.unique("LOT")
    hapi_server.request("POST", "Medication", {"resourceType": "Medication", "batch": {"lotNumber": lot}})
    assert hapi_server.request("GET", f"Medication?{code}={lot}")[1]["total"] == 1


def test_the_reads_after_a_write_see_it(hapi_server: HapiServer) -> None:
    number = hapi_server.unique("P")
    for count in range(3):
        assert hapi_server.request("GET", f"Patient?identifier={MRN}|{number}")[1]["total"] == count
        hapi_server.request("POST", "Patient", patient(number))


# --- settings, on one server with TLS, a token and its data in files ---


@dataclass(slots=True)
class Door:
    """A server and what it takes to talk to it."""

    settings: Settings
    certificate: Path
    work_dir: Path
    server: server.Server

    @property
    def url(self) -> str:
        return self.server.url

    def ask(
        self,
        path: str,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        given = {"Content-Type": "application/fhir+json"} | (headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url}/{path}", data=data, headers=given)
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, dict(answer.headers), json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.load(error)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    store, certificate, password = folder / "store.p12", folder / "server.pem", folder / "password"
    keytool = ["keytool", "-keystore", str(store), "-storepass", "changeit", "-alias", "server"]
    names = ["-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1"]
    subprocess.run([*keytool, "-genkeypair", "-keyalg", "EC", *names], check=True, capture_output=True)
    subprocess.run([*keytool, "-exportcert", "-rfc", "-file", str(certificate)], check=True, capture_output=True)
    password.write_text("changeit\n")
    settings = Settings(port=0, token=TOKEN, keystore=store, keystore_password_file=password, data_dir=folder / "data")
    started = server.start(settings, work_dir=folder / "work")
    yield Door(settings, certificate, folder / "work", started)
    server.stop_all(work_dir=folder / "work")


def test_the_token_opens_every_door(door: Door) -> None:
    assert door.url.startswith("https://127.0.0.1:")
    assert door.ask("metadata")[0] == 200
    assert door.ask("metadata", None, {"authorization": f"bearer {TOKEN}"})[0] == 200  # schemes ignore case


@pytest.mark.parametrize(
    "authorization",
    [None, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer", f"Basic {TOKEN}", TOKEN],
)
def test_nobody_enters_without_it(door: Door, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization is not None else {}
    for path in ("metadata", "Patient", "no-such-type", "../"):
        status, answered, outcome = door.ask(path, None, headers)
        assert (status, outcome["resourceType"]) == (401, "OperationOutcome"), path
        assert answered["WWW-Authenticate"].startswith("Bearer")


def test_a_large_refused_request_is_answered_not_reset(door: Door) -> None:
    assert door.ask("Patient", None, data=b" " * 4_000_000)[0] == 401


def test_the_certificate_is_the_given_one(door: Door) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{door.url}/metadata", timeout=30)


def test_the_log_of_a_quiet_server_is_quiet(door: Door) -> None:
    assert door.server.log is not None
    assert door.server.log.read_text() == f"FHIR R4 server ready at {door.url}\n"


def test_a_port_that_is_taken_is_told_at_once(door: Door, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(FhirServerError, match=f"cannot listen on 127.0.0.1:{door.server.port}: Address already"):
        # http, so that the server that is there does not pass for the wanted one
        server.start(Settings(port=door.server.port), work_dir=tmp_path)
    assert time.monotonic() - begun < 10


def test_acknowledged_writes_outlive_a_kill(door: Door) -> None:
    """Keep this one last: it replaces the server."""
    body = json.dumps(patient("kept")).encode()
    written = [door.ask("Patient", data=body)[2]["id"] for _ in range(20)]
    assert door.server.pid is not None
    os.kill(door.server.pid, signal.SIGKILL)

    again = server.start(replace(door.settings, port=door.server.port), work_dir=door.work_dir)
    assert (again.url, again.started) == (door.url, True)
    assert [door.ask(f"Patient/{one}")[0] for one in written] == [200] * 20
    begun = time.monotonic()
    assert server.stop(again.port, work_dir=door.work_dir)
    assert time.monotonic() - begun < 15  # it ended by itself, and was not killed
    assert server.status(work_dir=door.work_dir) == []
