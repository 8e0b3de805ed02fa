"""What became of each element of FHIR: its row, its codec, the HL7v2 field and its text; or preserved, or dropped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ketafhir.errors import Refused
from ketafhir.explain.account import Line, Part, Target, Told, narrowed
from ketafhir.explain.shown import Bundle
from ketafhir.hl7v2.stream import split_messages
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.engine import get_preserved
from ketafhir.mapping.paths import EXTENSION
from ketafhir.translate import bundle_losses, outgoing
from ketafhir.translate.incoming import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ketafhir.errors import Issue
    from ketafhir.hl7v2.er7 import Message, Segment
    from ketafhir.mapping.paths import Json
    from ketafhir.mapping.tables import Row, Table
    from ketafhir.translate.bundle_losses import Element
    from ketafhir.translate.read_by_code import ByCode
    from ketafhir.translate.settings import Settings
    from ketafhir.translate.taking import Taking

_PARTS = re.compile(r"[\^~&]")
_INDEX = re.compile(r"\[\d+\]")


class Explained(NamedTuple):
    """The account of one Bundle or resource, and the types of the messages that it makes."""

    told: Told
    kinds: tuple[str, ...]


def of_value(value: Any, settings: Settings) -> Explained:
    """The account of a Bundle or resource (JSON as `fhir.json` reads it), as `translate --to hl7v2` takes it. Raises Refused
    for what is no FHIR at all."""
    try:
        taking = outgoing.take(value, settings)
        text = "".join(outgoing.compose(outgoing.outbound(taking), settings))
    except Refused as refusal:
        return Explained(_of_refused(value, refusal.issues), ())
    messages = [parse(data) for data in split_messages(text.encode())]
    fields = _Fields(taking, settings, messages)
    parts = []
    for name, resource in _named(value):
        found = bundle_losses.of_resource(taking, settings.tables, resource, taking.name(resource))
        lines = [fields.line(resource, one) for one in found]
        parts.append(Part(name, tuple(narrowed(lines))))
    told = Told(_title(value), tuple(parts), tuple(taking.c.issues), False, "FHIR")
    return Explained(told, tuple(f"{one.code}^{one.event}" for one in messages))


def _of_refused(value: Any, issues: list[Issue]) -> Told:
    """A Bundle that was refused: its elements, and why."""
    parts = []
    for name, resource in _named(value):
        kind, shown = resource["resourceType"], Bundle({})
        listed = [(key, one) for key, one in resource.items() if key != "resourceType"]
        lines = [Line(f"{kind}.{key}", key, shown.value(one), "", "", ()) for key, one in listed]
        parts.append(Part(name, tuple(lines)))
    return Told(_title(value), tuple(parts), tuple(issues), True, "FHIR")


def kind_of(value: Any) -> str:
    """`Bundle transaction`, or the type of a resource."""
    kind = value.get("resourceType", "") if isinstance(value, dict) else ""
    return (
        " ".join(filter(None, (str(kind), str(value.get("type", "")) if kind == "Bundle" else ""))) or "(no resource)"
    )


def _title(value: Any) -> str:
    return " ".join(filter(None, (kind_of(value), str(value.get("id", "")) if isinstance(value, dict) else "")))


def _named(value: Any) -> list[tuple[str, Json]]:
    """The resources with short names. Raises Refused for what is no FHIR."""
    from ketafhir.fhir.bundle import Index

    listed = Index(value).resources()
    named = Bundle({"entry": [{"resource": one} for one in listed]}).named
    return [(_known(name, one), one) for name, one in named]


def _known(name: str, resource: Json) -> str:
    return f"{name} {resource['id']}" if "id" in resource else name


class _Fields:
    """Finds the fields of the messages that elements went into, by the rows that read them."""

    def __init__(self, taking: Taking, settings: Settings, messages: list[Message]) -> None:
        self._taking, self._tables = taking, settings.tables
        self._c = settings.context()
        entries = [{"fullUrl": url, "resource": one} for url, one in taking.index.entries]
        self._shown = Bundle({"entry": entries})
        self._values: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._segments: dict[str, list[tuple[str, Segment]]] = {}
        kinds = [f"{one.code}^{one.event}" for one in messages]
        count: dict[str, int] = {}
        for kind, message in zip(kinds, messages, strict=True):
            count[kind] = count.get(kind, 0) + 1
            title = f"{kind} {count[kind]}" if kinds.count(kind) > 1 else kind
            several = {one.name for one in message.segments if one.occurrence > 1}
            for one in message.segments:
                place = f"{one.name}[{one.occurrence}]" if one.name in several else one.name
                self._segments.setdefault(one.name, []).append((f"{title} {place}", one))

    def line(self, resource: Json, one: Element) -> Line:
        """The line of one element of a resource."""
        name = _INDEX.sub("", one.where.removeprefix(self._taking.name(resource) + "."))
        shown = self._shown.value(one.value)
        if isinstance(one.value, dict) and "url" in one.value:
            name = f"{name}[{str(one.value['url']).removeprefix(EXTENSION)}]"
            shown = "; ".join(text for _, text in get_preserved({"extension": [one.value]})) or shown
        targets = tuple(self._targets(one))
        return Line(one.where, name, shown, one.fate, one.why or _why(one, targets), targets)

    def _targets(self, one: Element) -> Iterator[Target]:
        if one.fate == "preserved":
            yield from self._preserved(one.value)
            return
        if one.by_code and not one.rows:
            shown = self._shown.value(one.value)
            yield from (target for told in one.by_code for target in self._by_code(told, shown))
            return
        found = [target for table, row in one.rows for target in self._of_row(one.holder, table, row)]
        found = found or [Target("", "", row.place, row.codec_name, ()) for _, row in one.rows]
        held = [target for target in found if target.resources]
        yield from held or dict.fromkeys(Target("", "", target.row, target.codec, ()) for target in found)

    def _of_row(self, holder: Json, table: Table, row: Row) -> Iterator[Target]:
        for values in self._read(holder, table):
            value = values.get(row.domain)
            if row.codec is None or value in (None, "", ()):
                continue
            self._c.row = row
            try:
                texts = row.codec.to_v2(self._c, value) if not row.each else _joined(row, self._c, value)
            except (Refused, Unreadable):
                continue
            valued = [(cell, text) for cell, text in zip(row.cells, texts, strict=False) if text]
            holders = tuple(
                name
                for name, segment in self._segments.get(table.segment, ())
                if valued and all(_text(segment, cell.field, cell.component) == text for cell, text in valued)
            )
            for cell, text in valued:
                yield Target(f"{cell.segment}-{cell.text}", text, row.place, row.codec_name, holders)

    def _by_code(self, told: ByCode, shown: str) -> Iterator[Target]:
        """The fields that an element goes into by code; with their text where it is plain which segment tells it."""
        words = set(shown.split())
        made = [field for field in told.fields if field.partition("-")[0] in self._segments] or told.fields
        found = [(field, *self._plainly(field, words)) for field in made]
        valued = [one for one in found if one[1]]
        for field, text, names in valued or ((field, "", ()) for field in made or ("",)):
            yield Target(field, text, told.place, "", names)

    def _plainly(self, field: str, words: set[str]) -> tuple[str, tuple[str, ...]]:
        """The text of a field, and the segments that have it: of all that tell one of the words, or of the only segment."""
        name, _, number = field.partition("-")
        segments = self._segments.get(name, ())
        valued = [(place, text) for place, one in segments if (text := one.get(int(number)))]
        held = [one for one in valued if words & set(_PARTS.split(one[1]))] or (valued if len(segments) == 1 else [])
        texts = dict.fromkeys(text for _, text in held)
        return (next(iter(texts)), tuple(place for place, _ in held)) if len(texts) == 1 else ("", ())

    def _read(self, holder: Json, table: Table) -> list[dict[str, Any]]:
        """The values of a resource (or of each of its parts) by a table, read once."""
        key = id(holder), table.name
        if key not in self._values:
            within = table.resource.partition(".")[2]
            mapping = self._tables.mapping(table.name)
            found = []
            self._c.resolve = lambda reference: self._taking.index.resolve(reference, holder)
            for part in holder.get(within, ()) if within else (holder,):
                try:
                    found.append(mapping.from_fhir(part, self._c, table.name))
                except Refused:
                    continue  # a table that this resource was not read by
            self._values[key] = found
        return self._values[key]

    def _preserved(self, extension: Json) -> Iterator[Target]:
        """Where a text that no row maps went back to."""
        for place, text in get_preserved({"extension": [extension]}):
            name, _, number = place.partition("-")
            field = int(re.match(r"\d+", number)[0]) if number[:1].isdigit() else 0  # type: ignore[index]  # it begins with one
            listed = self._segments.get(name.partition("[")[0], ())
            yield Target(place, text, "", "", tuple(where for where, one in listed if text in one.get(field)))


def _why(one: Element, targets: tuple[Target, ...]) -> str:
    if one.by_code and not one.rows:
        return "; ".join(["read by code", *filter(None, (told.comment for told in one.by_code))])
    if one.fate != "mapped" or any(target.resources for target in targets):
        return ""
    return "read; no field has it as it stands" if targets else "read by code"


def _joined(row: Row, c: Any, values: Any) -> tuple[str, ...]:
    assert row.codec is not None
    return ("~".join(row.codec.to_v2(c, one)[0] for one in values),)


def _text(segment: Segment, field: int, component: int) -> str:
    text = segment.get(field)
    if not component:
        return text
    parts = text.split("^")
    return parts[component - 1] if component <= len(parts) else ""
