"""The four loops: v2 -> therapy -> FHIR and FHIR -> therapy -> v2, over the rows of one segment's tables.

A `Mapping` joins the tables of one segment that fill one record (RXA fills a MedicationAdministration and a Medication). It
knows rows and cells, not medicine: choosing segments, grouping and tying records is `translate`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ketafhir.mapping.cells import NULL, CellReader, refusal
from ketafhir.mapping.codecs.base import Codec, join
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.mapping.tables import Row, Table, Tables, any_value
from ketafhir.patterns import pattern

__all__ = [
    "NULL", "PRESERVED", "Mapping", "Preserved", "get_preserved", "preserved_json", "put_back", "put_preserved",
    "set_component",
]  # fmt: skip
PRESERVED = EXTENSION + "preserved-field"
Preserved = tuple[tuple[str, str], ...]
_NUMBER = r"(\d{1,5})"  # a Bundle of anybody's names no field so far out that the segment fills the memory
_PLACE = pattern(rf"([A-Z][A-Z0-9]{{2}})(?:\[{_NUMBER}\])?-{_NUMBER}(?:\[{_NUMBER}\])?(?:\.{_NUMBER})?(?:\.{_NUMBER})?")


class Mapping:
    """The tables of one segment, compiled.

    `from_v2(segment, c)` gives the domain values of a segment (`CellReader.read`); `known` are the fields that some row
    reads or declares dropped, `domains` the values that some row maps.
    """

    __slots__ = ("_cells", "_rendered", "domains", "from_v2", "known", "segment", "tables", "values")

    def __init__(self, tables: Tables, *names: str) -> None:
        self.tables = {name: tables.table(name) for name in names}
        rows = [row for table in self.tables.values() for row in table.rows if row.cells]
        self.domains = frozenset(row.domain for table in self.tables.values() for row in table.rows if row.domain)
        domains = sorted(self.domains)
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*domains) if len(domains) > 1 else lambda record: ()
        self.segment = next(iter(self.tables.values())).segment
        self._cells = CellReader(self.segment, rows)
        self.from_v2 = self._cells.read
        self.known = self._cells.known
        self._rendered = {
            name: [
                (row, row.path, row.path.plain, row.domain, row.each, row.codec)
                for row in table.rows
                if row.path and row.codec
            ]
            for name, table in self.tables.items()
        }

    def to_v2(self, record: Any, c: Context, preserved: Preserved | None = None) -> dict[int, str]:
        """The cells of a record, by field number; what was preserved of this segment comes back where it stood."""
        cells: dict[int, str] = {}
        for field, domain, each, codec, row in self._cells.single:
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
        for row, _, _ in self._cells.multi:
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
            raise refusal(error, c) from None

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
                raise refusal(error, c) from None
            except (AttributeError, KeyError, TypeError) as error:
                wrong = Unreadable("element-unreadable", f"not of type {codec.fhir_type}", str(json)[:60])
                raise refusal(wrong, c) from error
            if any_value(value):
                values[row.domain] = value
        c.row = None
        return values

    def table(self, name: str) -> Table:
        """One of the tables, by name."""
        return self.tables[name]


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
                *([{"url": "value", "valueString": text}] if text.strip() else []),
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
