"""Batches of messages: FHS [BHS {message} BTS] FTS, and the batches that answer them (HL7 v2 chapter 2, 2.10.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.errors import Issue
from ketafhir.hl7v2.er7 import encode_segment, escape
from ketafhir.hl7v2.header import read_header
from ketafhir.hl7v2.stream import is_envelope, split_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEADERS = (b"FHS", b"BHS")


def is_batch(payload: bytes) -> bool:
    """Whether it begins with FHS or BHS."""
    head = payload[:16].removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return head.startswith(_HEADERS) and is_envelope(head)


def counted(parts: Iterable[bytes], issues: list[Issue]) -> Iterator[bytes]:
    """The messages of `split_batches`; `issues` gets the warning `batch-count` where BTS-1 (messages of the batch) or
    FTS-1 (batches of the file) tells another number than came."""
    messages = batches = trailers = 0
    for part in parts:
        name = part[:3] if is_envelope(part) else b""
        if name == b"BHS":
            batches, messages = batches + 1, 0
        elif name == b"BTS":
            trailers += 1
            batches = max(batches, trailers)  # BHS is optional
            issues += _compared(part, messages, "messages", f"BTS[{trailers}]-1" if trailers > 1 else "BTS-1")
            messages = 0
        elif name == b"FTS":
            issues += _compared(part, batches, "batches", "FTS-1")
            batches = trailers = 0
        elif not name:
            messages += 1
            yield part


def _compared(trailer: bytes, came: int, what: str, where: str) -> list[Issue]:
    told = trailer.split(trailer[3:4], 2)[1].strip() if len(trailer) > 3 else b""
    if not told or (told.isdigit() and int(told[:9]) == came):
        return []
    shown = told[:20].decode() if told.isdigit() else "no number of"
    text = f"{where} tells {shown} {what}, {came} came"
    hint = "ask the sender whether something is missing; what came is taken"
    return [Issue("warning", "batch-count", text, where=where, hint=hint)]


class Batch:
    """One frame that holds a batch, or a file of batches: its messages, and what is wrong with its counts."""

    def __init__(self, payload: bytes) -> None:
        self._parts = list(split_batches(payload))
        self.issues: list[Issue] = []
        self.messages = list(counted(self._parts, self.issues))
        self._header = next((part for part in self._parts if part[:3] == b"BHS"), self._parts[0])

    @property
    def is_answer(self) -> bool:
        """Whether it refers to another batch (BHS-12, FHS-12): answering it would begin an endless exchange."""
        return any(
            is_envelope(part) and part[:3] in _HEADERS and read_header(part, part[:3].decode())[0].get(12)
            for part in self._parts
        )

    def answer(self, answers: Sequence[bytes], charset: str = "utf-8") -> bytes:
        """The batch of the acknowledgments, in the envelope that came: a BHS, and an FHS around it where there was one.

        The same acknowledgments give the same bytes: BHS-11 and BHS-7 follow from them (of those that were stored when
        the batch came first, as they are).
        """
        from hashlib import sha256  # OpenSSL: only a batch that is answered needs it

        told = "; ".join(issue.text for issue in self.issues)
        number = sha256(b"".join(answers)).hexdigest()[:20]
        time = read_header(answers[0])[0].get(7) if answers else ""
        _, seps = read_header(self._header, self._header[:3].decode())
        first = [self._envelope("BHS", self._header, number, time)]
        last = [encode_segment("BTS", {1: str(len(answers)), 2: escape(told, seps) if seps.escape else ""}, seps)]
        if self._parts[0][:3] == b"FHS":
            first.insert(0, self._envelope("FHS", self._parts[0], number, time))
            last.append(encode_segment("FTS", {1: "1"}, seps))
        before, after = ["".join(f"{line}\r" for line in lines).encode(charset, "replace") for lines in (first, last)]
        return before + b"".join(answer.rstrip(b"\r") + b"\r" for answer in answers) + after

    @staticmethod
    def _envelope(name: str, header: bytes, number: str, time: str) -> str:
        """The header of the answer: addressed back, with the number of the header that came in BHS-12 or FHS-12."""
        came, seps = read_header(header, header[:3].decode())
        cells = {3: came.get(5), 4: came.get(6), 5: came.get(3), 6: came.get(4), 7: time, 11: number, 12: came.get(11)}
        return encode_segment(name, cells, seps)
