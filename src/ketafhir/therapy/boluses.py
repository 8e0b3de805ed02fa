"""A bolus from a running infusion: an order of its own (IHE PCD-03: ORC-1 CH, ORC-8 the parent), part of that infusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ketafhir.plain import replace
from ketafhir.therapy.lifecycle import order_of
from ketafhir.therapy.records import Administration, Order, Records
from ketafhir.therapy.values import Identifier


class Known(Protocol):
    """What is looked up of a history: versions of orders, identities by number, infusions by order."""

    @property
    def orders(self) -> Mapping[str, tuple[Order, ...]]: ...
    @property
    def numbers(self) -> Mapping[str, tuple[str, str]]: ...
    @property
    def ordered(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def courses(self) -> Mapping[str, tuple[str, ...]]: ...


def joined(history: Known, numbers: Mapping[str, tuple[str, str]], new: Records) -> Records:
    """`new` with the acts of child orders in the infusion of the parent's order.

    The parent is the one the message names, else the one that was told of the order. An order that comes after its bolus
    leaves the bolus where it is.
    """
    found = {key: parent for key, act in new.administrations.items() if (parent := _parent(history, new, act))}
    if not found:
        return new
    out = replace(new, administrations=dict(new.administrations))
    moved: dict[str, str] = {}
    for key, parent in found.items():
        act = new.administrations[key]
        owner = _identity(history, numbers, parent)
        if owner != act.order:
            moved[act.infusion] = infusion = _infusion(history, new, owner, act.visit)
            out.administrations[key] = replace(act, parent=parent, infusion=infusion)
    left = {act.infusion for act in out.administrations.values()}
    return _with_beside(out, {old: name for old, name in moved.items() if old not in left})


def _with_beside(new: Records, moved: dict[str, str]) -> Records:
    """The records with waste and observations in the infusions that all of their acts have moved to."""
    wastes = {
        key: replace(one, infusion=moved[one.infusion]) if one.infusion in moved else one
        for key, one in new.wastes.items()
    }
    seen = {
        key: replace(one, part_of=moved[one.part_of]) if one.part_of in moved else one
        for key, one in new.observations.items()
    }
    return replace(new, wastes=wastes, observations=seen)


def is_bolus(act: Administration) -> bool:
    """Whether an act gave an amount at once, and set no rate."""
    return act.amount is not None and act.rate is None


def _parent(history: Known, new: Records, act: Administration) -> Identifier | None:
    if act.parent is not None or not is_bolus(act):
        return act.parent
    told = [one for key in history.ordered.get(act.order, ()) for one in history.orders[key]]
    told += [one for key, one in new.orders.items() if order_of(key) == act.order]
    return next((one.parent for one in told if one.parent is not None), None)


def _identity(history: Known, numbers: Mapping[str, tuple[str, str]], parent: Identifier) -> str:
    for name in (f"P:{parent.key}", f"F:{parent.key}"):
        found = numbers.get(name) or history.numbers.get(name)
        if found:
            return found[0]
    return parent.key


def _infusion(history: Known, new: Records, owner: str, visit: str) -> str:
    """The infusion of the parent's order: of this visit, else the only one, else the one it will have."""
    told = [one.infusion for one in new.administrations.values() if one.order == owner]
    known = [one for one in (*history.courses.get(owner, ()), *told) if one.startswith(f"{owner}|")]
    same = [one for one in known if one.endswith(f"|@{visit}")]
    return next(iter(same or (known if len(set(known)) == 1 else [])), f"{owner}|0|@{visit}")
