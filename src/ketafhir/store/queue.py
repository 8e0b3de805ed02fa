"""What an operator does with the queue: one function for each verb, for the command line and for REST alike.

`list` and `show` are `Store.page` and `Store.show`. An order to a pump (RGV) that once ended is never sent again without
`confirm`: it would program a pump by what was true then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ketafhir.store.content import without_values
from ketafhir.store.protocol import NotAllowed, Store
from ketafhir.store.rows import Detail, OfPatient, Replay
from ketafhir.store.states import DEAD, DONE, PARKED, QUEUED

RENDERED = ("fhir", "shadow")
"""The destinations of what is rendered from messages; all others get messages as they came."""

PUMP_ORDERS = ("RGV",)
DIGITS = 18  # of the largest number that both databases hold
_REASON = 200
_DAY = 86400.0


@dataclass(slots=True, frozen=True)
class Export:
    """Files of one message, by name. A name is made of numbers of the store and never of the message."""

    message_id: int
    files: dict[str, bytes] = field(repr=False)


def cursor_of(text: str) -> tuple[int, int]:
    """The place behind which a page begins, as `Summary.cursor` with a point between. Raises ValueError."""
    message, _, delivery = text.partition(".")
    parts = (message, delivery or "0")
    if not all(one.isascii() and one.isdigit() and len(one) <= DIGITS for one in parts):
        raise ValueError(f"{text!r} is no cursor, which is such as 120.118")
    return int(parts[0]), int(parts[1])


def is_pump_order(message_type: str) -> bool:
    """Whether it programs a pump (MSH-9 such as RGV^O15)."""
    return message_type.partition("^")[0] in PUMP_ORDERS


def retry(store: Store, message_id: int, *, force: bool = False, confirm: bool = False) -> int:
    """`Store.retry`. Raises NotAllowed for a dead order to a pump without `confirm`."""
    detail = store.show(message_id)
    if any(one.state == DEAD for one in detail.deliveries):
        confirmed(detail.message_id, detail.message_type, confirm)
    return store.retry(message_id, force=force)


def park(store: Store, message_id: int, reason: str = "") -> int:
    """Holds a message, and so its patients, until `release` or `retry`; returns how many deliveries."""
    said = _said(reason)
    return store.park(message_id, f"parked by an operator: {said}" if said else "parked by an operator")


def _said(reason: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in reason).strip()[:_REASON]


def release(store: Store, message_id: int) -> int:
    """Queues again all that is parked of the patients of a message; returns how many. Raises NotAllowed where nothing is."""
    detail = store.show(message_id)
    partitions = dict.fromkeys(name for one in detail.deliveries for name in one.partitions)
    count = sum(store.release(name) for name in partitions)
    if not count:
        raise NotAllowed(f"of the patients of message {message_id} nothing is parked")
    return count


def pause(store: Store, destination: str, reason: str = "") -> int:
    """Stops one destination until `resume`; returns how many deliveries wait for it now."""
    store.pause(destination, _said(reason))
    return _waiting_for(store, destination)


def resume(store: Store, destination: str) -> int:
    """Lets it go on; returns how many deliveries wait for it. Raises NotAllowed where it is not paused."""
    if not store.resume(destination):
        paused = ", ".join(one.destination for one in store.paused())
        raise NotAllowed(f"{destination} is not paused; {f'paused are {paused}' if paused else 'nothing is'}")
    return _waiting_for(store, destination)


def _waiting_for(store: Store, destination: str) -> int:
    deliveries = store.backlog(destination).deliveries
    return deliveries[QUEUED] + deliveries[PARKED]


def replay(
    store: Store,
    message_ids: Sequence[int],
    *,
    destination: str | None = None,
    force: bool = False,
    confirm: bool = False,
    do: bool = True,
    states: Collection[str] = (DONE, DEAD),
    who: str = "",
    seen: int | None = 0,
) -> list[Replay]:
    """Sends what was done or is dead again, as it was sent; without `do` it tells what that would be.

    It is noted in the same commit that `who` did it, and nothing where it is refused. Raises as `Store.replay`, and NotAllowed
    for an order to a pump without `confirm`. A message that was replayed more often than `seen` is refused: what is asked for
    twice by mistake is done once.
    """
    planned = store.replay(message_ids, destination=destination, force=force, do=False, states=states)
    if not do:
        return planned
    for one in planned:
        confirmed(one.message_id, one.message_type, confirm)
    with store.batch():
        again = store.replay(message_ids, destination=destination, force=force, states=states, seen=seen)
        store.audit(who, "replay", *sorted(set(message_ids)), destination=destination)
    return again


def render_again(
    store: Store,
    message_ids: Sequence[int],
    *,
    confirm: bool = False,
    do: bool = True,
    who: str = "",
    seen: int = 0,
) -> list[tuple[Detail, int]]:
    """Gives messages back to the service, which translates them with today's tables and writes the patient as it is now.

    Each with how many of its deliveries that wait are given up; without `do` only told. Receivers get nothing again. `who` and
    `seen` as in `replay`.
    """
    found = [store.show(message_id) for message_id in dict.fromkeys(message_ids)]
    if not do:
        return [(one, _waiting(one)) for one in found]
    for one in found:
        confirmed(one.message_id, one.message_type, confirm)
    with store.batch():
        again = [(one, store.render_again(one.message_id, RENDERED, seen)) for one in found]
        store.audit(who, "replay", *(one.message_id for one in found))
    return again


def _waiting(detail: Detail) -> int:
    return sum(one.destination in RENDERED and one.state in ("queued", "parked") for one in detail.deliveries)


def purge(
    store: Store, days: float, errors_days: float | None = None, *, now: float | None = None, chunk: int = 500
) -> int:
    """Deletes what ended more than `days` ago; what ended in trouble only after `errors_days`, or never. Returns how many."""
    at = time.time() if now is None else now
    errors_before = None if errors_days is None else at - errors_days * _DAY
    count = 0
    while purged := store.purge(at - days * _DAY, errors_before=errors_before, limit=chunk).messages:
        count += purged
    return count


def patient_key(text: str, authorities: Mapping[str, str] | None) -> str:
    """The partition of a patient told as AUTHORITY|ID: the authority by its name in the configuration, or its FHIR system. Raises
    ValueError, which does not repeat the number."""
    authority, bar, number = text.partition("|")
    system = (authorities or {}).get(authority, authority if ":" in authority else "")
    if not (bar and number and system):
        known = ", ".join(authorities or ()) or "those of its configuration, which --config names"
        raise ValueError(f"a patient is told as AUTHORITY|ID, the authority by its FHIR system or as one of {known}")
    return f"{system}|{number}"


def purge_patient(store: Store, patient: str, *, who: str, do: bool) -> OfPatient:
    """Deletes the messages of a patient (`patient_key`) of which all has ended; without `do` only told. What was learned of the
    patient stays, since a later message joins it."""
    found = store.of_patient(patient)
    while do and store.purge_patient(patient, who):
        pass
    return found


def with_content(detail: Detail) -> Detail:
    """Raises NotAllowed where the content of a message is gone."""
    if detail.erased_at is not None:
        raise NotAllowed(f"message {detail.message_id} has no content any more, by [store] retention_content_days")
    return detail


def export(store: Store, message_id: int, *, content: bool = True) -> Export:
    """The message byte for byte, what was sent for it, and all that is known of it with every attempt. Without `content` (or
    where it is gone) that alone, with nothing about a patient. Raises Unknown."""
    detail = store.show(message_id)
    name = f"{detail.message_id:08d}"
    content = content and detail.erased_at is None
    files = {f"{name}.json": json.dumps(as_json(detail, content), indent=2).encode()}
    if not content:
        return Export(detail.message_id, files)
    files[f"{name}.hl7"] = detail.raw
    files |= {f"{name}.{number}.payload": one.payload for number, one in enumerate(detail.deliveries, 1)}
    for leg in ("ack", "answer"):
        data = getattr(detail, leg)
        if data is not None:
            files[f"{name}.{leg}.hl7"] = data
    return Export(detail.message_id, files)


def as_json(detail: Detail, full: bool = True) -> dict[str, Any]:
    """All of a message but the bytes; not `full` without what is about a patient."""
    found = asdict(detail)
    found["issues"] = json.loads(detail.issues)
    for name in ("raw", "ack", "answer"):
        del found[name]
    for delivery in found["deliveries"]:
        del delivery["payload"]
        if not full:
            del delivery["partitions"]
    if not full:
        found["issues"] = without_values(found["issues"])
    return found


def confirmed(message_id: int, message_type: str, confirm: bool) -> None:
    """Raises NotAllowed for an order to a pump without `confirm`."""
    if is_pump_order(message_type) and not confirm:
        raise NotAllowed(
            f"message {message_id} is an order to a pump ({message_type}): look at the pump and at the order first, then "
            "confirm that it is to be sent again"
        )
