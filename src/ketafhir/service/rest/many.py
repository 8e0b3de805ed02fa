"""Many messages of the queue at once over HTTP: as `ketafhir queue retry` and `replay` without numbers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ketafhir.service.rest.access import May
from ketafhir.service.rest.operations import FHIR_JSON, JSON, Answer, Ask, Operation, as_json, refused
from ketafhir.service.rest.queue import in_store
from ketafhir.store import bulk
from ketafhir.store.protocol import Store
from ketafhir.store.states import DEAD, OUTCOMES, PARKED

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

_Work: TypeAlias = Callable[[Store, bulk.Selection, bulk.How], bulk.Told]
_log = logging.getLogger("ketafhir.rest")


async def retry(backend: Backend, ask: Ask) -> Answer:
    """What is parked or dead, or what is chosen; without `yes` only told."""
    told = ask.json(_RETRY)
    return await _many(backend, ask, told, "retry", bulk.retry, _states(told, bulk.RETRIED, (PARKED, DEAD)))


async def replay(backend: Backend, ask: Ask) -> Answer:
    """What came since a time is sent again as it was, or rendered anew; without `yes` only told."""
    told = ask.json(_REPLAY)
    how = told.get("how", "")
    if how not in ("as-sent", "re-render") or (how == "re-render" and {"to", "force"} & set(told)):
        raise refused(400, "parameter-value", "how is as-sent or re-render; to and force go with as-sent", where="how")
    if "since" not in told:
        raise refused(400, "parameter-missing", "this member is needed", "a time, or an age such as 7d", "since")
    work, among = (bulk.replay, bulk.REPLAYED) if how == "as-sent" else (bulk.render_again, bulk.RENDERED)
    return await _many(backend, ask, told, "replay", work, _states(told, among, among))


def _states(told: dict[str, Any], among: Sequence[str], usual: tuple[str, ...]) -> tuple[str, ...]:
    if "state" not in told:
        return usual
    if told["state"] not in among:
        raise refused(400, "parameter-value", "this is no state for it", f"one of {', '.join(among)}", "state")
    if "to" in told and told["state"] in OUTCOMES:
        raise refused(400, "parameter-value", "to goes with the state of a delivery", where="to")
    return (told["state"],)


def _moment(told: dict[str, Any], name: str) -> float | None:
    if name not in told:
        return None
    try:
        return bulk.moment(told[name], time.time())
    except ValueError as error:
        hint = "such as 2026-03-01T08:00:00Z, or an age such as 36h or 7d"
        raise refused(400, "parameter-value", "this is no time", hint, name) from error


async def _many(
    backend: Backend, ask: Ask, told: dict[str, Any], action: str, work: _Work, states: tuple[str, ...]
) -> Answer:
    to, do, store = told.get("to"), told.get("yes", False), backend.store
    wanted = bulk.Selection(states, to, _moment(told, "since"), _moment(told, "until"))

    def note(ids: Sequence[int]) -> None:
        store.audit(f"http {ask.who}", action, *ids, destination=to)

    def progress(count: int) -> None:
        if do:
            _log.info("%s of many: %d messages so far", action, count)

    how = bulk.How(told.get("force", False), told.get("confirm", False), do, told.get("seen", 0), note, progress)
    found = await in_store(lambda: work(store, wanted, how))
    if do:
        backend.wake()
    return as_json(bulk.as_json(found, do))


_RETRY: dict[str, type] = {
    "state": str, "to": str, "since": str, "until": str, "yes": bool, "force": bool, "confirm": bool,
}  # fmt: skip
_REPLAY: dict[str, type] = {"how": str, "seen": int, **_RETRY}
_ANSWERS = {200: (JSON,), 409: (FHIR_JSON,), 503: (FHIR_JSON,)}

OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST", "/v1/queue/retry", "Try again all that is parked or dead, or in a state; without yes only told", May.WORK,
        retry, _ANSWERS, takes=(JSON,), members=_RETRY,
    ),
    Operation(
        "POST", "/v1/queue/replay", "Send again what came since a time, as-sent or re-render; without yes only told",
        May.WORK, replay, _ANSWERS, takes=(JSON,), members=_REPLAY,
    ),
)  # fmt: skip
