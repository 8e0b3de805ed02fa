"""Administrations out to HL7v2: acts and waste -> RAS^O17 (chapter 4A.3.19). `translate.given` takes them from FHIR."""

from __future__ import annotations

from ketafhir.mapping import codes
from ketafhir.mapping.codecs.amounts import UNKNOWN_AMOUNT
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.codecs.numbers import number_text, write_unit
from ketafhir.mapping.codecs.people import write_xcn
from ketafhir.mapping.engine import NULL, put_back
from ketafhir.plain import replace
from ketafhir.therapy.act_kinds import is_closer, is_event
from ketafhir.therapy.infusion import Act, Course, last_event
from ketafhir.therapy.records import Administration, Observation, Waste
from ketafhir.therapy.values import Event, Quantity
from ketafhir.translate.administrations import MEDICATION, ORC, RXA, RXR
from ketafhir.translate.composing import Composing
from ketafhir.translate.courses import STANDING
from ketafhir.translate.observations import compose_results


def compose(composing: Composing, courses: list[Course]) -> None:
    """ORDER groups of a RAS^O17: one for each order, in order of start; each act an ADMINISTRATION group of its own."""
    for course in courses:
        if composing.tables.settings.mar_action == "RXA-9":
            _name(course)
        if any(one.told.delivery and not any(one.told.counters) for one in course.acts):
            _number(composing, course, courses)
    by_order: dict[str, list[Course]] = {}
    for course in courses:
        by_order.setdefault(course.first.order, []).append(course)
    for group in by_order.values():
        _compose_order(composing, group)


def _name(course: Course) -> None:
    """What an eMAR would call the acts that none has named, for a site whose RXA must say it."""
    before: Act | None = None
    for one in course.acts:
        told = one.told
        if told.event is None and one.state != "deleted":
            if one.state in ("refused", "not-given"):
                action = "held"
            elif told.rate is None:
                action = "given" if len(course.acts) == 1 else "bolus"
            elif before is None:
                action = "new-bag"
            else:
                action = "restarted" if before.end and told.start and before.end.at < told.start.at else "rate-change"
            told.event = Event(action)
        before = one if told.rate is not None else before


def _number(composing: Composing, course: Course, courses: list[Course]) -> None:
    """Counters for the segments of a pump, which has none, by time (chapter 4A: RXA-1 and -2 are required)."""
    order = course.first.placer, course.first.filler
    same = [one for one in courses if (one.first.placer, one.first.filler) == order]
    used = {one.told.counters for found in same for one in found.acts}
    count = 0
    for one in course.acts:
        if any(one.told.counters):
            continue
        count += 1
        while ("0", str(count)) in used:
            count += 1
        one.told.counters = ("0", str(count))
    composing.c.warn(
        "counters-made", "segments of a pump have no counters (RXA-1, RXA-2): they are numbered by time within this Bundle",
        hint="always send all administrations of an order together",
    )  # fmt: skip


def _compose_order(composing: Composing, courses: list[Course]) -> None:
    told = [one for course in courses for one in (*(act.told for act in course.acts), *course.closers)]
    told = [one for one in told if not (one.delivery and is_closer(one))]  # R42 tells what a pump ended
    _compose_group(composing, courses, [one for one in told if one.parent is None])
    for order in dict.fromkeys(one.order for one in told if one.parent is not None):
        _compose_group(composing, courses, [one for one in told if one.parent is not None and one.order == order])


def _compose_group(composing: Composing, courses: list[Course], acts: list[Administration]) -> None:
    """The ORC of one order with its acts: those of the infusion, or a bolus from it, which has an order of its own."""
    if not acts:
        return
    acts.sort(key=lambda act: (act.start.at if act.start else 0, act.counters))
    if len({act.counters for act in acts}) < len(acts) and composing.tables.settings.rxa2 == "unique":
        text = "administrations of one order have the same RXA-1 and -2, and the receiver takes these as unique"
        composing.c.warn("counters-repeat", text, acts[0].order, "write for a site whose setting rxa2 is not-unique")
    last = acts[-1]
    head = replace(
        last,
        order_control=last.order_control or codes.code("v2-0119.RE").code,
        order_status=_of_bolus(last) if last.parent else _standing(composing, courses[-1]),
    )
    composing.add("ORC", composing.cells(head, ORC))
    for act in acts:
        course = next(one for one in courses if act.infusion == one.key)
        _compose_act(composing, act, course, is_last=act.parent is None and act is _last_of(course, acts))


def _of_bolus(act: Administration) -> str:
    """How the order of a bolus stands: it is over once it was given."""
    return act.order_status or ("completed" if act.state == "completed" else "")


