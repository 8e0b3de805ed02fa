"""The queue over HTTP: the same functions of the store as `ketafhir queue`.

A viewer sees how things stand and nothing about a patient; what a message holds is for an operator.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

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
from ketafhir.store import queue
from ketafhir.store.protocol import NotAllowed, Unknown
from ketafhir.store.states import DELIVERY_STATES, OUTCOMES

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

T = TypeVar("T")
_MOST = 500
_NUMBER = Parameter("id", "the message, by its number in the store", "integer", required=True)


async def in_store(call: Callable[[], T]) -> T:
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
    try:
        after = queue.cursor_of(values.get("after", "0.0"))
    except ValueError as error:
        raise refused(400, "parameter-value", "this is no cursor", "the `after` of the page before", "after") from error

    def page() -> list[Any]:
        return backend.store.page(state=values.get("state"), destination=values.get("to"), after=after, limit=limit)

    rows = await in_store(page)
    more = "{}.{}".format(*rows[-1].cursor) if len(rows) == limit else None
    paused = [asdict(one) for one in await in_store(backend.store.paused)]
    return as_json({"entries": [asdict(row) for row in rows], "after": more, "paused": paused})


async def show(backend: Backend, ask: Ask) -> Answer:
    """All but the bytes. Without the right to work on the queue, also without what is about a patient."""
    await note(backend, ask, "view", ask.values["id"])
    detail = await in_store(lambda: backend.store.show(ask.values["id"]))
    return as_json(queue.as_json(detail, full=ask.holder is not None and ask.holder.may(May.WORK)))


async def raw(backend: Backend, ask: Ask) -> Answer:
    """The message, byte for byte."""
    await note(backend, ask, "content", ask.values["id"])
    detail = await in_store(lambda: queue.with_content(backend.store.show(ask.values["id"])))
    return Answer(200, detail.raw, HL7V2)


async def payload(backend: Backend, ask: Ask) -> Answer:
    """What is sent for it, a delivery each."""
    await note(backend, ask, "content", ask.values["id"])
    detail = await in_store(lambda: queue.with_content(backend.store.show(ask.values["id"])))
    deliveries = [{"destination": row.destination, "payload": _text(row.payload)} for row in detail.deliveries]
    return as_json({"message": detail.message_id, "deliveries": deliveries})


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


async def retry(backend: Backend, ask: Ask) -> Answer:
    """Queued again, or translated again where it has no delivery."""
    told, number = ask.json(_FORCE), ask.values["id"]
    await note(backend, ask, "retry", number)
    force, confirm = told.get("force", False), told.get("confirm", False)
    count = await in_store(lambda: queue.retry(backend.store, number, force=force, confirm=confirm))
    backend.wake()
    return as_json({"message": number, "queued": count})


async def park(backend: Backend, ask: Ask) -> Answer:
    """Held, and so its patients, until it is released."""
    told, number = ask.json(_REASON), ask.values["id"]
    await note(backend, ask, "park", number)
    count = await in_store(lambda: queue.park(backend.store, number, told.get("reason", "")))
    return as_json({"message": number, "parked": count})


async def release(backend: Backend, ask: Ask) -> Answer:
    """All that is parked of the patients of a message is queued again."""
    number = ask.values["id"]
    ask.json({})
    await note(backend, ask, "release", number)
    count = await in_store(lambda: queue.release(backend.store, number))
    backend.wake()
    return as_json({"message": number, "queued": count})


async def pause(backend: Backend, ask: Ask) -> Answer:
    """Nothing goes to one destination until it is resumed; messages are taken as before."""
    told = ask.json(_PAUSE)
    to = _destination(backend, told.get("to", ""))
    await note(backend, ask, "pause", None, destination=to)
    count = await in_store(lambda: queue.pause(backend.store, to, told.get("reason", "")))
    return as_json({"paused": to, "waiting": count})


async def resume(backend: Backend, ask: Ask) -> Answer:
    """A destination that was paused goes on where it stood."""
    to = _destination(backend, ask.json(_RESUME).get("to", ""))
    await note(backend, ask, "resume", None, destination=to)
    count = await in_store(lambda: queue.resume(backend.store, to))
    backend.wake()
    return as_json({"resumed": to, "waiting": count})


def _destination(backend: Backend, name: str) -> str:
    if name not in backend.destinations:
        hint = "one of " + ", ".join(backend.destinations)
        raise refused(400, "parameter-value", "this is no destination of the configuration", hint, "to")
    return name


async def replay(backend: Backend, ask: Ask) -> Answer:
    """Sent again as it was sent, or rendered anew; without `yes` only told what that would be."""
    told, number = ask.json(_REPLAY), ask.values["id"]
    how = told.get("how", "")
    if how not in ("as-sent", "re-render") or (how == "re-render" and {"to", "force"} & set(told)):
        raise refused(400, "parameter-value", "how is as-sent or re-render; to and force go with as-sent", where="how")
    do, confirm = told.get("yes", False), told.get("confirm", False)
    noted = {"do": do, "who": f"http {ask.who}", "seen": told.get("seen", 0)}

    def work() -> list[dict[str, Any]]:
        if how == "re-render":
            again = queue.render_again(backend.store, [number], confirm=confirm, **noted)
            return [{"was": one.outcome, "given_up": given_up, "replays": one.replays} for one, given_up in again]
        wanted = {"destination": told.get("to"), "force": told.get("force", False), "confirm": confirm}
        return [
            {
                "to": one.destination,
                "was": one.state,
                "behind": one.blocked_by,
                "overtaken_by": one.overtaken_by,
                "replays": one.replays,
            }
            for one in queue.replay(backend.store, [number], **wanted, **noted)
        ]

    planned = await in_store(work)
    if do:
        backend.wake()
    return as_json({"message": number, "done": do, "replay": planned})


async def purge(backend: Backend, ask: Ask) -> Answer:
    """What has ended is deleted by age (what ended in trouble only where that has an age of its own), or of one patient."""
    told = ask.json(_PURGE)
    if "patient" in told:
        return await _purge_patient(backend, ask, told)
    days, errors_days = told.get("days", -1), told.get("errors_days")
    if days < 0 or (errors_days or 0) < 0 or not told.get("yes"):
        raise refused(400, "parameter-missing", "it needs days, and yes: it deletes for good", "export keeps a copy")
    await note(backend, ask, "purge", None)
    return as_json({"purged": await in_store(lambda: queue.purge(backend.store, days, errors_days))})


async def _purge_patient(backend: Backend, ask: Ask, told: dict[str, Any]) -> Answer:
    if {"days", "errors_days"} & set(told):
        raise refused(400, "parameter-value", "days and errors_days go without patient", where="patient")
    try:
        patient = queue.patient_key(told["patient"], backend.authorities)
    except ValueError as error:
        raise refused(400, "parameter-value", str(error), where="patient") from error
    do = told.get("yes", False)
    found = await in_store(lambda: queue.purge_patient(backend.store, patient, who=f"http {ask.who}", do=do))
    return as_json({"done": do, "purged" if do else "ended": len(found.ended), "open": found.open})


async def export(backend: Backend, ask: Ask) -> Answer:
    """The files of `ketafhir queue export` as a ZIP archive."""
    number = ask.values["id"]
    await note(backend, ask, "export", number)
    content = ask.values.get("content", True)
    found = await in_store(lambda: queue.export(backend.store, number, content=content))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found.files.items():
            archive.writestr(name, data)
    return Answer(200, packed.getvalue(), ZIP)


ZIP = "application/zip"
_FORCE: dict[str, type] = {"force": bool, "confirm": bool}
_REASON: dict[str, type] = {"reason": str}
_PAUSE: dict[str, type] = {"to": str, "reason": str}
_RESUME: dict[str, type] = {"to": str}
_REPLAY: dict[str, type] = {"how": str, "to": str, "yes": bool, "seen": int, **_FORCE}
_PURGE: dict[str, type] = {"days": int, "errors_days": int, "patient": str, "yes": bool}
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
        {200: (HL7V2,), 409: (FHIR_JSON,), **_FAILS}, parameters=(_NUMBER,),
    ),
    Operation(
        "GET", "/v1/queue/{id}/payload", "What is sent for it, a delivery each", May.WORK, payload,
        {200: (JSON,), 409: (FHIR_JSON,), **_FAILS}, parameters=(_NUMBER,),
    ),
    Operation(
        "POST", "/v1/queue/{id}/retry", "Try again what waits, is parked or dead", May.WORK, retry, _STEPS,
        parameters=(_NUMBER,), takes=(JSON,), members=_FORCE,
    ),
    Operation(
        "POST", "/v1/queue/{id}/park", "Hold a message, and so its patients, until it is released", May.WORK, park,
        _STEPS, parameters=(_NUMBER,), takes=(JSON,), members=_REASON,
    ),
    Operation(
        "POST", "/v1/queue/pause", "Send nothing to one destination until it is resumed", May.WORK, pause,
        {200: (JSON,), 503: (FHIR_JSON,)}, takes=(JSON,), members=_PAUSE,
    ),
    Operation(
        "POST", "/v1/queue/resume", "Send again to a destination that was paused", May.WORK, resume,
        {200: (JSON,), 409: (FHIR_JSON,), 503: (FHIR_JSON,)}, takes=(JSON,), members=_RESUME,
    ),
    Operation(
        "POST", "/v1/queue/{id}/replay", "Send again what was done or is dead, as-sent or re-render; without yes only "
        "told", May.WORK, replay, _STEPS, parameters=(_NUMBER,), takes=(JSON,), members=_REPLAY,
    ),
    Operation(
        "GET", "/v1/queue/{id}/export", "The message, what was sent for it and every attempt, as files", May.WORK,
        export, {200: (ZIP,), **_FAILS},
        parameters=(_NUMBER, Parameter("content", "false: what is known of it alone, nothing about a patient", "boolean")),
    ),
    Operation(
        "POST", "/v1/queue/purge", "Delete what has ended more than so many days ago, or of one patient", May.WORK, purge,
        {200: (JSON,), 503: (FHIR_JSON,)}, takes=(JSON,), members=_PURGE,
    ),
    Operation(
        "POST", "/v1/queue/{id}/release", "Queue again all that is parked of the patients of a message", May.WORK,
        release, _STEPS, parameters=(_NUMBER,), takes=(JSON,),
    ),
)  # fmt: skip
