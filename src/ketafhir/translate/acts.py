"""Administrations in from FHIR, and out to HL7v2: MedicationAdministration -> acts and waste -> RAS^O17."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.codecs.numbers import UNKNOWN_AMOUNT, number_text, read_quantity, write_unit
from ketafhir.mapping.codecs.people import SENDER, read_identifier, read_staff, write_xcn
from ketafhir.mapping.engine import NULL, get_preserved, put_back
from ketafhir.mapping.paths import Json
from ketafhir.therapy.fold import order_identity
from ketafhir.therapy.infusion import Course
from ketafhir.therapy.records import Administration, Observation, Waste
from ketafhir.therapy.values import Identifier
from ketafhir.translate.administrations import MEDICATION, ORC, RXA, RXR
from ketafhir.translate.composing import Composing
from ketafhir.translate.courses import DERIVED_END
from ketafhir.translate.observations import compose_results
from ketafhir.translate.taking import Taking

_STATUS_OF_PARENT = {
    "held": "held",
    "stopped": "discontinued",
    "completed": "completed",
    "running": "running",
}


def take(taking: Taking) -> None:
    """All MedicationAdministrations of the Bundle: children and lone ones as acts, waste as waste; parents only say how
    the infusion stands."""
    parents: dict[str, Json] = {}
    children: list[Json] = []
    for resource in taking.index.of_type("MedicationAdministration"):
        if _tagged(resource, "keta.waste"):
            _take_waste(taking, resource)
        elif _tagged(resource, "keta.infusion") or _has_children(taking, resource):
            parents[taking.local_key(resource)] = resource
        else:
            children.append(resource)
    for number, resource in enumerate(children, 1):
        _take_act(taking, resource, parents, number)
    for resource in parents.values():
        _take_closers(taking, resource)
        _tell_status(taking, resource)


def _tagged(resource: Json, name: str) -> bool:
    one = codes.code(name)
    tags = resource.get("meta", {}).get("tag", ())
    return any(tag.get("code") == one.code and tag.get("system") == one.system for tag in tags)


def _has_children(taking: Taking, resource: Json) -> bool:
    return any(
        taking.resolve(reference, other) is resource
        for other in taking.index.of_type("MedicationAdministration")
        for reference in other.get("partOf", ())
    )


def _number(resource: Json, name: str) -> str:
    """The value of the identifier of one of our types, or ""."""
    one = codes.code(name)
    for identifier in resource.get("identifier", ()):
        for coding in identifier.get("type", {}).get("coding", ()):
            if (coding.get("system"), coding.get("code")) == (one.system, one.code):
                return str(identifier.get("value", ""))
    return ""


def _orders(taking: Taking, resource: Json, values: dict[str, Any]) -> tuple[Identifier | None, Identifier | None]:
    """Placer and filler number: of the administration, else of the order it refers to, else its own number as filler's."""
    placer, filler = values.get("placer"), values.get("filler")
    request = resource.get("request")
    if placer is None and filler is None and request:
        order = taking.resolve(request, resource)
        if order is not None:
            found = taking.tables.mapping("ORC_to_MedicationRequest").from_fhir(
                order, taking.c, "ORC_to_MedicationRequest"
            )
            placer, filler = found.get("placer"), found.get("filler")
        if placer is None and filler is None:
            filler = read_identifier(request.get("identifier"))
            if filler is not None:
                filler.type = ""
    if placer is None and filler is None:
        own = taking.identifiers(resource)
        filler = own[0] if own else Identifier(taking.local_key(resource), SENDER + "fhir")
        filler = replace(filler, type="")
    return placer, filler


def _take_act(taking: Taking, resource: Json, parents: dict[str, Json], number: int) -> None:
    seen = _as_period(resource)
    values = taking.take(resource, RXA, seen=seen)
    preserved = list(values.pop("preserved", ()))
    values.update(taking.take(resource, RXR, ORC))
    values.pop("preserved", None)
    medication = taking.resolve(resource.get("medicationReference"), resource)
    if medication is not None:
        batch = taking.take(medication, MEDICATION)
        preserved += batch.pop("preserved", ())
        values.update(batch)
    elif "drug" not in values and resource.get("medicationReference", {}).get("display"):
        values["drug"] = _as_text(resource["medicationReference"]["display"])
    values["placer"], values["filler"] = _orders(taking, resource, values)
    act = Administration(**values)
    _restate(resource, act)
    control = next((text for place, text in preserved if place == "ORC-1"), "")
    act.preserved = tuple((place, text) for place, text in preserved if place != "ORC-1")
    act.order_control = control
    act.notes = tuple(str(note.get("text", "")) for note in resource.get("note", ()))
    act.action = "delete" if act.state == "deleted" else "add"
    act.patient = taking.patient(resource)
    act.visit = taking.visit(resource, "context")
    act.order = order_identity(act.placer, act.filler)
    if act.counters == ("", ""):
        act.counters = ("0", str(number))
    give = act.counters[0] or "0"
    act.key = f"{act.order}|{give}|{act.counters[1]}"
    act.infusion = f"{act.order}|{give}|@{act.visit}"
    taking.records.administrations[act.key] = act
    taking.acts[id(resource)] = act.key
    part_of = [taking.resolve(reference, resource) for reference in resource.get("partOf", ())]
    for parent in part_of:
        if parent is not None:
            taking.infusions.setdefault(id(parent), act.infusion)


