"""`ketafhir backup save|restore`: a copy of an SQLite store while the service runs, and a store from a copy.

The copy is one consistent state (sqlite.org/backup.html) and is checked before it is called one. A store on PostgreSQL is
saved by its own means (`pg_dump`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
from pathlib import Path

from ketafhir.errors import StoreError
from ketafhir.store.opening import is_url
from ketafhir.store.sqlite import SqliteStore
from ketafhir.store.sqlite_file import check_ours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two actions."""
    parser.epilog = "Exit code: 0 the copy is whole; 1 refused, and nothing is left behind; 2 usage."
    actions = parser.add_subparsers(dest="action", required=True, metavar="save|restore")
    saving = actions.add_parser("save", help="copy the store; the service may run")
    restoring = actions.add_parser(
        "restore", help="bring the store back from a copy; the old one must have been moved away"
    )
    for one in (saving, restoring):
        one.add_argument(
            "file", metavar="FILE", help="the copy; it holds patient data and is readable by its owner only"
        )
        one.add_argument("--store", metavar="FILE", help="the store of the service")
        one.add_argument("--config", metavar="FILE", help="its configuration, which names the store")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done, 1 refused, 2 no store named."""
    if not args.store:
        sys.stderr.write("ketafhir backup: name the store with --store FILE, or with --config FILE\n")
        return 2
    if is_url(args.store):
        sys.stderr.write(
            "ketafhir backup: a store on PostgreSQL is saved with pg_dump --format=custom, restored with pg_restore\n"
        )
        return 2
    save(Path(args.store), Path(args.file)) if args.action == "save" else restore(Path(args.file), Path(args.store))
    sys.stdout.write(f"{args.file if args.action == 'save' else args.store} is whole\n")
    return 0


def save(store: Path, copy: Path) -> None:
    """Raises StoreError where there is no store, where something stands in place of the copy, or where it is damaged.

    A file that is no store is not copied: a backup of it would be found to be none when it is needed."""
    _copied(store, copy)


def restore(copy: Path, store: Path) -> None:
    """Raises StoreError where the store is still there, or the copy is none of a store that this version can read."""
    for left in (store, Path(f"{store}-wal"), Path(f"{store}-shm")):
        if left.exists():
            raise StoreError(f"{left} is still there: stop the service and move it away first")
    store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copied(copy, store)
    try:
        SqliteStore(store, create=False).close()  # brought to the schema of today, or refused
    except StoreError:
        store.unlink()
        raise


def _copied(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StoreError(f"there is no file {source}")
    try:
        with contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as looked_at:
            check_ours(looked_at, source)
    except sqlite3.Error as error:
        raise StoreError(f"{source} cannot be read: {error}") from error
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}: name a file that is not there, in a folder that is") from error
    try:
        with contextlib.closing(sqlite3.connect(source)) as mine, contextlib.closing(sqlite3.connect(target)) as theirs:
            mine.backup(theirs)
            (found,) = theirs.execute("PRAGMA integrity_check").fetchone()
            if found != "ok":
                raise StoreError(f"{source} is damaged: {found}")
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"{source} cannot be copied to {target}: {error}") from error
    except StoreError:
        target.unlink(missing_ok=True)
        raise
    with target.open("rb") as file:
        os.fsync(file.fileno())
