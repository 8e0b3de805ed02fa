"""`POST /v1/messages`: a message into the queue, as over MLLP; answered when it is stored.

Idempotent by sender, MSH-10 and bytes: the same message again gets the same acknowledgments and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import json
from ketafhir.fhir.outcome import operation_outcome
from ketafhir.hl7v2.batch import is_batch
from ketafhir.hl7v2.charsets import decode
from ketafhir.service.arrivals import Answered
from ketafhir.service.rest.access import May
from ketafhir.service.rest.operations import FHIR_JSON, HL7V2, JSON, TEXT, Answer, Ask, Operation, as_json, refused
from ketafhir.store.protocol import Leg
from ketafhir.store.states import RECEIVED, REFUSED

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

_AGAIN_SECONDS = "5"


async def accept(backend: Backend, ask: Ask) -> Answer:
    """Store it, translate it, answer. 200: taken; 202: taken, its translation follows; 422: stored, its content refused."""
    if is_batch(ask.body):
        raise refused(422, "several-messages", "a batch is not taken here", "send each message by itself")
    if not ask.body.lstrip(b"\xef\xbb\xbf \t\r\n\x0b").startswith((b"MSH", b"\xff\xfe", b"\xfe\xff")):
        raise refused(422, "not-hl7", "the body does not begin with MSH", "send one HL7v2 message")
    answered = await backend.take(backend.channel, ask.body, f"http {ask.who}")
    if answered.queued:
        backend.wake()
    if not answered.message_id:
        return _not_stored(answered, ask)
    detail = await asyncio.to_thread(backend.store.show, answered.message_id)
    issues = [Issue(**one) for one in json.loads(detail.issues)]
    status = {REFUSED: 422, RECEIVED: 202}.get(detail.outcome, 200)
    if ask.prefers(HL7V2):
        first = answered.answers[0] if answered.answers else b""
        answer = Answer(status, first, HL7V2, {"ketafhir-message": str(answered.message_id)})
    else:
        found = {
            "message": answered.message_id,
            "outcome": detail.outcome,
            "duplicate": answered.duplicate,
            "ack": _text(answered, "ack"),
            "answer": _text(answered, "answer"),
            "issues": operation_outcome(issues),
        }
        answer = as_json(found, status)

    def told() -> None:
        backend.legs.note(answered, delivered=True)

    answer.then = told
    return answer


def _not_stored(answered: Answered, ask: Ask) -> Answer:
    if not answered.answers:
        raise refused(422, "not-taken", "an acknowledgment is not taken here")
    if ask.prefers(HL7V2):
        return Answer(503, answered.answers[0], HL7V2, {"Retry-After": _AGAIN_SECONDS})
    error = refused(503, "not-stored", "the message could not be stored", "send it again later")
    error.headers = {"Retry-After": _AGAIN_SECONDS}
    raise error


def _text(answered: Answered, leg: Leg) -> str | None:
    found = next((one for kind, one in zip(answered.legs, answered.answers, strict=True) if kind == leg), None)
    if found is None:
        return None
    try:
        return decode(found)
    except Refused:
        return found.decode("latin-1")


OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST",
        "/v1/messages",
        "Take an HL7v2 message into the queue; the same sender, MSH-10 and bytes again change nothing",
        May.SEND,
        accept,
        {200: (JSON, HL7V2), 202: (JSON, HL7V2), 422: (JSON, HL7V2, FHIR_JSON), 503: (FHIR_JSON, HL7V2)},
        takes=(HL7V2, TEXT),
    ),
)
