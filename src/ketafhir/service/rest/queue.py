"""The queue over HTTP: the same functions of the store as `ketafhir queue`.

A viewer sees how things stand and nothing about a patient; what a message holds is for an operator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from ketafhir.fhir import json
from ketafhir.service.rest.access import May
from ketafhir.service.rest.audit import note
from ketafhir.service.rest.operations import (
    FHIR_JSON,
    HL7V2,
    JSON,
    Answer,
    Ask,
    Operation,
    Parameter,
    as_json,
    refused,
)
from ketafhir.store.protocol import NotAllowed, Unknown
from ketafhir.store.rows import Detail
from ketafhir.store.states import DELIVERY_STATES, OUTCOMES

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

T = TypeVar("T")
_MOST = 500
_ABOUT_A_PATIENT = ("value", "text", "hint")  # of an issue: each may quote what was sent
_NUMBER = Parameter("id", "the message, by its number in the store", "integer", required=True)


async def _in_store(call: Callable[[], T]) -> T:
    """What the store says. Raises HttpRefused where it has no such message, or the step is not allowed."""
    try:
        return await asyncio.to_thread(call)
    except Unknown as error:
        raise refused(404, "not-found", str(error)) from error
    except NotAllowed as error:
        raise refused(409, "not-allowed", str(error)) from error


async def listing(backend: Backend, ask: Ask) -> Answer:
    """A page, oldest first; `after` leads to the next one."""
    values = ask.values
    limit = values.get("limit", 50)
    if limit > _MOST:
        raise refused(400, "parameter-value", "too many lines for a page", f"at most {_MOST}", "limit")
    after = _cursor(values.get("after", "0.0"))

    def page() -> list[Any]:
        return backend.store.page(state=values.get("state"), destination=values.get("to"), after=after, limit=limit)

    rows = await _in_store(page)
    more = "{}.{}".format(*rows[-1].cursor) if len(rows) == limit else None
    return as_json({"entries": [asdict(row) for row in rows], "after": more})


def _cursor(text: str) -> tuple[int, int]:
    message, _, delivery = text.partition(".")
    if not (message.isascii() and message.isdigit() and (delivery or "0").isdigit()):
        raise refused(400, "parameter-value", "this is no cursor", "the `after` of the page before", "after")
    return int(message), int(delivery or 0)


async def show(backend: Backend, ask: Ask) -> Answer:
    """All but the bytes. Without the right to work on the queue, also without what is about a patient."""
    await note(backend, ask, "view", ask.values["id"])
    detail = await _in_store(lambda: backend.store.show(ask.values["id"]))
    return as_json(_shown(detail, full=ask.holder is not None and ask.holder.may(May.WORK)))


def _shown(detail: Detail, full: bool) -> dict[str, Any]:
    found = asdict(detail)
    for name in ("raw", "ack", "answer"):
        del found[name]
    found["issues"] = json.loads(detail.issues)
    for delivery in found["deliveries"]:
        del delivery["payload"]
        if not full:
            del delivery["partitions"]
    if not full:
        hidden = _ABOUT_A_PATIENT
        found["issues"] = [
            {name: one for name, one in issue.items() if name not in hidden} for issue in found["issues"]
        ]
    return found


async def raw(backend: Backend, ask: Ask) -> Answer:
    """The message, byte for byte."""
    await note(backend, ask, "content", ask.values["id"])
    detail = await _in_store(lambda: backend.store.show(ask.values["id"]))
    return Answer(200, detail.raw, HL7V2)


async def payload(backend: Backend, ask: Ask) -> Answer:
    """What is sent for it, a delivery each."""
    await note(backend, ask, "content", ask.values["id"])
    detail = await _in_store(lambda: backend.store.show(ask.values["id"]))
    deliveries = [{"destination": row.destination, "payload": _text(row.payload)} for row in detail.deliveries]
    return as_json({"message": detail.message_id, "deliveries": deliveries})


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


async def retry(backend: Backend, ask: Ask) -> Answer:
    """Queued again, or translated again where it has no delivery."""
    await note(backend, ask, "retry", ask.values["id"])
    told = ask.json({"force": bool})
    count = await _in_store(lambda: backend.store.retry(ask.values["id"], force=told.get("force", False)))
    backend.wake()
    return as_json({"message": ask.values["id"], "queued": count})


async def release(backend: Backend, ask: Ask) -> Answer:
    """All that is parked of the patients of a message is queued again."""
    await note(backend, ask, "release", ask.values["id"])
    detail = await _in_store(lambda: backend.store.show(ask.values["id"]))
    partitions = sorted({name for row in detail.deliveries for name in row.partitions})
    count = 0
    for name in partitions:
        count += await _in_store(lambda partition=name: backend.store.release(partition))  # type: ignore[misc]
    backend.wake()
    return as_json({"message": detail.message_id, "queued": count})


_FAILS = {404: (FHIR_JSON,), 503: (FHIR_JSON,)}
_STEPS = {200: (JSON,), 409: (FHIR_JSON,), **_FAILS}

OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET", "/v1/queue", "The messages in the queue, oldest first", May.VIEW, listing,
        {200: (JSON,), 503: (FHIR_JSON,)},
        parameters=(
            Parameter("state", "only what is in this state", among=(*DELIVERY_STATES, *OUTCOMES)),
            Parameter("to", "only what goes to this destination"),
            Parameter("limit", f"lines on a page, at most {_MOST}", "integer", least=1),
            Parameter("after", "the next page, as the last one said"),
        ),
    ),
    Operation(
        "GET", "/v1/queue/{id}", "One message: outcome, issues, deliveries, attempts", May.VIEW, show,
        {200: (JSON,), **_FAILS}, parameters=(_NUMBER,),
    ),
    Operation(
        "GET", "/v1/queue/{id}/raw", "The message itself, byte for byte", May.WORK, raw,
        {200: (HL7V2,), **_FAILS}, parameters=(_NUMBER,),
    ),
    Operation(
        "GET", "/v1/queue/{id}/payload", "What is sent for it, a delivery each", May.WORK, payload,
        {200: (JSON,), **_FAILS}, parameters=(_NUMBER,),
    ),
    Operation(
        "POST", "/v1/queue/{id}/retry", "Try again what waits, is parked or dead", May.WORK, retry, _STEPS,
        parameters=(_NUMBER,), takes=(JSON,), members={"force": bool},
    ),
    Operation(
        "POST", "/v1/queue/{id}/release", "Queue again all that is parked of the patients of a message", May.WORK,
        release, _STEPS, parameters=(_NUMBER,), takes=(JSON,),
    ),
)  # fmt: skip
