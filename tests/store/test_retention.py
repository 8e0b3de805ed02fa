"""Retention by age and size, copies of the store, and stores of older schemas."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
from contract import Clock, inbound, message, send

from ketafhir import cli
from ketafhir.errors import StoreError
from ketafhir.store import backup, sqlite_file
from ketafhir.store import statements as sql
from ketafhir.store.protocol import NewDelivery, RecordChange, Result, dead, done
from ketafhir.store.retention import Retention, sweep
from ketafhir.store.sqlite import SqliteStore
from postgresql_server import PostgresServer

DAY = 86400.0


def filled(store: SqliteStore, clock: Clock) -> None:
    """One that is done, one dead, one refused, one that waits, each day for ten days."""
    for day in range(10):
        store.accept(message(f"DONE{day}", f"p{day}", raw=b"x" * 1000))
        store.settle(send(store), done())
        store.accept(message(f"DEAD{day}", f"q{day}"))
        store.settle(send(store), dead("never"))
        store.accept(message(f"REFUSED{day}", outcome="refused"))
        store.accept(inbound(f"WAITS{day}", b"w", None))
        clock.move(DAY)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[SqliteStore, Clock]:
    clock = Clock()
    store = SqliteStore(tmp_path / "s.db", clock=clock)
    filled(store, clock)
    return store, clock


def left(store: SqliteStore) -> dict[str, int]:
    names = [row.control_id.rstrip("0123456789") for row in store.page(limit=100)]
    return {name: names.count(name) for name in ("DONE", "DEAD", "REFUSED", "WAITS")}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Retention(), {"DONE": 10, "DEAD": 10, "REFUSED": 10}),
        (Retention(days=3.5), {"DONE": 3, "DEAD": 10, "REFUSED": 10}),
        (Retention(days=3.5, error_days=7.5), {"DONE": 3, "DEAD": 7, "REFUSED": 7}),
        (Retention(megabytes=0.0051), {"DONE": 4, "DEAD": 10, "REFUSED": 10}),
        (Retention(megabytes=0.000001), {"DONE": 0, "DEAD": 10, "REFUSED": 10}),
    ],
)
def test_what_goes(
    kept: tuple[SqliteStore, Clock], monkeypatch: pytest.MonkeyPatch, keep: Retention, expected: dict[str, int]
) -> None:
    monkeypatch.setattr("ketafhir.store.retention._CHUNK", 2)
    store, clock = kept
    measured: list[int] = []
    size = store.size
    monkeypatch.setattr(store, "size", lambda: measured.append(size()) or measured[-1])
    sweep(store, keep, clock.now)
    assert left(store) == {**expected, "WAITS": 10}
    assert len(measured) == (1 if keep.megabytes else 0)  # it reads every row
    store.close()


def test_the_file_gets_smaller(kept: tuple[SqliteStore, Clock], tmp_path: Path) -> None:
    store, clock = kept
    for number in range(50):
        store.accept(message(f"BIG{number}", "p", raw=bytes(100_000)))
        store.settle(send(store), done())
    before = pages(store)
    clock.move(DAY)
    sweep(store, Retention(days=0.5, error_days=0.5), clock.now)
    assert pages(store) < before / 2
    store.close()


def pages(store: SqliteStore) -> int:
    connection = store._database._connection
    assert connection is not None
    return int(connection.execute("PRAGMA page_count").fetchone()[0])


def test_of_what_is_deleted_no_byte_is_left_in_the_files(tmp_path: Path) -> None:
    """`PRAGMA secure_delete` empties the pages, and the WAL is emptied behind it."""
    clock = Clock()
    store = SqliteStore(tmp_path / "s.db", clock=clock)
    beside = SqliteStore(tmp_path / "s.db")  # an operator's, which keeps the WAL alive

    def marked(mark: bytes) -> bool:
        return any(mark in file.read_bytes() for file in tmp_path.glob("s.db*"))

    for number in range(30):
        body = b"MSH|ZZRAW%d|" % number + b"ZZRAW " * 700 * (number % 3)
        sent = [NewDelivery("fhir", (f"ZZPATIENT{number}",), b"ZZBUNDLE " * (number * 40 + 1))]
        issues = b'[{"severity": "warning", "code": "c", "value": "ZZVALUE"}]'
        store.accept(inbound(f"ZZCONTROL{number}", body, Result("translated", issues, deliveries=sent)))
        store.settle(send(store), done())
    assert all(marked(mark) for mark in (b"ZZRAW", b"ZZBUNDLE", b"ZZVALUE", b"ZZPATIENT", b"ZZCONTROL"))
    clock.move(2 * DAY)
    sweep(store, Retention(content_days=1), clock.now)
    assert [mark for mark in (b"ZZRAW", b"ZZBUNDLE", b"ZZVALUE") if marked(mark)] == []
    assert marked(b"ZZCONTROL"), "what is known of it stays"
    sweep(store, Retention(days=1), clock.now)
    assert not marked(b"ZZ")
    beside.close()
    store.close()


def test_content_goes_in_small_steps_and_before_the_rest(
    kept: tuple[SqliteStore, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ketafhir.store.retention._CHUNK", 2)
    store, clock = kept
    sweep(store, Retention(days=7.5, content_days=3.5), clock.now)
    assert left(store) == {"DONE": 7, "DEAD": 10, "REFUSED": 10, "WAITS": 10}
    erased = [store.show(row.message_id) for row in store.page(limit=100)]
    assert [one.control_id for one in erased if one.erased_at] == [f"DONE{day}" for day in range(3, 7)]
    store.close()


# --- copies


def test_a_copy_is_made_while_the_store_is_written(kept: tuple[SqliteStore, Clock], tmp_path: Path) -> None:
    store, _ = kept
    stopping = threading.Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            store.accept(message(f"MORE{number}", "p"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup.save(tmp_path / "s.db", tmp_path / "copy.db")
    finally:
        stopping.set()
        writer.join()
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    copied = SqliteStore(tmp_path / "copy.db", create=False)
    assert left(copied) == left(store)
    copied.close()
    store.close()


def test_saved_and_restored_all_is_there(
    kept: tuple[SqliteStore, Clock], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = kept
    before = store.show(1)
    words = ["--store", str(tmp_path / "s.db")]
    assert cli.main(["backup", "save", str(tmp_path / "copy.db"), *words]) == 0
    assert cli.main(["backup", "restore", str(tmp_path / "copy.db"), *words]) == 1
    assert "is still there" in capsys.readouterr().err
    store.close()
    for file in tmp_path.glob("s.db*"):
        file.unlink()
    assert cli.main(["backup", "restore", str(tmp_path / "copy.db"), *words]) == 0
    again = SqliteStore(tmp_path / "s.db", create=False)
    assert again.show(1) == before
    assert again.accept(message("DONE0", "p0", raw=b"x" * 1000)).duplicate
    again.close()


def test_what_is_no_store_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="not a database"):
        backup.restore(tmp_path / "text", tmp_path / "s.db")
    with pytest.raises(StoreError, match="there is no file"):
        backup.save(tmp_path / "absent.db", tmp_path / "copy.db")
    assert not (tmp_path / "s.db").exists()
    (tmp_path / "there").write_text("mine")
    SqliteStore(tmp_path / "s.db").close()
    with pytest.raises(StoreError, match="File exists"):
        backup.save(tmp_path / "s.db", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_a_backup_of_what_is_no_store_is_none(tmp_path: Path) -> None:
    """It was said to be whole."""
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    (tmp_path / "empty.db").touch()
    for name in ("other.db", "empty.db"):
        with pytest.raises(StoreError, match="no store of ketafhir"):
            backup.save(tmp_path / name, tmp_path / "copy.db")
        with pytest.raises(StoreError, match="no store of ketafhir"):
            backup.restore(tmp_path / name, tmp_path / "new" / "s.db")
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "new" / "s.db").exists()


def test_a_store_is_restored_into_a_folder_that_is_gone(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "s.db").close()
    backup.save(tmp_path / "s.db", tmp_path / "copy.db")
    backup.restore(tmp_path / "copy.db", tmp_path / "gone" / "s.db")
    assert (tmp_path / "gone").stat().st_mode & 0o777 == 0o700
    SqliteStore(tmp_path / "gone" / "s.db", create=False).close()


def test_postgresql_is_saved_and_restored_by_its_own_means(tmp_path: Path, postgresql: PostgresServer) -> None:
    from ketafhir.store.postgresql import PostgresStore

    dump, restore = (find(name) for name in ("pg_dump", "pg_restore"))
    url, other = database(postgresql, "saved"), database(postgresql, "restored")
    store = PostgresStore(url)
    store.accept(message("C1", "p1"))
    store.settle(send(store), done({"Observation/a": 'W/"3"'}))
    before = store.show(1)
    subprocess.run([dump, "--format=custom", f"--file={tmp_path / 'copy'}", url], check=True, timeout=60)
    subprocess.run([restore, "--no-owner", f"--dbname={other}", str(tmp_path / "copy")], check=True, timeout=60)
    again = PostgresStore(other)
    assert again.show(1) == before
    assert again.versions_of("fhir", ["Observation/a"]) == {"Observation/a": 'W/"3"'}
    assert again.accept(message("C2", "p1")).message_id > 1
    store.close()
    again.close()


def database(server: PostgresServer, name: str) -> str:
    """The URL of a new database."""
    import psycopg

    url = server.url().partition("&options=")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return url.replace("/postgres?", f"/{name}?")


def find(name: str) -> str:
    found = shutil.which(name) or next(
        (str(one) for one in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        pytest.skip(f"{name} is missing")
    return found


# --- older schemas


def oldest(patched: pytest.MonkeyPatch, folder: Path, migrations: Path) -> Path:
    """The first schema, and the statements that know a later table as they were then."""
    paused = "NOT EXISTS (SELECT 1 FROM paused WHERE paused.destination = ?)"
    assert paused in sql.CLAIM_NEXT
    patched.setattr(sql, "CLAIM_NEXT", sql.CLAIM_NEXT.replace(paused, "d.destination = ?"))
    replays = "(SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = message.id)"
    assert f"erased_at,\n       {replays}" in sql.MESSAGE
    patched.setattr(sql, "MESSAGE", sql.MESSAGE.replace(replays, "0").replace("erased_at", "NULL"))
    (folder / "old").mkdir()
    shutil.copy(sorted(migrations.glob("[0-9]*.sql"))[0], folder / "old")
    return folder / "old"


def test_a_store_of_the_oldest_schema_is_brought_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_file, "_MIGRATIONS", oldest(patched, tmp_path, sqlite_file._MIGRATIONS))
        store = SqliteStore(tmp_path / "s.db")
        store.accept(message("C1", "p1", records=(RecordChange("p1", 0, b"told"),)))
        store.settle(send(store), done({"Observation/a": 'W/"3"'}))
        before = store.show(1)
        store.close()
    again = SqliteStore(tmp_path / "s.db")
    assert again.show(1) == before
    assert again.record("p1") == (b"told", 1)
    again.audit("me", "view", 1)
    again.accept(message("C2", "p1"))
    assert send(again).message_id == 2
    again.close()


def test_a_postgresql_store_of_the_oldest_schema_is_brought_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql: PostgresServer
) -> None:
    from ketafhir.store import postgresql as module

    url = postgresql.url()
    with monkeypatch.context() as patched:
        patched.setattr(module, "_MIGRATIONS", oldest(patched, tmp_path, module._MIGRATIONS))
        store = module.PostgresStore(url)
        store.accept(message("C1", "p1", records=(RecordChange("p1", 0, b"told"),)))
        store.settle(send(store), done())
        before = store.show(1)
        store.close()
    again = module.PostgresStore(url)
    assert again.show(1) == before
    assert again.record("p1") == (b"told", 1)
    again.audit("me", "view", 1)
    again.accept(message("C2", "p1"))
    assert send(again).message_id == 2
    again.close()
