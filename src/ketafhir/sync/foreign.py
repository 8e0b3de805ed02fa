"""What stands on the server in place of what we last wrote there: somebody else's change, or our own that was never answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ketafhir.sync.bundle import Outgoing
from ketafhir.sync.client import FhirClient
from ketafhir.sync.reconcile import differing

_MOST_TOLD = 3


@dataclass(slots=True)
class Found:
    """`versions` (`Type/id` -> ETag, None where it is gone), and what was `changed` by somebody else, with both versions."""

    versions: dict[str, str | None] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


async def look(client: FhirClient, outgoing: Outgoing, versions: Mapping[str, str]) -> Found:
    """Reads each resource of which a version is known. Raises as `FhirClient.read`.

    What holds already what is to be written is our own: an attempt whose answer was lost.
    """
    ours = dict(zip(outgoing.targets, outgoing.entries, strict=True))
    anywhere = {entry["fullUrl"]: "" for entry in outgoing.entries if "fullUrl" in entry}
    found = Found()
    for reference, known in versions.items():
        etag, resource = await client.current(reference)
        found.versions[reference] = etag
        if resource is None:
            found.changed.append(f"{reference} (gone)")
        elif etag != known and differing(ours[reference]["resource"], resource, anywhere):
            found.changed.append(f"{reference} ({etag} for {known})")
    return found


def told(changed: list[str]) -> str:
    """In a line; nothing in it is about a patient."""
    more = f" and {len(changed) - _MOST_TOLD} more" if len(changed) > _MOST_TOLD else ""
    return ", ".join(changed[:_MOST_TOLD]) + more
