"""The loss report: every populated field or element ends as mapped, preserved, or dropped with a reason."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from ketafhir.hl7v2.er7 import Message
from ketafhir.mapping.engine import NULL, Mapping
from ketafhir.mapping.tables import Row
from ketafhir.translate.reading import Account, Reading

_DELETING = ("PID", "PV1", "AL1", "DG1")  # where ADT says null, the element is deleted


class Loss(NamedTuple):
    """What became of one field: `fate` is mapped, preserved or dropped; `why` the reason, or what a mapped field loses."""

    where: str
    row: str
    fate: str
    why: str


def of_message(message: Message, reading: Reading) -> list[Loss]:
    """The account of one HL7v2 message, in order of its segments. A segment that nobody read would show as dropped."""
    by_segment: dict[int, list[Account]] = {}
    for account in reading.accounts:
        by_segment.setdefault(id(account.segment), []).append(account)
    several = Counter(segment.name for segment in message.segments)
    found: list[Loss] = []
    for segment in message.segments:
        accounts = by_segment.get(id(segment), [Account(segment, None, "nothing reads this segment")])
        place = f"{segment.name}[{segment.occurrence}]" if several[segment.name] > 1 else segment.name
        for field in range(1, len(segment.fields)):
            if segment.fields[field]:
                where = f"{place}-{field}"
                found.append(_best([_fate(where, field, account) for account in accounts]))
    return found


def _best(fates: list[Loss]) -> Loss:
    """A field that several tables read counts as mapped where one of them maps it."""
    return min(fates, key=lambda loss: ("mapped", "preserved", "dropped").index(loss.fate))


def _fate(where: str, field: int, account: Account) -> Loss:
    if account.segment.fields[field] == NULL and not _says_null(account, field):
        return Loss(where, "", "dropped", "a null says that there is no value: it comes back empty")
    if account.mapping is None or (account.why and not account.only):
        return Loss(where, "", "dropped" if account.why else "preserved", account.why)
    rows = _rows(account.mapping, field)
    active = [row for row in rows if row.when is None or row.when.holds(account.segment.fields)]
    kept = f"{account.segment.name}-{field}" in account.kept and not any(row.domain in account.told for row in active)
    if kept or not active:
        return Loss(where, rows[0].place if rows else "", "preserved", "")
    row = next((row for row in active if row.codec), active[0])
    if account.only and row.domain not in account.only:
        return Loss(where, row.place, "dropped", account.why)
    if row.codec is None and row.loss.startswith("by code"):
        return Loss(where, row.place, "mapped", row.loss)
    return Loss(where, row.place, "mapped" if row.codec else "dropped", row.loss)


def _says_null(account: Account, field: int) -> bool:
    """Whether a null means something here: to delete (ADT), or what its row says it does (RXA-4)."""
    rows = _rows(account.mapping, field) if account.mapping else []
    return account.segment.name in _DELETING or any(NULL in row.loss for row in rows)


def _rows(mapping: Mapping, field: int) -> list[Row]:
    return [
        row for table in mapping.tables.values() for row in table.rows if any(cell.field == field for cell in row.cells)
    ]


def summary(found: list[Loss]) -> dict[str, Any]:
    """The report as JSON: counts by fate, and each field that is not simply mapped."""
    counts = Counter(loss.fate for loss in found)
    return {
        "mapped": counts["mapped"],
        "preserved": counts["preserved"],
        "dropped": counts["dropped"],
        "fields": [loss._asdict() for loss in found],
    }
