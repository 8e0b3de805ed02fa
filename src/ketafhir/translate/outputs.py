"""What a run of `translate` writes beside its result: findings, report, rejected messages. A feed may be of any length, so
none of it is gathered in memory.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from ketafhir.fhir import json
from ketafhir.fhir.outcome import operation_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ketafhir.errors import Issue

_MOST_HELD = 1000


class Findings:
    """The issues of the one OperationOutcome, in the order found."""

    def __init__(self) -> None:
        self.held: list[Issue] = []
        self._file: IO[bytes] | None = None

    def extend(self, issues: Iterable[Issue]) -> None:
        """Add some."""
        self.held.extend(issues)

    def make_room(self) -> None:
        """Call it between messages: much is moved to a temporary file. Raises OSError where the disk is full."""
        if len(self.held) > _MOST_HELD:
            if self._file is None:
                import tempfile

                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # goes with the process
            self._file.write(b"".join(_entry(issue) + b"\n" for issue in self.held))
            self.held.clear()

    def json(self) -> Iterator[bytes]:
        """The OperationOutcome in pieces, once."""
        if self._file is None:
            yield json.dumps(operation_outcome(self.held))
            return
        before = b'{"resourceType":"OperationOutcome","issue":['
        with self._file:
            self._file.seek(0)
            for line in self._file:
                yield before + line[:-1]
                before = b","
        for issue in self.held:
            yield b"," + _entry(issue)
        yield b"]}"


def _entry(issue: Issue) -> bytes:
    return json.dumps(operation_outcome([issue])["issue"][0])


class Report:
    """The loss report as a JSON file: of one message an object, of several (or none) an array."""

    def __init__(self, file: str | IO[bytes]) -> None:
        """Raises OSError where a file of that name cannot be written. What is handed over open is left open."""
        self._file = open(file, "wb") if isinstance(file, str) else file  # noqa: SIM115  # closed by `close`
        self._named = isinstance(file, str)
        self._first: bytes | None = None
        self._count = 0

    def add(self, account: dict[str, Any]) -> None:
        """The account of one more message."""
        text = json.dumps(account, indent=True)
        self._count += 1
        if self._count == 1:
            self._first = text
            return
        if self._count == 2 and self._first is not None:
            self._file.write(b"[\n  " + _indented(self._first))
        self._file.write(b",\n  " + _indented(text))

    def close(self) -> None:
        """Write the end."""
        single = b"[]\n" if self._first is None else self._first + b"\n"
        _end(self._file, b"\n]\n" if self._count > 1 else single, self._named)


def _indented(text: bytes) -> bytes:
    return text.replace(b"\n", b"\n  ")


class Rejects:
    """Refused messages as an HL7v2 batch file (HL7 v2 chapter 2, 2.10.3): each in a batch of its own, its bytes as they came,
    the reasons before it in BHS-10 (batch comment).

    `translate` and `send` take the file as it is, and so does what reads batches; nothing is in it where nothing was refused.
    """

    def __init__(self, file: str | IO[bytes]) -> None:
        """Raises OSError where a file of that name cannot be written. What is handed over open is left open."""
        self._file = open(file, "wb") if isinstance(file, str) else file  # noqa: SIM115  # closed by `close`
        self._named = isinstance(file, str)
        self._count = 0

    def add(self, data: bytes, number: int, reasons: Iterable[Issue]) -> None:
        """One refused message: its bytes, which one of the input it was, and why."""
        if not self._count:
            self._file.write(b"FHS|^~\\&\r")
        self._count += 1
        told = [f"{issue.code}: {issue.line()}" for issue in reasons if issue.severity == "error"]
        comment = _comment(f"message {number}: {'; '.join(told)}")
        self._file.write(b"BHS|^~\\&" + b"|" * 8 + comment + b"\r" + data.strip(b"\r\n") + b"\rBTS|1\r")

    def close(self) -> None:
        """Write the end."""
        _end(self._file, b"FTS|%d\r" % self._count if self._count else b"", self._named)


def _end(file: IO[bytes], text: bytes, close: bool) -> None:
    try:
        file.write(text)
    finally:
        if close:
            file.close()


def _comment(text: str) -> bytes:
    """A text as a field in ASCII, which every charset of a message has; a character beyond it as `?`."""
    from ketafhir.hl7v2.er7 import DEFAULT, escape

    line = " ".join(text.split())
    return escape(line, DEFAULT).encode("ascii", "replace")
