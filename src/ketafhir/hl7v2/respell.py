"""A message in other separators: the same content, written with another MSH-1 and MSH-2 (HL7 v2 chapter 2, 2.5.4, 2.7.1)."""

from __future__ import annotations

from ketafhir.hl7v2.er7 import Message, Segment, Separators
from ketafhir.hl7v2.escapes import is_sequence, unescape

_HEADERS = ("MSH", "FHS", "BHS")


def respelled(message: Message, to: Separators) -> Message:
    """The message in the separators `to`; what looks like one of these but is data is escaped, or a blank where they have no
    escape character."""
    respeller = _Respeller(message.separators, to)
    segments = []
    for one in message.segments:
        fields = [respeller.text(field) for field in one.fields]
        if one.name in _HEADERS:
            fields[1:3] = [to.field, to.msh2]
        segments.append(Segment(one.name, fields, one.line, one.occurrence))
    return Message(segments, to)


class _Respeller:
    def __init__(self, own: Separators, to: Separators) -> None:
        self._own = own
        self._to = to
        named = zip(
            (to.field, to.component, to.repetition, to.subcomponent, to.escape, to.truncation), "FSRTEP", strict=True
        )
        self._data = data = {ord(char): self._sequence(letter) for char, letter in named if char}
        self._lone = own.escape.translate(data)  # an escape character that escapes nothing is data
        self._swap = data | {
            ord(one): other or one
            for one, other in (
                (own.field, to.field),
                (own.component, to.component),
                (own.repetition, to.repetition),
                (own.subcomponent, to.subcomponent),
            )
            if one
        }

    def _sequence(self, body: str) -> str:
        return f"{self._to.escape}{body}{self._to.escape}" if self._to.escape else " "

    def _escaped(self, body: str) -> str:
        """A sequence that stands for a separator is that character, which may be none of `to`."""
        found = unescape(f"{self._own.escape}{body}{self._own.escape}", self._own)
        return found.translate(self._data) if found in self._own.text else self._sequence(body)

    def text(self, text: str) -> str:
        """One field, read as `escapes.unescape` reads it."""
        escape = self._own.escape
        if not escape or escape not in text:
            return text.translate(self._swap)
        parts = text.split(escape)
        out = [parts[0].translate(self._swap)]
        at, last = 1, len(parts) - 1
        while at <= last:
            if at < last and is_sequence(parts[at], self._own):
                out += self._escaped(parts[at]), parts[at + 1].translate(self._swap)
                at += 2
            else:
                out += self._lone, parts[at].translate(self._swap)
                at += 1
        return "".join(out)