def _as_period(resource: Json) -> Json:
    """The resource with effectiveDateTime as a period without end, as the tables read it."""
    if "effectiveDateTime" not in resource:
        return resource
    period = {"start": resource["effectiveDateTime"]}
    if "_effectiveDateTime" in resource:
        period["_start"] = resource["_effectiveDateTime"]
    return {**resource, "effectivePeriod": period}


def _restate(resource: Json, act: Administration) -> None:
    """What is derived in FHIR is not told: an end from the next event, and the states that follow from it."""
    beside = resource.get("effectivePeriod", {}).get("_end", {})
    if any(one.get("url") == DERIVED_END for one in beside.get("extension", ())):
        act.end = None
        if act.state == "completed":
            act.state = ""
    if act.state == "running":
        act.state, act.order_status = "", "running"
    elif act.state in ("unknown", "held"):
        act.state = ""
    not_done = act.state in ("refused", "not-given")
    kinds = {codes.code("v2-0322.RE").code: "refused", codes.code("v2-0322.NA").code: "not-given"}
    system = codes.code("v2-0322.RE").system
    reasons = []
    for reason in act.reasons if not not_done else act.refusal:
        found = next((kinds.get(one.code, "") for one in reason.codings if one.system == system), "")
        if not_done and found:
            act.state = found
        else:
            reasons.append(reason)
    act.reasons, act.refusal = ((), tuple(reasons)) if not_done else (tuple(reasons), ())


def _as_text(text: str) -> Any:
    from ketafhir.therapy.values import Coded

    return Coded((), str(text))


def _take_closers(taking: Taking, parent: Json) -> None:
    """The RXA that ended something, preserved on the parent as they came."""
    preserved = get_preserved(parent)
    number = 1
    while True:
        cells: dict[int, str] = {}
        put_back(cells, "RXA", preserved, number)
        if not cells:
            return
        fields = ["RXA", *(cells.get(at, "") for at in range(1, max(cells) + 1))]
        values = taking.tables.mapping(RXA, MEDICATION).from_v2(Segment("RXA", fields, 0, number), taking.c)
        taking.c.preserved.clear()
        taking.c.segment = None
        values.update(zip(("placer", "filler"), _orders(taking, parent, taking.take(parent, ORC)), strict=True))
        act = Administration(**values)
        act.preserved = tuple((f"RXA-{field}", text) for field, text in sorted(cells.items()))
        act.patient, act.visit = taking.patient(parent), taking.visit(parent, "context")
        act.order = order_identity(act.placer, act.filler)
        act.action = act.action or "add"
        give = act.counters[0] or "0"
        act.key = f"{act.order}|{give}|{act.counters[1]}"
        act.infusion = taking.infusions.get(id(parent), f"{act.order}|{give}|@{act.visit}")
        taking.records.administrations[act.key] = act
        number += 1


def _tell_status(taking: Taking, parent: Json) -> None:
    """The status of the parent is what the order said beside the last event of the infusion."""
    infusion = taking.infusions.get(id(parent), "")
    acts = [
        act
        for act in taking.records.administrations.values()
        if act.infusion == infusion and act.state not in ("refused", "not-given", "deleted")
    ]
    state = taking.tables.code_map("administration-state").fhir_to_domain.get(parent.get("status", ""), "")
    word = _STATUS_OF_PARENT.get(state, "")
    segments = [act for act in acts if act.rate is not None] or acts
    if word and segments:
        last = max(segments, key=lambda act: act.start.at if act.start else 0)
        last.order_status = word


def _take_waste(taking: Taking, resource: Json) -> None:
    values = taking.take(resource, ORC)
    placer, filler = _orders(taking, resource, values)
    give = _number(resource, "keta.infusion-number").partition("@")[0] or "0"
    identity, visit = order_identity(placer, filler), taking.visit(resource, "context")
    sub_id = _number(resource, "keta.waste").removeprefix("waste-")
    infusion = f"{identity}|{give}|@{visit}"
    waste = Waste(
        key=f"{infusion}|waste|{sub_id}", infusion=infusion, order=identity, patient=taking.patient(resource), visit=visit,
        placer=placer, filler=filler, sub_id=sub_id, counters=(give, ""),
    )  # fmt: skip
    waste.drug = taking.tables.mapping(RXA).from_fhir(resource, taking.c, RXA).get("drug")
    waste.at = taking.take(resource, "OBX_to_Waste").get("at")
    waste.deleted = resource.get("status") == "entered-in-error"
    waste.notes = tuple(str(note.get("text", "")) for note in resource.get("note", ()))
    witness = codes.code("performer.witness").code
    for performer in resource.get("performer", ()):
        person = read_staff(performer.get("actor", {}), taking.c)
        function = performer.get("function", {}).get("coding", [{}])
        if person is not None:
            if any(one.get("code") == witness for one in function):
                waste.witnesses += (person,)
            else:
                waste.performers += (person,)
    for observation in taking.index.of_type("Observation"):
        if any(taking.resolve(reference, observation) is resource for reference in observation.get("focus", ())):
            value = read_quantity(observation.get("valueQuantity"))
            if codes.code("keta.waste-amount").code in _codes(observation):
                waste.amount = value
            else:
                waste.volume = value
    taking.records.wastes[waste.key] = waste


