"""Starting, finding and stopping, with a Java that only acts; the real one is in test_server.py."""

from __future__ import annotations

import argparse
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_java import Tools

from ketafhir.errors import FhirServerError
from ketafhir.hapi import command, progress, server
from ketafhir.hapi.settings import Settings

FREE = Settings(port=0)


@pytest.fixture
def ketafhir(tools: Tools) -> Callable[..., int]:
    """`ketafhir fhir-server ARGUMENTS`, giving its exit code."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return lambda *arguments: command.run(parser.parse_args(arguments))


def test_a_started_server_is_listed_and_stopped(tools: Tools) -> None:
    started = server.start(FREE)
    assert started.started
    assert started.port > 0
    assert started.log is not None
    assert [(one.url, one.pid) for one in server.status()] == [(started.url, started.pid)]
    assert server.stop(started.port)
    assert server.status() == []
    assert not server.stop(started.port)


def test_that_nothing_is_kept_is_said(
    ketafhir: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ketafhir("start", "--port", "0") == 0
    assert "all data are in memory, and gone when it stops" in capsys.readouterr().err
    assert ketafhir("start", "--port", "0", "--data-dir", str(tmp_path / "data")) == 0
    assert "in memory" not in capsys.readouterr().err


def test_a_second_start_changes_nothing(tools: Tools) -> None:
    first = server.start(FREE)
    second = server.start(Settings(port=first.port))
    assert (second.url, second.pid, second.started) == (first.url, first.pid, False)


def test_two_free_ports_are_two_servers(tools: Tools) -> None:
    ports = {server.start(FREE).port, server.start(FREE).port}
    assert len(ports) == 2
    assert {one.port for one in server.status()} == ports
    assert server.stop_all() == 2


def test_a_server_of_another_directory_is_used_but_not_stopped(tools: Tools, tmp_path: Path) -> None:
    there = server.start(FREE, work_dir=tmp_path / "there")
    here = server.start(Settings(port=there.port))
    assert (here.url, here.pid, here.started) == (there.url, None, False)
    assert not server.stop(there.port)
    assert server.stop(there.port, work_dir=tmp_path / "there")


def test_an_open_server_does_not_pass_for_a_protected_one(tools: Tools) -> None:
    port = server.start(FREE).port
    with pytest.raises(FhirServerError, match="asks for no token"):
        server.start(Settings(port=port, token="secret"))


def test_secrets_are_not_in_the_arguments(tools: Tools) -> None:
    started = server.start(Settings(port=0, token="open-sesame", jdbc_password="hunter2"))
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(started.pid)], capture_output=True, text=True)
    assert "-Dfhir.server.port=0" in listed.stdout
    assert "open-sesame" not in listed.stdout
    assert "hunter2" not in listed.stdout


def test_a_server_that_ends_at_once_tells_why(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_JAVA", "refuse")
    with pytest.raises(FhirServerError, match=r"ended while it started: cannot listen here \(its log: .*server\.log"):
        server.start(FREE)


def test_a_server_that_never_answers_is_ended(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_JAVA", "hang")
    with pytest.raises(FhirServerError, match=r"no answer .* in 1 s; end of its log:\nstill thinking"):
        server.start(FREE, timeout=1.0)
    assert server.status() == []


def test_a_server_that_ignores_sigterm_is_killed(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_JAVA", "stubborn")
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.3)
    started = server.start(FREE)
    assert started.pid is not None
    assert server.stop(started.port)
    with pytest.raises(ProcessLookupError):
        os.kill(started.pid, 0)


def test_a_process_id_that_belongs_to_another_program_is_left_alone(tools: Tools) -> None:
    started = server.start(FREE)
    assert started.log is not None
    assert started.pid is not None
    os.kill(started.pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"]) as other:
        (started.log.parent / "pid").write_text(str(other.pid))
        assert server.status() == []
        assert not server.stop(started.port)
        assert other.poll() is None
        other.kill()


def test_a_restart_keeps_the_log_before(tools: Tools) -> None:
    first = server.start(FREE)
    server.stop(first.port)
    again = server.start(Settings(port=first.port))
    server.stop(again.port)
    third = server.start(Settings(port=first.port))
    assert third.log is not None
    assert sorted(file.name for file in third.log.parent.iterdir()) == [
        "pid",
        "server.log",
        "server.log.1",
        "url",
    ]


def test_simultaneous_starts_make_one_server(tools: Tools) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code = f"from ketafhir.hapi import server, settings;print(server.start(settings.Settings(port={port})).pid)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = {process.communicate(timeout=30)[0].strip() for process in both}
    assert pids == {str(server.status()[0].pid)}


def test_a_server_outlives_the_command_that_started_it(tools: Tools) -> None:
    code = "from ketafhir.hapi import server, settings; print(server.start(settings.Settings(port=0)).port)"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert ran.stderr == ""
    assert [one.port for one in server.status()] == [int(ran.stdout)]
    assert server.stop(int(ran.stdout))


def test_settings_that_contradict_or_name_nothing() -> None:
    with pytest.raises(FhirServerError, match="exclude each other"):
        Settings(data_dir=Path("here"), jdbc_url="jdbc:postgresql://localhost/fhir")
    with pytest.raises(FhirServerError, match="no such file: missing"):
        Settings(token_file=Path("missing"))


def test_the_command_starts_lists_and_stops(ketafhir: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert ketafhir("status") == 1
    assert ketafhir("start", "--port", "0") == 0
    out, err = capsys.readouterr()
    url = out.splitlines()[-1]
    assert len(err.splitlines()) == 1  # what is in memory is gone; no progress where nobody looks
    assert ketafhir("status") == 0
    assert capsys.readouterr().out.startswith(f"{url}  answers  pid ")
    port = url.removesuffix("/fhir").rpartition(":")[2]
    assert ketafhir("start", "--port", port) == 0
    assert capsys.readouterr().out == f"{url} (already running, settings unchanged)\n"
    assert ketafhir("stop", "--port", port) == 0
    assert ketafhir("stop", "--port", port) == 1
    assert ketafhir("stop", "--all") == 0
    assert capsys.readouterr().out.endswith("stopped 0\n")


def test_the_command_takes_a_token_from_a_file(
    ketafhir: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert ketafhir("start", "--port", "0", "--token-file", str(tmp_path / "token")) == 0
    ketafhir("status")
    assert "answers, token required" in capsys.readouterr().out


def test_the_command_warns_of_an_open_door(
    ketafhir: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "start", lambda settings, **_: server.Server("http://0.0.0.0:1/fhir", 1, None))
    ketafhir("start", "--host", "0.0.0.0")
    assert "every machine that reaches 0.0.0.0 can read and write" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_per_phase() -> None:
    screen = Terminal()
    with progress.on_terminal(screen) as show:
        show("Building", 0.2)
        show("Building", 1.6)
        show("Starting", 0.1)
    assert screen.getvalue().split("\n") == [
        "\r\033[KBuilding ... 0 s\r\033[KBuilding ... 2 s",
        "\r\033[KStarting ... 0 s",
        "",
    ]


def test_the_command_module_is_cheap_to_import() -> None:
    code = (
        "import argparse, sys; before = set(sys.modules); from ketafhir.hapi import command;"
        "print(sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "ketafhir.hapi.server" not in loaded
    assert "urllib.request" not in loaded
    assert "subprocess" not in loaded


def test_stop_waits_until_the_process_has_ended(tools: Tools) -> None:
    started = server.start(FREE)
    begun = time.monotonic()
    server.stop(started.port)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", started.port))
    assert time.monotonic() - begun < 5
