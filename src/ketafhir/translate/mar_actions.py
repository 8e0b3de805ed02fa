"""What the eMAR says was done with an RXA: read from where the site puts it, checked against the RXA and its order, written back.

New Bag, Rate Change and Restarted open a segment; Paused and Stopped end what runs; a Rate Verify does neither; a Bolus is a
dose beside what runs, Given a dose at once, Held is not given. An action that the RXA or the order contradicts is refused.
"""

from __future__ import annotations

from ketafhir.errors import Refused
from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Administration as AdministrationGroup
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import join, unescape
from ketafhir.mapping.codecs.mar import MarAction
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.tables import Row, Tables
from ketafhir.therapy.act_kinds import HOLDING, OPENING, is_closer
from ketafhir.therapy.records import Administration
from ketafhir.therapy.values import Event
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Account, Reading

OBX = "OBX_to_MedicationAdministration"
_UNSAID = ("D", "W", "X", "N")  # OBX-11: deleted, wrong, no result, not asked
_ENDING = {"DC", "OD", "CA", "OC", "CR", "DR"}
"""Table 0119: discontinued and cancelled, asked for or done."""
_OPEN, _CLOSED = {""}, {"", "completed", "stopped"}
_STATES = {
    "rate-verify": {"", "completed"}, "paused": {"", "stopped"}, "stopped": _CLOSED, "bolus": _CLOSED, "given": {"", "completed"},
    "held": {"", "not-given", "refused"},
}  # fmt: skip
"""What RXA-20 may say beside an action (deleted always)."""
_STANDINGS = {
    "rate-verify": {"", "running"}, "paused": {"", "running", "held"}, "stopped": {"", "running", "discontinued", "completed"},
}  # fmt: skip
"""What the order may say beside an action that is its last."""


def of_group(reading: Reading, group: AdministrationGroup) -> tuple[Event | None, list[Result], list[Segment]]:
    """The action told beside the RXA of a group (OBX, NTE), and the OBX and NTE that are none. Raises Refused."""
    notes = [nte for _, nte in group.notes]
    place = reading.tables.settings.mar_action
    if place == "NTE":
        told = [nte for nte in notes if _codec(reading.tables).names(unescape(nte.get(3)))]
    elif place == "OBX":
        told = [result.obx for result in group.results if _is_action(result.obx, reading.tables)]
    else:
        told = []
    if not told:
        return None, group.results, notes
    if len(told) > 1 or len(group.rxas) > 1:
        text = "several actions, or several RXA, in one group: which is of which is not told"
        raise _refused(reading, told[-1], 3, "action-ambiguous", text, "send one RXA and one action in a group", "207")
    (segment,) = told
    results = [result for result in group.results if result.obx is not segment]
    if place == "NTE":
        event = _read(reading, segment, 3, "^" + segment.get(3))
        reading.accounts.append(Account(segment, reading.tables.mapping("NTE_to_Annotation")))
    else:
        event = _of_obx(reading, segment)
        for beside in (
            one for result in group.results if result.obx is segment for one in (*result.notes, *result.others)
        ):
            reading.drop(beside, "beside the action nothing has a place")
    return event, results, [nte for nte in notes if nte is not segment]


def _of_obx(reading: Reading, obx: Segment) -> Event | None:
    if obx.get(11) in _UNSAID:
        reading.drop(obx, "an action that was taken back")
        return None
    event: Event | None = reading.read(obx, OBX).get("event")
    reading.c.nulls.clear()
    return event


def of_rxa(reading: Reading, rxa: Segment) -> tuple[Event | None, Segment]:
    """The action in the first repetition of RXA-9, and the RXA without it. Raises Refused."""
    first, _, rest = rxa.get(9).partition("~")
    if reading.tables.settings.mar_action != "RXA-9" or first in ("", '""'):
        return None, rxa
    event = _read(reading, rxa, 9, first)
    return event, Segment(rxa.name, [*rxa.fields[:9], rest, *rxa.fields[10:]], rxa.line, rxa.occurrence)


def _read(reading: Reading, segment: Segment, field: int, cell: str) -> Event | None:
    try:
        return _codec(reading.tables).from_v2(reading.c, cell)
    except Unreadable as error:
        raise _refused(reading, segment, field, error.code, error.why, error.hint, error.hl7, error.value) from None


def _row(tables: Tables) -> Row:
    return next(row for row in tables.table(OBX).rows if row.domain == "event")


def _codec(tables: Tables) -> MarAction:
    codec = _row(tables).codec
    assert isinstance(codec, MarAction)
    return codec


def _code(tables: Tables) -> tuple[str, str, str]:
    """Code, name and coding system of OBX-3: those of the site, or our own."""
    code, _, system = tables.settings.mar_action_code.partition("^")
    known = codes.code("keta.mar-action")
    return (code, "", system) if code else (known.code, known.display, codes.v2_name(known.system))


