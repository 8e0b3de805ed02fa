"""How an order stands after all that was told of it (HL7 v2 chapter 4, order control codes; FHIR R4 MedicationRequest.status).

A pure function of what was told, in order of its time: the same for any order of arrival. What is told of an order is told
of all its parts (as placed, as encoded, as it is to be given): they share one ORC. An order that has ended stays so. A
refused request (UD, UH, UX, ...) takes back the newest request of its kind that was not confirmed before: the order stands
as if it had never been made, and a refused change changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ketafhir.errors import Issue, refused
from ketafhir.plain import Plain, field, replace
from ketafhir.therapy.records import Order
from ketafhir.therapy.values import Identifier

GIVE = "give"
"""The intent of an instruction to give, one for each RXG."""
STATUS = "status"
"""The intent of what tells the status of an order and nothing else: an ORC alone."""
ENDED = frozenset(("completed", "stopped", "cancelled", "entered-in-error"))
LEADS = {
    "hold": "on-hold", "held": "on-hold",
    "release": "active", "released": "active",
    "discontinue": "stopped", "discontinued": "stopped",
    "cancel": "cancelled", "cancelled": "cancelled", "not-accepted": "cancelled",
    "replace": "stopped", "replaced": "stopped",
}  # fmt: skip
"""What an effect of ORC-1 makes of an order; others leave it as it stands."""
CONFIRMS = {
    "held": "hold",
    "released": "release",
    "discontinued": "discontinue",
    "cancelled": "cancel",
    "replaced": "replace",
    "changed": "change",
}
REFUSES = {
    "not-held": "hold", "not-released": "release", "not-discontinued": "discontinue", "not-cancelled": "cancel",
    "not-replaced": "replace", "not-changed": "change",
}  # fmt: skip


Complete = Callable[[tuple[Order, ...]], Order]
"""Makes one record of several versions of it (`therapy.settled.completed`)."""


class Standing(Plain):
    """`state` as it stands ("" where nothing told it) and what made it so (`by`); `refused` are the requests that the filler
    refused, `idle` those that came after the end and would have begun the order again."""

    state: str = ""
    by: Order | None = None
    refused: list[Order] = field(default_factory=list)
    idle: list[Order] = field(default_factory=list)


def standing(told: Iterable[Order]) -> Standing:
    """How an order stands after all its versions."""
    events = sorted((one for one in told if one.state is not None), key=_place)
    out = Standing(refused=_refused(events))
    for one in events:
        assert one.state is not None
        if _among(one, out.refused):
            continue
        wanted = one.state.says or LEADS.get(one.state.effect, "")
        if not wanted:
            out.state = out.state or ("on-hold" if one.state.effect == "not-released" else "active")
        elif out.state not in ENDED or wanted in (out.state, "entered-in-error"):
            out.by = one if out.state != wanted else out.by
            out.state = wanted
        else:
            out.idle.append(one)
    return out


def _place(one: Order) -> tuple[Any, ...]:
    """In order of time; what was told at once, an answer after the request it answers."""
    assert one.state is not None
    effect = one.state.effect
    return one.told[0], effect in REFUSES or effect in CONFIRMS, one.told[1]


def _refused(events: list[Order]) -> list[Order]:
    """The requests that were refused: each refusal takes back the newest open one of its kind."""
    refused: list[Order] = []
    open_requests: dict[str, list[Order]] = {}
    for one in events:
        effect = one.state.effect if one.state else ""
        if effect in REFUSES:
            requests = open_requests.get(REFUSES[effect], [])
            if requests:
                refused.append(requests.pop())
        elif effect in CONFIRMS:
            open_requests.pop(CONFIRMS[effect], None)
        else:
            open_requests.setdefault(effect, []).append(one)
    return refused


def settled(own: tuple[Order, ...], all_told: Iterable[Order], complete: Complete) -> Order:
    """One order (of one intent) from its own versions and from all that was told of the order under its number.

    What tells a status alone (`STATUS`) gives the order its state, its notes, and the numbers it did not have.
    """
    told = list(all_told)
    whole = [one for one in told if one.owned] or list(own)
    found = standing(whole)
    content = tuple(one for one in own if not _among(one, found.refused)) or own
    made = complete(content)
    status = [one for one in whole if one.intent == STATUS]
    said = [one for one in (*content, *status) if one.state is not None and (one.owned or not made.owned)]
    if not said:
        return made
    if made.intent == GIVE:  # a change of rate says nothing of pump and weight: they are as they were
        made = replace(made, observations=tuple(dict.fromkeys(key for one in content for key in one.observations)))
    newest = max(said, key=_told)
    assert newest.state is not None
    changes: dict[str, Any] = {"state": replace(newest.state, standing=found.state)}
    changes["status_reason"] = newest.status_reason or (found.by.status_reason if found.by else None)
    for one in sorted(status, key=_told, reverse=True):
        for name in ("placer", "filler", "group"):
            if getattr(made, name) is None and name not in changes and getattr(one, name) is not None:
                changes[name] = getattr(one, name)
    changes["notes"] = (
        *made.notes,
        *(note for one in sorted(status, key=_told) for note in one.notes if note not in made.notes),
    )
    kept = dict(made.preserved)
    for one in status:
        kept |= {place: text for place, text in one.preserved if place not in kept}
    return replace(made, preserved=tuple(kept.items()), **changes)


def _told(one: Order) -> tuple[Any, ...]:
    return one.told


def _among(one: Order, others: list[Order]) -> bool:
    return any(one is other for other in others)


def order_of_infusion(infusion: str) -> str:
    """The identity of the order of an infusion, from its key."""
    return infusion.rpartition("|@")[0].rpartition("|")[0]


def order_of(key: str) -> str:
    """The identity of the order that the key of a record of it begins with."""
    return key.rpartition("|")[0]


def order_identity(placer: Identifier | None, filler: Identifier | None) -> str:
    """The identity of an order: its placer number if valued, else its filler number."""
    number = placer or filler
    return number.key if number else ""


def owned_by(
    orders: dict[str, Order], numbers: dict[str, tuple[str, str]], stays: Mapping[str, str]
) -> dict[str, Order]:
    """The orders with the patient of their numbers, where the message names none: an answer need not repeat the PID.

    `stays` says who stays for a patient number that was merged.
    """
    found = {}
    for key, order in orders.items():
        names = [role + one.key for role, one in (("P:", order.placer), ("F:", order.filler)) if one]
        owner = next((numbers[name][1] for name in names if name in numbers), "")
        patient = order.patient or stays.get(owner, owner)
        found[key] = order if patient == order.patient else replace(order, patient=patient)
    return found


def check(orders: dict[str, Order], parts: Callable[[str], list[str]]) -> list[Issue]:
    """What is only told of the status of an order needs the order; a whole one may begin with its end, with a warning.

    `parts` gives the keys of what is known of an order. Raises Refused (204).
    """
    issues = []
    whole = {order_of(key) for key, order in orders.items() if order.intent != STATUS}
    for key, order in orders.items():
        known = parts(order_of(key))
        if order.intent == STATUS:
            if not known and order_of(key) not in whole:
                numbers = " ".join(number.key for number in (order.placer, order.filler) if number)
                raise refused(
                    "order-not-known", "the status of an order that is not known here", where="ORC-2", hl7="204",
                    value=numbers, hint="send the order whole (with RXO or RXE) before",
                )  # fmt: skip
        elif not order.patient:
            raise refused(
                "patient-missing", "neither the message nor what is known of the order names the patient", where="PID",
                hl7="101", hint="send the PID",
            )  # fmt: skip
        elif not known and order.owned and order.state and order.state.effect in (*LEADS, *REFUSES):
            text = f"{order.state.control} for an order not told before: kept as told"
            issues.append(Issue("warning", "target-unknown", text, where="ORC-1", value=order.state.control))
    return issues
