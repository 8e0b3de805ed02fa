"""Under which identities a history knows what a message tells: orders by any of their numbers, acts by their visit.

A record keeps the identity it was first told under, whatever numbers come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ketafhir.errors import refused
from ketafhir.plain import replace
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import KINDS, Administration, Dispense, Order, Records, Waste

if TYPE_CHECKING:
    from ketafhir.therapy.fold import History

_REFERENCES = ("key", "order", "infusion", "part_of", "panel", "report", "response")
"""The attributes that hold the key of a record."""


def rekeyed(history: History, numbers: dict[str, tuple[str, str]], new: Records, stays: dict[str, str]) -> Records:
    """`new` under the identities its orders are known by: an order keeps the identity it was first told under."""
    renamed: dict[str, str] = {}
    told: list[Order | Administration | Waste | Dispense] = [
        *new.orders.values(),
        *new.administrations.values(),
        *new.wastes.values(),
        *new.dispenses.values(),
    ]
    for record in told:
        own = order_identity(record.placer, record.filler)
        if own:
            identity = _identify(history.numbers, numbers, own, record, stays)
            if identity != own:
                renamed[own] = identity
    joined = _joined_visits(history, new, renamed)
    if not renamed and not joined:
        return new
    return rename(new, {**{f"{old}|": f"{name}|" for old, name in renamed.items()}, **joined})


def _identify(
    told: Mapping[str, tuple[str, str]],
    numbers: dict[str, tuple[str, str]],
    own: str,
    record: Any,
    stays: dict[str, str],
) -> str:
    roles = [("P:", record.placer), ("F:", record.filler)]
    names = [role + number.key for role, number in roles if number]
    known = {found for name in names if (found := numbers.get(name) or told.get(name))}
    if len({identity for identity, _ in known}) > 1:
        raise refused(
            "order-ambiguous", "its numbers belong to two different orders", where="ORC-2", hl7="205",
            value=" ".join(name[2:] for name in names), hint="send the number pair of one order",
        )  # fmt: skip
    identity, patient = next(iter(known), (own, record.patient))
    if patient and record.patient and not same(patient, record.patient, stays):
        raise refused(
            "order-of-other-patient", "the order number belongs to another patient", where="ORC-2", hl7="204",
            value=" ".join(name[2:] for name in names), hint="check PID-3 and ORC-2/-3",
        )  # fmt: skip
    for name in names:
        numbers[name] = (identity, patient or record.patient)
    return identity


def _joined_visits(history: History, new: Records, renamed: dict[str, str]) -> dict[str, str]:
    """Acts told without visit (or first told without) join the one known infusion of their order and give id."""
    joined: dict[str, str] = {}
    if not new.administrations and not new.wastes:
        return joined
    told: list[Administration | Waste] = [*new.administrations.values(), *new.wastes.values()]
    known: dict[str, dict[str, str]] = {}
    orders = dict.fromkeys(renamed.get(act.order, act.order) for act in told)
    for infusion in [infusion for order in orders for infusion in history.courses.get(order, ())]:
        stem, _, visit = infusion.rpartition("|@")
        acts = history.infusions[infusion]
        named = {one.visit for key in acts for one in history.administrations.get(key, ()) if one.visit}
        known.setdefault(stem, {}).update(dict.fromkeys({visit} if visit else named or {""}, visit))
    for act in told:
        stem, _, visit = act.infusion.rpartition("|@")
        for old, name in renamed.items():
            if stem.startswith(f"{old}|"):
                stem = name + stem[len(old) :]
        visits = known.get(stem, {})
        if not visits or visits.get(visit) == visit:
            continue
        if not visit and len(visits) > 1:
            raise refused(
                "visit-ambiguous", "the order has infusions in several visits, and this message names no visit",
                where="PV1-19", hl7="204", hint="send PV1-19",
            )  # fmt: skip
        if not visit or visit in visits or visits == {"": ""}:
            joined[f"{stem}|@{visit}"] = f"{stem}|@{visits.get(visit, next(iter(visits.values())))}"
    return joined


def rename(new: Records, names: dict[str, str]) -> Records:
    """`new` with identities replaced in every key and reference."""

    def renamed(text: str) -> str:
        for old, name in names.items():
            if text == old or (old.endswith("|") and text.startswith(old)):
                text = name + text[len(old) :]
        return text

    out = Records()
    for kind in KINDS:
        for key, record in getattr(new, kind).items():
            told = {name: getattr(record, name, None) for name in _REFERENCES}
            # An adverse event names the order it is suspected of by its number, which stays as it was told.
            changes: dict[str, Any] = {name: renamed(text) for name, text in told.items() if isinstance(text, str)}
            if isinstance(record, Order):
                changes["observations"] = tuple(renamed(one) for one in record.observations)
            getattr(out, kind)[renamed(key)] = replace(record, **changes)
    return out


def same(one: str, other: str, stays: dict[str, str]) -> bool:
    """Whether two patients are one, as merges have it."""
    return one == other or stays.get(one, one) == stays.get(other, other)
