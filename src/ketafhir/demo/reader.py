"""Reads all that a FHIR server holds of a patient, by searches and their pages (FHIR R4, search.html)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from ketafhir.config import TOKEN_VARIABLE
from ketafhir.demo.elements import key_of
from ketafhir.errors import Permanent
from ketafhir.fhir.elements import references
from ketafhir.sync.client import FhirClient
from ketafhir.sync.token import read_token

Resource = dict[str, Any]
T = TypeVar("T")

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
_IDS = 50  # of one search: an address is at most 8 KiB long for some servers


class Reader:
    """A FHIR server that is only read, for callers without an event loop.

    Raises Permanent, Transient or Ambiguous when it does not answer as it should.
    """

    def __init__(self, base: str) -> None:
        token = read_token(variable=TOKEN_VARIABLE) if os.environ.get(TOKEN_VARIABLE) else None
        self._runner = asyncio.Runner()
        self._client = FhirClient(base, token=token)
        self.base = self._client.base_url
        self.searches = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._client.aclose())
        self._runner.close()

    def patient(self, system: str, value: str) -> Resource | None:
        """The one Patient with this number, None where there is none. Raises Permanent for several."""
        found = self._run(self._search("Patient", identifier=f"{system}|{value}"))
        if len(found) > 1:
            raise Permanent(f"{len(found)} Patients have the number {value}")
        return found[0] if found else None

    def record(self, patient: Resource) -> dict[str, Resource]:
        """All of a patient by `Type/id`: what is about the patient, what told it, and what these refer to."""
        return self._run(self._record(patient))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _search(self, kind: str, **parameters: str) -> list[Resource]:
        """The resources of all pages, included ones too."""
        self.searches += 1
        asked = [*parameters.items(), ("_count", str(PAGE))]
        return [one async for one in self._client.search(kind, asked)]

    async def _record(self, patient: Resource) -> dict[str, Resource]:
        found = {name(patient): patient}
        about = {"subject": name(patient), "_revinclude": "Provenance:target"}
        told = await asyncio.gather(*(self._search(kind, **about) for kind in ABOUT_PATIENTS))
        found |= {name(one): one for resources in told for one in resources}
        for _ in range(_ROUNDS):
            missing = list(_missing(found))
            if not missing:
                break
            read = await asyncio.gather(*(self._search(kind, _id=",".join(ids)) for kind, ids in missing))
            found |= {name(one): one for resources in read for one in resources}
        return found


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
        key: (str(one["meta"].get("versionId")), str(one["meta"].get("lastUpdated"))) for key, one in record.items()
    }


def _missing(found: dict[str, Resource]) -> Iterator[tuple[str, list[str]]]:
    """Types with ids that resources refer to and that have not been read."""
    wanted: dict[str, list[str]] = {}
    for reference in dict.fromkeys(one for resource in found.values() for one in references(resource)):
        key = key_of(reference)
        kind, slash, number = key.partition("/")
        if slash and kind.isalpha() and kind[:1].isupper() and key not in found:
            wanted.setdefault(kind, []).append(number)
    for kind, ids in wanted.items():
        for begin in range(0, len(ids), _IDS):
            yield kind, ids[begin : begin + _IDS]
