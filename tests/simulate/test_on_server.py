"""What the FHIR server says of the clinic: no error, no warning that is not explained, and every patient is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fhir_peer import HapiServer
from ketafhir.simulate.feeds import home
from ketafhir.simulate.ndjson import collected, resources
from ketafhir.simulate.visit import visit
from simulate.on_server import load, plain
from simulate.shapes import shape
from validator_warnings import complaints

pytestmark = pytest.mark.hapi
SEED = 1
Json = dict[str, Any]


def records(numbers: Iterable[int]) -> Iterator[list[Json]]:
    for number in numbers:
        one = visit(SEED, number)
        yield [plain(resource) for resource in resources(collected(one, home(one))[0])]


def one_of_each_shape(numbers: Iterable[int]) -> list[Json]:
    found: dict[Any, Json] = {}
    for record in records(numbers):
        for resource in record:
            found.setdefault(shape(resource), resource)
    return list(found.values())


def assert_loaded(server: HapiServer, numbers: Iterable[int]) -> None:
    for record in records(numbers):
        load(server, record)
        for resource in record:
            if resource["resourceType"] == "MedicationAdministration":
                _, held = server.request("GET", f"MedicationAdministration/{resource['id']}")
                assert held.get("dosage") == resource.get("dosage")
                assert held["status"] == resource["status"]


def test_one_resource_of_each_shape_of_a_few_patients(hapi_server: HapiServer) -> None:
    told = one_of_each_shape(range(1, 13))
    assert len(told) > 100
    assert complaints(hapi_server, told)[0] == []


def test_a_few_patients_are_taken_and_held(hapi_server: HapiServer) -> None:
    assert_loaded(hapi_server, (1, 2, 3))


@pytest.mark.all
@pytest.mark.slow
def test_one_resource_of_each_shape_of_a_thousand_patients(hapi_server: HapiServer) -> None:
    assert complaints(hapi_server, one_of_each_shape(range(1, 1001)))[0] == []


@pytest.mark.all
@pytest.mark.slow
def test_every_resource_of_twenty_patients(hapi_server: HapiServer) -> None:
    assert complaints(hapi_server, [one for record in records(range(1, 21)) for one in record])[0] == []


@pytest.mark.all
@pytest.mark.slow
def test_fifty_patients_are_taken_and_held(hapi_server: HapiServer) -> None:
    assert_loaded(hapi_server, range(1, 51))


def test_a_warning_that_nobody_explained_is_told(hapi_server: HapiServer) -> None:
    """The list of what is explained does not swallow everything."""
    patient = {"resourceType": "Patient", "id": "p1", "gender": "f", "contact": [{}]}
    assert complaints(hapi_server, [patient])[0]
