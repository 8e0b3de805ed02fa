"""The contract on SQLite, and what is SQLite's own: durability, rights, plans, errors, migrations."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bulk_contract import BulkContract, small  # noqa: F401
from contract import FHIR, Clock, StoreContract, claim, message, send

from ketafhir.errors import StoreError
from ketafhir.store import sqlite_file as database
from ketafhir.store import statements as sql
from ketafhir.store.protocol import Inbound, Result, done
from ketafhir.store.sqlite import SqliteStore

WRITER = """
import hashlib, sys
from ketafhir.store.protocol import Inbound, NewDelivery, RecordChange, Result
from ketafhir.store.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])
version = store.record("p")[1]
for number in range(version, 100_000):
    raw = b"%d" % number * 500
    record = RecordChange("p", number, b"%d" % number)
    result = Result("translated", deliveries=[NewDelivery("fhir", ("p",), raw)], records=[record])
    store.accept(Inbound(raw, hashlib.sha256(raw).digest(), "l", "h", "s", str(number), "t", b"AA", result))
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "store.db"


@pytest.fixture
def place(path: Path) -> Path:
    return path


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, clock=clock)
    yield opened
    opened.close()


class TestContract(StoreContract):
    pass


class TestBulk(BulkContract):
    pass


def test_kill_in_mid_accept_loses_nothing_acknowledged(path: Path) -> None:
    """`print` stands where the ACK would: what was printed is there, and no record without its message."""
    acknowledged = -1
    for patience in (5, 37, 90):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            for _ in range(patience):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith(b"\n"))])
        writer.wait()
        store = SqliteStore(path)
        body, version = store.record("p")
        assert body is not None
        assert int(body) == version - 1 >= acknowledged
        assert store.counts().outcomes["translated"] == store.counts().deliveries["queued"] == version
        assert store.show(acknowledged + 1).raw == b"%d" % acknowledged * 500
        store.close()


def test_every_commit_is_synced(store: SqliteStore) -> None:
    with store._database.reading() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_the_files_are_for_their_owner_alone(store: SqliteStore, path: Path) -> None:
    store.accept(message("C1", "p1"))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_a_file_open_to_others_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(StoreError, match=rf"open to other users \(mode {mode:04o}\): chmod 600"):
            SqliteStore(path)


@pytest.mark.parametrize("mode", [0o777, 0o702])
def test_a_folder_in_which_every_user_can_replace_files_is_refused(store: SqliteStore, path: Path, mode: int) -> None:
    store.close()
    path.parent.chmod(mode)
    with pytest.raises(StoreError, match=f"mode {mode:04o}.*chmod 700"):
        SqliteStore(path)
    for fine in (0o755, 0o1777):  # as /tmp is: nobody replaces what is another's
        path.parent.chmod(fine)
        SqliteStore(path).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_what_another_user_has_put_beside_the_store_is_not_taken_for_ours(
    store: SqliteStore, path: Path, suffix: str
) -> None:
    store.close()
    beside = path.with_name(path.name + suffix)
    beside.touch()
    os.chown(beside, 65534, 65534)
    with pytest.raises(StoreError, match=f"{suffix} belongs to another user"):
        SqliteStore(path)


def test_nothing_is_taken_into_a_file_that_was_moved_away(store: SqliteStore, path: Path) -> None:
    """It was acknowledged, and gone after the next start."""
    store.accept(message("C1", "p1"))
    moved = path.with_name("moved")
    path.rename(moved)
    for _ in range(2):
        with pytest.raises(StoreError, match="is not where it was"):
            store.accept(message("C2", "p1"))
    path.touch(0o600)  # another file in its place, as after a restore
    with pytest.raises(StoreError, match="is not where it was"), store.batch():
        store.accept(message("C2", "p1"))
    moved.replace(path)
    store.accept(message("C2", "p1"))
    assert store.counts().outcomes["translated"] == 2


