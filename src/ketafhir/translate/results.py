"""OBX under an OBR, an order or an administration <-> Observation: ORU^R01, RDE^O11, RAS^O17 (chapters 4A and 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir.writer import Written
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping.paths import Json
from ketafhir.plain import replace
from ketafhir.therapy.records import Observation, Records
from ketafhir.therapy.values import Coded, Time
from ketafhir.translate import blood_pressure, result_templates, scores
from ketafhir.translate.composing import Composing
from ketafhir.translate.instruments import of_result
from ketafhir.translate.observed import cells_of, code_key, is_derived, key_of, read_one, take_values
from ketafhir.translate.reading import Reading
from ketafhir.translate.repeats import Repeats
from ketafhir.translate.result_templates import Group
from ketafhir.translate.taking import Taking
from ketafhir.translate.ties import tied
from ketafhir.translate.writing import Writing, no_chart


def read_results(
    reading: Reading,
    results: Sequence[Result],
    *,
    scope_key: str = "",
    heading: Coded | None = None,
    start: Time | None = None,
    report: str = "",
    order: str = "",
    part_of: str = "",
    issued: Time | None = None,
) -> tuple[str, ...]:
    """Records of the OBX of one group; gives their keys in the order told. Raises Refused.

    `report`, `order`, `part_of` are the keys of what the observations belong to. `scope_key` is what their identities are
    made under (OBR-3, else OBR-2, or the number of an order), by default the order or administration, else the patient;
    `heading` is OBR-4, and `start` the time that holds where OBX-14 is empty (OBR-7).
    """
    scope = scope_key or order or part_of or reading.patient
    known, templates = reading.records.observations, reading.templates
    read_again = result_templates.reader(reading, Group(report, order, part_of, start, f"{scope}|{code_key(heading)}|"))
    found: list[Observation] = []
    pressures = []
    for result in results:
        like = read_again(result)
        if like is not None:
            one, template = like
            role = template.role
        else:
            warned = reading.c.warned
            one = read_one(reading, result)
            form = of_result(one.code)
            if form is None:
                result_templates.learn(reading, result, one, warned)
            elif said := scores.impossible(form, one.value):
                reading.warn(
                    "score-impossible",
                    f"{said}: kept as sent, no band or flag follows",
                    result.obx,
                    5,
                    result.obx.get(5),
                )
            one.report, one.order, one.part_of, one.group_time = report, order, part_of, start
            one.place = result.obx.occurrence
            one.key = _identity(one, scope, heading)
            role = blood_pressure.role_of(one.code)
        if issued is not None:
            one.issued = issued
        if one.key in known:
            _check_patient(reading, one, result)
            reading.warn(
                "identity-repeated",
                "two observations cannot be told apart: numbered in the order sent",
                result.obx,
                3,
                one.code.label if one.code else "",
                "send different OBX-4, or OBX-21",
            )
            one.key = _numbered(one.key, known)
        known[one.key] = one
        if like is not None and template.is_plain and not part_of:
            templates[one.key] = template
        found.append(one)
        if role:
            pressures.append(one)

    def ambiguous(one: Observation) -> None:
        segment = next(result.obx for record, result in zip(found, results, strict=True) if record is one)
        reading.warn(
            "bp-ambiguous",
            "several blood pressures could be paired here: each value stays alone",
            segment,
            4,
            hint="send one OBX-4 for each pair",
        )

    if pressures:
        blood_pressure.pair(pressures, scope, heading, reading.panels, ambiguous)
    return tuple([one.key for one in found])


def _check_patient(reading: Reading, one: Observation, result: Result) -> None:
    if reading.records.observations[one.key].patient != one.patient:
        raise Refused(
            *reading.c.issues,
            Issue(
                "error", "observation-of-other-patient", "two patients have one observation",
                where=reading.message.where(result.obx), hl7="204", hint="number each report (OBR-3) of a sender",
            ),
        )  # fmt: skip


def _identity(one: Observation, scope: str, heading: Coded | None) -> str:
    return key_of(scope, heading, one.code, one.sub_id, one.effective or one.group_time, one.identifier)


def _numbered(key: str, known: dict[str, Any]) -> str:
    number = 2
    while f"{key}|#{number}" in known:
        number += 1
    return f"{key}|#{number}"


def expect(writing: Writing, observations: Iterable[Observation]) -> list[str]:
    """Say which Observations will be in the Bundle, before anything refers to them; gives the id of each."""
    return writing.expect("Observation", *[one.panel or one.key for one in observations])


def references(writing: Writing, keys: Iterable[str]) -> list[Json]:
    """References to the resources that hold these observations, a panel once."""
    known = writing.records.observations
    held = dict.fromkeys([(known[key].panel or key) if key in known else key for key in keys])
    return writing.all_to("Observation", held)


_told_at: Callable[[Observation], Any] = attrgetter("told", "place")


def by_heading(records: Records) -> dict[str, list[Observation]]:
    """Observations by the key of the report, filled form or decision they are told under, in the order told."""
    found: dict[str, list[Observation]] = {}
    for one in sorted(records.observations.values(), key=_told_at):
        if one.report:
            found.setdefault(one.report, []).append(one)
    return found


def render(writing: Writing, observations: Iterable[Observation]) -> None:
    """Observations as entries; the parts of a panel (all that the records have of it) as one."""
    listed = list(observations)
    ids = expect(writing, listed)
    metrics, may_be_tied = writing.metrics, writing.chart is not no_chart
    repeats = Repeats(writing, as_text=writing.as_text and not metrics)
    panels: dict[str, list[Observation]] = {}
    for one in writing.records.observations.values():
        if one.panel:
            panels.setdefault(one.panel, []).append(one)
    with_others = len(writing.records.observations) > len(
        listed
    )  # that earlier messages told: a reading is paired in its own
    alone: list[Observation] = []
    for one, own in zip(listed, ids, strict=True):
        preserved = one.preserved
        if not one.panel:
            resource = repeats.resource(one, own)
        elif one.panel in panels:
            parts = panels.pop(one.panel)
            if with_others:
                parts, rest = blood_pressure.apart(parts)
                alone += rest
            resource, preserved = blood_pressure.render(writing, repeats, parts), ()
        else:
            continue
        if isinstance(resource, Written):
            writing.put_written(resource, own)
            continue
        made = resource
        if one.key in metrics and one.device is None and not one.panel:
            made = {**made, "device": metrics[one.key]}
        if may_be_tied:
            made = tied(writing, one, made)
        if made is not resource:
            writing.like.pop("urn:uuid:" + own, None)
        writing.put(made, preserved)
    if alone:
        _render_alone(writing, alone)


def _render_alone(writing: Writing, parts: list[Observation]) -> None:
    """Parts of a blood pressure that has others in their place: each is one of its own, and warned of."""
    known = writing.records.observations
    for one in parts:
        told = one.code.label if one.code else ""
        text = "a blood pressure of one time is told twice: the newer is paired, the older stays alone"
        issue = Issue("warning", "bp-ambiguous", text, where="OBX-4", value=told, hint="send one OBX-4 for each pair")
        writing.c.issues += [] if issue in writing.c.issues else [issue]
        known[one.key] = replace(one, panel=f"{one.key}|alone")
    render(writing, [known[one.key] for one in parts])


def take_one(
    taking: Taking,
    resource: Json,
    *,
    scope_key: str = "",
    heading: Coded | None = None,
    report: str = "",
    order: str = "",
    part_of: str = "",
    response: str = "",
) -> tuple[str, ...]:
    """An Observation resource as records; gives their keys (of a panel: of each part). Raises Refused.

    Identities are made as from HL7v2, under the same `scope_key` and `heading`. A resource is taken once: what more it is
    found to belong to is added to its records.
    """
    if id(resource) in taking.taken:
        return _belonging(taking, taking.taken[id(resource)], report, order, part_of, response)
    patient, visit = taking.patient(resource), taking.visit(resource)
    scope = scope_key or order or part_of or patient
    parts = _parts(taking, resource)
    keys = []
    for one in parts:
        one.patient, one.visit = patient, visit
        one.report, one.order, one.part_of, one.response = report, order, part_of, response
        one.place = len(taking.records.observations) + 1
        one.key = _identity(one, scope, heading)
        if one.key in taking.records.observations:
            one.key = _numbered(one.key, taking.records.observations)
        taking.records.observations[one.key] = one
        keys.append(one.key)
    used = {one.panel for one in taking.records.observations.values()}
    blood_pressure.join_components(parts, scope, heading, used)
    taking.taken[id(resource)] = tuple(keys)
    return tuple(keys)


def _belonging(
    taking: Taking, keys: tuple[str, ...], report: str, order: str, part_of: str, response: str
) -> tuple[str, ...]:
    for key in keys:
        one = taking.records.observations[key]
        one.report, one.order = one.report or report, one.order or order
        one.part_of, one.response = one.part_of or part_of, one.response or response
    return keys


def _parts(taking: Taking, resource: Json) -> list[Observation]:
    if blood_pressure.is_panel(resource):
        return blood_pressure.take(taking, resource)
    components = [one for one in resource.get("component", ()) if not is_derived(one)]
    own = Observation(**take_values(taking, resource))
    if not components:
        return [own]
    told = own.code.label if own.code else ""
    taking.c.warn("components-separate", "components become observations of their own", told)
    parts = blood_pressure.take(taking, {**resource, "component": components})
    return [own, *parts] if own.value is not None else parts


def compose_results(composing: Composing, observations: Iterable[Observation], first_set_id: int = 1) -> int:
    """OBX (each with its NTE and what was preserved below it); gives the next set ID. What was derived is not sent."""
    number = first_set_id
    for one in observations:
        if one.derived:
            continue
        add_result(composing, number, cells_of(composing, one), one.notes, one.preserved)
        composing.used.append(one)
        number += 1
    return number


def add_result(
    composing: Composing,
    number: int,
    cells: dict[int, str],
    notes: tuple[str, ...],
    preserved: tuple[tuple[str, str], ...],
) -> None:
    """One OBX, its NTE, and the segments that were preserved below it."""
    composing.add("OBX", {1: str(number), **cells})
    composing.notes(notes)
    for name in dict.fromkeys(place[:3] for place, _ in preserved):
        if name != "OBX":
            composing.add_preserved(name, preserved)
