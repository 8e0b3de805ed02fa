"""What a server is asked for, what is offered, and the search by partOf on a real server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from test_agreement import written

from fhir_peer import HapiServer
from ketafhir.errors import Refused
from ketafhir.fhir.check import shape
from ketafhir.profiles import package
from ketafhir.sync.writing import mode_of
from ketafhir.translate.translation import iter_fhir

MADE = {
    one["id"]: one for one in package.contents() if one["resourceType"] in ("CapabilityStatement", "SearchParameter")
}


@pytest.mark.parametrize("name", ["server", "client", "part-of"])
def test_they_are_of_r4(name: str) -> None:
    assert [one for one in shape(MADE[name]) if one.severity == "error"] == []


def asked() -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in MADE["server"]["rest"][0]["resource"]}


def test_all_that_is_asked_of_a_server_in_the_golden_cases_is_told() -> None:
    from golden.cases import ROOT

    told = asked()
    for file in sorted(ROOT.rglob("bundle.json")):
        text = file.read_text("utf-8")
        many = [json.loads(text)] if text.startswith("{\n") else [json.loads(one) for one in text.splitlines()]
        for entry in (entry for bundle in many for entry in bundle["entry"]):
            kind, request = entry["resource"]["resourceType"], entry["request"]
            one = told[kind]
            if "ifNoneExist" in request:
                assert one["conditionalCreate"], kind
            elif "?" in request["url"]:
                assert one["conditionalUpdate"], kind
            else:
                assert (request["method"], one["updateCreate"]) == ("PUT", True), kind


def test_every_profile_that_is_written_is_supported() -> None:
    told = {url for one in MADE["client"]["rest"][0]["resource"] for url in one["supportedProfile"]}
    claimed = {url for one in written() for url in one["meta"]["profile"] if url.startswith("https://ketafhir.org/")}
    assert claimed
    assert claimed - told == set()
    assert mode_of(MADE["server"]) == "transaction"


@pytest.mark.hapi
def test_the_parts_of_an_infusion_are_found(hapi_server: HapiServer) -> None:
    from ketafhir import data

    feed = b"".join(path.read_bytes() for path in sorted((data.path("stories") / "b").glob("*.hl7")))
    last = [step for step in iter_fhir(feed) if not isinstance(step, Refused)]
    parts: dict[str, set[str]] = {}
    for step in last:
        status, _ = hapi_server.request("POST", "", json.loads(step.json()))
        assert status == 200
        for entry in step.bundle["entry"]:
            one = entry["resource"]
            if one["resourceType"] == "MedicationAdministration" and "partOf" in one:
                parent = one["partOf"][0]["reference"].rpartition(":")[2].rpartition("/")[2]
                parts.setdefault(parent, set()).add(one["id"])
    parent = max(parts, key=lambda one: len(parts[one]))
    found: set[str] = set()
    for _ in range(60):  # a server takes a new search parameter into use after a while
        status, page = hapi_server.request("GET", f"MedicationAdministration?part-of=MedicationAdministration/{parent}")
        found = {one["resource"]["id"] for one in page.get("entry", ())} if status == 200 else set()
        if found:
            break
        time.sleep(1)
    assert found == parts[parent]
