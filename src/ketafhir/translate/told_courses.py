"""The courses of infusions as a history tells them, and what a message has changed of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.plain import Plain, replace
from ketafhir.therapy.lifecycle import order_of_infusion
from ketafhir.therapy.settled import act as settled_act

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ketafhir.mapping.tables import Tables
    from ketafhir.therapy.fold import History
    from ketafhir.therapy.infusion import Act, Course
    from ketafhir.therapy.records import Administration, Records


class Changes(Plain):
    """What a message changed of infusions: whose own resource is written (`parents`), which children are (`acts`), which are
    none any more (`gone`, as entered in error), and which infusions are part of another now (`joined`).

    `kept` is under which key the acts and events of pumps are found now, by their own ("" where an event ended nothing);
    `moved` are those found under another one than before.
    """

    parents: list[Course]
    acts: list[tuple[Course, Act]]
    gone: list[tuple[Course, Act]]
    joined: list[Course]
    kept: dict[str, str]
    moved: list[str]

    def keys(self) -> list[str]:
        """The keys of the administrations that are written."""
        return [*(found.key for found in self.parents), *(act.told.key for _, act in (*self.acts, *self.gone))]


def courses_of(history: History, infusions: Iterable[str], tables: Tables) -> dict[str, Course]:
    """The courses of these infusions; one that only ends what nobody told to have begun has none yet."""
    found = {}
    for key in infusions:
        told = _told(history, key, tables)
        if any(act.delivery in ("", "start") for act in told):
            found[key] = _course(history, key, told, tables)
    return found


def _told(history: History, infusion: str, tables: Tables) -> list[Administration]:
    """What was told of an infusion; with what its pumps told without naming an order, or without its give sub-ID."""
    told = _acts(history, infusion)
    for other in history.courses.get(order_of_infusion(infusion), ()) if told else ():
        told += _acts(history, other) if other != infusion else []
    channels = {act.channel for act in told if act.channel}
    if not channels:
        return [act for act in told if act.infusion == infusion]
    from ketafhir.therapy.pump import placed, with_strays

    told = placed(told, tables.settings.match_seconds)
    known = {act.key for act in told}
    others = dict.fromkeys(one for channel in channels for one in history.channels.get(channel, ()))
    for other in others:
        told += [act for act in _acts(history, other) if act.key not in known]
    return with_strays(told, infusion, history.survivors())


def _acts(history: History, infusion: str) -> list[Administration]:
    return [settled_act(history.administrations[key]) for key in history.infusions.get(infusion, ())]


def _course(history: History, infusion: str, told: list[Administration], tables: Tables) -> Course:
    from ketafhir.therapy.infusion import course
    from ketafhir.translate.checking import dosing_weight

    found = history.requests(told[0].order)
    order = found[0] if found else None
    seconds = tables.settings.match_seconds if any(act.delivery for act in told) else 0
    return course(infusion, told, order, dosing_weight(history, [one.key for one in found]), seconds)


def _kept_under(after: dict[str, Course]) -> dict[str, str]:
    """Under which key the acts and events of pumps are found now, by their own; "" where an event ended nothing."""
    kept: dict[str, str] = {}
    for found in after.values():
        kept |= {key: name for key, name in found.kept.items() if name or key not in kept}
    return kept


def changes_of(before: dict[str, Course], after: dict[str, Course], new: Records, relinked: set[str]) -> Changes:
    """What of the infusions is written anew; `relinked` are the orders that became known, or are no longer."""
    acts = [
        (found, act)
        for key, found in after.items()
        for act in found.acts
        if act.told.key in new.administrations or found.first.order in relinked or _is_changed(act, before.get(key))
    ]
    parents = [
        found
        for key, found in after.items()
        if found.first.order in relinked or key not in before or _shown(found) != _shown(before[key])
        or any(one is found for one, _ in acts)
    ]  # fmt: skip
    standing = {act.told.key for found in after.values() for act in found.acts}
    gone = [(found, act) for found in parents for act in _withdrawn(before.get(found.key), standing)]
    kept, was = _kept_under(after), _kept_under(before)
    moved = [key for key, name in kept.items() if was.get(key, key) != name]
    return Changes(parents, acts, gone, [found for key, found in before.items() if key not in after], kept, moved)


def _withdrawn(before: Course | None, standing: set[str]) -> list[Act]:
    """Acts that were children and are part of another now (an eMAR's that the pump tells too): entered in error."""
    gone = [act for act in before.acts if act.told.key not in standing] if before else []
    return [replace(act, state="deleted") for act in gone]


def _is_changed(act: Act, before: Course | None) -> bool:
    old = next((one for one in before.acts if one.told.key == act.told.key), None) if before else None
    return old is None or old != act


def _shown(found: Course) -> tuple[object, ...]:
    """What the resource of the whole infusion shows."""
    keys = [closer.key for closer in found.closers]
    acts = [act.told.key for act in found.acts] if found.kept else []
    return found.status, found.start, found.end, found.total, keys, found.first.route, acts
