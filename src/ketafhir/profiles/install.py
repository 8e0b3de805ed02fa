"""`ketafhir profiles install`: the package onto a FHIR server, one PUT for each resource that differs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from ketafhir.profiles import package
from ketafhir.sync.client import FhirClient
from ketafhir.sync.outcome import Disposition

Json = dict[str, Any]
Progress = Callable[[int, int], None]
_OF_SERVER = ("meta", "text")
_FIRST = ("CodeSystem", "ValueSet", "StructureDefinition")


class Installed(NamedTuple):
    """How many resources were written, and how many stood there already."""

    written: int
    unchanged: int


def install(url: str, token: str | None = None, progress: Progress = lambda number, total: None) -> Installed:
    """Write what is missing or differs. What stands there already is not touched: no version changes.

    Raises Permanent, Transient or Ambiguous where the server does not take one.
    """

    async def put() -> Installed:
        client = FhirClient(url, token=token)
        try:
            return await _install(client, progress)
        finally:
            await client.aclose()

    return asyncio.run(put())


async def _install(client: FhirClient, progress: Progress) -> Installed:
    # One after the other: HAPI's terminology does not bear several at once. What others refer to goes first.
    resources = sorted(package.contents(), key=_phase)
    written = 0
    for number, resource in enumerate(resources, 1):
        if await _put(client, resource):
            written += 1
        progress(number, len(resources))
    return Installed(written, len(resources) - written)


def _phase(resource: Json) -> int:
    return _FIRST.index(resource["resourceType"]) if resource["resourceType"] in _FIRST else len(_FIRST)


async def _put(client: FhirClient, resource: Json) -> bool:
    reference = f"{resource['resourceType']}/{resource['id']}"
    known = await client.read(reference)
    if known is not None and _plain(known) == _plain(resource):
        return False
    outcome, _ = await client.write("PUT", reference, resource, {})
    if outcome.disposition is not Disposition.DONE:
        raise outcome.error()
    return True


def _plain(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in _OF_SERVER}
