"""What all that was told amounts to: one record of all the versions of it.

Of a patient, visit or order the newest version of its owner counts, completed from older ones; of an administration the
corrections find their target by its counters; of all else one version is kept (`therapy.fold.weight`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ketafhir.plain import names, replace
from ketafhir.therapy import listed
from ketafhir.therapy.lifecycle import STATUS
from ketafhir.therapy.records import KINDS, Administration, Records
from ketafhir.therapy.values import is_before

if TYPE_CHECKING:
    from ketafhir.therapy.fold import History

_KEPT = {"key", "told", "sender", "owned", "nulls", "preserved", "action", "infusion", "allergies", "diagnoses"}
_LISTS = ("allergies", "diagnoses")
T = TypeVar("T")


def settle(history: History) -> Records:
    """What all that was told amounts to: one record per key."""
    return Records(**{kind: dict(entries(history, kind)) for kind in KINDS})


def entries(history: History, kind: str) -> Iterator[tuple[str, Any]]:
    """The records of a kind under their keys, in the order first told."""
    if kind not in _SETTLES:
        yield from getattr(history.others, kind).items()
        return
    for key in getattr(history, kind):
        if is_record(kind, key):
            yield key, one(history, kind, key)


def is_record(kind: str, key: str) -> bool:
    """Whether there is a record under a key: an order that was told by its status alone is none."""
    return kind != "orders" or not key.endswith(f"|{STATUS}")


def one(history: History, kind: str, key: str) -> Any:
    """One record as all that was told of it makes it."""
    settles = _SETTLES.get(kind)
    return settles(history, key) if settles else getattr(history.others, kind)[key]


def completed(versions: tuple[T, ...]) -> T:
    """The newest version of its owner, with what it leaves open filled from older ones; a `""` is not filled again."""
    owned = [one for one in versions if getattr(one, "owned", True)]
    rest = [one for one in versions if not getattr(one, "owned", True)]
    newest, *older = [*reversed(owned), *reversed(rest)]
    if older:
        newest = _filled(newest, older, lambda one: getattr(one, "nulls", ()))
    lists = {name: listed.settled(versions, name) for name in _LISTS if any(getattr(one, name, ()) for one in versions)}
    return replace(newest, **lists) if lists else newest  # type: ignore[type-var]  # records are Plain


def _filled(newest: T, older: Iterable[T], nulls: Callable[[Any], Iterable[str]]) -> T:
    changes: dict[str, Any] = {}
    deleted = set(nulls(newest))
    for one in older:
        for name in names(newest):
            if name in _KEPT or name in deleted or name in changes:
                continue
            if getattr(newest, name) in (None, "", (), ("", "")) and getattr(one, name) not in (
                None,
                "",
                (),
                ("", ""),
            ):
                changes[name] = getattr(one, name)
        deleted.update(nulls(one))
    if "end" in changes or "start" in changes:
        _leave_out_contradicted(newest, changes)
    return replace(newest, **changes) if changes else newest  # type: ignore[type-var]  # records are Plain


def _leave_out_contradicted(newest: Any, changes: dict[str, Any]) -> None:
    """An older start or end does not stand beside a newer one that makes it impossible."""
    start, end = (changes.get(name, getattr(newest, name, None)) for name in ("start", "end"))
    if start and end and is_before(end, start):
        del changes["end" if "end" in changes else "start"]


def act(versions: tuple[Administration, ...]) -> Administration:
    """One administration from all versions told of it.

    The newest counts and is completed from older ones: a segment once closed is never re-opened by its rate setting. A
    deletion that is the newest word makes it deleted, with what was given as told before; an older A never overrules an
    update or a deletion.
    """
    newest, *older = reversed(versions)
    if not older:
        return replace(newest, state="deleted") if newest.action == "delete" else newest
    if newest.action != "delete":  # what was deleted before it stands again
        older = [replace(one, state="") if one.state == "deleted" else one for one in older]
    merged = replace(_filled(newest, older, _other_dose), preserved=_preserved(newest, older))
    if newest.action == "delete":
        given = next((one for one in older if one.action != "delete"), newest)
        return replace(merged, state="deleted", rate=given.rate, amount=given.amount)
    return merged


def _preserved(newest: Administration, older: Iterable[Administration]) -> tuple[tuple[str, str], ...]:
    """What was preserved of any version: field by field of the RXA and what it shares, a further segment as a whole."""
    found = newest.preserved
    for one in older:
        told = {place for place, _ in found}
        segments = {place.partition("-")[0] for place in told} - {"RXA", "RXR", "ORC"}
        found += tuple(
            (place, text)
            for place, text in one.preserved
            if place not in told and place.partition("-")[0] not in segments
        )
    return found


def _other_dose(one: Administration) -> tuple[str, ...]:
    """Rate and amount are told in place of each other: an older one of the other kind does not stand beside it."""
    return ("rate",) if one.amount else ("amount",) if one.rate else ()


_SETTLES: dict[str, Callable[[History, str], Any]] = {
    "patients": lambda history, key: completed(history.patients[key]),
    "visits": lambda history, key: completed(history.visits[key]),
    "orders": lambda history, key: history.order(key),
    "administrations": lambda history, key: act(history.administrations[key]),
}
