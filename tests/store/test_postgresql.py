"""The contract on PostgreSQL, and what is PostgreSQL's own: its crashes, its locks, its errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from bulk_contract import BulkContract, small  # noqa: F401
from contract import Clock, StoreContract, claim, message

from ketafhir.errors import StoreError
from ketafhir.store import statements as sql
from ketafhir.store.protocol import Delivery, dead, done
from postgresql_server import PostgresServer

if TYPE_CHECKING:
    from ketafhir.store.postgresql import PostgresStore


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    return postgresql.url()


@pytest.fixture
def place(url: str) -> str:
    return url


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[PostgresStore]:
    from ketafhir.store.postgresql import PostgresStore

    opened = PostgresStore(url, clock=clock)
    yield opened
    opened.close()


class TestContract(StoreContract):
    pass


class TestBulk(BulkContract):
    pass


def test_what_was_accepted_outlives_a_crash_and_the_store_goes_on(
    postgresql: PostgresServer, store: PostgresStore
) -> None:
    accepted = store.accept(message("C1", "p1"))
    postgresql.kill()
    with pytest.raises(StoreError, match="no connection"):
        store.accept(message("C2", "p1"))
    postgresql.start()
    assert claim(store).message_id == accepted.message_id
    store.accept(message("C2", "p1"))


def test_claims_do_not_wait_for_each_other(store: PostgresStore) -> None:
    """Row locks of one claimer hold no other up: it takes the next patient."""
    store.accept(message("C1", "p1"))
    store.accept(message("C2", "p2"))
    with store._database.transaction() as cursor:
        assert cursor.execute(sql.CLAIM_NEXT, ("w2", 1e9, "fhir", 1e9, "fhir")).fetchone()[1] == 1
        assert claim(store).message_id == 2


def test_an_operator_waits_for_claims_under_way(store: PostgresStore) -> None:
    """A dead delivery that is put back while its follower is being claimed would go beside it."""
    first = store.accept(message("C1", "p1"))
    store.accept(message("C2", "p1"))
    store.settle(claim(store), dead("bad"))
    retried = threading.Event()

    def retry() -> None:
        with pytest.raises(StoreError, match="overtaken"):
            store.retry(first.message_id)
        retried.set()

    with store._database.transaction() as cursor:
        cursor.claiming()
        operator = threading.Thread(target=retry)
        operator.start()
        assert not retried.wait(0.2)
        cursor.execute(sql.CLAIM_NEXT, ("w1", 1e9, "fhir", 1e9, "fhir"))
    operator.join()
    assert retried.is_set()


def test_settling_with_a_claim_and_an_operator_do_not_wait_for_each_other(store: PostgresStore) -> None:
    """Who settles and claims waits for the operator before he locks the row that the operator is after."""
    first = store.accept(message("C1", "p1"))
    store.accept(message("C2", "p1"))
    delivery = claim(store)
    store.mark_inflight(delivery, 60)
    got: list[object] = []
    worker = threading.Thread(target=lambda: got.append(store.settle_and_claim(delivery, done(), "w1", 60)))
    with store._database.transaction() as cursor:
        cursor.reordering()
        worker.start()
        worker.join(0.2)
        assert worker.is_alive()
        cursor.execute(sql.DELIVERY_STATES, (first.message_id,))  # no "two transactions waited for each other"
    worker.join()
    assert [one.message_id for one in got if isinstance(one, Delivery)] == [2]


def test_one_message_told_to_two_processes_is_one(store: PostgresStore, url: str) -> None:
    other = type(store)(url)
    got: list[bool] = []
    barrier = threading.Barrier(2)

    def accept(one: PostgresStore) -> None:
        for number in range(20):
            barrier.wait()
            got.append(one.accept(message(f"C{number}", "p1")).duplicate)

    threads = [threading.Thread(target=accept, args=(one,)) for one in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert got.count(True) == got.count(False) == 20


def test_any_text_can_be_a_key(store: PostgresStore) -> None:
    """NUL, and more than a row of an index holds."""
    long = "".join(chr(0x4E00 + number % 20000) for number in range(0, 200_000, 7))[:5000]
    store.accept(message("a\0b", "p\0", long, long + "x"))
    assert store.seen("PUMP|WARD", "a\0b", message("a\0b").sha256)
    assert not store.seen("PUMP|WARD", "ab", message("a\0b").sha256)
    assert len(store.show(1).deliveries[0].partitions) == 3
    delivery = claim(store)
    store.mark_inflight(delivery, 5)
    store.settle(delivery, done())


def test_attempts_cannot_be_changed(store: PostgresStore) -> None:
    store.accept(message("C1", "p1"))
    store.settle(claim(store), dead("bad"))
    with pytest.raises(StoreError), store._database.transaction() as cursor:
        cursor.execute("UPDATE attempt SET kind = 'done'")


def test_errors_tell_neither_password_nor_row(store: PostgresStore, url: str) -> None:
    with pytest.raises(StoreError) as raised, store._database.transaction() as cursor:
        cursor.execute("INSERT INTO alias VALUES ('ZZCANARY', 'x', 'y'), ('ZZCANARY', 'x', 'y')")
    assert "ZZCANARY" not in str(raised.value)
    assert raised.value.__cause__ is None
    with pytest.raises(StoreError) as raised:
        type(store)("postgresql://somebody:secret@/absent?host=/nowhere")
    assert "secret" not in str(raised.value)
    assert "somebody" not in str(raised.value)
    with pytest.raises(StoreError, match="no URL"):
        type(store)("postgresql://secret:@:what/?host")


def test_a_store_of_a_newer_version_is_left_alone(store: PostgresStore, url: str) -> None:
    with store._database.transaction() as cursor:
        cursor.execute("INSERT INTO ketafhir_schema VALUES (999)")
    with pytest.raises(StoreError, match=r"newer ketafhir .* use that version, or restore"):
        type(store)(url)


def test_a_store_is_not_made_unasked(postgresql: PostgresServer, store: PostgresStore) -> None:
    """`ketafhir queue` with the wrong database made its tables there."""
    url = postgresql.url()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"there is no store in postgresql://.*`ketafhir serve` makes it"):
            type(store)(url, create=False)
    type(store)(url).close()
    type(store)(url, create=False).close()


def test_a_claim_among_many_settled_is_quick(store: PostgresStore) -> None:
    """The plan of a claim looks at the head of the queue, whatever is behind or before it."""
    with store._database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO message (listener, peer, sender, control_id, message_type, media_type, received_at, raw,"
            " sha256, outcome, issues, ack_state, answer_state)"
            " SELECT '', '', '', n::text, '', '', 0, '', '', 'translated', '', '', '' FROM generate_series(1, 20000) n"
        )
        cursor.execute(
            "INSERT INTO delivery (message_id, destination, payload, state, not_before, created_at)"
            " SELECT n, 'fhir', '', CASE WHEN n < 15000 THEN 'done' ELSE 'queued' END, 0, 0 FROM generate_series(1, 20000) n"
        )
        cursor.execute(
            "INSERT INTO delivery_partition (part_key, destination, delivery_id, open)"
            " SELECT 'p' || mod(n, 500), 'fhir', n, (n >= 15000)::int FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE")
        plan = "\n".join(row[0] for row in cursor.execute("EXPLAIN " + sql.CLAIM_NEXT, ("w", 9.0, "fhir", 1.0, "fhir")))
    assert "Seq Scan" not in plan.replace("Seq Scan on paused", ""), plan  # it has a row for each destination at most
    assert "delivery_waiting" in plan


@pytest.mark.parametrize("statement", [sql.REPLAYS, sql.MESSAGE])
def test_replays_are_counted_without_reading_the_audit_log(store: PostgresStore, statement: str) -> None:
    with store._database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO audit (at, who, action, message_id, digest) SELECT '', '',"
            " CASE WHEN mod(n, 10) = 0 THEN 'replay' ELSE 'view' END, n / 2, '' FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE")
        plan = "\n".join(row[0] for row in cursor.execute("EXPLAIN " + statement, (1,)))
    assert "audit_replay" in plan


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (sql.LIST, (15000, 15000, 0, None, None, 50)),
        (sql.LIST_DELIVERIES, ("queued", 15000, 15000, 0, None, None, 50)),
        (sql.LIST_DELIVERIES, ("done", 9000, 9000, 0, "fhir", "fhir", 50)),
        (sql.LIST_OUTCOMES, ("refused", 15000, None, 50)),
        (sql.DELIVERIES, (15000,)),
        (sql.ATTEMPTS, (15000,)),
    ],
)
def test_no_page_of_the_list_reads_all_that_is_kept(
    store: PostgresStore, statement: str, parameters: tuple[object, ...]
) -> None:
    with store._database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO message (listener, peer, sender, control_id, message_type, media_type, received_at, raw,"
            " sha256, outcome, issues, ack_state, answer_state)"
            " SELECT '', '', '', n::text, '', '', n, '', '', CASE WHEN mod(n, 10) = 0 THEN 'refused' ELSE 'translated' END,"
            " '', '', '' FROM generate_series(1, 20000) n"
        )
        cursor.execute(
            "INSERT INTO delivery (message_id, destination, payload, state, not_before, created_at)"
            " SELECT n, 'fhir', '', CASE WHEN n < 15000 THEN 'done' ELSE 'queued' END, 0, 0 FROM generate_series(1, 20000) n"
            " WHERE mod(n, 10) > 0"
        )
        cursor.execute(
            "INSERT INTO delivery_partition (part_key, destination, delivery_id, open)"
            " SELECT 'p' || mod(id, 500), 'fhir', id, CASE WHEN state = 'done' THEN 0 ELSE 1 END FROM delivery"
        )
        cursor.execute(
            "INSERT INTO attempt (delivery_id, worker, started_at, ended_at, kind, status, detail)"
            " SELECT id, 'w', 0, 0, 'done', '200', '' FROM delivery"
        )
        cursor.execute("ANALYZE")
        plan = "\n".join(row[0] for row in cursor.execute("EXPLAIN " + statement, parameters))
    assert "Seq Scan" not in plan, plan
