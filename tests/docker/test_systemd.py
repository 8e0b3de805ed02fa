"""What the systemd unit promises; systemd itself is asked where it is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ketafhir import cli

UNIT = Path(__file__).resolve().parents[2] / "examples" / "systemd" / "ketafhir.service"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_nothing_runs_as_root_and_nothing_can_be_written_but_the_store() -> None:
    told = settings()
    assert told["DynamicUser"] == ["yes"]
    assert told["ProtectSystem"] == ["strict"]
    assert told["NoNewPrivileges"] == ["yes"]
    assert told["CapabilityBoundingSet"] == [""]
    assert (told["StateDirectory"], told["StateDirectoryMode"], told["UMask"]) == (["ketafhir"], ["0700"], ["0077"])
    assert told["LimitNOFILE"]
    assert told["MemoryMax"]


def test_it_is_restarted_whatever_happens_and_ended_in_order() -> None:
    told = settings()
    assert (told["Restart"], told["KillSignal"], told["StartLimitIntervalSec"]) == (["always"], ["SIGTERM"], ["0"])
    assert int(told["TimeoutStopSec"][0]) > 30, "deliveries under way get 30 s"


def test_the_commands_it_runs_are_there() -> None:
    for name in ("ExecStart", "ExecStartPre"):
        words = settings()[name][0].split()
        assert words[0] == "/opt/ketafhir/bin/ketafhir"
        assert words[1] in cli.COMMANDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    unit = tmp_path / "ketafhir.service"
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/ketafhir/bin/ketafhir", "/bin/true"))
    ran = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