def _codes(resource: Json) -> set[str]:
    return {str(one.get("code")) for one in resource.get("code", {}).get("coding", ())}


def compose(composing: Composing, courses: list[Course]) -> None:
    """ORDER groups of a RAS^O17: one for each order, in order of start; each act an ADMINISTRATION group of its own."""
    by_order: dict[str, list[Course]] = {}
    for course in courses:
        by_order.setdefault(course.first.order, []).append(course)
    for group in by_order.values():
        _compose_order(composing, group)


def _compose_order(composing: Composing, courses: list[Course]) -> None:
    acts = [one for course in courses for one in (*(act.told for act in course.acts), *course.closers)]
    acts.sort(key=lambda act: (act.start.at if act.start else 0, act.counters))
    last = acts[-1]
    status = courses[-1].status
    words = {"running": "running", "held": "held", "stopped": "discontinued", "unknown": ""}
    head = replace(
        last,
        order_control=last.order_control or codes.code("v2-0119.RE").code,
        order_status=words.get(status, "completed"),
    )
    composing.add("ORC", composing.cells(head, ORC))
    for act in acts:
        course = next(one for one in courses if act.infusion == one.key)
        _compose_act(composing, act, course, is_last=act is _last_of(course, acts))


def _last_of(course: Course, acts: list[Administration]) -> Administration:
    return [act for act in acts if act.infusion == course.key][-1]


def _compose_act(composing: Composing, act: Administration, course: Course, *, is_last: bool) -> None:
    """RXA, RXR and OBX of one act; what is of the whole infusion follows its last act."""
    if act in course.closers:
        cells: dict[int, str] = {}
        put_back(cells, "RXA", act.preserved)
    else:
        cells = _rxa_cells(composing, act)
    composing.add("RXA", cells)
    # Each act has its own RXR, null where no route was told: without one it would share that of the next RXA.
    composing.add("RXR", {1: NULL, **composing.cells(act, RXR)})
    composing.notes(act.notes)
    results = [one for one in composing.records.observations.values() if one.part_of == act.key]
    if is_last:
        results += [one for one in composing.records.observations.values() if one.part_of == course.key]
    number = compose_results(composing, _in_order(results))
    if is_last:
        for waste in composing.records.wastes.values():
            if waste.infusion == course.key:
                number = _compose_waste(composing, waste, number)


def _rxa_cells(composing: Composing, act: Administration) -> dict[int, str]:
    shown = replace(act, action="delete" if act.state == "deleted" else "add")
    if act.state == "deleted":
        shown.state = ""
    cells = composing.cells(shown, RXA, MEDICATION)
    if act.end is None:
        cells[4] = NULL  # chapter 4A, RXA-4: required, and null means RXA-3
    if act.amount is None and act.rate is None:
        cells.setdefault(6, UNKNOWN_AMOUNT)
    return cells


def _in_order(results: list[Observation]) -> list[Observation]:
    return sorted(results, key=lambda one: (one.effective.at if one.effective else 0, one.sub_id, one.key))


def _compose_waste(composing: Composing, waste: Waste, number: int) -> int:
    """The OBX of one waste; gives the next set ID."""
    shared = composing.cells(waste, "OBX_to_Waste", preserved=())
    shared.setdefault(11, codes.code("v2-0085.F").code)
    rows = [
        ("NM", "keta.waste-amount", waste.amount),
        ("NM", "keta.waste-volume", waste.volume),
    ]
    for kind, name, value in rows:
        if value is not None:
            cells = {2: kind, 3: _code_cell(name), 5: number_text(value.value), 6: write_unit(value)}
            composing.add("OBX", {**shared, **cells, 1: str(number), 4: escape(waste.sub_id)})
            number += 1
    if waste.witnesses:
        people = "~".join(write_xcn(one, composing.c) for one in waste.witnesses)
        cells = {2: "XCN", 3: _code_cell("keta.waste-witness"), 5: people}
        composing.add("OBX", {**shared, **cells, 1: str(number), 4: escape(waste.sub_id)})
        number += 1
    composing.notes(waste.notes)
    return number


def _code_cell(name: str) -> str:
    one = codes.code(name)
    return "^".join((one.code, escape(one.display), codes.v2_name(one.system)))
