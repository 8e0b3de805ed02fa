"""`ketafhir serve` as a process of its own: what it prints, how it ends, what a kill leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service_peers import CONFIG, NOWHERE, Peer, adt, fhir_sink, story

from ketafhir.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(60)

STORE = """
[store]
path = "messages.sqlite"
"""


@contextmanager
def serving(folder: Path, fhir: str = NOWHERE, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port."""
    file = folder / "ketafhir.toml"
    file.write_text(CONFIG + STORE)
    command = [sys.executable, "-m", "ketafhir", "serve", "--config", str(file), "--fhir", fhir, *more]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on mllp://127.0.0.1:"), (folder / "log").read_text()
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, port):
        with Peer(port) as peer:
            assert peer.send(adt("M1")).code == "AA"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    log = (tmp_path / "log").read_text()
    assert "stopped: received 1, translated 1" in log
    assert "Traceback" not in log
    assert (tmp_path / "messages.sqlite").stat().st_mode & 0o077 == 0


def test_what_was_acknowledged_before_a_kill_is_delivered_after_it(tmp_path: Path) -> None:
    messages = story("c")
    with serving(tmp_path) as (process, port), Peer(port) as peer:
        answers = [peer.send(message).payload for message in messages]
        process.kill()
        process.wait()
    with fhir_sink() as sink:
        with serving(tmp_path, sink.url) as (process, port):
            with Peer(port) as peer:
                assert [peer.send(message).payload for message in messages] == answers
            deliver(tmp_path)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        assert len(sink.bundles) == len(messages)


def deliver(folder: Path) -> None:
    """Wait until nothing is open, as another process sees it."""
    import time

    store = SqliteStore(folder / "messages.sqlite", create=False)
    try:
        until = time.monotonic() + 20
        while any(store.counts().deliveries[state] for state in ("queued", "claimed", "inflight")):
            assert time.monotonic() < until, store.counts()
            time.sleep(0.05)
    finally:
        store.close()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with serving(tmp_path, NOWHERE, "--store", str(other), "--listen", "127.0.0.1:0") as (_, port):
        with Peer(port) as peer:
            assert peer.send(adt("M1")).code == "AA"
        assert other.exists()
    assert not (tmp_path / "messages.sqlite").exists()
