"""An entry of the audit log as an AuditEvent (FHIR R4, auditevent.html).

It names the message by its number in the store, the destination by its name, and holds nothing of a message. What was done is
a code of ours, since what the standard lists are acts on a server.
"""

from __future__ import annotations

from typing import Any

from ketafhir.fhir.ids import uuid5
from ketafhir.mapping.codecs.coded import coding_json, of_name

MESSAGE = "https://ketafhir.org/fhir/identifier/message"
_ACTS = {"view": "R", "content": "R", "export": "R", "purge": "D"}  # audit-event-action; all others execute something


def audit_event(
    digest: str, at: str, who: str, action: str, message_id: int | None, destination: str | None
) -> dict[str, Any]:
    """`digest` is that of the entry, from which the id follows; `at` an instant, `action` one of `store.audit.ACTIONS`."""
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": uuid5(f"AuditEvent|{digest}"),
        "type": coding_json(of_name("keta.audit")),
        "subtype": [coding_json(of_name(f"keta.audit-{action}"))],
        "action": _ACTS.get(action, "E"),
        "recorded": at,
        "agent": [{"who": {"display": who}, "requestor": True}],
        "source": {"observer": {"display": "ketafhir"}},
    }
    entities: list[dict[str, Any]] = []
    if message_id is not None:
        entities.append({"what": {"identifier": {"system": MESSAGE, "value": str(message_id)}}})
    if destination is not None:
        entities.append({"name": destination})
    if entities:
        event["entity"] = entities
    return event
