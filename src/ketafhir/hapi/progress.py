"""Telling a person at a terminal what a slow start is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[str, float], None]
"""Called several times a second with the phase at work and the seconds it has taken so far."""


def quiet(phase: str, seconds: float) -> None:
    """Say nothing."""


@contextmanager
def on_terminal(stream: TextIO) -> Iterator[Progress]:
    """One line per phase on `stream`, its seconds counting up in place; nothing where that is no terminal."""
    if not stream.isatty():
        yield quiet
        return
    shown = ""

    def show(phase: str, seconds: float) -> None:
        nonlocal shown
        newline = "\n" if shown and shown != phase else ""
        shown = phase
        stream.write(f"{newline}\r\033[K{phase} ... {seconds:.0f} s")
        stream.flush()

    try:
        yield show
    finally:
        if shown:
            stream.write("\n")
            stream.flush()
