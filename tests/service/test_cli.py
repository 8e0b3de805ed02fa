"""The command line as a whole: every command is there, is listed, and errors are one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ketafhir
from ketafhir import cli
from ketafhir.cli import COMMANDS, main


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_is_listed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: ketafhir {name}" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert f"  {name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_refuses_an_unknown_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_commands_that_the_manual_names_are_there() -> None:
    named = {"translate", "tables", "serve", "send", "queue", "config", "doctor", "fhir-server", "demo"}
    assert named <= set(COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ketafhir {ketafhir.__version__}\n"


@pytest.mark.parametrize("words", [[], ["transalte"], ["--verbose"]])
def test_no_command_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert "usage: ketafhir COMMAND" in told.err
    assert told.out == ""


def test_an_error_is_one_line_without_a_traceback() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ketafhir", "config", "check", "/no/such/file"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith("ketafhir config: /no/such/file: No such file or directory")
    assert ran.stderr.count("\n") == 1


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert main(["demo"]) == 130


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "ketafhir", "config", "example"], stdout=write, stderr=subprocess.PIPE,
            timeout=60,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_only_the_command_asked_for_is_loaded() -> None:
    program = (
        "import sys; from ketafhir.cli import main; main(['config', 'example']);"
        "print(*sorted(name for name in sys.modules if name.startswith('ketafhir')), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    names = [
        "ketafhir",
        "ketafhir.cli",
        "ketafhir.config",
        "ketafhir.config.addresses",
        "ketafhir.config.kinds",
        "ketafhir.config.loader",
        "ketafhir.config.meaning",
        "ketafhir.config.public",
        "ketafhir.config.sections",
        "ketafhir.config.tokens",
        "ketafhir.config_command",
        "ketafhir.errors",
        "ketafhir.plain",
        "ketafhir.private",
    ]
    assert ran.stderr.split() == names


def test_send_is_given_the_splitter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ketafhir.mllp import send

    sent: list[bytes] = []

    def record(messages: list[bytes], *_: object, **__: object) -> object:
        sent.extend(messages)
        yield from ()

    monkeypatch.setattr(send, "send_all", record)
    file = tmp_path / "two.hl7"
    file.write_bytes(b"MSH|^~\\&|A\nPID|1\n\nMSH|^~\\&|B\nPID|2\n")
    assert main(["send", str(file), "mllp://127.0.0.1:2575"]) == 0
    assert sent == [b"MSH|^~\\&|A\rPID|1\r", b"MSH|^~\\&|B\rPID|2\r"]


def test_queue_finds_the_store_in_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ketafhir.store.sqlite import SqliteStore

    SqliteStore(tmp_path / "s.sqlite").close()
    (tmp_path / "k.toml").write_text("[store]\npath = 's.sqlite'\n")
    monkeypatch.delenv("KETAFHIR_CONFIG", raising=False)
    assert main(["queue", "list", "--config", str(tmp_path / "k.toml")]) == 0
    assert capsys.readouterr().out.startswith("ID")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k.toml").rename("ketafhir.toml")
    assert main(["queue", "list"]) == 0
    (tmp_path / "ketafhir.toml").unlink()
    assert main(["queue", "list"]) == 2
    assert "name the store" in capsys.readouterr().err
