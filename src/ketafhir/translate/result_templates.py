"""An OBX that differs in number and time only from one that was read before takes all else from there.

A monitor says the same things again and again: of an OBX only the number and the time are new. What is kept
(`Context.read`) was read in the same surroundings (tables, zone, authorities, sender) from the same texts of all other
fields, with no warning, no preserved text, no null, and no segment below it. So nothing but number, time and the group it
stands in tells one record from the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from ketafhir.hl7v2.groups import Result
from ketafhir.mapping.codecs.times import DateTime, usual_time
from ketafhir.mapping.codecs.values import ObservationValue
from ketafhir.mapping.engine import Mapping
from ketafhir.plain import copier
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Quantity, Time
from ketafhir.translate.blood_pressure import role_of
from ketafhir.translate.observed import OBX, code_key, moment
from ketafhir.translate.reading import Account, Reading

_SET_ID, _TYPE, _VALUE, _UNIT, _TIME = 1, 2, 5, 6, 14
_plain_number = re.compile(r"-?(?:0|[1-9]\d{0,20})(?:\.\d{1,20})?", re.ASCII).fullmatch
_new = tuple.__new__  # an Account for each OBX of every message: its own constructor takes three times as long
_NOTHING: frozenset[str] = frozenset()
_copy = copier(
    Observation, "key", "patient", "visit", "report", "order", "part_of", "response", "panel", "value", "effective",
    "group_time", "place", "told",
)  # fmt: skip


class Template(NamedTuple):
    """A record as it was read, without what is its own; the end of its identity; its role in a blood pressure; and whether
    its resource is like that of all others made from it (`repeats`).
    """

    record: Observation
    unit: str
    display: str
    identity: str
    role: str
    is_plain: bool


class Group(NamedTuple):
    """What the records of one group have in common (`results.read_results`); `identity` begins that of each."""

    report: str
    order: str
    part_of: str
    start: Time | None
    identity: str


def reader(reading: Reading, group: Group) -> Callable[[Result], tuple[Observation, Template] | None]:
    """What reads an OBX of one group that is like one known: its record, with identity and place, and what it is like. It
    gives None for any other.
    """
    mapping = reading.tables.mapping(OBX)
    if not is_usable(mapping):
        return lambda result: None
    known_before, account = reading.c.read, reading.accounts.append
    patient, visit, told = reading.patient, reading.visit, reading.told
    report, order, part_of, start, begin = group
    times: dict[str, tuple[Time | None, str]] = {}
    rest = (_NOTHING, _NOTHING, _NOTHING, None)

    def read(result: Result) -> tuple[Observation, Template] | None:
        segment = result.obx
        fields = segment.fields
        if result.notes or result.others or len(fields) <= _TIME:
            return None
        found: Template | None = known_before.get(_common(fields))
        if found is None:
            return None
        sent = fields[_TIME]
        known = times.get(sent)
        if known is None:
            usual = usual_time(sent)
            known = times[sent] = usual, moment(usual)
        time, at = known
        value = _quantity(fields[_VALUE], found.unit, found.display)
        if time is None or value is None:
            return None
        account(_new(Account, (segment, mapping, "", *rest)))
        one = _copy(
            found.record, f"{begin}{found.identity}{at}", patient, visit, report, order, part_of, "", "", value, time,
            start, segment.occurrence, told,
        )  # fmt: skip
        return one, found

    return read


def learn(reading: Reading, result: Result, record: Observation, warned: int) -> None:
    """Keep a record just read, before it is changed, for those like it. `warned` is `Context.warned` before it was read."""
    fields, value = result.obx.fields, record.value
    if (
        len(fields) > _TIME and fields[_TYPE] == "NM" and reading.c.warned == warned
        and isinstance(value, Quantity) and not value.comparator and _plain_number(fields[_VALUE])
        and record.effective is not None and usual_time(fields[_TIME]) is not None
        and not (record.preserved or record.notes or result.notes or result.others or record.identifier)
        and is_usable(reading.tables.mapping(OBX))
    ):  # fmt: skip
        bare = _copy(record, "", "", "", "", "", "", "", "", None, None, None, 0, (Decimal(0), ""))
        identity = f"{code_key(record.code)}|{record.sub_id}|"
        template = Template(
            bare,
            value.unit,
            value.display,
            identity,
            role_of(record.code),
            record.analysed is None and not record.derived,
        )
        reading.c.remember(_common(fields), template)


def _common(fields: list[str]) -> str:
    """All fields but set id, value and time, as one text: no field holds the separator."""
    rest = fields.copy()
    rest[_SET_ID] = rest[_VALUE] = rest[_TIME] = ""
    return "|".join(rest)


@lru_cache(maxsize=4096)  # a value is never changed once it is made
def _quantity(number: str, unit: str, display: str) -> Quantity | None:
    """The value of a plain number; None of any other text."""
    return Quantity(Decimal(number), unit, display) if _plain_number(number) else None


@lru_cache(maxsize=64)
def is_usable(mapping: Mapping) -> bool:
    """Whether set id, value and time are read as they are without a site overlay, and decide nothing else."""
    own = {_SET_ID, _VALUE, _TIME}
    known: dict[int, list[tuple[str, type | None, tuple[int, ...]]]] = {}
    for row in mapping.table(OBX).rows:
        if row.when and row.when.cell.field in own:
            return False
        cells = tuple(cell.field for cell in row.cells)
        plain = not row.each and not row.when and not any(cell.component for cell in row.cells)
        for field in own.intersection(cells):
            known.setdefault(field, []).append(
                (row.domain, type(row.codec) if row.codec else None, cells if plain else ())
            )
    return known == {
        _SET_ID: [("", None, (_SET_ID,))],
        _VALUE: [("value", ObservationValue, (_TYPE, _VALUE, _UNIT))],
        _TIME: [("effective", DateTime, (_TIME,))],
    }
