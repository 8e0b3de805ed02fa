"""A FHIR server that forgets what it has acknowledged: HAPI on H2 with its default delay of writing, killed.

`reconcile` finds what is gone, and a replay mends it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from service_peers import config, running, story

from ketafhir import cli
from ketafhir.hapi import server
from ketafhir.hapi.settings import Settings
from ketafhir.store.sqlite import SqliteStore


class Forgetful:
    """The real server on a file that it writes half a second late."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/fhir"
        self._settings = Settings(
            port=self.port, jdbc_url=f"jdbc:h2:file:{folder / 'fhir'};WRITE_DELAY=500;DB_CLOSE_ON_EXIT=FALSE"
        )

    def start(self) -> None:
        self._pid = server.start(self._settings, work_dir=self.folder / "work").pid

    def kill(self) -> None:
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        server.stop(self.port, work_dir=self.folder / "work")

    def stop(self) -> None:
        server.stop(self.port, work_dir=self.folder / "work")


def reconcile(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["reconcile", "--config", str(folder / "k.toml"), "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def forget_and_mend(folder: Path, capsys: pytest.CaptureFixture[str], names: str, kills: int) -> None:
    fhir = Forgetful(folder)
    (folder / "k.toml").write_text(f'[fhir]\nurl = "{fhir.url}"\n[store]\npath = "s.db"\n')
    settings = config(folder / "s.db", fhir.url)
    fhir.start()
    try:
        forgotten, turns = 0, [part for name in names for part in parts(story(name))]
        for number, messages in enumerate(turns):
            with running(settings) as service, service.peer() as peer:
                assert {peer.send(message).code for message in messages} == {"AA"}
                service.drain(240)
                if forgotten < kills:
                    fhir.kill()
            if forgotten < kills:
                fhir.start()
                forgotten += mended(folder, capsys, settings)
            elif number == len(turns) - 1:
                assert reconcile(folder, capsys)[1]["differences"] == []
        assert forgotten >= kills, "the server has kept everything, and nothing was shown"
    finally:
        fhir.stop()


def parts(messages: list[bytes], size: int = 12) -> list[list[bytes]]:
    return [messages[at : at + size] for at in range(0, len(messages), size)]


def mended(folder: Path, capsys: pytest.CaptureFixture[str], settings: Any) -> bool:
    """Whether anything was forgotten; if so it is there again."""
    code, told = reconcile(folder, capsys)
    assert code == (1 if told["differences"] else 0)
    assert {one["what"] for one in told["differences"]} <= {"missing", "older"}
    if not told["differences"]:
        return False
    code, told = reconcile(folder, capsys, "--mend")
    assert code == 0
    assert told["queued"]
    store = SqliteStore(folder / "s.db")
    assert {row.message_id for row in store.audited() if row.action == "replay"} >= set(told["queued"])
    store.close()
    with running(settings) as service:
        service.drain(240)
    code, told = reconcile(folder, capsys)
    assert (code, told["differences"]) == (0, [])
    assert told["compared"] > 5
    return True


@pytest.mark.hapi
@pytest.mark.timeout(300)
def test_what_a_server_has_forgotten_is_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_and_mend(tmp_path, capsys, "a", kills=1)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_a_server_that_forgets_again_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_and_mend(tmp_path, capsys, "abc", kills=6)
