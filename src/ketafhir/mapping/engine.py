"""The four loops: v2 -> therapy -> FHIR and FHIR -> therapy -> v2, over the rows of one segment's tables.

A `Mapping` joins the tables of one segment that fill one record (RXA fills a MedicationAdministration and a Medication). It
knows rows and cells, not medicine: choosing segments, grouping and tying records is `translate`.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.codecs.base import Codec, join
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.mapping.tables import Cell, Row, Table, Tables, When, any_value

NULL = '""'  # HL7 v2 chapter 2.5.3: the field is to be deleted
PRESERVED = EXTENSION + "preserved-field"
Preserved = tuple[tuple[str, str], ...]
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?")


class Mapping:
    """The tables of one segment, compiled. `known` are the fields that some row reads or declares dropped."""

    __slots__ = (
        "_steady",
        "_steady_names",
        "_varying_multi",
        "_varying_single",
        "_components",
        "_gaps",
        "_multi",
        "_rendered",
        "_single",
        "_width",
        "domains",
        "known",
        "segment",
        "tables",
    )

    def __init__(self, tables: Tables, *names: str) -> None:
        self.tables = {name: tables.table(name) for name in names}
        rows = [row for table in self.tables.values() for row in table.rows if row.cells]
        self.domains = frozenset(row.domain for table in self.tables.values() for row in table.rows if row.domain)
        self.segment = next(iter(self.tables.values())).segment
        self.known = frozenset(cell.field for row in rows for cell in row.cells)
        self._width = max((cell.field for row in rows for cell in (*row.cells, *_cells_of(row.when))), default=0) + 1
        self._gaps = tuple(field for field in range(1, self._width) if field not in self.known)
        mapped = [row for row in rows if row.codec and row.domain]
        self._single = [
            (row.cells[0].field, row.domain, row.each, row.codec, row)
            for row in mapped
            if len(row.cells) == 1 and not row.when and not row.cells[0].component and row.codec
        ]
        plain = {id(row) for *_, row in self._single}
        self._multi = [
            (
                row,
                [cell.field for cell in row.cells],
                row.when is None and not any(cell.component for cell in row.cells),
            )
            for row in mapped
            if id(row) not in plain
        ]
        self._components = self._partly_known(rows)
        self._varying_single = [one for one in self._single if not one[3].steady]
        self._varying_multi = [one for one in self._multi if not (one[2] and one[0].codec and one[0].codec.steady)]
        steady = {field for field, *_, codec, _ in self._single if codec.steady}
        steady |= {field for one in self._multi if one not in self._varying_multi for field in one[1]}
        self._steady_names = {row.domain for row in mapped} - {
            *(domain for _, domain, *_ in self._varying_single),
            *(row.domain for row, _, _ in self._varying_multi),
        }
        self._steady = itemgetter(*sorted(steady)) if len(steady) > 2 else None
        self._rendered = {
            name: [
                (row, row.path, row.path.plain, row.domain, row.each, row.codec)
                for row in table.rows
                if row.path and row.codec
            ]
            for name, table in self.tables.items()
        }

    @staticmethod
    def _partly_known(rows: list[Row]) -> dict[int, set[int]]:
        """Fields that rows read only by component: the other components are preserved."""
        parts: dict[int, set[int]] = {}
        whole = {cell.field for row in rows for cell in row.cells if not cell.component}
        for row in rows:
            for cell in row.cells:
                if cell.component and cell.field not in whole:
                    parts.setdefault(cell.field, set()).add(cell.component)
        return parts

    def from_v2(self, segment: Segment, c: Context) -> dict[str, Any]:
        """The domain values of a segment. What no row maps is added to `c.preserved`, `""` to `c.nulls`. Raises Refused."""
        fields = segment.fields
        beyond = len(fields) - self._width
        if beyond < 0:
            fields = fields + [""] * -beyond
        c.segment = segment
        read = c.read
        before = c.remarks()
        cells = self._steady(fields) if self._steady else None
        known = read.get((self, cells))
        if known is None:
            values: dict[str, Any] = {}
            single, multi = self._single, self._multi
        else:
            values = known.copy()
            single, multi = self._varying_single, self._varying_multi
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
        for row, places, plain in multi:
            if plain:
                value = read.get((row, *[fields[place] for place in places]))
                if value is not None:
                    values[row.domain] = value
                    continue
            elif row.when and not row.when.holds(fields):
                idle.append(row)
                continue
            self._read_multi(row, fields, values, c)
        for field in self._gaps:
            if fields[field]:
                c.preserved.append((f"{segment.name}-{field}", fields[field]))
        if beyond > 0:
            for field, text in enumerate(fields[self._width :], self._width):
                if text:
                    c.preserved.append((f"{segment.name}-{field}", text))
        if self._components:
            self._keep_components(fields, c)
        if idle:
            self._keep_idle(idle, fields, c)
        c.row = None
        if known is None and cells and c.remarks() == before:
            c.remember((self, cells), {name: value for name, value in values.items() if name in self._steady_names})
        return values

    def _read_single(self, row: Row, codec: Codec, text: str, each: bool, c: Context) -> Any:
        c.row = row
        before = c.remarks()
        cell = text
        if each:
            value: Any = self._each(text, codec, c)
        else:
            if "~" in text:
                cell = self._first(text, f"{self.segment}-{row.cells[0].text}", c)
            try:
                value = codec.from_v2(c, cell)
            except Unreadable as error:
                raise _refusal(error, c) from None
        if c.remarks() == before:
            c.remember((row, text), value)
        return value

    def _each(self, text: str, codec: Codec, c: Context) -> tuple[Any, ...]:
        found = []
        for c.repetition, one in enumerate(text.split("~"), 1):
            if one and one != NULL:
                try:
                    value = codec.from_v2(c, one)
                except Unreadable as error:
                    raise _refusal(error, c) from None
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

    def _read_multi(self, row: Row, fields: list[str], values: dict[str, Any], c: Context) -> None:
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
                    else row.codec.from_v2(c, self._first(cells[0], f"{self.segment}-{row.cells[0].text}", c))
                )
            else:
                value = row.codec.from_v2(c, *cells)
        except Unreadable as error:
            raise _refusal(error, c) from None
        if any_value(value):
            values[row.domain] = value
            if c.remarks() == before:
                c.remember((row, *[fields[cell.field] for cell in row.cells]), value)
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
        read = {field for row, places, _ in self._multi if row not in idle for field in places}
        read.update(field for field, *_ in self._single)
        for row in idle:
            for cell in row.cells:
                text = fields[cell.field]
                if cell.field not in read and text and text != NULL:
                    read.add(cell.field)
                    c.preserved.append((f"{self.segment}-{cell.field}", text))

    def _keep_components(self, fields: list[str], c: Context) -> None:
        for field, known in self._components.items():
            parts = fields[field].split("^")
            for place, part in enumerate(parts, 1):
                if part and place not in known:
                    c.preserved.append((f"{self.segment}-{field}.{place}", part))

    def to_v2(self, record: Any, c: Context, preserved: Preserved | None = None) -> dict[int, str]:
        """The cells of a record, by field number; what was preserved of this segment comes back where it stood."""
        cells: dict[int, str] = {}
        for field, domain, each, codec, row in self._single:
            value = getattr(record, domain)
            if not value and value in (None, "", ()):
                continue
            c.row = row
            if each:
                text = "~".join(self._written(codec, c, one)[0] for one in value)
            else:
                text = self._written(codec, c, value)[0]
            if text:
                cells[field] = text
        for row, _, _ in self._multi:
            value = getattr(record, row.domain)
            if any_value(value):
                self._write_multi(row, value, cells, c)
        c.row = None
        put_back(cells, self.segment, record.preserved if preserved is None else preserved)
        return cells

    @staticmethod
    def _written(codec: Codec, c: Context, value: Any) -> tuple[str, ...]:
        try:
            return codec.to_v2(c, value)
        except Unreadable as error:
            raise _refusal(error, c) from None

    def _write_multi(self, row: Row, value: Any, cells: dict[int, str], c: Context) -> None:
        c.row = row
        assert row.codec is not None
        if row.each:
            texts: tuple[str, ...] = ("~".join(self._written(row.codec, c, one)[0] for one in value),)
        else:
            texts = self._written(row.codec, c, value)
        for cell, text in zip(row.cells, texts, strict=True):
            if not text:
                continue
            if cell.component:
                set_component(cells, cell.field, cell.component, text)
            else:
                cells[cell.field] = text

    def to_fhir(self, record: Any, c: Context, name: str, resource: Json) -> Json:
        """Write what a record holds into `resource`, by the rows of the table `name`."""
        for row, path, plain, domain, each, codec in self._rendered[name]:
            value = getattr(record, domain)
            if not value and value in (None, "", ()):
                continue
            c.row = row
            json = [codec.to_fhir(c, one) for one in value] if each else codec.to_fhir(c, value)
            if json is None:
                continue
            if plain:
                resource[plain] = json
            else:
                path.put(resource, json)
            if codec.companion:
                beside = codec.beside(value)  # type: ignore[attr-defined]  # companion says that it has one
                if beside:
                    path.put_beside(resource, beside)
        c.row = None
        return resource

    def from_fhir(self, resource: Json, c: Context, name: str) -> dict[str, Any]:
        """The domain values of a resource, by the rows of the table `name`. Raises Refused."""
        values: dict[str, Any] = {}
        for row in self.tables[name].rows:
            path, codec = row.path, row.codec
            if path is None or codec is None or not row.domain:
                continue
            json = path.get(resource)
            if json is None or json == []:
                continue
            c.row = row
            try:
                if row.each:
                    items = json if isinstance(json, list) else [json]
                    value: Any = tuple(v for v in (codec.from_fhir(c, one) for one in items) if v is not None)
                elif codec.companion:
                    value = codec.from_fhir(c, (json, path.get_beside(resource)))
                else:
                    value = codec.from_fhir(c, json)
            except Unreadable as error:
                raise _refusal(error, c) from None
            except (AttributeError, KeyError, TypeError) as error:
                wrong = Unreadable("element-unreadable", f"not of type {codec.fhir_type}", str(json)[:60])
                raise _refusal(wrong, c) from error
            if any_value(value):
                values[row.domain] = value
        c.row = None
        return values

    def table(self, name: str) -> Table:
        """One of the tables, by name."""
        return self.tables[name]


def _cells_of(when: When | None) -> tuple[Cell, ...]:
    return (when.cell,) if when else ()


def _refusal(error: Unreadable, c: Context) -> Refused:
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


def set_component(cells: dict[int, str], field: int, component: int, text: str, sub: int = 0, repeat: int = 1) -> None:
    """Put `text` at one component (and subcomponent, and repetition) of a raw cell."""
    repeats = cells.get(field, "").split("~")
    repeats += [""] * (repeat - len(repeats))
    parts = repeats[repeat - 1].split("^")
    parts += [""] * (component - len(parts))
    if sub:
        pieces = parts[component - 1].split("&")
        pieces += [""] * (sub - len(pieces))
        pieces[sub - 1] = text
        parts[component - 1] = join(pieces, "&")
    else:
        parts[component - 1] = text
    repeats[repeat - 1] = join(parts)
    cells[field] = "~".join(repeats)


def put_back(cells: dict[int, str], segment: str, preserved: Preserved, occurrence: int = 1) -> None:
    """Write preserved fields of one segment back where they stood."""
    for place, text in preserved:
        match = _PLACE.fullmatch(place)
        if not match or match[1] != segment or int(match[2] or 1) != occurrence:
            continue
        field, repeat, component, sub = (int(match[at] or 0) for at in (3, 4, 5, 6))
        if component:
            set_component(cells, field, component, text, sub, repeat or 1)
        elif repeat > 1:
            repeats = cells.get(field, "").split("~")
            repeats += [""] * (repeat - len(repeats))
            repeats[repeat - 1] = text
            cells[field] = "~".join(repeats)
        else:
            cells[field] = text


def preserved_json(preserved: Preserved) -> list[Json]:
    """The extensions that carry preserved fields."""
    return [
        {
            "url": PRESERVED,
            "extension": [
                {"url": "place", "valueString": place},
                *([{"url": "value", "valueString": text}] if text else []),
            ],
        }
        for place, text in preserved
    ]


def put_preserved(resource: Json, preserved: Preserved) -> None:
    """Write preserved fields into a resource."""
    if preserved:
        resource["extension"] = [*resource.get("extension", ()), *preserved_json(preserved)]


def get_preserved(resource: Json) -> Preserved:
    """Preserved fields of a resource, in the order written."""
    found = []
    for one in resource.get("extension", ()):
        if one.get("url") == PRESERVED:
            parts = {part.get("url"): part.get("valueString", "") for part in one.get("extension", ())}
            found.append((str(parts.get("place", "")), str(parts.get("value", ""))))
    return tuple(found)
