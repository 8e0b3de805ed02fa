"""Acknowledgments as the bytes that go back: new MSH-10, MSH-7 of now, in the charset of the message."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import cast

from ketafhir.errors import Issue
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.batch import Batch
from ketafhir.hl7v2.charsets import codec_of
from ketafhir.hl7v2.respell import respelled

_MOST_ISSUES = 20  # of one acknowledgment; the store keeps them all
_UNSPECIFIC = "207"


class Answers:
    """Writes acknowledgments for one listener: its charset, its zone for MSH-7 (UTC without one), and its version of HL7 v2
    (that of each message without one)."""

    def __init__(self, charset: str = "", zone: tzinfo | None = None, version: str = "") -> None:
        self._charset = charset or None
        self._zone = zone or UTC
        self._version = version

    def accept(self, received: bytes, code: str, issues: Sequence[Issue] = ()) -> bytes:
        """An ACK: the accept acknowledgment of the enhanced mode, or the answer to what is no message."""
        told = _told(issues)
        text = ack.acknowledge(received, cast(ack.Code, code), told, charset=self._charset, **self._new())
        return er7.to_bytes(text, self._charset)

    def application(
        self,
        received: er7.Message,
        code: str,
        issues: Sequence[Issue] = (),
        below: Sequence[er7.Segment] = (),
        *,
        enhanced: bool = True,
        separators: er7.Separators = er7.DEFAULT,
    ) -> bytes:
        """The application answer, the only one of the original mode (not `enhanced`): RRA^O18 to RAS^O17, with its ORDER groups
        (`below`). `separators` are those that the message came in, and the answer goes out in."""
        if separators is not received.separators:
            received = respelled(er7.Message([received.msh, *below], received.separators), separators)
            below = received.segments[1:]
        told = _told(issues)
        text = ack.application_response(
            received, cast(ack.Code, code), told, charset=self._charset, below=below, enhanced=enhanced, **self._new()
        )
        return er7.to_bytes(text, self._charset)

    def batch(self, received: Batch, answers: Sequence[bytes]) -> bytes:
        """The acknowledgments of the messages of one batch, as a batch."""
        return received.answer(answers, codec_of(self._charset) if self._charset else "utf-8")

    def _new(self) -> dict[str, str]:
        now = datetime.now(self._zone)
        stamp = now.strftime("%Y%m%d%H%M%S%z")
        return {"control_id": secrets.token_hex(10), "timestamp": stamp, "version": self._version}


def _told(issues: Sequence[Issue]) -> list[Issue]:
    """The errors and then the warnings, as many as a sender will read.

    A warning without a code of its own is about a message that was accepted (table 0357: 0).
    """
    errors = [issue for issue in issues if issue.severity == "error"]
    warnings = [
        replace(issue, hl7="0") if issue.hl7 == _UNSPECIFIC else issue
        for issue in issues
        if issue.severity == "warning"
    ]
    return (errors + warnings)[:_MOST_ISSUES]
