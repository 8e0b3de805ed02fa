"""The way in from HL7v2: what a mapping module sees while it turns groups of segments into records."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from ketafhir.hl7v2.er7 import Message, Segment
from ketafhir.hl7v2.groups import Walked
from ketafhir.mapping.context import Context
from ketafhir.mapping.engine import Mapping, Preserved
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.records import Records, Source

if TYPE_CHECKING:
    from ketafhir.errors import Refused


class Account(NamedTuple):
    """What became of one segment, for the loss report: read by `mapping`, or as a whole preserved or dropped (`why`).

    `kept` are the places (`RXA-13`) that were preserved, and `told` the values that were read then: a field that a row reads
    and that told nothing was preserved only. `only` are the values that were taken, where the others were left out (`why`).
    `read` is the segment as its rows read it, where that is not as it came.
    """

    segment: Segment
    mapping: Mapping | None
    why: str = ""
    kept: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    read: Segment | None = None


class Reading:
    """One HL7v2 message on its way to records.

    `told` orders competing versions of one record: the time of the message and a digest of it, so that the order of arrival
    never decides; `sender` is who tells them. Modules add records to `records` and call `read` once for each segment they own.
    `panels` are the keys of the blood pressures of the message so far: no two of its groups share one; `templates` what the
    observations are like that were read before in the same words (`result_templates`), `mention` what the patient and visit
    are like (`mentions`), where the message has no other.
    """

    def __init__(
        self, message: Message, walked: Walked, tables: Tables, c: Context, source: Source, digest: str
    ) -> None:
        self.message, self.walked, self.tables, self.c = message, walked, tables, c
        self.source = source
        self.records = Records()
        self.accounts: list[Account] = []
        self.told: tuple[Decimal, str] = (source.sent.at if source.sent else Decimal(0), digest)
        self.panels: set[str] = set()
        self.templates: dict[str, Any] = {}
        self.mention: Any = None
        self.patient = ""
        self.visit = ""
        self.sender = ""

    def read(self, segment: Segment, *tables: str) -> dict[str, Any]:
        """The domain values of a segment by these tables; `preserved` among them where there is any. Raises Refused."""
        mapping = self.tables.mapping(*tables)
        self.accounts.append(Account(segment, mapping))
        c = self.c
        values: dict[str, Any] = mapping.from_v2(segment, c)
        if c.preserved:
            kept = frozenset(place for place, _ in c.preserved)
            self.accounts[-1] = Account(segment, mapping, "", kept, frozenset(values))
            values["preserved"] = tuple(c.preserved)
            c.preserved.clear()
        return values

    def nulls(self) -> tuple[str, ...]:
        """The fields told to be deleted (`""`) since the last call."""
        if not self.c.nulls:
            return ()
        found = tuple(self.c.nulls)
        self.c.nulls.clear()
        return found

    def keep(self, segment: Segment, number: int = 1, onto: str = "") -> Preserved:
        """All fields of a segment that has no table here, as preserved fields (`number`: its place among its siblings).

        `onto` is the resource they go onto: a site may have a table for a Z-segment there.
        """
        if segment.name[0] == "Z" and number == 1 and f"{segment.name}_to_{onto}" in self.tables.z_tables:
            return self._keep_by_table(segment, f"{segment.name}_to_{onto}")
        self.accounts.append(Account(segment, None))
        name = segment.name if number == 1 else f"{segment.name}[{number}]"
        return tuple((f"{name}-{at}", text) for at, text in enumerate(segment.fields) if at and text)

    def _keep_by_table(self, segment: Segment, table: str) -> Preserved:
        from ketafhir.mapping import zsegments

        mapping = self.tables.mapping(table)
        mapped, rest, told = zsegments.kept(segment, mapping, self.c)
        self.accounts.append(Account(segment, mapping, "", frozenset(place for place, _ in rest), told))
        return (*mapped, *rest)

    def keep_fields(self, segment: Segment, *fields: int) -> Preserved:
        """Fields of the segment read last whose values tell nothing after all, as preserved fields."""
        kept = tuple((f"{segment.name}-{at}", segment.get(at)) for at in fields if segment.get(at))
        account = self.accounts[-1]
        assert account.mapping is not None
        domains = {row.domain for table in account.mapping.tables.values() for row in table.rows
                   if all(cell.field in fields for cell in row.cells)}  # fmt: skip
        places = account.kept | {place for place, _ in kept}
        self.accounts[-1] = account._replace(kept=places, told=account.told - domains)
        return kept

    def drop(self, segment: Segment, why: str) -> None:
        """Leave a segment out, for a reason that the loss report gives."""
        self.accounts.append(Account(segment, None, why))

    def refused(
        self, segment: Segment, field: int, code: str, text: str, hint: str = "", hl7: str = "207", *,
        value: str = "", row: str = "",
    ) -> Refused:  # fmt: skip
        """The refusal of the message for one of its places, behind what was found before: to be raised."""
        from ketafhir.errors import Issue, Refused

        where = self.message.where(segment, field)
        return Refused(*self.c.issues, Issue("error", code, text, where, row, value, hint, hl7))

    def warn(self, code: str, text: str, segment: Segment, field: int = 0, value: str = "", hint: str = "") -> None:
        """A warning about a place of the message."""
        from ketafhir.errors import Issue

        self.c.warned += 1
        where = self.message.where(segment, field)
        issue = Issue("warning", code, text, where=where, value=value, hint=hint)
        if issue not in self.c.issues:
            self.c.issues.append(issue)


def note_texts(notes: Sequence[Any], reading: Reading) -> tuple[str, ...]:
    """The texts of NTE segments (NTE-3; its repetitions are lines), in order."""
    if not notes:
        return ()
    from ketafhir.mapping.codecs.base import unescape

    found = []
    for segment in notes:
        reading.accounts.append(Account(segment, reading.tables.mapping("NTE_to_Annotation")))
        text = "\n".join(unescape(part) for part in segment.get(3).split("~"))
        if text and not text.isspace():  # repetitions of nothing are line ends
            found.append(text)
    return tuple(found)
