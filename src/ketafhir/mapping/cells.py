"""HL7v2 -> therapy over the rows of one segment's tables.

A feed says most things again and again. What was read before from the same cells in the same surroundings
(`Context.read`) is not read again: for single rows, and for all rows of steady codecs (`Codec.steady`) together.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.codecs.base import Codec
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.tables import Cell, Row, When, any_value

NULL = '""'  # HL7 v2 chapter 2.5.3: the field is to be deleted
_EMPTY = [""] * 200


class _Field(NamedTuple):
    """A row that reads one whole field whatever the others hold."""

    field: int
    domain: str
    each: bool
    codec: Codec
    row: Row


class _Fields(NamedTuple):
    """A row that reads several fields, or parts of one, or on a condition; `plain`: whole fields without condition."""

    row: Row
    cells: Callable[[list[str]], Any]
    plain: bool


class CellReader:
    """The rows of one segment that have a v2 cell. `known` are the fields that some row reads or declares dropped."""

    __slots__ = (
        "_again", "_components", "_gaps", "_repeating", "_segment", "_steady", "_varying_multi", "_varying_single", "_width",
        "known", "multi", "single",
    )  # fmt: skip

    def __init__(self, segment: str, rows: list[Row]) -> None:
        self._segment = segment
        self.known = frozenset(cell.field for row in rows for cell in row.cells)
        self._width = max((cell.field for row in rows for cell in (*row.cells, *_cells_of(row.when))), default=0) + 1
        self._gaps = tuple(field for field in range(1, self._width) if field not in self.known)
        self._components = _partly_known(rows)
        mapped = [(row, row.codec) for row in rows if row.codec and row.domain]
        plain = {id(row) for row, _ in mapped if not row.when and not any(cell.component for cell in row.cells)}
        self.single = [
            _Field(row.cells[0].field, row.domain, row.each, codec, row)
            for row, codec in mapped
            if len(row.cells) == 1 and id(row) in plain
        ]
        alone = {id(one.row) for one in self.single}
        self.multi = [
            _Fields(row, itemgetter(*(cell.field for cell in row.cells)), id(row) in plain)
            for row, _ in mapped
            if id(row) not in alone
        ]
        steady = [row for row, codec in mapped if codec.steady and id(row) in plain]
        self._steady = frozenset(row.domain for row in steady)
        self._varying_single = [one for one in self.single if one.row not in steady]
        self._varying_multi = [one for one in self.multi if one.row not in steady]
        repeating = sorted({cell.field for row in steady for cell in row.cells} | {*self._gaps})
        # The header of a message or report has a number and times of its own, which never come again.
        self._again = segment not in ("MSH", "OBR")
        self._repeating = itemgetter(*repeating) if len(steady) > 1 and segment != "MSH" else None

    def read(self, segment: Segment, c: Context) -> dict[str, Any]:
        """The domain values of a segment. What no row maps is added to `c.preserved`, `""` to `c.nulls`. Raises Refused."""
        fields = segment.fields
        beyond = len(fields) - self._width
        if beyond < 0:
            fields = fields + _EMPTY[:-beyond]
        c.segment = segment
        if self._repeating is None or beyond > 0:
            return self._read_all(fields, c)
        key = (self, self._repeating(fields))
        known = c.read.get(key)
        if known is not None:
            values: dict[str, Any] = known.copy()
            self._read_rows(self._varying_single, self._varying_multi, fields, values, c)
            return values
        before = c.remarks()
        values = self._read_all(fields, c)
        if c.remarks() == before:
            c.remember(key, {name: value for name, value in values.items() if name in self._steady})
        return values

    def _read_all(self, fields: list[str], c: Context) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._read_rows(self.single, self.multi, fields, values, c)
        return values

    def _read_rows(
        self, single: list[_Field], multi: list[_Fields], fields: list[str], values: dict[str, Any], c: Context
    ) -> None:
        read = c.read
        for field, domain, each, codec, row in single:
            text = fields[field]
            if not text:
                continue
            value = read.get((row, text))
            if value is None:
                if text == NULL:
                    c.nulls.append(domain)
                    continue
                value = self._read_single(row, codec, text, each, c)
                if value is None or value == "":
                    continue
            values[domain] = value
        idle: list[Row] = []
        for row, cells, plain in multi:
            if plain:
                value = read.get((row, cells(fields)))
                if value is not None:
                    values[row.domain] = value
                    continue
            elif row.when and not row.when.holds(fields):
                idle.append(row)
                continue
            self._read_multi(row, cells if plain else None, fields, values, c)
        if single is self.single:
            self._keep_unknown(fields, c)
        if self._components:
            self._keep_components(fields, c)
        if idle:
            self._keep_idle(idle, fields, c)
        c.row = None

    def _keep_unknown(self, fields: list[str], c: Context) -> None:
        for field in (*self._gaps, *range(self._width, len(fields))):
            if fields[field]:
                c.preserved.append((f"{self._segment}-{field}", fields[field]))

    def _read_single(self, row: Row, codec: Codec, text: str, each: bool, c: Context) -> Any:
        c.row = row
        before = c.remarks()
        cell = text
        if each:
            value: Any = self._each(text, codec, c)
        else:
            if "~" in text:
                cell = self._first(text, f"{self._segment}-{row.cells[0].text}", c)
            try:
                value = codec.from_v2(c, cell)
            except Unreadable as error:
                raise refusal(error, c) from None
        if (codec.steady or self._again) and c.remarks() == before:
            c.remember((row, text), value)
        return value

    def _each(self, text: str, codec: Codec, c: Context) -> tuple[Any, ...]:
        found = []
        for c.repetition, one in enumerate(text.split("~"), 1):
            if one and one != NULL:
                try:
                    value = codec.from_v2(c, one)
                except Unreadable as error:
                    raise refusal(error, c) from None
                if value is not None:
                    found.append(value)
        c.repetition = 1
        return tuple(found)

    @staticmethod
    def _first(text: str, place: str, c: Context) -> str:
        """The first repetition; the row has room for one, the others are preserved."""
        first, *more = text.split("~")
        c.preserved.extend((f"{place}[{number}]", one) for number, one in enumerate(more, 2) if one)
        return first

    def _read_multi(
        self,
        row: Row,
        plain: Callable[[list[str]], Any] | None,
        fields: list[str],
        values: dict[str, Any],
        c: Context,
    ) -> None:
        cells = []
        for cell in row.cells:
            text = fields[cell.field]
            if cell.component:
                parts = text.split("^")
                text = parts[cell.component - 1] if cell.component <= len(parts) else ""
            cells.append("" if text == NULL and not row.each else text)
        if not any(cells):
            if any(fields[cell.field] == NULL for cell in row.cells):
                c.nulls.append(row.domain)
            return
        c.row = row
        before = c.remarks()
        assert row.codec is not None
        try:
            if len(cells) == 1:
                value = (
                    self._each(cells[0], row.codec, c)
                    if row.each
                    else row.codec.from_v2(c, self._first(cells[0], f"{self._segment}-{row.cells[0].text}", c))
                )
            else:
                value = row.codec.from_v2(c, *cells)
        except Unreadable as error:
            raise refusal(error, c) from None
        if any_value(value):
            values[row.domain] = value
            if plain and (row.codec.steady or self._again) and c.remarks() == before:
                c.remember((row, plain(fields)), value)
        else:
            self._keep_silent(row, cells, c)

    @staticmethod
    def _keep_silent(row: Row, cells: list[str], c: Context) -> None:
        """Cells of which the codec makes no value (a unit without number, 999 for an unknown amount): preserved."""
        held = {place for place, _ in c.preserved}
        for cell, text in zip(row.cells, cells, strict=True):
            place = f"{cell.segment}-{cell.text}"
            if text and text != NULL and place not in held:
                c.preserved.append((place, text))

    def _keep_idle(self, idle: list[Row], fields: list[str], c: Context) -> None:
        """Fields that no row reads because the condition of the one that would is not true: preserved."""
        read = {cell.field for one in self.multi if one.row not in idle for cell in one.row.cells}
        read.update(one.field for one in self.single)
        for row in idle:
            for cell in row.cells:
                text = fields[cell.field]
                if cell.field not in read and text and text != NULL:
                    read.add(cell.field)
                    c.preserved.append((f"{self._segment}-{cell.field}", text))

    def _keep_components(self, fields: list[str], c: Context) -> None:
        for field, known in self._components.items():
            parts = fields[field].split("^")
            for place, part in enumerate(parts, 1):
                if part and place not in known:
                    c.preserved.append((f"{self._segment}-{field}.{place}", part))


def _partly_known(rows: list[Row]) -> dict[int, set[int]]:
    """Fields that rows read only by component: the other components are preserved."""
    parts: dict[int, set[int]] = {}
    whole = {cell.field for row in rows for cell in row.cells if not cell.component}
    for row in rows:
        for cell in row.cells:
            if cell.component and cell.field not in whole:
                parts.setdefault(cell.field, set()).add(cell.component)
    return parts


def _cells_of(when: When | None) -> tuple[Cell, ...]:
    return (when.cell,) if when else ()


def refusal(error: Unreadable, c: Context) -> Refused:
    """The refusal of a value that the row at work does not understand, with all that was found before."""
    row = c.row
    return Refused(
        *c.issues,
        Issue(
            "error",
            error.code,
            error.why,
            where=c.place(error.value),
            row=row.place if row else "",
            value=error.value,
            hint=error.hint,
            hl7=error.hl7,
        ),
    )
