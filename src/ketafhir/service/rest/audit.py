"""`GET /v1/audit`: who has seen, changed or taken out what, as plain JSON or as AuditEvents (FHIR R4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ketafhir.fhir import json
from ketafhir.fhir.ids import urn
from ketafhir.service.rest.access import May
from ketafhir.service.rest.operations import FHIR_JSON, JSON, Answer, Ask, Operation, Parameter, as_json
from ketafhir.translate.audit_event import audit_event

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

_PAGE = 500


async def note(
    backend: Backend, ask: Ask, action: str, *message_ids: int | None, destination: str | None = None
) -> None:
    """What is about to be done; nothing is done that cannot be noted. Raises StoreError."""
    await asyncio.to_thread(backend.store.audit, f"http {ask.who}", action, *message_ids, destination=destination)


async def listing(backend: Backend, ask: Ask) -> Answer:
    """A page, oldest first; `after` is the number of the last entry of the one before."""
    rows = await asyncio.to_thread(backend.store.audited, ask.values.get("after", 0), _PAGE)
    if ask.prefers(FHIR_JSON):
        events = [audit_event(row.digest, row.at, row.who, row.action, row.message_id, row.destination) for row in rows]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
        if events:
            bundle["entry"] = [{"fullUrl": urn(one["id"]), "resource": one} for one in events]
        return Answer(200, json.dumps(bundle), FHIR_JSON)
    more = rows[-1].number if len(rows) == _PAGE else None
    return as_json({"entries": [asdict(row) for row in rows], "after": more})


OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET", "/v1/audit", "Who has seen, changed or taken out what", May.AUDIT, listing,
        {200: (JSON, FHIR_JSON), 503: (FHIR_JSON,)},
        parameters=(Parameter("after", "the number of the last entry of the page before", "integer"),),
    ),
)  # fmt: skip
