"""What every store must do, whichever database is below it.

A database takes part by `class TestContract(StoreContract)` beside two fixtures: `store`, an empty store on
the fixture `clock`, and `place`, what it was opened with; what opens it again is in conftest.py.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from ketafhir.errors import StoreError
from ketafhir.store import queue
from ketafhir.store.audit import first_broken
from ketafhir.store.protocol import (
    Accepted,
    Delivery,
    Inbound,
    Key,
    LeaseLost,
    NewDelivery,
    NotAllowed,
    RecordChange,
    RecordsChanged,
    Result,
    Store,
    Unknown,
    dead,
    done,
    park,
    retry,
)
from ketafhir.store.rows import OfPatient, Purged

FHIR = "fhir"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


def message(
    control_id: str = "C1",
    *partitions: str,
    raw: bytes | None = None,
    outcome: str = "translated",
    records: tuple[RecordChange, ...] = (),
    keys: tuple[Key, ...] = (),
    destination: str = FHIR,
) -> Inbound:
    """A message with one delivery for its partitions, or none."""
    body = raw if raw is not None else f"MSH|^~\\&|A|B||||||{control_id}".encode()
    deliveries = [NewDelivery(destination, partitions, b"payload of " + control_id.encode())]
    result = Result(outcome, deliveries=deliveries if partitions else (), records=records, keys=keys)
    return inbound(control_id, body, result)


def inbound(control_id: str, body: bytes, result: Result | None) -> Inbound:
    return Inbound(
        raw=body,
        sha256=hashlib.sha256(body).digest(),
        listener="main",
        peer="127.0.0.1:5000",
        sender="PUMP|WARD",
        control_id=control_id,
        message_type="RAS^O17",
        ack=b"ack of " + control_id.encode(),
        result=result,
    )


def claim(store: Store, worker: str = "w1", lease: float = 60, destination: str = FHIR) -> Delivery:
    delivery = store.claim(worker, lease, destination)
    assert delivery is not None
    return delivery


def send(store: Store) -> Delivery:
    """A claimed delivery, in flight."""
    delivery = claim(store)
    store.mark_inflight(delivery, 60)
    return delivery


def nothing(store: Store, destination: str = FHIR) -> bool:
    return store.claim("w2", 60, destination) is None


def state(store: Store, accepted: Accepted) -> str:
    return store.show(accepted.message_id).deliveries[0].state


def assert_backlog(store: Store, destination: str) -> None:
    """What is told quickly is what is there, when every row is counted."""
    counts, backlog = store.counts(destination), store.backlog(destination)
    assert backlog.deliveries == {name: count for name, count in counts.deliveries.items() if name != "done"}
    assert (backlog.oldest, backlog.untranslated) == (counts.oldest, counts.outcomes["received"])


class StoreContract:
    def test_the_database_is_told_with_its_version(self, store: Store) -> None:
        assert re.fullmatch(r"(SQLite|PostgreSQL) \d+\.\d+.*", store.software)

    # --- accepting

    def test_everything_of_a_message_is_kept(self, store: Store, clock: Clock) -> None:
        accepted = store.accept(message("C1", "p1"))
        detail = store.show(accepted.message_id)
        assert (detail.raw, detail.control_id, detail.sender) == (message("C1").raw, "C1", "PUMP|WARD")
        assert (detail.listener, detail.peer, detail.message_type) == ("main", "127.0.0.1:5000", "RAS^O17")
        assert (detail.received_at, detail.outcome, detail.ack) == (clock.now, "translated", b"ack of C1")
        (delivery,) = detail.deliveries
        assert (delivery.destination, delivery.partitions, delivery.state) == (FHIR, ("p1",), "queued")
        assert delivery.payload == b"payload of C1"

    def test_any_bytes_are_kept(self, store: Store) -> None:
        raw = bytes(range(256)) * 100
        assert store.show(store.accept(message("C1", raw=raw)).message_id).raw == raw

    def test_a_message_to_two_destinations_has_two_legs(self, store: Store) -> None:
        both = [NewDelivery("fhir", ("p1",), b"a"), NewDelivery("engine", ("p1",), b"b")]
        store.accept(inbound("C1", b"x", Result("translated", deliveries=both)))
        assert claim(store, destination="engine").payload == b"b"
        assert claim(store, destination="fhir").payload == b"a"

    def test_it_is_there_after_reopening(self, store: Store, reopen: Callable[[], Store]) -> None:
        accepted = store.accept(message("C1", "p1", records=(RecordChange("p1", 0, b"body"),)))
        again = reopen()
        assert again.show(accepted.message_id).raw == message("C1").raw
        assert again.record("p1") == (b"body", 1)
        assert claim(again).message_id == accepted.message_id

    @pytest.mark.parametrize("outcome", ["refused", "unsupported", "failed"])
    def test_what_is_not_translated_is_kept_and_listed(self, store: Store, outcome: str) -> None:
        accepted = store.accept(message("C1", outcome=outcome))
        assert nothing(store)
        (line,) = store.page(state=outcome)
        assert (line.message_id, line.state, line.delivery_id) == (accepted.message_id, outcome, 0)

    def test_an_outcome_that_is_none_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no outcome"):
            store.accept(message("C1", outcome="banana"))

    # --- duplicates

    def test_the_same_bytes_again_get_the_stored_ack_and_queue_nothing(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        again = store.accept(message("C1", "p1"))
        assert again.duplicate
        assert (again.message_id, again.ack) == (first.message_id, b"ack of C1")
        assert store.counts().deliveries["queued"] == 1
        assert store.show(first.message_id).resends == 1

    def test_other_bytes_under_the_same_control_id_are_processed_and_flagged(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        other = store.accept(message("C1", "p1", raw=b"other"))
        assert (other.duplicate, other.reused) == (False, True)
        assert store.counts().deliveries["queued"] == 2
        assert store.show(other.message_id).reused

    def test_each_of_two_bodies_under_one_control_id_is_known(self, store: Store) -> None:
        first = store.accept(message("C1", raw=b"one"))
        second = store.accept(message("C1", raw=b"two"))
        assert store.accept(message("C1", raw=b"one")).message_id == first.message_id
        assert store.accept(message("C1", raw=b"two")).message_id == second.message_id

    def test_a_control_id_belongs_to_its_sender(self, store: Store) -> None:
        store.accept(message("C1"))
        sha256 = message("C1").sha256
        assert store.seen("OTHER|WARD", "C1", sha256) is None
        known = store.seen("PUMP|WARD", "C1", sha256)
        assert known is not None
        assert known.duplicate

    def test_without_a_control_id_nothing_is_a_duplicate(self, store: Store) -> None:
        first, second = (store.accept(message("", raw=b"x")) for _ in range(2))
        assert not second.duplicate
        assert not second.reused
        assert first.message_id != second.message_id

    # --- several in one commit

    def test_a_batch_is_there_when_it_has_ended(self, store: Store, reopen: Callable[[], Store]) -> None:
        with store.batch():
            first = store.accept(message("C1", "p1", records=(RecordChange("p1", 0, b"one"),)))
            assert store.record("p1") == (b"one", 1)
            second = store.accept(message("C2", "p1", records=(RecordChange("p1", 1, b"two"),)))
            assert store.accept(message("C1", "p1")).message_id == first.message_id
        again = reopen()
        assert again.record("p1") == (b"two", 2)
        assert claim(again).message_id == first.message_id < second.message_id

    def test_what_fails_in_a_batch_takes_nothing_with_it(self, store: Store) -> None:
        with store.batch():
            store.accept(message("C1", "p1", records=(RecordChange("p1", 0, b"one"),)))
            with pytest.raises(RecordsChanged):
                store.accept(message("C2", "p1", records=(RecordChange("p1", 0, b"lost"),)))
            with pytest.raises(Unknown):
                store.show(99)
            store.accept(message("C3", "p1"))
        assert store.counts().deliveries["queued"] == 2
        assert store.seen("PUMP|WARD", "C2", message("C2").sha256) is None
        assert store.record("p1") == (b"one", 1)

    def test_a_batch_that_breaks_off_leaves_nothing(self, store: Store) -> None:
        def broken() -> None:
            with store.batch():
                store.accept(message("C1", "p1"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            broken()
        assert store.counts().outcomes["translated"] == 0
        store.accept(message("C2", "p1"))
        assert store.counts().outcomes["translated"] == 1

    def test_others_see_nothing_of_a_batch_before_its_end(self, store: Store) -> None:
        got: list[int] = []
        other = threading.Thread(target=lambda: got.append(store.counts().outcomes["translated"]))
        with store.batch():
            store.accept(message("C1", "p1"))
            other.start()
            other.join(10)  # and who counts does not wait for it
            assert got == [0]
        with store.batch():
            store.accept(message("C2", "p1"))
        assert store.counts().outcomes["translated"] == 2

    # --- records and keys

    def test_a_record_is_read_as_it_was_written(self, store: Store) -> None:
        assert store.record("p1") == (None, 0)
        store.accept(message("C1", records=(RecordChange("p1", 0, b"one"),)))
        store.accept(message("C2", records=(RecordChange("p1", 1, b"two"),)))
        assert store.record("p1") == (b"two", 2)

    @pytest.mark.parametrize("version", [0, 1, 7])
    def test_a_change_made_on_an_old_record_is_refused_whole(self, store: Store, version: int) -> None:
        store.accept(message("C1", records=(RecordChange("p1", 0, b"one"),)))
        store.accept(message("C2", records=(RecordChange("p1", 1, b"two"),)))
        with pytest.raises(RecordsChanged):
            store.accept(message("C3", "p1", records=(RecordChange("p1", version, b"lost"),)))
        assert store.record("p1") == (b"two", 2)
        assert store.seen("PUMP|WARD", "C3", message("C3").sha256) is None
        assert store.counts().deliveries["queued"] == 0

    def test_two_who_read_the_same_record_cannot_both_write(self, store: Store) -> None:
        outcomes: list[str] = []

        def fold(name: str) -> None:
            for turn in range(20):
                while True:
                    body, version = store.record("p1")
                    change = RecordChange("p1", version, (body or b"") + b".")
                    try:
                        store.accept(message(f"{name}{turn}", records=(change,)))
                        break
                    except RecordsChanged:
                        outcomes.append("again")

        threads = [threading.Thread(target=fold, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.record("p1") == (b"." * 40, 40)

    def test_a_key_leads_to_every_partition_that_carries_it(self, store: Store) -> None:
        store.accept(message("C1", keys=(Key("placer", "7|EHR", "p2"), Key("filler", "7|EHR", "p9"))))
        store.accept(message("C2", keys=(Key("placer", "7|EHR", "p1"), Key("placer", "7|EHR", "p2"))))
        assert store.lookup("placer", "7|EHR") == ["p1", "p2"]
        assert store.lookup("placer", "8|EHR") == []

    # --- committed before it is translated

    def test_a_message_without_result_waits_for_translation(self, store: Store) -> None:
        accepted = store.accept(inbound("C1", b"x", None))
        (waiting,) = store.unfinished()
        assert (waiting.message_id, waiting.raw, waiting.control_id) == (accepted.message_id, b"x", "C1")
        result = Result("translated", b"[]", b"answer", [NewDelivery(FHIR, ("p1",), b"y")])
        store.complete(accepted.message_id, result)
        assert store.unfinished() == []
        detail = store.show(accepted.message_id)
        assert (detail.answer, detail.answer_state) == (b"answer", "pending")
        assert claim(store).payload == b"y"

    def test_a_result_is_given_once(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        with pytest.raises(NotAllowed, match="is translated, which does not become refused"):
            store.complete(accepted.message_id, Result("refused"))
        with pytest.raises(Unknown):
            store.complete(99, Result("refused"))

    # --- what the sender knows

    def test_the_leg_to_the_sender(self, store: Store) -> None:
        accepted = store.accept(message("C1"))
        assert store.show(accepted.message_id).ack_state == "pending"
        store.ack_undelivered(accepted.message_id)
        assert store.show(accepted.message_id).ack_state == "undelivered"
        store.ack_delivered(accepted.message_id)
        assert store.show(accepted.message_id).ack_state == "delivered"

    def test_what_is_not_owed_is_not_delivered(self, store: Store) -> None:
        accepted = store.accept(message("C1"))
        assert store.show(accepted.message_id).answer_state == "not_owed"
        with pytest.raises(NotAllowed):
            store.ack_delivered(accepted.message_id, "answer")
        with pytest.raises(Unknown):
            store.ack_delivered(99)

    # --- order

    def test_one_partition_goes_in_order_of_acceptance(self, store: Store) -> None:
        accepted = [store.accept(message(f"C{i}", "p1")) for i in range(3)]
        for one in accepted:
            delivery = send(store)
            assert delivery.message_id == one.message_id
            assert nothing(store)
            store.settle(delivery, done())
        assert nothing(store)

    def test_partitions_do_not_wait_for_each_other(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        second = store.accept(message("C2", "p2"))
        assert claim(store).message_id == first.message_id
        assert claim(store).message_id == second.message_id

    def test_destinations_do_not_wait_for_each_other(self, store: Store) -> None:
        store.accept(message("C1", "p1", destination="fhir"))
        other = store.accept(message("C2", "p1", destination="engine"))
        assert claim(store, destination="engine").message_id == other.message_id

    def test_a_merge_is_a_barrier_in_both_partitions(self, store: Store) -> None:
        before = store.accept(message("C1", "p2"))
        merge = store.accept(message("C2", "p1", "p2"))
        store.accept(message("C3", "p1"))
        first = send(store)
        assert first.message_id == before.message_id
        assert nothing(store)
        store.settle(first, done())
        second = send(store)
        assert second.message_id == merge.message_id
        assert nothing(store)
        store.settle(second, done())
        assert send(store).message_id == 3

    @pytest.mark.parametrize("how", ["waiting", "parked"])
    def test_what_waits_holds_its_partition_and_no_other(self, store: Store, clock: Clock, how: str) -> None:
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        other = store.accept(message("C3", "p2"))
        at = clock.now + 30
        store.settle(send(store), retry(at, "busy") if how == "waiting" else park("turned down", at))
        assert claim(store).message_id == other.message_id
        assert nothing(store)
        clock.move(30)
        assert claim(store).message_id == first.message_id

    def test_parked_without_a_time_stands_until_released(self, store: Store, clock: Clock) -> None:
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        store.settle(send(store), park("two patients match"))
        clock.move(1e9)
        assert nothing(store)
        assert store.release("p2") == 0
        assert store.release("p1") == 1
        assert claim(store).message_id == first.message_id

    def test_the_dead_do_not_hold_their_partition(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        second = store.accept(message("C2", "p1"))
        store.settle(send(store), dead("never"))
        assert claim(store).message_id == second.message_id

    # --- leases

    def test_two_workers_never_hold_the_same(self, store: Store) -> None:
        for number in range(40):
            store.accept(message(f"C{number}", f"p{number % 7}"))
        got: list[int] = []

        def work(name: str) -> None:
            while delivery := store.claim(name, 60, FHIR):
                got.append(delivery.id)
                store.mark_inflight(delivery, 60)
                store.settle(delivery, done())

        threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == list(range(1, 41))

    def test_a_claim_that_ran_out_is_free(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        lost = claim(store, lease=10)
        clock.move(11)
        again = claim(store, "w2")
        assert (again.id, again.attempts) == (lost.id, 0)
        assert again.token > lost.token

    def test_in_flight_that_ran_out_is_counted_and_goes_again(self, store: Store, clock: Clock) -> None:
        accepted = store.accept(message("C1", "p1"))
        lost = claim(store, lease=10)
        store.mark_inflight(lost, 10)
        clock.move(11)
        assert claim(store, "w2").attempts == 1
        (attempt,) = store.show(accepted.message_id).deliveries[0].history
        assert (attempt.kind, attempt.worker) == ("ambiguous", "w1")

    def test_in_flight_renews_the_lease(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        delivery = claim(store, lease=10)
        store.mark_inflight(delivery, 10)
        clock.move(9)
        store.mark_inflight(delivery, 10)
        clock.move(9)
        assert nothing(store)
        store.settle(delivery, done())

    def test_who_lost_the_lease_cannot_write(self, store: Store, clock: Clock) -> None:
        accepted = store.accept(message("C1", "p1"))
        late = claim(store, lease=10)
        clock.move(11)
        now_its = claim(store, "w2")
        for write in (
            lambda: store.settle(late, done()),
            lambda: store.mark_inflight(late, 10),
            lambda: store.give_back(late),
        ):
            with pytest.raises(LeaseLost):
                write()
        store.mark_inflight(now_its, 10)
        store.settle(now_its, done())
        assert state(store, accepted) == "done"
        with pytest.raises(LeaseLost):
            store.settle(now_its, done())

    def test_given_back_is_free_at_once(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        store.give_back(claim(store))
        delivery = send(store)
        assert delivery.attempts == 0
        with pytest.raises(NotAllowed, match="only what was not sent"):
            store.give_back(delivery)

    def test_a_paused_destination_gets_nothing_and_others_do(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        store.accept(message("C2", "p2"))
        under_way = send(store)
        store.pause(FHIR, "maintenance")
        assert nothing(store)
        store.settle(under_way, done())  # what had begun ends
        store.accept(message("C3", "p3"))  # and messages are taken
        assert store.claim("w1", 60, "mirth") is None
        (one,) = store.paused()
        assert (one.destination, one.reason) == (FHIR, "maintenance")
        store.pause(FHIR, "still")
        assert [(again.reason, again.since) for again in store.paused()] == [("still", one.since)]
        assert store.resume(FHIR)
        assert not store.resume(FHIR)
        assert store.paused() == []
        assert claim(store).id < claim(store).id

    def test_a_restarted_worker_takes_back_what_it_held(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        store.accept(message("C2", "p2"))
        store.accept(message("C3", "p3"))
        claim(store)
        send(store)
        claim(store, "other")
        assert store.reclaim("w1") == 2
        assert store.reclaim("w1") == 0
        assert [claim(store).attempts for _ in range(2)] == [0, 1]
        assert nothing(store)

    def test_a_claim_whose_answer_was_lost_is_taken_back_and_no_other(self, store: Store) -> None:
        for name in ("p1", "p2", "p3"):
            store.accept(message(f"C{name}", name))
        known, sent = claim(store), send(store)
        lost = claim(store)
        assert store.reclaim("w1", but={known.id, sent.id}) == 1
        again = claim(store, "other")
        assert (again.id, again.attempts) == (lost.id, 0)
        store.give_back(known)
        store.settle(sent, done())
        with pytest.raises(LeaseLost):
            store.give_back(lost)

    def test_a_name_belongs_to_one_process_until_it_is_gone(self, store: Store, beside: Callable[[], Store]) -> None:
        other = beside()
        assert store.occupy("host/1")
        assert store.occupy("host/1")
        assert not other.occupy("host/1")
        assert other.occupy("host/2")
        store.close()
        until = time.monotonic() + 5  # PostgreSQL notices in a moment that a connection has ended
        while not other.occupy("host/1"):
            assert time.monotonic() < until

    # --- settling

    def test_only_what_was_in_flight_is_done(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        with pytest.raises(NotAllowed, match="is claimed, which does not become done"):
            store.settle(claim(store), done())

    def test_attempts_are_kept_in_order(self, store: Store, clock: Clock) -> None:
        accepted = store.accept(message("C1", "p1"))
        store.settle(send(store), retry(clock.now, "busy", kind="transient", status="503"))
        clock.move(5)
        store.settle(send(store), retry(clock.now, "no route", kind="unsent", counted=False))
        second = send(store)
        assert (second.attempts, second.rejections) == (1, 0)
        store.settle(second, park("bad", clock.now, kind="rejected", status="422"))
        third = send(store)
        assert (third.attempts, third.rejections) == (2, 1)
        store.settle(third, done(status="200"))
        (delivery,) = store.show(accepted.message_id).deliveries
        kinds = [(one.number, one.kind, one.status, one.detail) for one in delivery.history]
        assert kinds == [
            (1, "transient", "503", "busy"),
            (2, "unsent", "", "no route"),
            (3, "rejected", "422", "bad"),
            (4, "done", "200", ""),
        ]
        assert (delivery.state, delivery.reason, delivery.settled_at) == ("done", "", clock.now)

    def test_the_end_of_one_and_the_claim_of_the_next_are_one(self, store: Store) -> None:
        for number in (1, 2):
            store.accept(message(f"C{number}", "p1"))
        store.accept(message("C3", "p2"))
        first = claim(store)
        store.mark_inflight(first, 60)
        second = store.settle_and_claim(first, done({"Observation/a": 'W/"3"'}, "200"), "w1", 60)
        assert second is not None
        assert (second.message_id, second.destination, second.payload) == (2, FHIR, b"payload of C2")
        assert store.show(first.message_id).deliveries[0].state == "done"
        assert store.versions_of(FHIR, ["Observation/a"]) == {"Observation/a": 'W/"3"'}
        with pytest.raises(LeaseLost):
            store.settle_and_claim(first, done(), "w1", 60)
        with pytest.raises(NotAllowed, match="claimed, which does not become done"):
            store.settle_and_claim(second, done(), "w1", 60)
        assert claim(store).message_id == 3  # neither of them had claimed it
        store.mark_inflight(second, 60)
        assert store.settle_and_claim(second, retry(9e9, "busy"), "w1", 60) is None

    def test_versions_are_learned_with_the_settlement(self, store: Store) -> None:
        store.accept(message("C1", "p1"))
        store.settle(send(store), done({"Observation/a": 'W/"3"'}))
        assert store.versions_of(FHIR, ["Observation/a", "Observation/b"]) == {"Observation/a": 'W/"3"'}
        assert store.versions_of("engine", ["Observation/a"]) == {}

    def test_versions_are_replaced_and_forgotten(self, store: Store) -> None:
        store.learn_versions(FHIR, {"Observation/a": 'W/"1"', "Observation/b": 'W/"1"'})
        store.learn_versions(FHIR, {"Observation/a": 'W/"2"', "Observation/b": None})
        assert store.versions_of(FHIR, ["Observation/a", "Observation/b"]) == {"Observation/a": 'W/"2"'}

    # --- the operator

    @pytest.mark.parametrize("ending", [park("bad"), dead("bad"), retry(9e9, "busy")], ids=lambda it: it.state)
    def test_retry_sets_free(self, store: Store, ending: object) -> None:
        accepted = store.accept(message("C1", "p1"))
        store.settle(send(store), ending)  # type: ignore[arg-type]
        assert nothing(store)
        assert store.retry(accepted.message_id) == 1
        assert claim(store).rejections == 0

    def test_a_retried_dead_one_stands_first_again(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        second = store.accept(message("C2", "p1"))
        store.settle(send(store), dead("bad"))
        store.settle(send(store), park("bad"))
        store.retry(first.message_id)
        store.retry(second.message_id)
        assert claim(store).message_id == first.message_id
        assert nothing(store)

    def test_a_dead_one_that_was_overtaken_is_not_sent_unasked(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        store.settle(send(store), dead("bad"))
        store.settle(send(store), done())
        with pytest.raises(NotAllowed, match="overtaken by message 2"):
            store.retry(first.message_id)
        assert store.retry(first.message_id, force=True) == 1
        assert claim(store).message_id == first.message_id

    def test_a_dead_one_is_not_sent_beside_one_that_is_under_way(self, store: Store) -> None:
        """Two of one patient at once would have no order."""
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        store.settle(send(store), dead("bad"))
        later = send(store)
        with pytest.raises(NotAllowed, match="being sent at this moment"):
            store.retry(first.message_id, force=True)
        store.settle(later, done())
        assert store.retry(first.message_id, force=True) == 1

    def test_what_is_done_or_under_way_is_not_retried(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        delivery = send(store)
        with pytest.raises(NotAllowed, match="nothing to retry: inflight"):
            store.retry(accepted.message_id)
        store.settle(delivery, done())
        with pytest.raises(NotAllowed, match="nothing to retry: done"):
            store.retry(accepted.message_id)

    def test_what_was_not_translated_is_translated_again(self, store: Store) -> None:
        failed = store.accept(message("C1", outcome="failed"))
        assert store.retry(failed.message_id) == 1
        assert [one.message_id for one in store.unfinished()] == [failed.message_id]
        nothing_to_send = store.accept(message("C2", outcome="translated"))
        with pytest.raises(NotAllowed):
            store.retry(nothing_to_send.message_id)
        with pytest.raises(Unknown):
            store.retry(99)

    # --- parked by hand, sent again, rendered again, deleted

    def test_parked_by_an_operator_its_patient_waits(self, store: Store, clock: Clock) -> None:
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        other = store.accept(message("C3", "p2"))
        assert store.park(first.message_id, "by hand") == 1
        assert claim(store).message_id == other.message_id
        clock.move(1e9)
        store.accept(message("C4", "p1"))
        assert (state(store, first), store.show(first.message_id).deliveries[0].reason) == ("parked", "by hand")
        assert claim(store).message_id == other.message_id  # its lease ran out; nothing of p1 moves
        assert store.release("p1") == 1
        assert claim(store).message_id == first.message_id

    def test_what_is_under_way_or_has_ended_is_not_parked(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        delivery = send(store)
        with pytest.raises(NotAllowed, match="nothing that waits: inflight"):
            store.park(accepted.message_id, "by hand")
        store.settle(delivery, done())
        with pytest.raises(NotAllowed, match="nothing that waits: done"):
            store.park(accepted.message_id, "by hand")
        with pytest.raises(Unknown):
            store.park(99, "by hand")

    def test_a_replay_sends_the_same_again_and_holds_the_patient(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        store.settle(send(store), done(status="200"))
        (told,) = store.replay([accepted.message_id], do=False)
        assert (told.message_id, told.state, told.destination, told.overtaken_by) == (1, "done", FHIR, None)
        assert nothing(store)
        later = store.accept(message("C2", "p1"))
        store.replay([accepted.message_id])
        again = send(store)
        assert (again.message_id, again.payload) == (accepted.message_id, b"payload of C1")
        assert nothing(store)
        store.settle(again, done(status="200"))
        assert claim(store).message_id == later.message_id
        history = store.show(accepted.message_id).deliveries[0].history
        assert [one.kind for one in history] == ["done", "done"], "attempts are only added to"

    def test_a_replay_that_is_asked_for_twice_is_done_once(self, store: Store) -> None:
        number = store.accept(message("C1", "p1")).message_id
        for replays in range(3):
            store.settle(send(store), done())
            assert store.show(number).replays == replays
            if replays:
                with pytest.raises(
                    NotAllowed, match=f"message 1 was sent again (once|2 times) already.*say seen {replays}"
                ):
                    queue.replay(store, [number], who="cli me", seen=replays - 1)
            assert [one.replays for one in queue.replay(store, [number], do=False)] == [replays]
            assert nothing(store)
            queue.replay(store, [number], who="cli me", seen=replays)
        assert [(one.who, one.action, one.message_id) for one in store.audited()] == [("cli me", "replay", number)] * 3

    def test_a_rendering_that_is_asked_for_twice_is_done_once(self, store: Store) -> None:
        number = store.accept(message("C1", outcome="refused")).message_id
        queue.render_again(store, [number], who="cli me")
        store.complete(number, Result("refused"))
        with pytest.raises(NotAllowed, match="say seen 1"):
            queue.render_again(store, [number], who="cli me")
        assert store.unfinished() == []
        queue.render_again(store, [number], who="cli me", seen=1)
        assert [one.message_id for one in store.unfinished()] == [number]
        assert [(one.action, one.message_id) for one in store.audited()] == [("replay", number)] * 2

    def test_a_replay_that_is_refused_is_none(self, store: Store) -> None:
        first = store.accept(message("C1", "p1")).message_id
        store.settle(send(store), done())
        waits = store.accept(message("C2", "p2")).message_id
        for numbers in ([first, waits], [first, 99]):
            with pytest.raises((NotAllowed, Unknown)):
                queue.replay(store, numbers, who="cli me")
        send(store)
        with pytest.raises(NotAllowed, match="is being sent at this moment"):
            queue.render_again(store, [first, waits], who="cli me")
        assert (store.audited(), store.unfinished(), store.show(first).replays) == ([], [], 0)

    def test_a_replay_does_not_write_an_older_state_over_a_newer_one_unasked(self, store: Store) -> None:
        first, second = (store.accept(message(name, "p1")) for name in ("C1", "C2"))
        for _ in range(2):
            store.settle(send(store), done())
        (told,) = store.replay([first.message_id], do=False)
        assert told.overtaken_by == second.message_id
        with pytest.raises(NotAllowed, match="overtaken by message 2"):
            store.replay([first.message_id])
        assert nothing(store)
        assert store.replay([second.message_id, first.message_id])[0].overtaken_by is None
        for one in (first, second):
            delivery = send(store)
            assert delivery.message_id == one.message_id
            store.settle(delivery, done())
        store.replay([first.message_id], force=True)
        assert claim(store).message_id == first.message_id

    def test_a_replay_is_all_or_nothing(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        store.settle(send(store), done())
        waits = store.accept(message("C2", "p2"))
        with pytest.raises(NotAllowed, match="has not ended: queued"):
            store.replay([first.message_id, waits.message_id])
        with pytest.raises(Unknown):
            store.replay([first.message_id, 99])
        assert state(store, first) == "done"

    def test_nothing_is_replayed_beside_what_is_under_way(self, store: Store) -> None:
        first = store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        store.settle(send(store), done())
        send(store)
        with pytest.raises(NotAllowed, match="being sent at this moment"):
            store.replay([first.message_id], force=True)

    def test_a_replay_to_one_destination(self, store: Store) -> None:
        both = [NewDelivery("fhir", ("p1",), b"a"), NewDelivery("engine", ("p1",), b"b")]
        accepted = store.accept(inbound("C1", b"x", Result("translated", deliveries=both)))
        for destination in ("fhir", "engine"):
            delivery = claim(store, destination=destination)
            store.mark_inflight(delivery, 60)
            store.settle(delivery, done())
        assert [one.destination for one in store.replay([accepted.message_id], destination="engine")] == ["engine"]
        assert nothing(store, "fhir")
        assert claim(store, destination="engine").payload == b"b"
        with pytest.raises(NotAllowed, match="nothing was sent for it to elsewhere"):
            store.replay([accepted.message_id], destination="elsewhere")

    def test_rendered_again_it_waits_for_translation_and_what_waited_is_given_up(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        store.settle(send(store), park("turned down"))
        later = store.accept(message("C2", "p1"))
        assert store.render_again(accepted.message_id, [FHIR]) == 1
        assert [one.message_id for one in store.unfinished()] == [accepted.message_id]
        assert state(store, accepted) == "dead"
        assert claim(store).message_id == later.message_id, (
            "it stands behind: its rendering is of the patient as he is then"
        )
        store.complete(accepted.message_id, Result("translated", deliveries=[NewDelivery(FHIR, ("p1",), b"new")]))
        assert [one.state for one in store.show(accepted.message_id).deliveries] == ["dead", "queued"]

    def test_what_was_given_up_for_a_newer_rendering_is_not_replayed(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        store.render_again(accepted.message_id, [FHIR])
        store.complete(accepted.message_id, Result("translated", deliveries=[NewDelivery(FHIR, ("p1",), b"new")]))
        store.settle(send(store), done())
        assert len(store.replay([accepted.message_id])) == 1
        assert claim(store).payload == b"new"

    def test_what_is_done_is_read_in_the_order_of_acceptance(self, store: Store) -> None:
        accepted = [store.accept(message(f"C{number}", "p1", f"q{number}")) for number in range(4)]
        for ending in (done(), dead("never"), done()):
            store.settle(send(store), ending)
        first, second = store.written(FHIR, limit=5)
        assert [first.message_id, second.message_id] == [accepted[0].message_id, accepted[2].message_id]
        assert (first.payload, first.partitions) == (b"payload of C0", ("p1", "q0"))
        assert store.written(FHIR, after=first.delivery_id) == [second]
        assert store.written("engine") == []

    def test_what_is_under_way_is_not_rendered_again(self, store: Store) -> None:
        accepted = store.accept(message("C1", "p1"))
        delivery = send(store)
        with pytest.raises(NotAllowed, match="being sent at this moment"):
            store.render_again(accepted.message_id, [FHIR])
        store.settle(delivery, done())
        assert store.render_again(accepted.message_id, [FHIR]) == 0
        with pytest.raises(Unknown):
            store.render_again(99, [FHIR])

    def test_only_what_has_ended_long_ago_is_deleted(self, store: Store, clock: Clock) -> None:
        names = ("DONE", "DEAD", "PARKED")
        old = {name: store.accept(message(name, name)).message_id for name in names}
        for ending in (done(), dead("never"), park("two match")):
            store.settle(send(store), ending)
        old["REFUSED"] = store.accept(message("REFUSED", outcome="refused")).message_id
        old["KEPT"] = store.accept(message("KEPT", outcome="unsupported")).message_id
        old["WAITS"] = store.accept(inbound("WAITS", b"x", None)).message_id
        clock.move(100)
        store.accept(message("NEW", "NEW"))
        store.settle(send(store), done())
        before = clock.now - 50
        assert (store.purge(before).messages, store.purge(before).messages) == (2, 0)
        left = {row.control_id for row in store.page()}
        assert left == {"DEAD", "PARKED", "REFUSED", "WAITS", "NEW"}
        assert store.purge(before, errors_before=before).messages == 2
        assert {row.control_id for row in store.page()} == {"PARKED", "WAITS", "NEW"}
        for name in ("DONE", "DEAD"):
            with pytest.raises(Unknown):
                store.show(old[name])
        assert store.seen("PUMP|WARD", "DONE", message("DONE").sha256) is None

    def test_what_was_received_long_ago_and_sent_lately_stays(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        clock.move(100)
        store.settle(send(store), done())
        assert store.purge(clock.now - 50) == Purged(0, 0)

    def test_deleted_in_chunks_oldest_first_and_what_was_learned_stays(self, store: Store, clock: Clock) -> None:
        for number in range(5):
            changes = (RecordChange("p1", number, b"record"),)
            store.accept(message(f"C{number}", "p1", records=changes, keys=(Key("placer", "7", "p1"),)))
            store.settle(send(store), done({"Observation/a": 'W/"3"'}))
        before = store.size()
        clock.move(10)
        assert store.purge(clock.now, limit=2) == Purged(2, before * 2 // 5)
        assert [row.control_id for row in store.page()] == ["C2", "C3", "C4"]
        assert store.size() == before * 3 // 5
        assert store.record("p1") == (b"record", 5)
        assert store.versions_of(FHIR, ["Observation/a"]) == {"Observation/a": 'W/"3"'}
        assert store.lookup("placer", "7") == ["p1"]

    def test_the_messages_of_one_patient_go(self, store: Store) -> None:
        body = RecordChange("s|1", 0, b"told")
        store.accept(message("C1", "s|1", records=(body,)))
        store.settle(send(store), done())
        store.accept(message("C2", "s|1"))
        store.settle(send(store), dead("never"))
        both = [NewDelivery(FHIR, ("s|1", "s|2"), b"merge"), NewDelivery("engine", ("s|1",), b"merge")]
        store.accept(inbound("MERGE", b"x", Result("translated", deliveries=both)))
        store.settle(send(store), done())  # to the engine it is open
        store.accept(message("OTHER", "s|2"))
        store.settle(send(store), done())
        again = store.accept(message("AGAIN", "s|3")).message_id
        store.settle(send(store), done())
        store.render_again(again, [FHIR])
        store.accept(message("WAITS", "s|1"))
        assert queue.purge_patient(store, "s|1", who="cli me", do=False) == OfPatient((1, 2), (3, 6))
        assert store.of_patient("s|3") == OfPatient((), (again,))
        assert store.of_patient("s|") == store.of_patient("1") == OfPatient((), ())
        assert store.audited() == []
        assert store.purge_patient("s|1", "cli me", limit=1) == 1
        assert queue.purge_patient(store, "s|1", who="cli me", do=True).ended == (2,)
        assert [row.message_id for row in store.page()] == [3, 3, 4, again, 6]
        assert store.record("s|1") == (b"told", 1), "a later message joins it"
        assert [(one.who, one.action, one.message_id) for one in store.audited()] == [
            ("cli me", "purge", 1), ("cli me", "purge", 2),
        ]  # fmt: skip

    def test_content_goes_before_what_is_known(self, store: Store, clock: Clock) -> None:
        issues = b'[{"severity": "warning", "code": "c", "text": "ZZ", "where": "PID-5", "value": "ZZ", "hint": "ZZ"}]'
        sent = [NewDelivery(FHIR, ("p1",), b"ZZ payload")]
        told = replace(inbound("C1", b"ZZ raw", Result("translated", issues, deliveries=sent)), ack=b"the ACK")
        first = store.accept(told)
        store.settle(send(store), done())
        store.accept(message("DEAD", "p2"))
        store.settle(send(store), dead("never"))
        store.accept(message("REFUSED", outcome="refused"))
        clock.move(100)
        store.accept(message("YOUNG", "p3"))
        store.settle(send(store), done())
        before = store.show(first.message_id)
        assert store.erase(clock.now - 50) == 1
        assert store.erase(clock.now - 50) == 0
        after = store.show(first.message_id)
        assert (after.raw, after.deliveries[0].payload, after.erased_at) == (b"", b"", clock.now)
        assert after.issues == b'[{"severity": "warning", "code": "c", "where": "PID-5"}]'
        same = replace(after, raw=before.raw, issues=before.issues, erased_at=None, deliveries=before.deliveries)
        assert same == before
        assert replace(after.deliveries[0], payload=b"ZZ payload") == before.deliveries[0]
        again = store.accept(told)
        assert (again.duplicate, again.ack, again.message_id) == (True, b"the ACK", first.message_id)
        assert store.accept(replace(told, raw=b"other", sha256=sha256(b"other").digest())).reused
        assert all(store.show(number).raw for number in (2, 3, 4))

    def test_without_its_content_nothing_is_sent_or_translated_again(self, store: Store, clock: Clock) -> None:
        for number in (1, 2):
            store.accept(message(f"C{number}", "p1"))
            store.settle(send(store), done())
            clock.move(10)
        store.accept(message("UNSUPPORTED", outcome="unsupported"))
        clock.move(10)
        assert store.erase(clock.now - 25) == 1
        refused = "message {} has no content any more"
        for step in (queue.replay, queue.render_again):
            with pytest.raises(NotAllowed, match=refused.format(1)):
                step(store, [1, 2])
        assert [one.message_id for one in store.written(FHIR)] == [2]
        assert [one.message_id for one in store.messages()] == [2, 3]
        assert len(store.replay([2], do=False)) == 1
        assert store.erase(clock.now) == 2
        with pytest.raises(NotAllowed, match=refused.format(3)):
            queue.retry(store, 3)
        with pytest.raises(NotAllowed, match=refused.format(2)):
            queue.with_content(store.show(2))
        assert store.unfinished() == []
        assert (store.audited(), store.size()) == ([], 0)

    def test_messages_as_they_came(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        clock.move(10)
        for name in ("C2", "C3", "C4"):
            store.accept(message(name, outcome="refused"))
        first = store.messages(limit=2)
        assert [(one.message_id, one.outcome, one.raw) for one in first] == [
            (1, "translated", message("C1").raw), (2, "refused", message("C2").raw),
        ]  # fmt: skip
        assert [one.message_id for one in store.messages(after=2)] == [3, 4]
        assert [one.message_id for one in store.messages(since=clock.now)] == [2, 3, 4]

    def test_pages_show_each_row_once(self, store: Store) -> None:
        for number in range(7):
            store.accept(message(f"C{number}", *(["p1"] if number % 3 else [])))
        both = [NewDelivery("fhir", ("p9",), b"a"), NewDelivery("engine", ("p9",), b"b")]
        store.accept(inbound("two", b"x", Result("translated", deliveries=both)))
        seen, after = [], (0, 0)
        while rows := store.page(after=after, limit=2):
            assert len(rows) <= 2
            seen += [(row.control_id, row.destination) for row in rows]
            after = rows[-1].cursor
        expected = [(f"C{number}", "fhir" if number % 3 else "") for number in range(7)]
        assert seen == [*expected, ("two", "fhir"), ("two", "engine")]

    def test_a_page_of_one_state_and_destination(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        store.accept(message("C2", "p1"))
        store.accept(message("C3", "p3", destination="engine"))
        store.settle(send(store), park("two patients match"))
        (parked,) = store.page(state="parked")
        assert (parked.control_id, parked.reason, parked.attempts) == ("C1", "two patients match", 1)
        assert [row.control_id for row in store.page(state="queued")] == ["C2", "C3"]
        (waiting,) = store.page(state="queued", destination="fhir")
        assert waiting.behind == parked.message_id
        assert store.page(state="queued", after=(3, 3)) == []
        with pytest.raises(ValueError, match="no state"):
            store.page(state="banana")

    def test_counts(self, store: Store, clock: Clock) -> None:
        store.accept(message("C1", "p1"))
        oldest = clock.now
        clock.move(60)
        store.accept(message("C2", "p2", destination="engine"))
        store.accept(message("C3", outcome="refused"))
        counts = store.counts()
        assert (counts.outcomes["translated"], counts.outcomes["refused"], counts.oldest) == (2, 1, oldest)
        assert counts.deliveries["queued"] == 2
        assert store.counts("engine").oldest == clock.now
        store.settle(send(store), done())
        counts = store.counts("fhir")
        assert (counts.deliveries["queued"], counts.deliveries["done"], counts.oldest) == (0, 1, None)

    def test_the_backlog_is_what_is_counted_but_for_what_is_done(self, store: Store, clock: Clock) -> None:
        for number in range(8):
            store.accept(message(f"C{number}", f"p{number}", destination="engine" if number == 7 else FHIR))
            clock.move(1)
        store.accept(inbound("LATER", b"MSH|", None))
        for ending in (
            done(),
            dead("no"),
            park("two match", kind="identity"),
            retry(clock.now + 60, "busy", kind="transient"),
        ):
            store.settle(send(store), ending)
        for destination in (FHIR, "engine", "nobody"):
            assert_backlog(store, destination)
        store.mark_inflight(claim(store), 60)
        claim(store)
        for number in (3, 4, 7):  # the oldest is parked, then waits, then is in flight
            assert_backlog(store, FHIR)
            assert store.backlog(FHIR).failed == {3: "identity", 4: "transient", 7: ""}[number]
            assert store.backlog(FHIR).untranslated == 1
            if number < 7:
                store.retry(number)
                store.settle(send(store), done())

    def test_show_of_what_is_not_there(self, store: Store) -> None:
        with pytest.raises(Unknown):
            store.show(1)

    def test_after_close_every_call_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.counts()

    def test_the_audit_log_is_a_chain_that_only_grows(self, store: Store, clock: Clock) -> None:
        store.audit("http op", "view", 1)
        clock.move(1)
        store.audit("cli root", "export", 1, 2)
        store.audit("cli root", "purge", None)
        rows = store.audited()
        assert [(row.who, row.action, row.message_id) for row in rows] == [
            ("http op", "view", 1), ("cli root", "export", 1), ("cli root", "export", 2), ("cli root", "purge", None),
        ]  # fmt: skip
        assert [row.destination for row in rows] == [None] * 4
        assert (rows[0].at, rows[1].at) == ("1970-01-12T13:46:40.000+00:00", "1970-01-12T13:46:41.000+00:00")
        assert [row.number for row in store.audited(after=rows[1].number, limit=1)] == [rows[2].number]
        assert first_broken(rows) is None
        assert first_broken([rows[0], *rows[2:]]) == rows[2].number
        assert first_broken([rows[0], replace(rows[1], who="cli other"), *rows[2:]]) == rows[1].number
        with pytest.raises(ValueError, match="no action"):
            store.audit("http op", "look", 1)

    def test_the_audit_log_tells_the_destination_and_its_digest_covers_it(self, store: Store) -> None:
        store.audit("cli root", "pause", None, destination="lab")
        store.audit("cli root", "replay", 1, 2, destination="fhir")
        rows = store.audited()
        assert [(row.message_id, row.destination) for row in rows] == [(None, "lab"), (1, "fhir"), (2, "fhir")]
        assert first_broken(rows) is None
        assert first_broken([replace(rows[0], destination="fhir"), *rows[1:]]) == rows[0].number
        assert first_broken([replace(rows[0], destination=None), *rows[1:]]) == rows[0].number

    def test_the_digest_of_an_entry_without_a_destination_is_as_ever(self, store: Store) -> None:
        """Digests that somebody has kept elsewhere stay good."""
        store.audit("http op", "view", 1)
        told = "\n".join(("", "1970-01-12T13:46:40.000+00:00", "http op", "view", "1"))
        assert store.audited()[0].digest == sha256(told.encode()).hexdigest()

    def test_no_statement_changes_the_audit_log(self, store: Store) -> None:
        store.audit("http op", "view", 1)
        statements = ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"]
        (number,) = [row.number for row in store.audited()]
        row = f"(id, at, who, action, digest) VALUES ({number}, '', 'nobody', 'view', '')"
        if "sqlite" in type(store).__module__:
            statements += [f"INSERT OR REPLACE INTO audit {row}", f"REPLACE INTO audit {row}"]
        else:
            statements.append("TRUNCATE audit")
        statements.append(f"INSERT INTO audit {row} ON CONFLICT (id) DO UPDATE SET who = 'nobody'")
        for statement in statements:
            with pytest.raises(StoreError), store._database.transaction() as cursor:  # type: ignore[attr-defined]
                cursor.execute(statement)
        assert [row.who for row in store.audited()] == ["http op"]

    def test_many_may_note_at_once(self, store: Store, beside: Callable[[], Store]) -> None:
        stores = [store, beside()]
        threads = [
            threading.Thread(target=lambda one=one: [one.audit("http op", "view", number) for number in range(20)])  # type: ignore[misc]
            for one in stores
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = store.audited()
        assert len(rows) == 40
        assert first_broken(rows) is None
