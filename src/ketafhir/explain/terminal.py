"""The account and the sums on a terminal: columns of its width, colour only where there is one."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from ketafhir.explain.shown import visible
from ketafhir.explain.wording import HEADINGS, NOUNS, SIGNS, target_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ketafhir.errors import Issue
    from ketafhir.explain.account import Line, Told
    from ketafhir.explain.sums import Sums

_COLOURS = {"mapped": "32", "preserved": "33", "dropped": "2", "error": "31;1", "warning": "33", "heading": "1"}
_NARROW = 88


class Terminal(NamedTuple):
    """How to write: the width in columns, and whether with colour."""

    width: int
    colour: bool

    def painted(self, text: str, colour: str) -> str:
        """The text in a colour (a key of `_COLOURS`)."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour and colour in _COLOURS and text else text

    def message(self, told: Told) -> Iterator[str]:
        """A message side by side with what became of it."""
        yield from self._over(visible(told.title), "heading")
        counts = ", ".join(f"{count} {fate}" for fate, count in told.counts().items())
        noun = NOUNS[told.side]
        words = ("refused: nothing of it is written", "error") if told.refused else (f"{noun}s: {counts}", "")
        yield from self._over(*words)
        yield from self._issues(told.issues)
        for part in told.parts:
            yield ""
            yield from self._over(visible(part.name), "heading")
            for line in part.lines:
                yield from self._line(line, told.side == "FHIR")

    def _over(self, text: str, colour: str) -> Iterator[str]:
        """A text over the whole width."""
        yield from (self.painted(line, colour) for line in wrapped(text, self.width))

    def _issues(self, issues: Iterable[Issue]) -> Iterator[str]:
        for issue in issues:
            for number, text in enumerate(wrapped(visible(f"{issue.code}: {issue.line()}"), self.width - 10)):
                head = f"{issue.severity:<9}" if not number else " " * 9
                yield f"{self.painted(head, issue.severity)} {text}"

    def _line(self, line: Line, element: bool) -> Iterator[str]:
        """A field: its number, its text, its name. Or an element: its name, its value."""
        place = "" if element else line.where.partition("-")[2]
        text, name = (line.name, line.text) if element else (line.text, line.name)
        left, name = [f"{place:>3}  ", visible(text)], visible(name)
        right = [(visible(one), dim) for one, dim in target_lines(line)]
        sign = SIGNS.get(line.fate, " ")
        if self.width < _NARROW:
            yield from self._stacked(left, name, sign, line.fate, right)
            return
        first = max(24, (self.width - 10) * 2 // 5)
        rest = self.width - 10 - first
        texts = [(text, False) for text in wrapped(left[1], first)] + [(text, True) for text in wrapped(name, first)]
        tells = [(text, dim) for one, dim in right for text in wrapped(one, rest)]
        for number in range(max(len(texts), len(tells))):
            text, is_name = texts[number] if number < len(texts) else ("", False)
            tell, dim = tells[number] if number < len(tells) else ("", False)
            head = left[0] if not number else " " * 5
            mark = self.painted(sign, line.fate) if not number else " "
            cell = padded(text, first)
            shown = self.painted(cell, "dropped") if is_name else cell
            yield f"{head}{shown}  {mark}  {self._tone(tell, line.fate, dim)}".rstrip()

    def _stacked(
        self, left: list[str], name: str, sign: str, fate: str, right: list[tuple[str, bool]]
    ) -> Iterator[str]:
        """For a narrow terminal: what came, and below it what became of it."""
        for number, shown in enumerate(wrapped(f"{left[1]}  ({name})" if name else left[1], self.width - 5)):
            yield f"{left[0] if not number else ' ' * 5}{shown}"
        tells = [(one, dim) for text, dim in right for one in wrapped(text, self.width - 8)]
        for number, (tell, dim) in enumerate(tells):
            mark = self.painted(sign, fate) if not number else " "
            yield f"     {mark}  {self._tone(tell, fate, dim)}"

    def _tone(self, text: str, fate: str, dim: bool) -> str:
        return self.painted(text, "dropped" if dim else fate if fate != "mapped" else "")

    def sums(self, sums: Sums) -> Iterator[str]:
        """The sums of a file."""
        taken = sums.messages - sums.refused
        head = f"{sums.messages} {sums.unit}s: {taken} translated, {sums.refused} refused"
        yield from self._over(head, "heading")
        yield from self._over(", ".join(f"{count} {visible(kind)}" for kind, count in sums.types.most_common()), "")
        fates = ", ".join(f"{sums.fates[fate]} {fate}" for fate in ("mapped", "preserved", "dropped"))
        yield from self._over(f"{NOUNS[sums.side]}s: {fates}", "")
        for kind, heading in HEADINGS.items():
            found = sums.of(kind)
            if not found:
                continue
            yield ""
            yield from self._over(f"{heading} ({len(found)})", "heading")
            for one in found:
                text = visible("  ".join(filter(None, one.what)))
                lines = [(line, "") for line in wrapped(text, self.width - 10)]
                lines += [(line, "dropped") for line in wrapped(visible(f"first: {one.first}"), self.width - 10)]
                for number, (shown, colour) in enumerate(lines):
                    yield f"{one.times if not number else '':>7}   {self.painted(shown, colour)}"


def cells(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def padded(text: str, width: int) -> str:
    """A text filled up with blanks to a width in columns."""
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` columns, broken at blanks where there are any; every character stays."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cells(word) > width:
            at = _fits(word, width)
            lines.append(word[:at])
            word = word[at:]
        line = word
    return [*lines, line] if line or not lines else lines


def _fits(word: str, width: int) -> int:
    """How many characters of a word fit: at least one."""
    at, taken = 0, 0
    while at < len(word) and taken + cells(word[at]) <= max(width, 2):
        taken += cells(word[at])
        at += 1
    return at
