"""What an operator does with many messages at once: retry, replay as sent, render again, by state, destination and time.

Without `do` it is only told what would be done, and nothing is locked for long: the rows are read in pages by key, and done in
chunks of one commit, in which the audit log notes what was done, and nothing that was refused. Span of time: from the first
message received since `since` to the last received before `until`, in the order in which they were stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from typing import Any

from ketafhir.store import queue, states
from ketafhir.store.ending import refuse_overtaken, refuse_unseen
from ketafhir.store.protocol import NotAllowed, Store, Unknown
from ketafhir.store.rows import Chosen

CHUNK = 500
RETRIED = (states.QUEUED, states.PARKED, states.DEAD, states.REFUSED, states.UNSUPPORTED, states.FAILED)
REPLAYED = (states.DONE, states.DEAD)
RENDERED = (states.TRANSLATED, states.REFUSED, states.UNSUPPORTED, states.FAILED)
MOST_TOLD = 100
REASON = "a replay of many is being queued: where it has broken off, ask for it again, then resume"
_UNDER_WAY_SECONDS = 30.0
_UNITS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}


@dataclass(slots=True, frozen=True)
class Selection:
    """`states` are those of deliveries, or outcomes of messages; `since` and `until` seconds since the epoch."""

    states: tuple[str, ...]
    destination: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(slots=True)
class Told:
    """What was found, by destination ("" for messages) and state; how many go again, and why others do not: the first texts."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    again: int = 0
    refusals: int = 0
    refused: list[str] = field(default_factory=list)

    def refuse(self, text: str) -> None:
        """One more that does not go."""
        self.refusals += 1
        if len(self.refused) < MOST_TOLD:
            self.refused.append(text)


