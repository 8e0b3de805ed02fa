"""Which entry of a transaction it is that several resources match, where the server does not say.

FHIR R4, http.html#ccreate and #cond-update: 412 is about one entry, and nothing in the answer has to tell which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from ketafhir.errors import TransferError
from ketafhir.sync.client import FhirClient
from ketafhir.sync.outcome import Disposition, Outcome

_NAMED = "entry["


async def named(client: FhirClient, entries: Sequence[Mapping[str, Any]], outcome: Outcome) -> Outcome:
    """The same with the place and type of each entry that several match, where it was about that and named none."""
    if outcome.disposition is not Disposition.IDENTITY or _NAMED in outcome.text:
        return outcome
    try:
        found = [f"Bundle.entry[{number}] ({kind})" async for number, kind in _several(client, entries)]
    except TransferError:
        return outcome  # that it is about one of them is known already
    return replace(outcome, text=f"{outcome.text}: {', '.join(found)}") if found else outcome


async def _several(client: FhirClient, entries: Sequence[Mapping[str, Any]]) -> AsyncIterator[tuple[int, str]]:
    for number, entry in enumerate(entries):
        request, kind = entry["request"], entry.get("resource", {}).get("resourceType", "")
        query = str(request.get("url", "")).partition("?")[2] or str(request.get("ifNoneExist", "")).rpartition("?")[2]
        if query and await _more_than_one(client, kind, query):
            yield number, kind


async def _more_than_one(client: FhirClient, kind: str, query: str) -> bool:
    count = 0
    async for one in client.search(kind, parse_qsl(query)):
        count += one["resourceType"] == kind
        if count > 1:
            return True
    return False
