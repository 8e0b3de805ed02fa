"""Acknowledgements: ACK and application answers with MSA and ERR (HL7 v2 chapter 2, 2.9, 2.14.5 and 2.14.8).

ERR takes its modern form from 2.5 on (ERR-2 to ERR-8); before, each error is a repetition of ERR-1. Whatever
is echoed is escaped and free of control characters, and an answer can always be written in the charset that
it names: what that does not have becomes a question mark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from ketafhir.errors import Refused
from ketafhir.hl7v2.charsets import codec_of
from ketafhir.hl7v2.choreography import Outcome, choreography
from ketafhir.hl7v2.er7 import Message, Segment, Separators, encode, encode_segment, escape, join_components
from ketafhir.hl7v2.header import read_header, recover_control_id, without_controls
from ketafhir.hl7v2.structures import response_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ketafhir.errors import Issue

__all__ = [
    "Code",
    "Outcome",
    "acknowledge",
    "application_response",
    "choreography",
    "locate",
    "recover_control_id",
]

Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]

# Table 0357.
_CONDITIONS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
_SEVERITIES = {"error": "E", "warning": "W", "information": "I"}
_OURS = "99KETA"
# Lengths of MSA-3, ERR-7 and ERR-8 in the versions that state one.
_MSA_3, _ERR_7, _ERR_8 = 80, 2048, 250
_place = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?)?").match


def acknowledge(
    received: Message | bytes,
    code: Code,
    issues: Sequence[Issue] = (),
    *,
    control_id: str,
    timestamp: str,
    charset: str | None = None,
    version: str = "",
) -> str:
    """The ACK to a message, or to bytes that are none. `timestamp` is its MSH-7, `control_id` its MSH-10.

    `charset` is what was agreed with the peer, for a message without MSH-18; `er7.to_bytes` with the same
    `charset` writes the bytes. `version` is the version of HL7 v2 it is written in; empty: that of the message.
    """
    return _Answer(received, charset, version).text(code, issues, control_id, timestamp, answer=False)


def application_response(
    received: Message,
    code: Code,
    issues: Sequence[Issue] = (),
    *,
    control_id: str,
    timestamp: str,
    charset: str | None = None,
    version: str = "",
    below: Sequence[Segment] = (),
    enhanced: bool = True,
) -> str:
    """The answer of the application: RRA^O18 to RAS^O17, RRE^O12 to RDE^O11, else ACK, which is for messages that have no
    answer of their own (2.14.1). In enhanced mode it asks for no acknowledgment itself; in original mode the fields are empty.

    `below` are the segments of its ORDER groups, in the separators of the message.
    """
    made = _Answer(received, charset, version)
    return made.text(code, issues, control_id, timestamp, answer=True, below=below, enhanced=enhanced)


def locate(where: str) -> tuple[str, int, int, int, int]:
    """Segment, occurrence, field, repetition and component of an `Issue.where`.

    `RXA[2]-7.1` is ("RXA", 2, 7, 1, 1). The occurrence is 1 where it is not named; 0 is what the place does
    not say. A place that is none in a message (a FHIR path, a setting) gives ("", 0, 0, 0, 0).
    """
    found = _place(where)
    if not found or not re.fullmatch(r"|[.\s].*", where[found.end() :], re.DOTALL):
        return "", 0, 0, 0, 0
    segment, occurrence, field, repetition, component = found.groups(default="0")
    first = 1 if int(component) else 0
    return segment, int(occurrence) or 1, int(field), int(repetition) or first, int(component)


class _Answer:
    """One answer to one message, in the separators and charset of that message."""

    def __init__(self, received: Message | bytes, charset: str | None, version: str) -> None:
        self.msh: Segment
        self.seps: Separators
        if isinstance(received, Message):
            self.msh, self.seps = received.msh, received.separators
        else:
            self.msh, self.seps = read_header(received)
        self.stated = version or self._echo(12)
        self.version = self.stated.split(self.seps.component)[0]
        self.charset = self._echo(18).split(self.seps.repetition)[0]
        self.charset = self.charset if _bytewise(self.charset) else ""
        self.codec = _bytewise(self.charset) or _bytewise(charset or "") or "utf-8"

    def text(
        self,
        code: Code,
        issues: Sequence[Issue],
        control_id: str,
        timestamp: str,
        *,
        answer: bool,
        below: Sequence[Segment] = (),
        enhanced: bool = True,
    ) -> str:
        cells = {
            3: self._echo(5),
            4: self._echo(6),
            5: self._echo(3),
            6: self._echo(4),
            7: timestamp,
            9: self._message_type(answer),
            10: self._written(control_id),
            11: self._echo(11) or "P",
            12: self.stated or "2.5.1",
            18: self.charset,
        }
        if answer and enhanced:
            cells |= {15: "NE", 16: "NE"}
        segments = [encode_segment("MSH", cells, self.seps), self._msa(code, issues), *self._errors(issues)]
        segments += [
            encode_segment(one.name, [without_controls(cell) for cell in one.fields], self.seps) for one in below
        ]
        return encode(segments, self.seps).encode(self.codec, "replace").decode(self.codec)

    def _echo(self, number: int) -> str:
        return without_controls(self.msh.get(number))

    def _written(self, text: str, length: int = 1 << 16) -> str:
        """A text of ours, or one that the message gave, as raw text."""
        text = without_controls(text.replace("\n", " "))[:length]
        if self.seps.escape:
            return escape(text, self.seps)
        return "".join(" " if char in self.seps.text else char for char in text)

    def _message_type(self, answer: bool) -> str:
        code, event, *_ = [*self._echo(9).split(self.seps.component), ""]
        kind, event, structure = response_to(code, event) if answer else ("ACK", event, "ACK")
        parts = [kind, event, structure] if self._at_least("2.3.1") and event else [kind, event]
        return join_components(parts, self.seps)

    def _at_least(self, version: str) -> bool:
        return (self.version or "2.5.1") >= version

    def _msa(self, code: Code, issues: Sequence[Issue]) -> str:
        cells = {1: str(code), 2: self._echo(10)}
        texts = [issue.text for issue in issues if issue.severity == "error"]
        if texts and not self._at_least("2.7"):  # withdrawn in 2.7
            cells[3] = self._written(texts[0], _MSA_3)
        return encode_segment("MSA", cells, self.seps)

    def _errors(self, issues: Sequence[Issue]) -> list[str]:
        if self._at_least("2.5"):
            return [self._err(issue) for issue in issues]
        old = [self._err_1(issue) for issue in issues if issue.severity == "error"]
        return [encode_segment("ERR", {1: self.seps.repetition.join(old)}, self.seps)] if old else []

    def _err(self, issue: Issue) -> str:
        condition = (issue.hl7, _CONDITIONS.get(issue.hl7, ""), "HL70357")
        value = f": {issue.value}" if issue.value else ""
        hint = f" ({issue.hint})" if issue.hint else ""
        cells = {
            2: join_components((str(part or "") for part in locate(issue.where)), self.seps),
            3: self._coded(condition, self.seps.component),
            4: _SEVERITIES[issue.severity],
            5: self._coded((issue.code, issue.text, _OURS), self.seps.component),
            7: self._written(" ".join(part for part in (issue.row, issue.where) if part), _ERR_7),
            8: self._written(f"{issue.text}{value}{hint}", _ERR_8),
        }
        return encode_segment("ERR", cells, self.seps)

    def _err_1(self, issue: Issue) -> str:
        """One repetition of ERR-1 (ELD): segment, sequence, field, and the code with ours beside it."""
        segment, occurrence, field, _, _ = locate(issue.where)
        codes = (issue.hl7, _CONDITIONS.get(issue.hl7, ""), "HL70357", issue.code, issue.text, _OURS)
        coded = self._coded(codes, self.seps.subcomponent or "&")
        return join_components((segment, str(occurrence or ""), str(field or ""), coded), self.seps)

    def _coded(self, parts: Sequence[str], separator: str) -> str:
        return separator.join(self._written(part) for part in parts)


def _bytewise(name: str) -> str:
    """The codec of a charset that can be sent over MLLP; '' for others and for names we do not take."""
    try:
        codec = codec_of(name) if name else ""
    except Refused:
        return ""
    return "" if codec == "utf-16" else codec
