"""The package on a real server: all of it is taken, and put there again it changes nothing."""

from __future__ import annotations

import pytest

from fhir_peer import HapiServer
from ketafhir.profiles import package
from ketafhir.profiles.install import install

pytestmark = pytest.mark.hapi


def test_again_it_changes_nothing(hapi_server: HapiServer) -> None:
    number = len(list(package.contents()))
    assert install(hapi_server.url) == (0, number)  # the fixture has put it there
    status, segment = hapi_server.request("GET", "StructureDefinition/infusion-segment")
    assert (status, segment["meta"]["versionId"]) == (200, "1")


def test_what_was_changed_there_is_mended(hapi_server: HapiServer) -> None:
    _, form = hapi_server.request("GET", "Questionnaire/phq9")
    status, _ = hapi_server.request("PUT", "Questionnaire/phq9", {**form, "title": "Something else"})
    assert status == 200
    assert install(hapi_server.url).written == 1
    _, mended = hapi_server.request("GET", "Questionnaire/phq9")
    assert mended["title"] == form["title"]


def test_a_resource_that_breaks_its_profile_is_told_by_the_server(hapi_server: HapiServer) -> None:
    profile = "https://ketafhir.org/fhir/StructureDefinition/infusion-administration"
    _, outcome = hapi_server.request(
        "POST",
        "MedicationAdministration/$validate",
        {"resourceType": "MedicationAdministration", "meta": {"profile": [profile]}},
    )
    told = " ".join(one["diagnostics"] for one in outcome["issue"] if one["severity"] == "error")
    assert "MedicationAdministration.identifier:infusion" in told
