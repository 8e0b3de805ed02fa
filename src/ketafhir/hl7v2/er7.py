"""ER7 text <-> messages and segments (HL7 v2 chapter 2, 2.5 and 2.7).

Fields stay raw (escaped) until a reader asks: most of a message is never looked into. Numbers are the
standard's, from 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ketafhir.errors import Refused, refused
from ketafhir.hl7v2.charsets import decode
from ketafhir.hl7v2.charsets import encode as to_bytes
from ketafhir.hl7v2.escapes import escape, unescape
from ketafhir.hl7v2.stream import split_messages
from ketafhir.hl7v2.structures import structure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "DEFAULT",
    "Message",
    "Segment",
    "Separators",
    "components",
    "decode",
    "encode",
    "encode_segment",
    "escape",
    "join_components",
    "join_repetitions",
    "join_subcomponents",
    "parse",
    "repetitions",
    "separators_of",
    "split_messages",
    "subcomponents",
    "to_bytes",
    "unescape",
]

_HEADERS = frozenset(("MSH", "FHS", "BHS"))
_is_name = re.compile(r"[A-Z][A-Z0-9]{2}").fullmatch


class Separators:
    """The delimiters of one message: MSH-1 and the characters of MSH-2. `subcomponent`, `escape` and
    `truncation` may be ''."""

    __slots__ = ("component", "escape", "field", "repetition", "subcomponent", "text", "truncation")

    def __init__(
        self,
        field: str = "|",
        component: str = "^",
        repetition: str = "~",
        escape: str = "\\",
        subcomponent: str = "&",
        truncation: str = "",
    ) -> None:
        self.field = field
        self.component = component
        self.repetition = repetition
        self.escape = escape
        self.subcomponent = subcomponent
        self.truncation = truncation
        self.text = field + self.msh2

    @property
    def msh2(self) -> str:
        """The text of MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation

    def __repr__(self) -> str:
        return f"Separators({self.text!r})"


DEFAULT = Separators()
_USUAL = f"MSH{DEFAULT.text}{DEFAULT.field}"


