"""What a codec may know beside the value: the zone, the authorities, the sender, and where to report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ketafhir.errors import Issue, KetafhirError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ketafhir.hl7v2.er7 import Segment
    from ketafhir.mapping.tables import Row


_MOST_REMEMBERED = 4096  # some 2 MB; a feed has a few hundred codes, and times that never come again


class Unreadable(KetafhirError):
    """A value that a codec does not understand. The engine adds the table row and the place, and refuses the message."""

    def __init__(self, code: str, why: str, value: str = "", hint: str = "", hl7: str = "207") -> None:
        super().__init__(why)
        self.code, self.why, self.value, self.hint, self.hl7 = code, why, value, hint, hl7


def no_reference(kind: str, value: Any) -> dict[str, Any]:
    """Where no Bundle is being written there is nothing to refer to."""
    raise TypeError(f"no reference to {kind} can be made here: {value!r}")


class Context:
    """The surroundings of one translation, changed as it proceeds.

    `zone` is the site's time zone or None; `authorities` maps an assigning authority's name to its FHIR system and
    `default_authority` names the one of a patient number without any; `local` is the `urn:` system of numbers the sender gave
    no authority for. `link` makes a reference to what others may own too (Practitioner, Location, Device), `resolve` finds
    the resource of one. `segment` (HL7v2) or `where` (FHIR) is what is being read, for messages. `read` remembers the
    values of cells that were read before in the same surroundings: a feed says the same things again and again.
    """

    __slots__ = (
        "authorities",
        "default_authority",
        "issues",
        "link",
        "local",
        "nulls",
        "preserved",
        "read",
        "repetition",
        "resolve",
        "row",
        "segment",
        "systems",
        "version",
        "warned",
        "where",
        "zone",
    )

    def __init__(self, zone: ZoneInfo | None = None) -> None:
        self.zone = zone
        self.authorities: dict[str, str] = {}
        self.systems: dict[str, str] = {}
        self.default_authority = ""
        self.local = ""
        self.version = "2.5.1"
        self.issues: list[Issue] = []
        self.nulls: list[str] = []
        self.preserved: list[tuple[str, str]] = []
        self.where = ""
        self.row: Row | None = None
        self.read: dict[Any, Any] = {}
        self.warned = 0
        self.segment: Segment | None = None
        self.repetition = 1
        self.link: Callable[[str, Any], dict[str, Any]] = no_reference
        self.resolve: Callable[[Any], dict[str, Any] | None] = lambda reference: None

    def authority(self, name: str, system: str) -> None:
        """Configure one assigning authority: its name in HL7v2 and its system in FHIR."""
        self.authorities[name] = system
        if name != system:  # one that is told by its system alone has no name in HL7v2 (HD.1)
            self.systems[system] = name

    def warn(self, code: str, text: str, value: str = "", hint: str = "") -> None:
        """Keep what came and say that it was not understood. The same finding is told once."""
        row = self.row
        self.warned += 1
        issue = Issue(
            "warning",
            code,
            text,
            where=self.place(value),
            row=row.place if row else "",
            value=value,
            hint=hint,
        )
        if issue not in self.issues:
            self.issues.append(issue)

    def remarks(self) -> int:
        """Grows with each warning, preserved text and `""`: what was read without any may be remembered."""
        return self.warned + len(self.preserved) + len(self.nulls)

    def remember(self, cells: Any, value: Any) -> None:
        """Keep the value of a row and its cells (`read`). Values are never changed once they are made."""
        if len(self.read) >= _MOST_REMEMBERED:
            self.read.clear()
        self.read[cells] = value

    def place(self, value: str = "") -> str:
        """Where the row at work reads: `RXA[2]-7` (the cell that holds `value`), or the FHIR element."""
        row = self.row
        if self.segment is None:
            return f"{self.where}.{row.fhir}" if row and row.fhir else self.where
        here = self.segment_place()
        if row is None or not row.cells:
            return here
        fields = self.segment.fields
        for cell in row.cells:
            if value and cell.field < len(fields) and value in fields[cell.field]:
                return f"{here}-{cell.text}"
        return f"{here}-{row.cells[0].text}"

    def segment_place(self) -> str:
        """`RXA`, or `RXA[2]` for the second of its name."""
        assert self.segment is not None
        several = self.segment.occurrence > 1
        return f"{self.segment.name}[{self.segment.occurrence}]" if several else self.segment.name

    def keep(self, component: str, text: str) -> None:
        """Preserve a part of the cell at work that its codec cannot hold: `.10` is a component of it."""
        if self.row and self.row.cells and self.segment is not None:
            cell = self.row.cells[0]
            repetition = f"[{self.repetition}]" if self.repetition > 1 else ""
            self.preserved.append((f"{cell.segment}-{cell.text}{repetition}{component}", text))