def _is_action(obx: Segment, tables: Tables) -> bool:
    """Whether OBX-3 has the code that the site names; one with a coding system must have that."""
    code, _, system = _code(tables)
    parts = [*obx.get(3).split("^"), "", "", "", "", ""]
    return any(parts[at] == code and system in ("", parts[at + 2]) for at in (0, 3))


def settle(reading: Reading, act: Administration, rxa: Segment) -> None:
    """Check the action against the RXA and what the order says beside it, and fill in what follows. Raises Refused."""
    if act.event is None or act.state == "deleted":
        return
    action = act.event.action
    _check_dose(reading, act, rxa)
    states = (_OPEN if act.end is None else _CLOSED) if action in OPENING else _STATES[action]
    if act.state not in states:
        raise _contradicted(reading, act, rxa, 20, rxa.get(20))
    standing = act.order_status
    if not standing or standing == "running":
        standing = (
            "held" if act.order_control in HOLDING else "discontinued" if act.order_control in _ENDING else standing
        )
    if action in OPENING and act.end is None:
        allowed = {"", "running"}
    else:
        allowed = _STANDINGS.get(action, {standing}) if act.end is None else {standing}
    if standing not in allowed:
        raise _contradicted(reading, act, rxa, 9, f"{act.order_control} {act.order_status}".strip())
    _fill(act, action, standing)


def _check_dose(reading: Reading, act: Administration, rxa: Segment) -> None:
    """A segment needs its rate, a dose its amount."""
    action = act.event.action if act.event else ""
    running = act.rate is not None and bool(act.rate.amount.value)
    if action in OPENING and not (running or (action == "rate-change" and act.rate is not None)):
        raise _contradicted(reading, act, rxa, 12, rxa.get(6))
    if action == "bolus" and (act.rate is not None or act.amount is None or not act.amount.value):
        raise _contradicted(reading, act, rxa, 6, rxa.get(12) or rxa.get(6))
    if action == "given" and act.rate is not None and act.end is None:
        raise _contradicted(reading, act, rxa, 12, rxa.get(12))


def _fill(act: Administration, action: str, standing: str) -> None:
    """What the action says and the RXA leaves open: whether it runs, is held, is over."""
    if action in OPENING:
        act.order_status = act.order_status or ("running" if act.end is None and not is_closer(act) else "")
    elif action == "paused":
        act.state = act.state or ("stopped" if act.end is not None else "")
        act.order_status = "held" if standing in ("", "running") else standing
    elif action == "stopped":
        act.order_status = standing
        if standing in ("", "running"):
            act.order_status = "completed" if act.state == "completed" else "discontinued"
        act.state = act.state or ("stopped" if act.end is not None else "")
    elif action == "held":
        act.state = act.state or "not-given"


def _contradicted(reading: Reading, act: Administration, rxa: Segment, field: int, value: str) -> Refused:
    assert act.event is not None
    text = f"the action is {act.event.action}, and what the RXA or its order says is not that"
    hint = "check RXA-4, -6, -12, -20 and ORC-1, -5; a field that means something else at this site is a row of its overlay"
    return _refused(reading, rxa, field, "action-contradicted", text, hint, "207", value)


def _refused(
    reading: Reading, segment: Segment, field: int, code: str, text: str, hint: str, hl7: str, value: str = ""
) -> Refused:
    return reading.refused(segment, field, code, text, hint, hl7, value=value, row=_row(reading.tables).place)


def put_cell(composing: Composing, event: Event | None, cells: dict[int, str]) -> None:
    """The action into RXA-9, where the site has it there: before the reasons."""
    if event is not None and composing.tables.settings.mar_action == "RXA-9":
        cells[9] = "~".join(part for part in (_written(composing, event), cells.get(9, "")) if part)


def note(composing: Composing, event: Event) -> tuple[str, ...]:
    """The text of the NTE of the action, where the site has it there."""
    if composing.tables.settings.mar_action != "NTE":
        return ()
    codec, told = _codec(composing.tables), event.told
    words = (told.text, *(word for one in told.codings for word in (one.display, one.code))) if told else ()
    return (next(filter(codec.names, words), codec.map.domain_to_v2[event.action]),)


def compose(composing: Composing, act: Administration) -> int:
    """The OBX of the action, where the site has it there; gives the next set ID."""
    if act.event is None or composing.tables.settings.mar_action != "OBX":
        return 1
    cells = composing.cells(act, OBX, preserved=())
    composing.add("OBX", {1: "1", 2: "CWE", 3: join(list(_code(composing.tables))), **cells, 11: "F"})
    return 2


def _written(composing: Composing, event: Event) -> str:
    return _codec(composing.tables).to_v2(composing.c, event)[0]
