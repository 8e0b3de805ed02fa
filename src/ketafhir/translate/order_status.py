"""What is only told of the status of an order: an ORC alone (HL7 v2 chapter 4), and the ORC of an answer (ORR, ORP, RRE, RRG).

It changes the status, adds its notes and the numbers that the order did not have, and nothing else. The order must be known:
the resource is rendered whole from what was told of it before.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.hl7v2.tree import segments_of
from ketafhir.therapy.lifecycle import REFUSES, STATUS
from ketafhir.therapy.records import Order
from ketafhir.translate.order_segments import ORC, order_key
from ketafhir.translate.reading import Reading, note_texts

RESPONSES = frozenset(("ORR", "ORP", "RRE", "RRG"))
"""The message codes that answer an order."""
_TAKEN = ("state", "placer", "filler", "group", "status_reason")
_WITH_DETAIL = frozenset(("placed", "replacement", "change", "child"))
_WHY = "an ORC alone tells the status of an order, and changes nothing else"
_ACCEPTED = ("AA", "CA", "")


def read(reading: Reading, group: PatientGroup) -> None:
    """The orders of a patient group that are an ORC alone, into `reading.records`. Raises Refused."""
    for order in group.orders:
        if order.orc is not None and is_alone(order):
            _read(reading, order)
        elif not (order.rxo or order.rxe or order.administrations):
            for segment in segments_of(order):
                reading.drop(segment, "what is to be given (RXG) or was dispensed (RXD) is not read")


def is_alone(order: OrderGroup) -> bool:
    """Whether nothing but the ORC tells of the order."""
    return not (order.rxo or order.rxe or order.rxd or order.gives or order.administrations or order.obr)


def _read(reading: Reading, group: OrderGroup) -> None:
    assert group.orc is not None
    orc = group.orc
    values = reading.read(orc, ORC)
    account = reading.accounts[-1]
    reading.accounts[-1] = account._replace(why=_WHY, only=frozenset(_TAKEN))
    reading.nulls()
    notes = note_texts([nte for _, nte in group.notes], reading)
    _drop_beside(reading, group)
    state = values.get("state")
    if "placer" not in values and "filler" not in values:
        raise reading.refused(
            group.head, 2, "order-number-missing", "an order without number", "send ORC-2 or ORC-3", "101"
        )
    if state is None:
        raise reading.refused(
            group.head, 1, "order-control-unknown", "an order without order control", "send ORC-1", "101"
        )
    answer = reading.message.code in RESPONSES
    if state.effect in _WITH_DETAIL and not answer:
        text = f"an order that is {state.control} needs its RXO or RXE"
        raise reading.refused(group.head, 1, "segment-missing", text, "send what is ordered", "100")
    if answer and not _accepted(reading) and state.effect not in (*REFUSES, "not-accepted"):
        text = f"the message was not accepted (MSA-1), so {state.control} tells nothing"
        reading.warn("answer-without-effect", text, orc, 1, state.control)
        reading.accounts[-1] = account._replace(mapping=None, why="the message that this answers was not accepted")
        return
    taken = {name: values[name] for name in _TAKEN if name in values}
    key = order_key(taken.get("placer"), taken.get("filler"), STATUS)
    order = Order(
        key=key, patient=reading.patient, intent=STATUS, notes=notes, told=reading.told,
        preserved=values.get("preserved", ()), **taken,
    )  # fmt: skip
    if reading.records.orders.setdefault(key, order) is not order:
        raise reading.refused(
            group.head, 2, "identity-collision", "two orders of one message have one number",
            "give each order its own number", "205",
        )  # fmt: skip


def _accepted(reading: Reading) -> bool:
    codes = [one.get(1) for one in reading.message.segments if one.name == "MSA"]
    return all(code in _ACCEPTED for code in codes)


def _drop_beside(reading: Reading, group: OrderGroup) -> None:
    around = [prt for _, prt in group.participations]
    for segment in (*group.timings, *around, *(one.obx for one in group.results), *group.others):
        reading.drop(segment, _WHY)
    for result in group.results:
        for segment in (*result.notes, *result.others):
            reading.drop(segment, _WHY)
