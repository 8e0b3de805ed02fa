"""What became of each field of one message: its row, its codec, the FHIR element and its value; or preserved, or dropped."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ketafhir.explain.shown import Bundle
from ketafhir.fhir.elements import inside
from ketafhir.hl7v2.strict import field_names
from ketafhir.mapping.engine import get_preserved
from ketafhir.therapy.records import Records
from ketafhir.translate import losses
from ketafhir.translate.writing import Writing, sender_urn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ketafhir.errors import Issue
    from ketafhir.hl7v2.er7 import Message, Segment
    from ketafhir.mapping.context import Context
    from ketafhir.mapping.tables import Row, Table
    from ketafhir.translate.reading import Account, Reading
    from ketafhir.translate.session import Step
    from ketafhir.translate.settings import Settings


class Target(NamedTuple):
    """One FHIR element that a field went into: `resources` of the Bundle have it, by their short names. Of an element of FHIR
    the field it went into, and the segments that have it (`RAS^O17 RXA[2]`)."""

    element: str
    value: str
    row: str
    codec: str
    resources: tuple[str, ...]


class Line(NamedTuple):
    """One populated field: its place (`RXA[2]-6`), name and text, its fate (mapped, preserved, dropped), and why. Or one element:
    `Observation/o1.code`, `code`, its value on one line."""

    where: str
    name: str
    text: str
    fate: str
    why: str
    targets: tuple[Target, ...]


class Part(NamedTuple):
    """One segment with its fields, or one resource with its elements."""

    name: str
    lines: tuple[Line, ...]


class Told(NamedTuple):
    """One message: what it is, its segments, and what was found about it. A refused one has findings and no fates. `side` is
    what it is of, HL7v2 or FHIR."""

    title: str
    parts: tuple[Part, ...]
    issues: tuple[Issue, ...]
    refused: bool
    side: str = "HL7v2"

    def counts(self) -> dict[str, int]:
        """How many fields were mapped, preserved and dropped."""
        fates = [line.fate for part in self.parts for line in part.lines]
        return {fate: fates.count(fate) for fate in ("mapped", "preserved", "dropped")}


def of_step(message: Message, step: Step, settings: Settings) -> Told:
    """The account of a message that was taken."""
    found = {loss.where: loss for loss in losses.of_message(message, step.reading)}
    targets = _Targets(step.reading, settings, Bundle(step.bundle))
    parts = []
    for place, segment, names in _segments(message):
        lines = []
        for field in _valued(segment):
            where = f"{place}-{field}"
            loss = found[where]
            into = tuple(targets.of(segment, field, loss.fate))
            lines.append(Line(where, names.get(field, ""), segment.fields[field], loss.fate, loss.why, into))
        parts.append(Part(place, tuple(narrowed(lines))))
    return Told(title(message), tuple(parts), tuple(step.issues), False)


def narrowed(lines: list[Line]) -> Iterator[Line]:
    """Of the resources (segments) that hold a value, those that hold most values of the segment (resource): many have one
    status."""
    held = Counter(name for line in lines for target in line.targets for name in target.resources)
    for line in lines:
        targets = []
        for target in line.targets:
            most = max((held[name] for name in target.resources), default=0)
            targets.append(target._replace(resources=tuple(name for name in target.resources if held[name] == most)))
        yield line._replace(targets=tuple(targets))


def of_refused(message: Message, issues: list[Issue]) -> Told:
    """A message that was refused: its fields, and why."""
    parts = [
        Part(
            place,
            tuple(
                Line(f"{place}-{field}", names.get(field, ""), segment.fields[field], "", "", ())
                for field in _valued(segment)
            ),
        )
        for place, segment, names in _segments(message)
    ]
    return Told(title(message), tuple(parts), tuple(issues), True)


def title(message: Message) -> str:
    """`RAS^O17 from EMAR, WILLOW, version 2.5.1, control id EMAR-B10`."""
    sender = ", ".join(filter(None, message.sender)) or "nobody"
    return f"{message.code}^{message.event} from {sender}, version {message.version}, control id {message.control_id}"


def _segments(message: Message) -> Iterator[tuple[str, Segment, dict[int, str]]]:
    several = {one.name for one in message.segments if one.occurrence > 1}
    for segment in message.segments:
        place = f"{segment.name}[{segment.occurrence}]" if segment.name in several else segment.name
        yield place, segment, field_names(message.version, segment.name)


def _valued(segment: Segment) -> list[int]:
    return [field for field in range(1, len(segment.fields)) if segment.fields[field]]


class _Targets:
    """Finds the elements of the Bundle that fields went into, by the rows that read them."""

    def __init__(self, reading: Reading, settings: Settings, bundle: Bundle) -> None:
        self._reading, self._bundle = reading, bundle
        self._c = self._context(reading, settings)
        self._accounts: dict[int, list[Account]] = {}
        for account in reading.accounts:
            self._accounts.setdefault(id(account.segment), []).append(account)
        self._values: dict[int, dict[str, Any]] = {}
        self._tables = settings.tables
        self._names = set(settings.tables.names())

    @staticmethod
    def _context(reading: Reading, settings: Settings) -> Context:
        """Surroundings of its own, for reading again: what is found is known already."""
        c = settings.context(reading.c.local)
        c.version = reading.c.version
        source = reading.source
        Writing(Records(), settings.tables, c, sender_urn(source.application, source.facility))  # who gives references
        return c

    def of(self, segment: Segment, field: int, fate: str) -> Iterator[Target]:
        """The targets of one field."""
        if fate == "preserved":
            yield from self._preserved(segment, field)
        for account in self._accounts.get(id(segment), ()) if fate == "mapped" else ():
            for table in account.mapping.tables.values() if account.mapping else ():
                for row in table.rows:
                    reads = any(cell.field == field for cell in row.cells)
                    if reads and (row.when is None or row.when.holds(segment.fields)):
                        yield from self._of_row(account, table, row)

    def _of_row(self, account: Account, table: Table, row: Row) -> Iterator[Target]:
        if row.codec is None or row.path is None:
            if row.codec is not None or row.loss.startswith("by code"):
                yield Target("", "", row.place, row.codec_name, ())
            return
        value = self._read(account).get(row.domain)
        if value in (None, "", ()):
            return
        c = self._c
        c.row, c.segment = row, account.segment
        made = [row.codec.to_fhir(c, one) for one in value] if row.each else row.codec.to_fhir(c, value)
        choice = isinstance(made, tuple) and len(made) == 2
        element = row.fhir.replace("[x]", made[0]) if choice else row.fhir
        shown = self._bundle.value(made[1] if choice else made)
        resource, holders = table.resource, tuple(self._holders(table.resource, row, made))
        within = f"{table.name}.component"
        if not holders and within in self._names:
            # A reading of a panel: the same OBX, one level further in.
            inner = next((one for one in self._tables.table(within).rows if one.name == row.name), row)
            holders = tuple(self._holders(f"{resource}.component", inner, made))
            resource += ".component" if holders else ""
        yield Target(f"{resource}.{element}", shown, row.place, row.codec_name, holders)

    def _read(self, account: Account) -> dict[str, Any]:
        """The values of a segment by the tables of its account, read once."""
        assert account.mapping is not None
        found = self._values.get(id(account))
        if found is None:
            found = self._values[id(account)] = account.mapping.from_v2(account.read or account.segment, self._c)
            self._c.preserved.clear()
        return found

    def _holders(self, resource_type: str, row: Row, made: Any) -> Iterator[str]:
        """The resources of the Bundle that have this value at this place."""
        assert row.path is not None
        kind, _, within = resource_type.partition(".")
        for name, resource in self._bundle.named:
            if resource["resourceType"] != kind:
                continue
            inner = resource.get(within, ()) if within else (resource,)
            if any(_has(row.path.get(one), made) for one in inner):
                yield name

    def _preserved(self, segment: Segment, field: int) -> Iterator[Target]:
        """The extensions that hold a field which no row maps."""
        place = re.compile(rf"{segment.name}(\[\d+\])?-{field}(?!\d)")
        holders: dict[str, list[str]] = {}
        for name, resource in self._bundle.named:
            for one in inside(resource):
                for told, text in get_preserved(one):
                    if place.match(told) and text in segment.fields[field]:
                        holders.setdefault(told, []).append(name)
        for told, names in holders.items():
            yield Target("extension[preserved-field]", told, "", "", tuple(dict.fromkeys(names)))


def _has(held: Any, made: Any) -> bool:
    """Whether an element holds the value made of a field: as it is, with more beside it, or among others of a list."""
    if isinstance(made, dict) and isinstance(held, dict):
        return all(_has(held.get(key), one) for key, one in made.items())
    if isinstance(made, list) and isinstance(held, list):
        return all(any(_has(other, one) for other in held) for one in made)
    return bool(held is not None and held == made)