@dataclass(slots=True, frozen=True)
class How:
    """`note` writes the numbers of messages into the audit log, `progress` is told after each chunk how many have been done.
    `seen`: how often each may have been replayed before; what is asked for twice by mistake is done once."""

    force: bool = False
    confirm: bool = False
    do: bool = False
    seen: int = 0
    note: Callable[[Sequence[int]], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None


def moment(text: str, now: float) -> float:
    """Seconds since the epoch: of a time as ISO 8601 with its offset, or of an age such as 36h, 7d, 12w, 1y before `now`. Raises
    ValueError."""
    if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdigit() and len(text) <= queue.DIGITS:
        return now - int(text[:-1]) * _UNITS[text[-1]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(f"{text!r} is no time, which is such as 2026-03-01T08:00:00Z, or an age such as 36h or 7d")
    return found.timestamp()


def retry(store: Store, wanted: Selection, how: How) -> Told:
    """As `queue.retry` of each, oldest first; what is refused is told and stops no other."""

    def one(rows: list[Chosen]) -> int:
        message_id = rows[0].message_id
        if any(row.state == states.DEAD for row in rows):
            queue.confirmed(message_id, rows[0].message_type, how.confirm)
        only = [row.state for row in rows if row.delivery_id]
        return store.retry(message_id, force=how.force, only=only, destination=wanted.destination, do=how.do)

    return _each(store, _by_message(_chosen(store, wanted)), how, one)


def render_again(store: Store, wanted: Selection, how: How) -> Told:
    """As `queue.render_again` of each, oldest first; what is refused is told and stops no other."""

    def one(rows: list[Chosen]) -> int:
        message_id = rows[0].message_id
        queue.confirmed(message_id, rows[0].message_type, how.confirm)
        refuse_unseen(message_id, rows[0].replays, how.seen)
        if how.do:
            store.render_again(message_id, queue.RENDERED, how.seen)
        return 1

    return _each(store, _by_message(_chosen(store, wanted)), how, one)


def replay(store: Store, wanted: Selection, how: How) -> Told:
    """As `queue.replay` of all of them: all or nothing, since an older one must not go without the later ones.

    The destinations are paused meanwhile, and the newest are queued first: whatever breaks off, no older state stands behind
    a newer one. Raises NotAllowed where one needs `force` or `confirm`, or one that is under way does not end.
    """
    within = store.span(wanted.since, wanted.until)
    through = within[1] if states.DONE in wanted.states else 0
    planned = _planned(store, wanted, within, through, how)
    if not how.do:
        return planned
    if planned.refusals:
        raise NotAllowed(f"nothing is sent again: {planned.refusals} are refused, the first: {planned.refused[0]}")
    with _paused(store, [to for to, _ in planned.found]):

        def one(rows: list[Chosen]) -> int:
            message_id, to = rows[0].message_id, wanted.destination
            again = store.replay(
                [message_id], destination=to, force=how.force, states=wanted.states, through=through, seen=how.seen
            )
            return len(again)

        return _each(store, _by_message(_chosen(store, wanted, within, newest=True)), how, one)


def _planned(store: Store, wanted: Selection, within: tuple[int, int], through: int, how: How) -> Told:
    told = Told()
    for some in _chunks(_by_message(_chosen(store, wanted, within))):
        rows = [row for one in some for row in one]
        told.found.update((row.destination, row.state) for row in rows)
        numbers = [row.message_id for row in rows]
        again = store.replay(numbers, destination=wanted.destination, do=False, states=wanted.states, through=through)
        for one in again:
            try:
                queue.confirmed(one.message_id, one.message_type, how.confirm)
                refuse_unseen(one.message_id, one.replays, how.seen)
                refuse_overtaken(one, how.force)
                told.again += 1
            except NotAllowed as error:
                told.refuse(str(error))
    return told


@contextmanager
def _paused(store: Store, names: Sequence[str]) -> Iterator[None]:
    """Nothing new goes to these, and what was under way has ended. What an operator has paused stays so."""
    already = {one.destination for one in store.paused()}
    ours = [name for name in dict.fromkeys(names) if name not in already]
    for name in ours:
        store.pause(name, REASON)
    try:
        _settled(store, names)
        yield
    finally:
        for name in ours:
            store.resume(name)


def _settled(store: Store, names: Sequence[str]) -> None:
    until = time.monotonic() + _UNDER_WAY_SECONDS
    within = store.span()
    for name in names:
        while any(store.chosen(state, name, within, limit=1) for state in (states.CLAIMED, states.INFLIGHT)):
            if time.monotonic() > until:
                raise NotAllowed(f"something to {name} is being sent, and does not end: look whether the service runs")
            time.sleep(0.1)


def _each(store: Store, messages: Iterator[list[Chosen]], how: How, one: Callable[[list[Chosen]], int]) -> Told:
    told = Told()
    for some in _chunks(messages):
        done: list[int] = []
        with store.batch():
            for rows in some:
                told.found.update((row.destination, row.state) for row in rows)
                try:
                    told.again += one(rows)
                    done.append(rows[0].message_id)
                except (NotAllowed, Unknown) as error:
                    told.refuse(str(error))
            if how.do and done:
                how.note(done)
        how.progress(sum(told.found.values()))
    return told


def _chunks(messages: Iterator[list[Chosen]]) -> Iterator[list[list[Chosen]]]:
    while some := list(islice(messages, CHUNK)):
        yield some


def _by_message(rows: Iterator[Chosen]) -> Iterator[list[Chosen]]:
    return (list(some) for _, some in groupby(rows, key=lambda row: row.message_id))


def _chosen(
    store: Store, wanted: Selection, within: tuple[int, int] | None = None, newest: bool = False
) -> Iterator[Chosen]:
    """All of them by the number of their messages."""
    span = within or store.span(wanted.since, wanted.until)
    named = [wanted.destination] if wanted.destination is not None else store.destinations()
    places = [(state, to) for state in wanted.states for to in ([""] if state in states.OUTCOMES else named)]
    pages = [_pages(store, state, to, span, newest) for state, to in places]
    return merge(*pages, key=lambda row: row.message_id, reverse=newest)


def _pages(store: Store, state: str, to: str, span: tuple[int, int], newest: bool) -> Iterator[Chosen]:
    beyond: tuple[int, int] | None = None
    while rows := store.chosen(state, to, span, beyond, limit=CHUNK, newest=newest):
        yield from rows
        beyond = rows[-1].cursor


def as_json(told: Told, done: bool) -> dict[str, Any]:
    """For both the command line and REST."""
    found = [{"to": to, "was": state, "count": count} for (to, state), count in sorted(told.found.items())]
    return {"done": done, "found": found, "queued": told.again, "refusals": told.refusals, "refused": told.refused}
