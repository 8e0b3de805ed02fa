"""The record of a patient as FHIR: what a server holds after its messages, one resource a line (FHIR Bulk Data, ndjson)."""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Issue
from ketafhir.fhir import json
from ketafhir.simulate.feeds import feed
from ketafhir.simulate.visit import Visit
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

Json = dict[str, Any]
_UUID = "urn:uuid:"


def collected(visit: Visit, site: str) -> tuple[Json, list[Issue]]:
    """The messages of a patient folded: the last writing of each resource as one collection Bundle, and what was found."""
    session = Session(default(None, site))
    held: dict[str, Json] = {}
    issues: list[Issue] = []
    for text in feed(visit, site):
        step = session.take(parse(text))
        issues += step.issues
        for entry in step.bundle["entry"]:
            if entry["request"]["method"] != "POST" or entry["fullUrl"] not in held:
                held[entry["fullUrl"]] = {"fullUrl": entry["fullUrl"], "resource": entry["resource"]}
    return {"resourceType": "Bundle", "type": "collection", "entry": list(held.values())}, issues


def resources(bundle: Json) -> list[Json]:
    """The resources of a Bundle of ours, each with its id, references as `Patient/<id>` in place of URNs."""
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    found = []
    for entry in bundle["entry"]:
        resource = _literal(entry["resource"], kinds)
        resource = {"resourceType": resource.pop("resourceType"), "id": entry["fullUrl"].removeprefix(_UUID)} | resource
        found.append(resource)
    return found


def _literal(value: Any, kinds: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _literal(one, kinds) for key, one in value.items()}
    if isinstance(value, list):
        return [_literal(one, kinds) for one in value]
    if isinstance(value, str) and value in kinds:
        return f"{kinds[value]}/{value.removeprefix(_UUID)}"
    return value


def line(resource: Json) -> bytes:
    """One line of a file."""
    return json.dumps(resource) + b"\n"