def test_what_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*absent.db: `ketafhir serve` makes it"):
        SqliteStore(tmp_path / "absent.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("create", [False, True])
def test_a_directory_is_no_store_and_stays_as_it_is(tmp_path: Path, create: bool) -> None:
    """It was said to be open to other users, and `chmod 600` would have shut it for its owner."""
    mode = tmp_path.stat().st_mode
    with pytest.raises(StoreError, match=r"is a directory: name the file in it, such as .*/ketafhir.sqlite"):
        SqliteStore(tmp_path, create=create)
    assert tmp_path.stat().st_mode == mode


@pytest.mark.parametrize("create", [False, True])
def test_a_pipe_is_no_store_and_nobody_waits_for_it(tmp_path: Path, create: bool) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(StoreError, match="no store of ketafhir"):
        SqliteStore(tmp_path / "pipe", create=create)


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear colleague, " * 100)
    other.chmod(0o600)
    with pytest.raises(StoreError, match=r"no store of ketafhir: name the file of \[store\] path"):
        SqliteStore(other)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("version", [0, 2, 999])
def test_a_database_of_something_else_is_left_as_it_was(tmp_path: Path, create: bool, version: int) -> None:
    """Tables of ours were made in it, and its journal mode was changed."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE patients (name TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    other.chmod(0o600)
    before = other.read_bytes()
    with pytest.raises(StoreError, match="no store of ketafhir"):
        SqliteStore(other, create=create)
    assert other.read_bytes() == before


def test_an_empty_file_becomes_a_store_only_when_asked(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch(0o600)
    with pytest.raises(StoreError, match="no store of ketafhir"):
        SqliteStore(empty, create=False)
    assert empty.stat().st_size == 0
    SqliteStore(empty).close()
    SqliteStore(empty, create=False).close()


def test_a_store_of_a_newer_version_is_left_alone(store: SqliteStore, path: Path) -> None:
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match=r"newer ketafhir \(schema 999, known \d+\): use that version, or restore"):
        SqliteStore(path)


def test_a_full_disk_keeps_what_was_there_and_says_so(store: SqliteStore) -> None:
    kept = store.accept(message("C1", "p1"))
    connection = store._database._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(StoreError, match="the disk is full"):
        store.accept(message("C2", "p1", raw=b"x" * 100_000))
    assert store.counts().outcomes["translated"] == 1
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    store.accept(message("C2", "p1"))
    assert claim(store).message_id == kept.message_id


def test_a_read_only_store_says_so(store: SqliteStore) -> None:
    connection = store._database._connection
    assert connection is not None
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="only be read"):
        store.accept(message("C1"))


def test_a_store_locked_by_another_process_says_so(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = store._database._connection
    assert connection is not None
    connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="holds the lock"):
        store.accept(message("C1"))
    other.execute("ROLLBACK")
    other.close()
    store.accept(message("C1"))


def test_attempts_cannot_be_changed(store: SqliteStore, clock: Clock) -> None:
    store.accept(message("C1", "p1"))
    claim(store)
    store.reclaim("w1")
    store.mark_inflight(claim(store), 1)
    store.reclaim("w1")
    with pytest.raises(StoreError, match="never changed"), store._database.transaction() as cursor:
        cursor.execute("UPDATE attempt SET kind = 'done'")
    with pytest.raises(StoreError, match="never changed"), store._database.transaction() as cursor:
        cursor.execute("INSERT OR REPLACE INTO attempt SELECT * FROM attempt")


def test_a_failed_migration_leaves_nothing(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0001_bad.sql").write_text("CREATE TABLE a (b);\nCREATE TABLE a (b);\n")
    with monkeypatch.context() as patch:
        patch.setattr(database, "_MIGRATIONS", tmp_path)
        with pytest.raises(StoreError, match="already exists"):
            SqliteStore(path)
    SqliteStore(path).close()


def test_migrations_are_run_once_each_in_order(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE message (b); -- with a note\nCREATE TABLE delivery (b);\n")
    monkeypatch.setattr(database, "_MIGRATIONS", tmp_path)
    SqliteStore(path).close()
    (tmp_path / "0002_second.sql").write_text("INSERT INTO message VALUES (1);\n")
    for _ in range(2):
        SqliteStore(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT b FROM message").fetchall() == [(1,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (sql.SAME_CONTROL_ID, ("s", "c")),
        (sql.UNFINISHED, (1,)),
        (sql.CLAIM_NEXT, ("w", 9.0, "d", 1.0, "d")),
        (sql.EXPIRED, (1.0,)),
        (sql.HELD_BY, ("w",)),
        (sql.HELD, (1, 1)),
        (sql.CLOSE_PARTITIONS, (1,)),
        (sql.OVERTAKEN_BY, (1,)),
        (sql.PARTITIONS_OF_ALIAS, ("k", "t")),
        (sql.VERSIONS, ("d", *("r" * sql.VERSIONS_AT_ONCE))),
        (sql.LIST, (0, 0, 0, None, None, 1)),
        (sql.LIST_DELIVERIES, ("queued", 0, 0, 0, None, None, 1)),
        (sql.LIST_OUTCOMES, ("refused", 0, None, 1)),
        (sql.DELIVERIES, (1,)),
        (sql.ATTEMPTS, (1,)),
        (sql.FIRST_SINCE, (1.0,)),
        (sql.LAST_UNTIL, (1.0,)),
        (sql.NEXT_DESTINATION, ("a",)),
        (sql.CHOSEN_OLDEST, ("d", "dead", "r", 1, 9, 0, 0, 1)),
        (sql.CHOSEN_NEWEST, ("d", "dead", "r", 1, 9, 10, 0, 1)),
        (sql.CHOSEN_MESSAGES, ("refused", 1, 9, 0, 1)),
        (sql.OVERTAKEN_BEYOND, (1, 1)),
        (sql.REPLAYS, (1,)),
        (sql.OF_PATIENT, ("s|1",)),
        (sql.UNERASED, (1.0, 1.0, 1)),
        (sql.WRITTEN, ("fhir", 0, 1)),
        (sql.ENDED_DELIVERIES, (1, None, None)),
        (sql.MESSAGE, (1,)),
        (sql.COUNT_STATE, ("d", "queued")),
        (sql.COUNT_UNTRANSLATED, ()),
        (sql.OLDEST_WAITING, ("d", "d", "d")),
        (sql.ENDED_WELL.replace(" FOR UPDATE OF m SKIP LOCKED", ""), (1.0, 1.0, 1)),
        (sql.ENDED_IN_TROUBLE.replace(" FOR UPDATE OF m SKIP LOCKED", ""), (1.0, 1.0, 1)),
    ],
)
def test_no_plan_reads_a_whole_table(store: SqliteStore, statement: str, parameters: tuple[object, ...]) -> None:
    with store._database.reading() as cursor:
        plan = [row[3] for row in cursor.execute("EXPLAIN QUERY PLAN " + statement, parameters)]
    assert plan
    assert not [step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step], plan


def test_what_is_looked_for_to_be_erased_has_content_still(store: SqliteStore) -> None:
    """However many there are of which it is gone."""
    with store._database.reading() as cursor:
        plan = [row[3] for row in cursor.execute("EXPLAIN QUERY PLAN " + sql.UNERASED, (1.0, 1.0, 1))]
    assert "message_content" in plan[0], plan
    assert "received_at<" in plan[0], plan


def test_what_is_asked_again_and_again_costs_the_same_however_much_is_done(store: SqliteStore) -> None:
    """What /metrics and /readyz ask, in steps of SQLite's own machine: an index that is read whole is a search in the plan too."""
    steps: list[int] = []
    for number in range(400):
        store.accept(message(f"C{number}", f"p{number}"))
        store.settle(send(store), done())
        if number in (9, 399):
            steps.append(_steps(store))
    assert steps[1] < steps[0] * 1.2


def _steps(store: SqliteStore) -> int:
    connection = store._database._connection
    assert connection is not None
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    connection.set_progress_handler(count, 1)
    store.paused()
    store.backlog(FHIR)
    store.learn_versions("", {})
    connection.set_progress_handler(None, 0)
    assert counted[0]
    return counted[0]


def test_nothing_of_a_patient_stands_in_a_repr(store: SqliteStore) -> None:
    canary = b"ZZCANARY"
    body = b"MSH|" + canary
    store.accept(message("C1", "ZZCANARY", raw=body))
    delivery = claim(store)
    incoming = Inbound(body, b"", "l", "h", "s", "c", "t", canary, Result("refused", canary, canary))
    shown = repr([delivery, incoming, store.show(1), message("C1", "ZZCANARY"), store.page()])
    assert "ZZCANARY" not in shown


def test_an_unwritable_place(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = tmp_path / "file"
        target.write_text("")
        with pytest.raises(StoreError, match=r"Not a directory|exists"):
            SqliteStore(target / "store.db")
    else:
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match="Permission denied"):
            SqliteStore(tmp_path / "store.db")
