"""What a feed needs before it goes live: over a file of many messages, how often each row read, each code was not known, each
message was refused, and where first. Sums hold codes and places, and nothing that is of a patient.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ketafhir.plain import replace
from ketafhir.translate import losses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ketafhir.errors import Issue
    from ketafhir.explain.account import Told
    from ketafhir.hl7v2.er7 import Message
    from ketafhir.translate.reading import Reading
    from ketafhir.translate.session import Step

_ABOUT_CODES = {
    "authority-unknown", "charset-unknown", "code-unknown", "code-unmapped", "order-control-unknown", "processing-id",
    "status-unknown", "unit-is-rate", "unit-unexpected", "unit-unknown", "unit-wrong-kind", "unsupported-message",
    "value-type", "version-unknown",
}  # fmt: skip
_OCCURRENCE = re.compile(r"\[\d+\]")
_TOLD = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")
_LONGEST = 40


class Sum(NamedTuple):
    """One line of a sum: what, how many times, and the first place (`message 3, RXA-7`)."""

    what: tuple[str, ...]
    times: int
    first: str


class Sums:
    """The sums of a file, message by message. What they hold grows with what differs, not with the length of the file."""

    side, unit = "HL7v2", "message"

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.refused = 0
        self.fates: Counter[str] = Counter()
        self._found: dict[str, dict[tuple[str, ...], tuple[int, str]]] = {}

    @property
    def messages(self) -> int:
        """How many there were."""
        return self.types.total()

    def take(self, number: int, message: Message, step: Step) -> None:
        """Add a message that was taken."""
        self.read(number, message, step.reading, step.issues)

    def read(self, number: int, message: Message, reading: Reading, issues: Iterable[Issue]) -> None:
        """Add a message that was taken, as it was read, with what was told of it."""
        self.types[f"{message.code}^{message.event}"] += 1
        for loss in losses.of_message(message, reading):
            self.fates[loss.fate] += 1
            field = _field(loss.where)
            place = f"message {number}, {loss.where}"
            if loss.fate == "mapped":
                self._add("rows", (loss.row, field), place)
            else:
                self._add(loss.fate, (field, loss.why) if loss.why else (field,), place)
        self._issues(number, issues)

    def refuse(self, number: int, message: Message | None, issues: Iterable[Issue]) -> None:
        """Add a message that was refused; None where it could not even be read."""
        self.types[f"{message.code}^{message.event}" if message else "(unreadable)"] += 1
        self.refused += 1
        self._issues(number, issues)

    def _issues(self, number: int, issues: Iterable[Issue]) -> None:
        for issue in issues:
            place = f"{self.unit} {number}, {issue.where}".rstrip(", ")
            kind = {"error": "refusals", "warning": "warnings"}.get(issue.severity, "notes")
            if issue.code in _ABOUT_CODES:
                said = (issue.code, _field(issue.where), _code(issue.value), issue.row)
                self._add("codes", said, place)
            if kind == "refusals" or issue.code not in _ABOUT_CODES:
                self._add(kind, (issue.code, _TOLD.sub("...", issue.text), issue.row, issue.hint), place)

    def _add(self, kind: str, what: tuple[str, ...], place: str) -> None:
        counts = self._found.setdefault(kind, {})
        count, first = counts.get(what, (0, place))
        counts[what] = (count + 1, first)

    def of(self, kind: str) -> list[Sum]:
        """The lines of one sum (`refusals`, `codes`, `warnings`, `preserved`, `dropped`, `rows`), the most frequent first."""
        found = [Sum(what, *counted) for what, counted in self._found.get(kind, {}).items()]
        return sorted(found, key=lambda one: -one.times)


class FhirSums(Sums):
    """The same over lines of FHIR (Bundles, resources); places have no ids, which may be of a patient."""

    side, unit = "FHIR", "line"

    def explained(self, number: int, kind: str, told: Told, made: Iterable[str]) -> None:
        """Add a Bundle or resource, and the types of the messages that it makes."""
        self.types[kind] += 1
        self.refused += told.refused
        ids = [part.name.rpartition(" ")[2] for part in told.parts]
        self._issues(number, (replace(one, where=_without_id(one.where, ids)) for one in told.issues))
        for one in made:
            self._add("written", (one,), f"line {number}")
        for part in told.parts if not told.refused else ():
            for line in part.lines:
                self.fates[line.fate] += 1
                element = f"{part.name.partition(' ')[0]}.{line.name}"
                place = f"line {number}, {element}"
                if line.fate == "preserved":
                    self._add("preserved", tuple(_field(target.element) for target in line.targets), place)
                elif line.fate == "dropped":
                    self._add("dropped", (element, line.why), place)
                for row in dict.fromkeys(target.row for target in line.targets if target.row and target.resources):
                    self._add("rows", (row, element), place)


def _without_id(where: str, ids: list[str]) -> str:
    """`Observation.code` of `Observation/o1.code`; of an id that is none of these, the type alone."""
    kind, slash, rest = where.partition("/")
    known = max((one for one in ids if slash and (rest == one or rest.startswith(f"{one}."))), key=len, default=None)
    return kind + rest.removeprefix(known) if known else kind


def _field(where: str) -> str:
    """A place without the number of its segment: `RXA-7` of `RXA[2]-7`."""
    return _OCCURRENCE.sub("", where)


def _code(value: str) -> str:
    """The code of a value, with its system: of a coded field without its text, which could be anything."""
    code, _, rest = value.partition("^")
    parts = rest.split("^")
    system = f"^^{parts[1]}" if len(parts) > 1 and parts[1] else ""
    return f"{code}{system}" if code and len(code) <= _LONGEST and " " not in code else "(text)"
