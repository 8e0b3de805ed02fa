"""What is asked of a FHIR server and what ketafhir offers beside it: two CapabilityStatements, and the search `part-of`.

They are made from the compiled definitions, so that a new profile cannot be missing in them (R4, capabilitystatement.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ketafhir.fhir.kinds import FOUND, MADE

Json = dict[str, Any]
CANONICAL = "https://ketafhir.org/fhir/"
_DATE = "2026-11-23"
_FORMATS = ["application/fhir+json"]


def resources(definitions: Iterable[Json]) -> Iterator[Json]:
    """The two CapabilityStatements and the SearchParameter, from the StructureDefinitions of the package."""
    profiles: dict[str, list[str]] = {}
    for one in definitions:
        if one["resourceType"] == "StructureDefinition" and one["type"] != "Extension":
            profiles.setdefault(one["type"], []).append(one["url"])
    yield part_of()
    yield needed(profiles)
    yield offered(profiles)


def part_of() -> Json:
    """MedicationAdministration.partOf, which R4 cannot search by: the segments and boluses of an infusion."""
    return {
        **_head("SearchParameter", "part-of", "PartOf"),
        "description": "The parts of an infusion: its segments and boluses, by the MedicationAdministration they are part of.",
        "code": "part-of",
        "base": ["MedicationAdministration"],
        "type": "reference",
        "expression": "MedicationAdministration.partOf",
        "xpath": "f:MedicationAdministration/f:partOf",
        "xpathUsage": "normal",
        "target": ["MedicationAdministration", "Procedure"],
    }


def needed(profiles: dict[str, list[str]]) -> Json:
    """What a server must do: a transaction, or where it has none the same requests one by one (`sync.writing`)."""
    return {
        **_statement("server", "requirements", "What ketafhir asks of a FHIR server"),
        "description": "Transactions; without these, batches or single requests, each of them safe to repeat. Ids are given by the "
        "client. The package is installed by `ketafhir profiles install`; the search part-of is for readers.",
        "rest": [
            {
                "mode": "server",
                "interaction": [{"code": "transaction"}],
                "resource": [_asked(kind, some) for kind, some in sorted(profiles.items())],
            }
        ],
    }


def _asked(kind: str, profiles: list[str]) -> Json:
    codes = ["read", "update", "search-type", *(("create",) if kind in MADE else ())]
    asked: Json = {
        "type": kind,
        "supportedProfile": profiles,
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update",
        "updateCreate": kind not in MADE,
        "conditionalCreate": kind in MADE,
        "conditionalUpdate": kind in FOUND,
    }
    if kind in MADE:
        asked["searchParam"] = [{"name": "identifier", "type": "token"}]
    if kind == "MedicationAdministration":
        asked["searchParam"] = [
            {"name": "part-of", "definition": CANONICAL + "SearchParameter/part-of", "type": "reference"},
        ]
    return asked


def offered(profiles: dict[str, list[str]]) -> Json:
    """What ketafhir writes and reads as a client; it is no FHIR server itself."""
    return {
        **_statement("client", "capability", "What ketafhir writes and reads"),
        "description": "A client that carries HL7v2 messages into these profiles and back. It answers HTTP with operations of its "
        "own (docs/rest.md), not with the FHIR API. What claims no profile is read as well.",
        "software": {"name": "ketafhir"},
        "rest": [
            {
                "mode": "client",
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
                "resource": [{"type": kind, "supportedProfile": some} for kind, some in sorted(profiles.items())],
            }
        ],
    }


def _statement(identifier: str, kind: str, title: str) -> Json:
    return {
        **_head("CapabilityStatement", identifier, identifier.capitalize()),
        "title": title,
        "kind": kind,
        "fhirVersion": "4.0.1",
        "format": _FORMATS,
    }


def _head(kind: str, identifier: str, name: str) -> Json:
    return {
        "resourceType": kind,
        "id": identifier,
        "url": f"{CANONICAL}{kind}/{identifier}",
        "name": name,
        "status": "active",
        "experimental": False,
        "date": _DATE,
        "publisher": "ketafhir",
    }
