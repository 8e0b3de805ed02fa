"""The store beside a model of it in a few lines of Python: whatever is done, both say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contract import FHIR, Clock, assert_backlog, inbound
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ketafhir.store import states
from ketafhir.store.protocol import (
    Delivery,
    LeaseLost,
    NewDelivery,
    NotAllowed,
    RecordChange,
    RecordsChanged,
    Result,
    Settlement,
    Store,
    dead,
    done,
    park,
    retry,
)

PATIENTS = ("p1", "p2", "p3")
WORKERS = ("w1", "w2")
LEASE = 10.0


@dataclass
class Row:
    """A delivery as the model has it."""

    message: int
    partitions: tuple[str, ...]
    state: str = "queued"
    not_before: float | None = 0.0
    attempts: int = 0
    rejections: int = 0
    token: int = 0
    worker: str = ""
    lease: float = 0.0
    history: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.state in ("queued", "claimed", "inflight", "parked")


class Model:
    """What a store is, without any database: rows in order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.paused = False
        self.seen: dict[tuple[str, bytes], int] = {}
        self.records: dict[str, int] = {}
        self.legs: dict[int, str] = {}
        self.messages = 0

    def accept(self, control_id: str, body: bytes, partitions: tuple[str, ...], versions: dict[str, int]) -> Any:
        if (control_id, body) in self.seen:
            return self.seen[control_id, body]
        if any(self.records.get(name, 0) != version for name, version in versions.items()):
            return RecordsChanged
        self.messages += 1
        self.seen[control_id, body] = self.messages
        self.legs[self.messages] = "pending"
        for name in versions:
            self.records[name] = self.records.get(name, 0) + 1
        if partitions:
            self.rows.append(Row(self.messages, partitions))
        return self.messages

    def free(self, now: float) -> None:
        for row in self.rows:
            if row.state in ("claimed", "inflight") and row.lease < now:
                self.give_up(row)

    def give_up(self, row: Row) -> None:
        if row.state == "inflight":
            row.attempts += 1
            row.not_before = 0.0
            row.history.append("ambiguous")
        row.state, row.token = "queued", row.token + 1

    def claim(self, worker: str, now: float) -> Row | None:
        self.free(now)
        if self.paused:
            return None
        held: set[str] = set()
        for row in self.rows:
            due = row.state in ("queued", "parked") and row.not_before is not None and row.not_before <= now
            if due and not held & set(row.partitions):
                row.state, row.worker, row.lease, row.token = "claimed", worker, now + LEASE, row.token + 1
                return row
            if row.open:
                held |= set(row.partitions)
        return None

    def settle(self, row: Row, ending: Settlement) -> None:
        row.state, row.not_before = ending.state, ending.not_before
        row.attempts += ending.counted
        row.rejections += ending.rejected
        row.history.append(ending.kind)

    def retry(self, message: int, force: bool) -> Any:
        rows = [row for row in self.rows if row.message == message]
        stuck = [row for row in rows if row.state in ("queued", "parked", "dead")]
        if not stuck:
            return NotAllowed
        for row in stuck:
            later = [
                other
                for other in self.rows
                if other.message > row.message
                and set(other.partitions) & set(row.partitions)
                and other.state in ("done", "claimed", "inflight")
            ]
            under_way = [other for other in later if other.state != "done"]
            if row.state == "dead" and (under_way if force else later):
                return NotAllowed
        for row in stuck:
            row.state, row.not_before, row.rejections, row.token = "queued", 0.0, 0, row.token + 1
        return len(stuck)

    def park(self, message: int) -> Any:
        waiting = [row for row in self.rows if row.message == message and row.state in ("queued", "parked")]
        for row in waiting:
            row.state, row.not_before, row.token = "parked", None, row.token + 1
        return len(waiting) or NotAllowed

    def replay(self, messages: set[int], force: bool) -> Any:
        rows = [row for row in self.rows if row.message in messages]
        if any(row.state not in ("done", "dead") for row in rows):
            return NotAllowed
        for row in rows:
            for other in self.rows:
                if other.message > row.message and set(other.partitions) & set(row.partitions):
                    newer = other.state == "done" and other not in rows and not force
                    if newer or other.state in ("claimed", "inflight"):
                        return NotAllowed
        for row in rows:
            row.state, row.not_before, row.rejections, row.token = "queued", 0.0, 0, row.token + 1
        return len(rows)

    def release(self, partition: str) -> int:
        parked = [row for row in self.rows if row.state == "parked" and partition in row.partitions]
        for row in parked:
            row.state, row.not_before, row.rejections, row.token = "queued", 0.0, 0, row.token + 1
        return len(parked)


ENDINGS: dict[str, Callable[[float], Settlement]] = {
    "done": lambda now: done(),
    "retry": lambda now: retry(now + 5, "busy", kind="transient"),
    "unsent": lambda now: retry(now, "no route", kind="unsent", counted=False),
    "park": lambda now: park("bad", now + 20, kind="rejected"),
    "park-for-good": lambda now: park("two match", kind="identity"),
    "dead": lambda now: dead("never", kind="rejected"),
}