def _standing(composing: Composing, found: Course) -> str:
    """How the order stands after the last event of its infusion (ORC-5): as told beside it, else as it follows."""
    told = [*(act.told for act in found.acts), *found.closers]
    last = last_event(told) or told[-1]
    if last.order_status:
        return last.order_status
    if any(finding.code == "pause-or-stop" for finding in found.findings):
        text = "whether the infusion is held or discontinued is not told: ORC-5 stays empty"
        composing.c.warn("pause-or-stop", text, found.key)
        return ""
    return STANDING.get(found.status, "")


def _last_of(course: Course, acts: list[Administration]) -> Administration:
    own = [act for act in acts if act.infusion == course.key]
    return ([act for act in own if act.action != "delete"] or own)[-1]


def _compose_act(composing: Composing, act: Administration, course: Course, *, is_last: bool) -> None:
    """RXA, RXR and OBX of one act; what is of the whole infusion follows its last act, or the event told at the same time."""
    cells = _rxa_cells(composing, act)
    composing.add("RXA", cells)
    if act.ingredients:
        from ketafhir.translate import mixtures

        mixtures.compose(composing, act, cells)
    # Each act has its own RXR, null where no route was told: without one it would share that of the next RXA.
    composing.add("RXR", {1: NULL, **composing.cells(act, RXR)})
    composing.notes(_action_note(composing, act))
    for name in dict.fromkeys(place[:3] for place, _ in act.preserved):
        if name not in ("ORC", "RXA"):
            composing.add_preserved(name, act.preserved, 2 if name == "RXR" else 1)
    number = 1
    if act.event is not None:
        from ketafhir.translate import mar_actions

        number = mar_actions.compose(composing, act)
    if act.notes:
        from ketafhir.translate import act_notes

        number = act_notes.compose(composing, act.notes, number)
    results = [one for one in composing.records.observations.values() if _is_told_with(one, act, course, is_last)]
    number = compose_results(composing, _in_order(results), number)
    if is_last:
        for waste in composing.records.wastes.values():
            if waste.infusion == course.key:
                number = _compose_waste(composing, waste, number)


def _action_note(composing: Composing, act: Administration) -> tuple[str, ...]:
    if act.event is None:
        return ()
    from ketafhir.translate import mar_actions

    return mar_actions.note(composing, act.event)


def _is_told_with(one: Observation, act: Administration, course: Course, is_last: bool) -> bool:
    """Whether an observation goes out under this act: what a segment gave is never told of another."""
    if one.part_of != course.key:
        return one.part_of == act.key
    time = one.effective or one.group_time
    at_once = next((closer for closer in course.closers if time and closer.start and closer.start.at == time.at), None)
    return is_last if at_once is None else at_once.key == act.key


def _rxa_cells(composing: Composing, act: Administration) -> dict[int, str]:
    shown = replace(act, action="delete" if act.state == "deleted" else "add")
    if act.state == "deleted":
        shown.state = ""
    cells = composing.cells(shown, RXA, MEDICATION)
    if act.end is None:
        cells[4] = NULL  # chapter 4A, RXA-4: required, and null means RXA-3
    if act.event is not None:
        from ketafhir.translate import mar_actions

        mar_actions.put_cell(composing, act.event, cells)
    if act.amount is None and act.rate is None:
        cells.setdefault(6, NULL if is_event(act) else UNKNOWN_AMOUNT)
    elif act.rate is not None and composing.tables.settings.rxa12 != "standard":
        from ketafhir.translate import given_amounts

        cells = {6: NULL, **cells, **given_amounts.cells(act)}
    return cells


def _in_order(results: list[Observation]) -> list[Observation]:
    return sorted(results, key=lambda one: (one.effective.at if one.effective else 0, one.sub_id, one.key))


def _compose_waste(composing: Composing, waste: Waste, number: int) -> int:
    """The OBX of one waste; gives the next set ID."""
    shared = composing.cells(waste, "OBX_to_Waste", preserved=())
    shared.setdefault(11, codes.code("v2-0085.F").code)
    people = "~".join(write_xcn(one, composing.c) for one in waste.witnesses)
    rows = [
        ("NM", "keta.waste-amount", *_quantity_cells(waste.amount)),
        ("NM", "keta.waste-volume", *_quantity_cells(waste.volume)),
        ("XCN", "keta.waste-witness", people, ""),
    ]
    for place, (kind, name, value, unit) in enumerate(rows, 1):
        if value:
            cells = {1: str(number), 2: kind, 3: _code_cell(name), 4: escape(waste.sub_id), 5: value}
            cells = {**shared, **cells, **({6: unit} if unit else {})}
            put_back(cells, "OBX", waste.preserved, place)
            composing.add("OBX", cells)
            number += 1
    composing.notes(waste.notes)
    return number


def _quantity_cells(value: Quantity | None) -> tuple[str, str]:
    """OBX-5 and OBX-6 of an amount."""
    return (number_text(value.value), write_unit(value)) if value is not None else ("", "")


def _code_cell(name: str) -> str:
    one = codes.code(name)
    return "^".join((one.code, escape(one.display), codes.v2_name(one.system)))
