"""What the demo prints: numbered steps with the time each took, calm lines, a bar only on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_INDENT = "   "


class Console:
    """Standard output in steps."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._taken: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str, short: str) -> Iterator[None]:
        """One numbered step; `short` names it in the list of times."""
        begun = time.monotonic()
        print(f"\n{len(self._taken) + 1}  {title}", flush=True)
        yield
        self._taken.append((short, time.monotonic() - begun))

    def say(self, *lines: str) -> None:
        """Lines within a step."""
        for line in lines:
            print(f"{_INDENT}{line}".rstrip(), flush=True)

    def wrapped(self, line: str, indent: int) -> None:
        """A line that may be long, its continuation indented."""
        import shutil
        import textwrap

        width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120) - len(_INDENT))
        self.say(*textwrap.wrap(line, width, subsequent_indent=" " * indent, drop_whitespace=True))

    def bar(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """The items, with a bar that goes away when they have ended; nothing where this is no terminal."""
        with self._bar(total, what) as bar:
            for item in items:
                yield item
                bar.update()

    def countdown(self, left: Iterable[int], what: str) -> None:
        """Wait through a series of how many are left, with a bar as above; the first says how many there are."""
        with self._bar(0, what) as bar:
            for number in left:
                bar.total = max(bar.total, number)
                bar.n = bar.total - number
                bar.refresh()

    def _bar(self, total: int, what: str) -> Any:
        from tqdm import tqdm

        silent = not sys.stderr.isatty()
        return tqdm(desc=f"{_INDENT}{what}", total=total, leave=False, disable=silent, ncols=80)

    def times(self) -> str:
        """How long each step and all of them took."""
        parts = ", ".join(f"{short} {seconds:.1f} s" for short, seconds in self._taken)
        return f"{time.monotonic() - self._begun:.1f} s in all: {parts}"
