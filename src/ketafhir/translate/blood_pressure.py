"""Blood pressure: systolic, diastolic and mean OBX of one reading <-> one panel (FHIR R4 profile `bp`).

Halves are paired inside one OBR by equal OBX-4, else by equal time, device and method, never across OBRs; where two pairings
are possible each half stays alone. A lone half is a panel whose other half has a dataAbsentReason, which gives no OBX back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from ketafhir.fhir.writer import Written
from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.engine import NULL, get_preserved, put_preserved
from ketafhir.mapping.paths import Json
from ketafhir.plain import replace
from ketafhir.therapy.fold import weight
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Coded
from ketafhir.translate.kinds import OBSERVATION, kind_of
from ketafhir.translate.observed import (
    COMPONENT,
    NOTE,
    OBX,
    absent_reason,
    fits,
    key_of,
    moment,
    resource_of,
    take_values,
)
from ketafhir.translate.repeats import Repeats
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

PANEL = "vitals.bp-panel"
HALVES = ("vitals.systolic", "vitals.diastolic")
_ROLES = (*HALVES, "vitals.mean-bp")
_RANK = {name: rank for rank, name in enumerate(_ROLES)}
_SHARED = (
    "sub_id",
    "status",
    "effective",
    "performers",
    "method",
    "device",
    "analysed",
    "site",
    "identifier",
)
_SHARED_VALUES = attrgetter(*_SHARED)
_WITHDRAWN = ("entered-in-error", "deleted")
_OWN = ("value", "code", "interpretation", "reference_range")


def role_of(code: Coded | None) -> str:
    """`vitals.systolic`, `vitals.diastolic`, `vitals.mean-bp`, or "" for what is no part of a blood pressure."""
    kind = kind_of(code)
    return kind.name if kind is not None and kind.name in _RANK else ""


def pair(
    observations: Iterable[Observation],
    scope: str,
    heading: Coded | None,
    used: set[str],
    ambiguous: Callable[[Observation], None],
) -> None:
    """Give the halves (and means) among the observations of one group the key of their panel: none that is `used`."""
    parts = [one for one in observations if role_of(one.code)]
    if not parts:
        return
    rest = []
    for group in _grouped(parts, _sub_id):
        if len(group) > 1 and _is_pair(group) and _is_measured_alike(group):
            join(group, scope, heading, used)
        else:
            rest += group
    for group in _grouped(rest, _place):
        if _is_single(group):
            join(group, scope, heading, used)
            continue
        ambiguous(group[0])
        for one in group:
            join([one], scope, heading, used)


def _sub_id(one: Observation) -> tuple[Any, ...]:
    return (one.sub_id,) if one.sub_id else ("", id(one))


def _place(one: Observation) -> tuple[Any, ...]:
    device = one.device.identifier.key if one.device else ""
    method = one.method.label if one.method else ""
    site = one.site.label if one.site else ""
    return moment(one.effective or one.group_time), device, method, site, one.status in _WITHDRAWN


def _is_measured_alike(group: list[Observation]) -> bool:
    """Whether no two parts tell another method or site: a cuff and an arterial line are never one reading."""
    methods = {one.method.label for one in group if one.method}
    sites = {one.site.label for one in group if one.site}
    return len(methods) <= 1 and len(sites) <= 1


def _grouped(parts: list[Observation], by: Callable[[Observation], tuple[Any, ...]]) -> list[list[Observation]]:
    found: dict[tuple[Any, ...], list[Observation]] = {}
    for one in parts:
        found.setdefault((*by(one), one.status in _WITHDRAWN), []).append(one)
    return list(found.values())


def _is_single(group: list[Observation]) -> bool:
    return len({role_of(one.code) for one in group}) == len(group)


def _is_pair(group: list[Observation]) -> bool:
    roles = {role_of(one.code) for one in group}
    return len(roles) == len(group) and roles.issuperset(HALVES)


def join(group: list[Observation], scope: str, heading: Coded | None, used: set[str]) -> None:
    """Give the parts of one blood pressure the key of their panel; a mean alone has none."""
    if not group:
        return
    first = min(group, key=_rank)
    if _rank(first) >= len(HALVES):
        return
    key = key_of(scope, heading, _panel_code(), first.sub_id, first.effective or first.group_time)
    if key in used:
        key = f"{key}|{role_of(first.code)}"
    while key in used:
        key += "+"
    used.add(key)
    for one in group:
        one.panel = key


def join_components(parts: list[Observation], scope: str, heading: Coded | None, used: set[str]) -> None:
    """Give the components of one resource the key of their panel; where two are of one kind, each stays alone."""
    found = [one for one in parts if role_of(one.code)]
    for group in [found] if _is_single(found) else [[one] for one in found]:
        join(group, scope, heading, used)


def _rank(one: Observation) -> int:
    return _RANK[role_of(one.code)]


@cache
def _panel_code() -> Coded:
    return Coded((of_name(PANEL),))


def apart(parts: list[Observation]) -> tuple[list[Observation], list[Observation]]:
    """The parts that are one reading, and those that are none of it: of two systolics, which messages told under other OBX-4 or
    codes, the newest that stands is of the reading."""
    if _is_single(parts):
        return parts, []
    held: dict[str, Observation] = {}
    for one in sorted(parts, key=lambda one: (one.status not in _WITHDRAWN, weight(one))):
        held[role_of(one.code)] = one
    return list(held.values()), [one for one in parts if held[role_of(one.code)] is not one]


def render(writing: Writing, repeats: Repeats, parts: list[Observation]) -> Json | Written:
    """The panel of these parts, or its entry as text. What a part says otherwise than the first stands on its component."""
    parts = sorted(parts, key=lambda one: (one.status in _WITHDRAWN, one.value is None, _rank(one)))
    return repeats.panel(parts, lambda: _panel(writing, parts))


def _panel(writing: Writing, parts: list[Observation]) -> Json:
    lead = parts[0]
    resource = _without_parts(writing, lead)
    kinds = [kind_of(one.code) for one in parts]
    if not all(kind and fits(one, kind) for one, kind in zip(parts, kinds, strict=True)):
        resource["meta"] = {**resource["meta"], "profile": [OBSERVATION]}
    resource["component"] = [_component(writing, one, lead) for one in parts]
    told = {role_of(one.code) for one in parts}
    resource["component"] += [
        {
            "code": {"coding": [coding_json(of_name(name))]},
            "dataAbsentReason": {"coding": [coding_json(of_name("absent.unknown"))]},
        }
        for name in HALVES
        if name not in told
    ]
    return resource


def _without_parts(writing: Writing, lead: Observation) -> Json:
    panel = replace(lead, code=_panel_code(), value=None, interpretation=(), reference_range="", preserved=())
    resource = resource_of(writing, panel, lead.panel)
    del resource["dataAbsentReason"]
    return resource


def _component(writing: Writing, part: Observation, lead: Observation) -> Json:
    withdrawn = part.status in _WITHDRAWN and lead.status not in _WITHDRAWN
    shown = replace(part, value=None) if withdrawn else part
    component = writing.fill({}, shown, COMPONENT)
    if shown.value is None:
        error = {"coding": [coding_json(of_name("absent.error"))]}
        component["dataAbsentReason"] = error if withdrawn else absent_reason(part)
    if part is not lead:
        put_preserved(component, _differences(writing, part, lead))
        notes = [{"url": NOTE, "valueString": text} for text in part.notes]
        if notes:
            component["extension"] = [*component.get("extension", ()), *notes]
    put_preserved(component, part.preserved)
    return component


def _differences(writing: Writing, part: Observation, lead: Observation) -> tuple[tuple[str, str], ...]:
    """The cells of the shared fields in which a part differs from the first; "" where it has none."""
    if _SHARED_VALUES(part) == _SHARED_VALUES(lead):
        return ()
    changed = [name for name in _SHARED if getattr(part, name) != getattr(lead, name)]
    mapping = writing.tables.mapping(OBX)
    cells = mapping.to_v2(part, writing.c, ())
    places = {row.domain: row.cells[0].field for row in mapping.table(OBX).rows if row.domain}
    return tuple((f"OBX-{places[name]}", cells.get(places[name], "")) for name in changed)


def is_panel(resource: Json) -> bool:
    """Whether an Observation is a blood pressure of several components."""
    return any(_role(component) for component in resource.get("component", ()))


def _role(component: Json) -> str:
    known = [of_name(name) for name in _ROLES]
    implied = component.get("code", {}).get("coding", ())
    for name, one in zip(_ROLES, known, strict=True):
        if any((c.get("system"), c.get("code")) == (one.system, one.code) for c in implied):
            return name
    return ""


def take(taking: Taking, resource: Json) -> list[Observation]:
    """The parts of a panel, one record each; without identity and place."""
    values = take_values(taking, resource)
    notes = values.pop("notes")
    for name in (*_OWN, "preserved"):
        values.pop(name, None)
    found: list[Observation] = []
    for component in resource.get("component", ()):
        part = _take_part(taking, component, values)
        if part is not None:
            if not found:
                part.notes = notes
            found.append(part)
    return found


def _take_part(taking: Taking, component: Json, shared: dict[str, Any]) -> Observation | None:
    mapping = taking.tables.mapping(COMPONENT)
    values = {**shared, **mapping.from_fhir(component, taking.c, COMPONENT)}
    fields = _shared_fields(taking)
    told = get_preserved(component)
    own = {place: text for place, text in told if place in fields and text != NULL}
    if "value" not in values and not own and component.get("dataAbsentReason") and not told:
        return None
    for place, text in own.items():
        values.pop(fields[place], None)
        if text:
            values.update(_read_cell(taking, int(place[4:]), text))
    record = Observation(**values)
    record.preserved += tuple(one for one in told if one[0] not in own)
    record.notes = tuple(
        str(one.get("valueString", "")) for one in component.get("extension", ()) if one.get("url") == NOTE
    )
    return record


def _shared_fields(taking: Taking) -> dict[str, str]:
    """Place (`OBX-16`) to the value of the record it holds, of the fields that the parts of a panel share."""
    rows = taking.tables.mapping(OBX).table(OBX).rows
    return {f"OBX-{row.cells[0].field}": row.domain for row in rows if row.domain in _SHARED}


def _read_cell(taking: Taking, field: int, text: str) -> dict[str, Any]:
    c = taking.c
    values = taking.tables.mapping(OBX).from_v2(Segment("OBX", ["OBX", *[""] * (field - 1), text]), c)
    c.segment = None
    if c.preserved:
        values["preserved"] = tuple(c.preserved)
        c.preserved.clear()
    return values