class Segment:
    """One segment: `fields[n]` is the raw text of field n, `fields[0]` the name; MSH-1 and -2 count as
    fields.

    `line` is its place in the message and `occurrence` its place among segments of that name, both from 1.
    """

    __slots__ = ("fields", "line", "name", "occurrence")

    def __init__(self, name: str, fields: list[str], line: int = 0, occurrence: int = 1) -> None:
        self.name = name
        self.fields = fields
        self.line = line
        self.occurrence = occurrence

    def get(self, number: int) -> str:
        """The raw text of a field, '' where the segment ends before it."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def __repr__(self) -> str:
        return f"<{self.name}[{self.occurrence}] line {self.line}, {len(self.fields) - 1} fields>"


class Message:
    """The segments of one message in their order, the MSH first."""

    __slots__ = ("_parts", "_text", "segments", "separators")

    def __init__(self, segments: list[Segment], separators: Separators, text: str = "") -> None:
        self.segments = segments
        self.separators = separators
        self._text = text
        self._parts: dict[int, list[str]] = {}

    @property
    def msh(self) -> Segment:
        """The message header."""
        return self.segments[0]

    @property
    def code(self) -> str:
        """MSH-9.1, the message code: `RAS`."""
        return self._header(9, 0)

    @property
    def event(self) -> str:
        """MSH-9.2, the trigger event: `O17`."""
        return self._header(9, 1)

    @property
    def structure(self) -> str:
        """MSH-9.3, derived from code, event and version where it is empty: `RAS_O17`."""
        return self._header(9, 2) or structure_of(self.code, self.event, self.version)

    @property
    def control_id(self) -> str:
        """MSH-10, unescaped."""
        return unescape(self.msh.get(10), self.separators)

    @property
    def processing_id(self) -> str:
        """MSH-11.1: P, T or D."""
        return self._header(11, 0)

    @property
    def version(self) -> str:
        """MSH-12.1: `2.5.1`."""
        return self._header(12, 0)

    @property
    def application(self) -> str:
        """MSH-3.1, the sending application, unescaped."""
        return self._name(3)

    @property
    def facility(self) -> str:
        """MSH-4.1, the sending facility, unescaped."""
        return self._name(4)

    def _name(self, field: int) -> str:
        """The first component; blanks alone (of whichever kind) name nobody."""
        name = unescape(self._header(field, 0), self.separators)
        return "" if name.isspace() else name

    @property
    def sender(self) -> tuple[str, str]:
        """MSH-3.1 and MSH-4.1."""
        return self.application, self.facility

    @property
    def text(self) -> str:
        """The message as ER7, CR after each segment, empty fields at the end left out."""
        return self._text or encode(self.segments, self.separators)

    def where(self, segment: Segment, field: int = 0, component: int = 0, repetition: int = 0) -> str:
        """A place for `Issue.where`: `PID-3`, `RXA[2]-7.1` (the occurrence only where there are several),
        `PID-3[2].4`."""
        several = sum(other.name == segment.name for other in self.segments) > 1
        place = f"{segment.name}[{segment.occurrence}]" if several else segment.name
        if field:
            place += f"-{field}"
            place += f"[{repetition}]" if repetition else ""
            place += f".{component}" if component else ""
        return place

    def _header(self, number: int, component: int) -> str:
        parts = self._parts.get(number)
        if parts is None:
            parts = self._parts[number] = self.segments[0].get(number).split(self.separators.component)
        return parts[component] if component < len(parts) else ""


def parse(text: str) -> Message:
    """The message that an ER7 text holds. CR, LF and CRLF end segments; what ends the MSH decides (see
    `_lines`).

    Blank lines, unknown segment names and missing optional fields are accepted. Raises `Refused` (table 0357
    code in `Issue.hl7`): no MSH, separators that are no separators, segment names cut or missing, empty MSH-9
    or MSH-10, two messages.
    """
    text = text.strip("\ufeff\r\n\x0b\x1c")
    seps = separators_of(text)
    separator = seps.field
    segments: list[Segment] = []
    seen: dict[str, int] = {}
    lines = _lines(text, separator)
    for line in lines:
        fields = line.split(separator)
        name = fields[0]
        occurrence = seen.get(name)
        if occurrence is None:
            if not line.strip():
                continue
            if not _is_name(name):
                raise _cut(name, len(segments) + 1)
            occurrence = 0
        seen[name] = occurrence = occurrence + 1
        if name in _HEADERS:
            fields.insert(1, separator)
        segments.append(Segment(name, fields, len(segments) + 1, occurrence))
    if len(segments) < len(lines):
        lines = [line for line in lines if line.strip()]  # blank ones are no segments
    whole = "\r".join([*lines, ""])
    message = Message(segments, seps, "" if f"{separator}\r" in whole else whole)
    _check_header(message, seen)
    return message


def separators_of(text: str) -> Separators:
    """MSH-1 and MSH-2 of a text that begins with its MSH. Raises `Refused` (100, 102) where it does not."""
    if not text.startswith("MSH"):
        raise refused(
            "not-hl7",
            "this is no HL7 v2 message: it does not begin with MSH",
            where="MSH",
            value=text[:20],
            hl7="100",
            hint="send one message that begins with an MSH segment",
        )
    if text.startswith(_USUAL):
        return DEFAULT
    field = text[3:4]
    if not field.isascii():  # 2.7: MSH-18 is found by it, before there is a character set to read it in
        raise refused(
            "separators",
            "MSH-1 must be a character of ASCII, whatever the character set of the message",
            where="MSH-1",
            value=field,
            hl7="102",
            hint="use MSH|^~\\&|",
        )
    msh2 = text[4:].split(field, 1)[0] if field else ""
    found = field + msh2
    if not 3 <= len(found) <= 6 or len(set(found)) != len(found) or any(_is_data(char) for char in found):
        raise refused(
            "separators",
            "MSH-1 and MSH-2 must be different characters, none a letter, digit, point or quote",
            where="MSH-2",
            value=found[:20],
            hl7="102",
            hint="use MSH|^~\\&|",
        )
    if found == DEFAULT.text:
        return DEFAULT
    return Separators(*(found[at : at + 1] for at in range(6)))


def encode(segments: Iterable[Segment | str], separators: Separators = DEFAULT) -> str:
    """ER7 text of segments (or of texts that `encode_segment` made): CR after each, empty fields at the end
    left out."""
    lines = [item if isinstance(item, str) else encode_segment(item.name, item.fields, separators) for item in segments]
    return "".join(line + "\r" for line in lines)


def encode_segment(name: str, cells: dict[int, str] | Sequence[str], separators: Separators = DEFAULT) -> str:
    """One segment, without its CR, from raw texts by field number: a dict, or a list whose item 0 is not
    looked at.

    MSH-1 and MSH-2 are written from `separators`, whatever the cells say.
    """
    if isinstance(cells, list) and len(cells) > 1 and cells[-1] and name not in _HEADERS:
        return separators.field.join([name, *cells[1:]])
    if isinstance(cells, dict):
        fields = [""] * (max(cells, default=0) + 1)
        for number, cell in cells.items():
            fields[number] = cell
    else:
        fields = list(cells) or [""]
    fields[0] = name
    if name in _HEADERS:
        fields[1:3] = [separators.msh2]
    while len(fields) > 1 and not fields[-1]:
        fields.pop()
    return separators.field.join(fields)


def repetitions(text: str, seps: Separators) -> list[str]:
    """The repetitions of a raw field; an empty field has none."""
    return text.split(seps.repetition) if text else []


def components(text: str, seps: Separators) -> list[str]:
    """The raw components of one repetition, `['']` when it is empty."""
    return text.split(seps.component)


def subcomponents(text: str, seps: Separators) -> list[str]:
    """The raw subcomponents of one component, `['']` when it is empty."""
    return text.split(seps.subcomponent) if seps.subcomponent else [text]


def join_repetitions(parts: Iterable[str], seps: Separators) -> str:
    """A raw field of raw repetitions; empty ones at the end are left out."""
    return seps.repetition.join(parts).rstrip(seps.repetition)


def join_components(parts: Iterable[str], seps: Separators) -> str:
    """A raw repetition of raw components; empty ones at the end are left out."""
    return seps.component.join(parts).rstrip(seps.component)


def join_subcomponents(parts: Iterable[str], seps: Separators) -> str:
    """A raw component of raw subcomponents; empty ones at the end are left out."""
    return (seps.subcomponent or "&").join(parts).rstrip(seps.subcomponent or "&")


def _lines(text: str, separator: str) -> list[str]:
    """The segments of a message by what ends its MSH.

    LF: every line end ends a segment. CR: CR and CRLF do, a bare LF is data. CRLF: as CR, but an LF before
    what can only be the next segment ends one too, as in a file that was edited.
    """
    cr, lf = text.find("\r"), text.find("\n")
    if lf < 0:
        return text.split("\r")
    if cr < 0 or lf < cr:
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = text.replace("\r\n", "\r")
    if lf == cr + 1 and "\n" in text:
        text = re.sub(rf"\n+(?=[A-Z][A-Z0-9]{{2}}{re.escape(separator)})", "\r", text)
    return text.split("\r")


def _is_data(char: str) -> bool:
    return char.isalnum() or char == " " or not char.isprintable() or char in '."'


def _cut(name: str, line: int) -> Refused:
    return refused(
        "truncated",
        f"segment {line} has no segment name: the message is cut or damaged",
        where="MSH",
        value=name[:20],
        hl7="100",
        hint="send the whole message again",
    )


def _check_header(message: Message, seen: dict[str, int]) -> None:
    if seen["MSH"] > 1:
        raise refused(
            "several-messages",
            "there is a second MSH in this message",
            where="MSH[2]",
            hl7="100",
            hint="send one message at a time",
        )
    for number, name in ((9, "message type"), (10, "message control id")):
        first = message.msh.get(number).split(message.separators.repetition or "~")[0]
        if unescape(first, message.separators).strip() in ("", '""'):
            raise refused(
                "header-short",
                f"MSH-{number}, the {name}, is empty",
                where=f"MSH-{number}",
                hl7="101",
                hint="send the whole message header",
            )
