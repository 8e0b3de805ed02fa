"""Z-segments that a site gives a table: `ZKT_to_MedicationAdministration.csv`, rows as in any other table but without `domain`.

The record keeps the fields of a Z-segment as text, as it does without a table (`preserved`), so that nothing in the model
depends on a site. What a table changes is how that text looks in FHIR: as the element of its row instead of the extension
`preserved-field`. The way back reads the element. What no row maps stays preserved, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.engine import NULL, PRESERVED, Mapping, Preserved, get_preserved, put_back, put_preserved

if TYPE_CHECKING:
    from ketafhir.mapping.context import Context
    from ketafhir.mapping.paths import Json
    from ketafhir.mapping.tables import Tables

RESOURCES = ("Patient", "MedicationRequest", "MedicationAdministration", "MedicationDispense", "DiagnosticReport")
"""The resources that a Z-segment may be mapped to: what owns the segments around it."""


def kept(segment: Segment, mapping: Mapping, c: Context) -> tuple[Preserved, Preserved, frozenset[str]]:
    """The fields of a Z-segment that its rows read, those that none does, and the names of these rows. Raises Refused."""
    values, rest = _read(segment, mapping, c)
    return _written(values, mapping, c), rest, frozenset(values)


def show(entries: Iterable[Json], tables: Tables, c: Context) -> None:
    """Put the elements of the rows in place of the preserved fields, in each entry that has any. Raises Refused."""
    for entry in entries:
        resource = entry["resource"]
        for name in _tables_of(resource, tables):
            mapping = tables.mapping(name)
            cells: dict[int, str] = {}
            put_back(cells, mapping.segment, get_preserved(resource))
            if not cells:
                continue
            fields = [mapping.segment, *(cells.get(at, "") for at in range(1, max(cells) + 1))]
            values, rest = _read(Segment(mapping.segment, fields, 0, 1), mapping, c)
            resource = entry["resource"] = _without(resource, mapping.segment)
            mapping.to_fhir(_record(values, mapping), c, name, resource)
            put_preserved(resource, rest)
    c.segment = None


def told(resource: Json, tables: Tables, c: Context) -> Preserved:
    """The fields of Z-segments that stand in elements of a resource. Raises Refused."""
    found: Preserved = ()
    for name in _tables_of(resource, tables):
        mapping = tables.mapping(name)
        found += _written(mapping.from_fhir(resource, c, name), mapping, c)
    return found


def _tables_of(resource: Json, tables: Tables) -> list[str]:
    return [name for name in tables.z_tables if name.endswith(f"_to_{resource['resourceType']}")]


def _read(segment: Segment, mapping: Mapping, c: Context) -> tuple[dict[str, Any], Preserved]:
    """The values of a segment, and what no row holds; a null is kept as it stands."""
    outer, c.preserved = c.preserved, []
    nulls, c.nulls = c.nulls, []
    values = mapping.from_v2(segment, c)
    rest, c.preserved, c.nulls = c.preserved, outer, nulls
    empty = ((f"{segment.name}-{at}", NULL) for at in sorted(mapping.known) if segment.get(at) == NULL)
    return values, (*rest, *empty)


def _written(values: dict[str, Any], mapping: Mapping, c: Context) -> Preserved:
    cells = mapping.to_v2(_record(values, mapping), c, ())
    return tuple((f"{mapping.segment}-{at}", text) for at, text in sorted(cells.items()))


def _record(values: dict[str, Any], mapping: Mapping) -> SimpleNamespace:
    return SimpleNamespace(**(dict.fromkeys(mapping.domains) | values))


def _without(resource: Json, segment: str) -> Json:
    """A copy of the resource without what was preserved of the (first) segment of this name."""
    resource = deepcopy(resource)
    listed = [one for one in resource["extension"] if one["url"] != PRESERVED]
    before = [one for one in get_preserved(resource) if not one[0].startswith(f"{segment}-")]
    del resource["extension"]
    if listed:
        resource["extension"] = listed
    put_preserved(resource, tuple(before))
    return resource
