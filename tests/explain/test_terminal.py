"""The text: as wide as the terminal and no wider, aligned, with nothing in it that steers a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.explain.account import Line, Part, Told
from ketafhir.explain.command import explained
from ketafhir.explain.shown import visible
from ketafhir.explain.terminal import Terminal, cells, padded, wrapped
from ketafhir.translate.settings import default

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
START = STORIES / "b" / "10-ras-start.hl7"
COMMAND = [sys.executable, "-m", "ketafhir", "explain"]


@pytest.mark.parametrize("width", [40, 60, 88, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    feed = b"".join(file.read_bytes() for file in sorted((STORIES / "b").glob("*.hl7")))
    for number in (1, 8, 10, None):
        told, sums = explained(iter([feed]), default(), number)
        lines = list(Terminal(width, False).message(told) if told else Terminal(width, False).sums(sums))
        assert max(map(cells, lines)) <= width


def test_what_became_of_a_field_stands_beside_it() -> None:
    told, _ = explained(iter([START.read_bytes()]), default())
    assert told
    lines = list(Terminal(120, False).message(told))
    beside = next(line for line in lines if line.startswith("  3  20260414090000-0500"))
    at = beside.index("=  MedicationAdministration.effectivePeriod.start")
    others = [line for line in lines if re.match(r" *\d+  .*  [=~x]  ", line)]
    assert len(others) == sum(told.counts().values())
    assert {line[at] for line in others} == {"=", "~", "x"}


@given(st.text(), st.integers(2, 40))
def test_wrapping_loses_no_character_and_keeps_the_width(text: str, width: int) -> None:
    shown = visible(text)
    lines = wrapped(shown, width)
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "")
    assert all(cells(line) <= width for line in lines)
    assert all(cells(padded(line, width)) == width for line in lines)


@given(st.text())
def test_nothing_steers_the_terminal(text: str) -> None:
    told = Told(text, (Part("OBX", (Line("OBX-5", text, text, "mapped", text, ()),)),), (), False)
    for line in Terminal(80, False).message(told):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]", line)


def test_colour_is_for_a_terminal_only() -> None:
    plain = subprocess.run([*COMMAND, str(START)], capture_output=True, check=True).stdout
    assert b"\x1b" not in plain
    environment = {**os.environ, "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    assert b"\x1b[32m=" in on_terminal(environment)
    assert b"\x1b" not in on_terminal({**environment, "NO_COLOR": "1"})


def on_terminal(environment: dict[str, str]) -> bytes:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    ran = subprocess.Popen([*COMMAND, str(START)], stdout=theirs, env=environment)
    os.close(theirs)
    found = b""
    try:
        while part := os.read(ours, 1 << 16):
            found += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert ran.wait() == 0
    return found


def test_exit_codes_and_errors(tmp_path: Path) -> None:
    def code(*words: str, data: bytes = b"") -> tuple[int, str]:
        done = subprocess.run([*COMMAND, *words], input=data, capture_output=True, check=False)
        return done.returncode, done.stderr.decode()

    assert code("-", data=START.read_bytes()) == (0, "")
    assert code(str(STORIES / "damaged.hl7")) == (1, "")
    assert code("-")[0] == 1
    status, told = code("-", data=b'{"resourceType":"Bundle"}')
    assert (status, told) == (1, "")  # it is shown as refused
    status, told = code("-", data=b'{"resourceType":')
    assert (status, "not JSON" in told) == (1, True)
    assert code(str(tmp_path / "none"))[0] == 2
    assert code(str(START), "--html", str(tmp_path / "no" / "x"))[0] == 2
    assert code(str(START), "--site", "nowhere")[0] == 2
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert subprocess.run([*COMMAND, str(START)], capture_output=True, env=ascii_only, check=False).returncode == 0
