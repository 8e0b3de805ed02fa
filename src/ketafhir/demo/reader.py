"""Reads all that a FHIR server holds of a patient, by searches and their pages (FHIR R4, search.html)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import httpx

from ketafhir.config import TOKEN_VARIABLE
from ketafhir.errors import Transient
from ketafhir.fhir import json
from ketafhir.sync.token import read_token

Resource = dict[str, Any]

ABOUT_PATIENTS = (
    "Encounter",
    "MedicationRequest",
    "MedicationAdministration",
    "Observation",
    "DiagnosticReport",
    "QuestionnaireResponse",
    "ClinicalImpression",
)
"""What is searched by its subject; what these refer to is read after them."""

PAGE = 100
_ROUNDS = 5  # how deep references are followed: an administration, its medication, the maker of that, ...
_FHIR_JSON = "application/fhir+json"


class Reader:
    """A FHIR server that is only read. Raises Transient when it does not answer as it should."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        # Without no-cache a server may answer a search with what it found a minute ago.
        headers = {"Accept": _FHIR_JSON, "Cache-Control": "no-cache"}
        if os.environ.get(TOKEN_VARIABLE):
            headers["Authorization"] = f"Bearer {read_token(variable=TOKEN_VARIABLE)}"
        self._http = httpx.Client(headers=headers, timeout=60, trust_env=False)
        self.requests = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def search(self, kind: str, **parameters: str) -> Iterator[Resource]:
        """The resources of all pages, included ones too. By POST: addresses end in the logs of others."""
        page = self._ask("POST", f"{kind}/_search", {**parameters, "_count": str(PAGE)})
        while True:
            for entry in page.get("entry", ()):
                if entry.get("search", {}).get("mode") != "outcome":
                    yield entry["resource"]
            links = {link.get("relation"): link.get("url", "") for link in page.get("link", ())}
            if not links.get("next"):
                return
            page = self._ask("GET", links["next"])

    def patient(self, system: str, value: str) -> Resource | None:
        """The one Patient with this number, None where there is none."""
        found = list(self.search("Patient", identifier=f"{system}|{value}"))
        if len(found) > 1:
            raise Transient(f"{len(found)} Patients have the number {value}")
        return found[0] if found else None

    def record(self, patient: Resource) -> dict[str, Resource]:
        """All of a patient by `Type/id`: what is about the patient, what told it, and what these refer to."""
        found = {name(patient): patient}
        for kind in ABOUT_PATIENTS:
            for one in self.search(kind, subject=name(patient), _revinclude="Provenance:target"):
                found[name(one)] = one
        for _ in range(_ROUNDS):
            missing = _missing(found)
            if not missing:
                break
            for kind, ids in missing.items():
                for one in self.search(kind, _id=",".join(ids)):
                    found[name(one)] = one
        return found

    def _ask(self, method: str, address: str, form: dict[str, str] | None = None) -> Resource:
        url = address if "://" in address else f"{self.base}/{address}"
        self.requests += 1
        try:
            answer = self._http.request(method, url, data=form)
        except httpx.HTTPError as error:
            raise Transient(f"the FHIR server at {self.base} does not answer: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise Transient(f"{method} {url} is answered with {answer.status_code}: {answer.text[:300]}")
        page: Resource = json.loads(answer.content)
        return page


def name(resource: Resource) -> str:
    """`Type/id`."""
    return f"{resource['resourceType']}/{resource['id']}"


def bundle(base: str, record: dict[str, Resource]) -> Resource:
    """A record as one collection Bundle, each resource under the address it was read from."""
    entries = [{"fullUrl": f"{base}/{key}", "resource": one} for key, one in record.items()]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def versions(record: dict[str, Resource]) -> dict[str, tuple[str, str]]:
    """versionId and lastUpdated of each resource."""
    return {
        key: (str(one["meta"].get("versionId")), str(one["meta"].get("lastUpdated")))
        for key, one in record.items()
    }


def _missing(found: dict[str, Resource]) -> dict[str, list[str]]:
    """The ids by type that resources refer to and that have not been read."""
    wanted: dict[str, list[str]] = {}
    for reference in dict.fromkeys(one for resource in found.values() for one in _references(resource)):
        kind, slash, rest = reference.partition("/")
        if slash and kind.isalpha() and kind[:1].isupper() and reference not in found:
            wanted.setdefault(kind, []).append(rest.partition("/")[0])
    return wanted


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield reference
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)
