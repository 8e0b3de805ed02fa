"""Patients of the clinic on the FHIR server."""

from __future__ import annotations

import json
from typing import Any

from fhir_peer import HapiServer

Json = dict[str, Any]


def plain(resource: Json) -> Json:
    """A resource with its numbers as Python reads them from JSON."""
    found: Json = json.loads(json.dumps(resource, default=float))
    return found


def load(server: HapiServer, resources: list[Json]) -> None:
    """The resources of a patient as one transaction; AssertionError with what the server says against it."""
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in resources
    ]
    status, answer = server.request("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert status == 200, json.dumps(answer)[:2000]
