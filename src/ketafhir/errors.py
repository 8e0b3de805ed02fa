"""What can go wrong, and how it is told.

    KetafhirError
    +-- Refused            a message or Bundle that is not translated; carries its issues
    +-- TableError         mapping tables that do not load or compile
    +-- ConfigError        settings that make no sense
    +-- StoreError         the message store cannot do its work
    +-- FhirServerError    the FHIR server of our own cannot be built, started or stopped
    +-- TransferError      a peer (FHIR server, MLLP receiver) did not do what was asked
        +-- Permanent      asking again would get the same answer
        +-- Transient      asking again later may work; nothing was done
        +-- Ambiguous      it may have been done: ask again only because our writes are idempotent

An `Issue` is one finding about one place in the input. It becomes an ERR segment on the HL7v2 side (`hl7v2.ack`) and an
OperationOutcome.issue on the FHIR side (`fhir.outcome`).
"""

from __future__ import annotations

from typing import Any, Literal

from ketafhir.plain import Plain

Severity = Literal["error", "warning", "information"]


class Issue(Plain):
    """One finding: what, where, why, and what to do about it.

    `code` is a stable name of ours (`unit-unknown`, `identity-collision`, ...). `where` is `RXA[2]-7.1` (occurrence only
    when there are several) or a FHIR path (`Observation[3].valueQuantity`). `row` is the table row at work, as
    `table:line [row]`. `hl7` is the HL7 table 0357 code of ERR-3 and `reject` says that the fault is not in the content
    (AR, CR instead of AE, CE). An issue is never changed.
    """

    severity: Severity
    code: str
    text: str
    where: str = ""
    row: str = ""
    value: str = ""
    hint: str = ""
    hl7: str = "207"
    reject: bool = False

    def __hash__(self) -> int:  # type: ignore[override]  # other Plain values change while they are read
        return hash((self.code, self.where, self.value))

    def line(self) -> str:
        """The issue on one line: row, place, reason, value, remedy."""
        head = " ".join(part for part in (self.row, self.where) if part)
        tail = f": {self.value!r}" if self.value else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{head + ': ' if head else ''}{self.text}{tail}{hint}"


class KetafhirError(Exception):
    """Root of every error that is raised on purpose."""


class Refused(KetafhirError):
    """Input that is not translated, whole or not at all. `issues` says why; the first error is the message."""

    def __init__(self, *issues: Issue) -> None:
        self.issues: list[Issue] = list(issues)
        errors = [issue for issue in issues if issue.severity == "error"]
        super().__init__("; ".join(issue.line() for issue in errors or issues))


_MENDED_BY: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "check its name and that its folder is there"),
    (IsADirectoryError, "name a file, not a folder"),
    (NotADirectoryError, "name a folder where there is a file"),
    (FileExistsError, "choose another name"),
    (PermissionError, "give this user the right to it"),
)


def reason_of(error: Exception) -> str:
    """What an error says on one line: of a file its name, why it cannot be used, and what to do."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    mended = next((f"; {text}" for kind, text in _MENDED_BY if isinstance(error, kind)), "")
    return f"{error.filename}: {error.strerror}{mended}"


def refused(code: str, text: str, **more: str) -> Refused:
    """A `Refused` of one error; `more` are the other fields of `Issue` that are texts."""
    return Refused(Issue("error", code, text, **more))  # type: ignore[arg-type]  # reject is never among them


class TableError(KetafhirError):
    """A mapping table, code map or site overlay that cannot be used; names file, line and row."""


class ConfigError(KetafhirError):
    """A setting that is unknown, missing or wrong; names the key."""


class StoreError(KetafhirError):
    """The message store cannot accept or settle now (full, locked, damaged)."""


class FhirServerError(KetafhirError):
    """The embedded FHIR server cannot be built, started or stopped; the first line says what to do about it."""


class TransferError(KetafhirError):
    """A peer did not do what was asked. `outcome` is the `sync.outcome.Outcome` that a FHIR server's answer was read as."""

    outcome: Any = None


class Permanent(TransferError):
    """The same request would fail again: it goes to the dead letters with this text."""


class Transient(TransferError):
    """Nothing was done; the same request may work later. `after` is the wait the peer asked for, in seconds."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Ambiguous(TransferError):
    """It may have been done (a time-out after sending): repeated, because every write of ours is idempotent."""
