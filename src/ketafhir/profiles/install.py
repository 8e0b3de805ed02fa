"""`ketafhir profiles install`: the package onto a FHIR server, one PUT for each resource that differs there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ketafhir.profiles import package
from ketafhir.sync.client import FhirClient
from ketafhir.sync.outcome import Disposition

Json = dict[str, Any]
_OF_SERVER = ("meta", "text")


class Installed(NamedTuple):
    """How many resources were written, and how many stood there already."""

    written: int
    unchanged: int


async def install(client: FhirClient, progress: Callable[[int, int], None]) -> Installed:
    """Write what is missing or differs. What stands there already is not touched: no version changes.

    Raises Permanent, Transient or Ambiguous where the server does not take one.
    """
    resources = list(package.contents())
    written = 0
    for number, resource in enumerate(resources, 1):
        progress(number, len(resources))
        reference = f"{resource['resourceType']}/{resource['id']}"
        known = await client.read(reference)
        if known is not None and _plain(known) == _plain(resource):
            continue
        outcome, _ = await client.write("PUT", reference, resource, {})
        if outcome.disposition is not Disposition.DONE:
            raise outcome.error()
        written += 1
    return Installed(written, len(resources) - written)


def _plain(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in _OF_SERVER}