PARTITIONS = [("p1",), ("p1",), ("p2",), ("p1", "p2"), ("p3", "p1"), ()]
accepted = st.tuples(st.integers(0, 30), st.sampled_from([b"a", b"b"]), st.sampled_from(PARTITIONS), st.integers(0, 7))


class StoreMachine(RuleBasedStateMachine):
    """`new_store` makes an empty store on a clock, and `reopen` closes one and opens it again."""

    new_store: Callable[[Clock], Store]
    reopened: Callable[[Store, Clock], Store]

    @initialize(first=st.lists(accepted, min_size=2, max_size=6))
    def begin(self, first: list[tuple[int, bytes, tuple[str, ...], int]]) -> None:
        self.clock = Clock()
        self.store = type(self).new_store(self.clock)
        self.model = Model()
        self.held: list[tuple[Delivery, int]] = []  # with the place of its row in the model
        for one in first:
            self._accept(*one)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    @rule(one=accepted)
    def accept(self, one: tuple[int, bytes, tuple[str, ...], int]) -> None:
        self._accept(*one)

    def _accept(self, number: int, body: bytes, to: tuple[str, ...], stale: int) -> None:
        control_id = f"C{number}"
        known = {name: self.model.records.get(name, 0) for name in to}
        versions = {name: version - (stale == 0 and version > 0) for name, version in known.items()}
        expected = self.model.accept(control_id, body, to, versions)
        changes = [RecordChange(name, version, body) for name, version in versions.items()]
        deliveries = [NewDelivery(FHIR, to, body)] if to else []
        told = inbound(control_id, body, Result("translated", deliveries=deliveries, records=changes))
        try:
            got: Any = self.store.accept(told).message_id
        except RecordsChanged:
            got = RecordsChanged
        assert self._number(got) == expected

    def _number(self, got: Any) -> Any:
        """PostgreSQL leaves gaps between the numbers of messages: theirs in the order of acceptance."""
        if not isinstance(got, int):
            return got
        known = self.__dict__.setdefault("numbers", {})
        return known.setdefault(got, len(known) + 1)

    def _message(self, number: int) -> int:
        return next(one for one, own in self.__dict__.get("numbers", {}).items() if own == number)

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        self._claimed(worker, lambda: self.store.claim(worker, LEASE, FHIR))

    def _claimed(self, worker: str, claim: Callable[[], Delivery | None]) -> None:
        expected = self.model.claim(worker, self.clock.now)
        got = claim()
        assert (got is None) == (expected is None)
        if got is not None and expected is not None:
            assert self._number(got.message_id) == expected.message
            assert (got.attempts, got.rejections) == (expected.attempts, expected.rejections)
            assert got.token == expected.token
            self.held = [*self.held[-3:], (got, self.model.rows.index(expected))]

    @rule(data=st.data(), worker=st.sampled_from(WORKERS), ending=st.sampled_from([*sorted(ENDINGS), "dead", "done"]))
    def deliver(self, data: st.DataObject, worker: str, ending: str) -> None:
        """All of an attempt, so that runs get somewhere."""
        before = self.held
        self.held = []
        self.claim(worker)
        if self.held:
            self.send(data)
            self.settle(data, ending)
        self.held = [*before, *self.held]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        delivery, place = data.draw(st.sampled_from(self.held))
        row = self.model.rows[place]
        if row.token != delivery.token or row.state not in ("claimed", "inflight"):
            expected: Any = LeaseLost
        else:
            row.state, row.lease, expected = "inflight", self.clock.now + LEASE, None
        self._agrees(lambda: self.store.mark_inflight(delivery, LEASE), expected)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(sorted(ENDINGS)))
    def settle(self, data: st.DataObject, ending: str) -> None:
        delivery, place = data.draw(st.sampled_from(self.held))
        settlement = ENDINGS[ending](self.clock.now)
        expected = self._settled(delivery, place, settlement)
        self._agrees(lambda: self.store.settle(delivery, settlement), expected)

    def _settled(self, delivery: Delivery, place: int, settlement: Settlement) -> Any:
        """The model settles it, or what is raised instead."""
        row = self.model.rows[place]
        if row.token != delivery.token or row.state not in ("claimed", "inflight"):
            return LeaseLost
        if (row.state, settlement.state) not in states.DELIVERY_STEPS:
            return NotAllowed
        self.model.settle(row, settlement)
        return None

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(sorted(ENDINGS)), worker=st.sampled_from(WORKERS))
    def settle_and_claim(self, data: st.DataObject, ending: str, worker: str) -> None:
        delivery, place = data.draw(st.sampled_from(self.held))
        settlement = ENDINGS[ending](self.clock.now)
        expected: Any = self._settled(delivery, place, settlement)
        if expected is not None:
            self._agrees(lambda: self.store.settle_and_claim(delivery, settlement, worker, LEASE), expected)
            return
        self._claimed(worker, lambda: self.store.settle_and_claim(delivery, settlement, worker, LEASE))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        delivery, place = data.draw(st.sampled_from(self.held))
        row = self.model.rows[place]
        expected: Any = None
        if row.token != delivery.token or row.state not in ("claimed", "inflight"):
            expected = LeaseLost
        elif row.state == "inflight":
            expected = NotAllowed
        else:
            row.state = "queued"
        self._agrees(lambda: self.store.give_back(delivery), expected)

    @rule(worker=st.sampled_from(WORKERS))
    def crash_of_a_worker(self, worker: str) -> None:
        held = [row for row in self.model.rows if row.state in ("claimed", "inflight") and row.worker == worker]
        for row in held:
            self.model.give_up(row)
        assert self.store.reclaim(worker) == len(held)

    @rule(worker=st.sampled_from(WORKERS), data=st.data())
    def answer_lost(self, worker: str, data: st.DataObject) -> None:
        held = [row for row in self.model.rows if row.state in ("claimed", "inflight") and row.worker == worker]
        numbers = {place: delivery.id for delivery, place in self.held}
        known = [place for place in numbers if self.model.rows[place] in held and data.draw(st.booleans())]
        lost = [row for row in held if self.model.rows.index(row) not in known]
        for row in lost:
            self.model.give_up(row)
        assert self.store.reclaim(worker, but={numbers[place] for place in known}) == len(lost)

    @rule()
    def pause_or_resume(self) -> None:
        self.model.paused = not self.model.paused
        if self.model.paused:
            self.store.pause(FHIR, "maintenance")
            assert [one.destination for one in self.store.paused()] == [FHIR]
        else:
            assert self.store.resume(FHIR)
            assert not self.store.resume(FHIR)

    @rule()
    def crash_of_the_process(self) -> None:
        self.store = type(self).reopened(self.store, self.clock)

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.clock.move(seconds)

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data(), force=st.booleans(), stuck=st.booleans())
    def retry(self, data: st.DataObject, force: bool, stuck: bool) -> None:
        rows = [row for row in self.model.rows if row.state in ("dead", "parked")] if stuck else []
        message = data.draw(st.sampled_from([row.message for row in rows or self.model.rows]))
        expected = self.model.retry(message, force)
        try:
            got: Any = self.store.retry(self._message(message), force=force)
        except NotAllowed:
            got = NotAllowed
        assert got == expected

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data())
    def park(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from([row.message for row in self.model.rows]))
        expected = self.model.park(message)
        try:
            got: Any = self.store.park(self._message(message), "by hand")
        except NotAllowed:
            got = NotAllowed
        assert got == expected

    @precondition(lambda self: any(row.state in ("done", "dead") for row in self.model.rows))
    @rule(data=st.data(), force=st.booleans())
    def replay(self, data: st.DataObject, force: bool) -> None:
        ended = [row.message for row in self.model.rows if row.state in ("done", "dead")]
        messages = data.draw(st.sets(st.sampled_from(ended), min_size=1, max_size=3))
        expected = self.model.replay(messages, force)
        try:
            got: Any = len(self.store.replay([self._message(one) for one in messages], force=force))
        except NotAllowed:
            got = NotAllowed
        assert got == expected

    @rule(partition=st.sampled_from(PATIENTS))
    def release(self, partition: str) -> None:
        assert self.store.release(partition) == self.model.release(partition)

    @precondition(lambda self: self.model.messages)
    @rule(data=st.data(), delivered=st.booleans())
    def tell_the_sender(self, data: st.DataObject, delivered: bool) -> None:
        message = data.draw(st.integers(1, self.model.messages))
        state = "delivered" if delivered else "undelivered"
        expected: Any = None if (self.model.legs[message], state) in states.OWED_STEPS else NotAllowed
        if expected is None:
            self.model.legs[message] = state
        write = self.store.ack_delivered if delivered else self.store.ack_undelivered
        self._agrees(lambda: write(self._message(message)), expected)

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        counts = dict.fromkeys(states.DELIVERY_STATES, 0)
        for row in self.model.rows:
            counts[row.state] += 1
        assert self.store.counts().deliveries == counts
        assert_backlog(self.store, FHIR)
        for row in self.model.rows[-2:]:
            detail = self.store.show(self._message(row.message))
            (found,) = detail.deliveries
            assert (found.state, found.attempts, found.rejections) == (row.state, row.attempts, row.rejections)
            assert [one.kind for one in found.history] == row.history
            assert detail.ack_state == self.model.legs[row.message]

    @invariant()
    def one_patient_is_under_way_once(self) -> None:
        """Whatever is forced: what is claimed or in flight shares no patient with an earlier one that is."""
        if not hasattr(self, "model"):
            return
        busy = [name for row in self.model.rows if row.state in ("claimed", "inflight") for name in row.partitions]
        assert len(busy) == len(set(busy))

    def _agrees(self, call: Callable[[], None], expected: type[Exception] | None) -> None:
        got: type[Exception] | None = None
        try:
            call()
        except (LeaseLost, NotAllowed) as error:
            got = type(error)
        assert got is expected
