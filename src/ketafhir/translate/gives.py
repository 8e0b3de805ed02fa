"""Give instructions: RGV^O15 (chapter 4A.3.16) and IHE PCD-03 <-> one MedicationRequest for each RXG.

A give is an order of intent `give`, known by the number of its order and RXG-1; what RXO and RXE say beside it only fills
what is missing. `translate.orders` is the FHIR side: intent instance-order, `basedOn` the order, of a bolus from a running
infusion (ORC-1 CH) the order of ORC-8. What goes out may program a pump: `translate.pump_orders` decides whether it does.
"""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Give
from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping import codes
from ketafhir.mapping.engine import NULL
from ketafhir.therapy.lifecycle import order_identity, order_of
from ketafhir.therapy.records import Observation, Order, Records
from ketafhir.translate import pcd_orders, pump_orders
from ketafhir.translate.composing import Composing
from ketafhir.translate.give_rates import PROFILE, with_rate_of_dose, with_whole_duration
from ketafhir.translate.kinds import is_weight, weight_for_device
from ketafhir.translate.old_timing import account, with_tq1_of_gives
from ketafhir.translate.order_groups import beside, compose_beside, compose_routes, compose_timing, parents_first, shown
from ketafhir.translate.order_segments import (
    GIVE,
    ORC,
    add,
    read_beside,
    read_detail,
    read_orc,
    related,
    tables_of,
)
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.results import compose_results


def read(reading: Reading, group: PatientGroup) -> None:
    """All give instructions of one patient group, into `reading.records`. Raises Refused."""
    for order in group.orders:
        if order.gives:
            _read_order(reading, order)


def _read_order(reading: Reading, group: OrderGroup) -> None:
    group, moved = with_tq1_of_gives(group)
    orc = related(read_orc(reading, group, owned=True))
    kept, nulls = orc.pop("preserved"), orc.pop("nulls")
    beside = note_texts([nte for name, nte in group.notes if name == "ORC"], reading)
    for segment in (*(prt for _, prt in group.participations), *group.others):
        reading.drop(segment, "it stands beside the order, and a give instruction has no place for it")
    identity = order_identity(orc.get("placer"), orc.get("filler"))
    for at, give in enumerate(group.gives):
        if give.rxg.get(4) in ("", NULL):
            raise reading.refused(
                give.rxg,
                4,
                "drug-unknown",
                "a give instruction without drug",
                "send code^text^coding system",
                "101",
            )
        told = [*give.timings, *(group.timings if at == 0 and group.rxo is None else [])]
        values = _detail(reading, give, told)
        detail = values.pop("preserved")
        number = values.get("counters", ("", ""))[0] or "0"
        order = Order(
            key=f"{identity}|{GIVE}-{number}", patient=reading.patient, visit=reading.visit, intent=GIVE,
            notes=(*beside, *note_texts([nte for _, nte in give.notes], reading)), told=reading.told,
            preserved=(*(kept if at == 0 else ()), *detail), nulls=(*nulls, *values.pop("nulls")), **orc, **values,
        )  # fmt: skip
        read_beside(reading, give, order, order.key)
        add(reading, order, group)
    if moved:
        account(reading, moved)


def _detail(reading: Reading, give: Give, told: list[Segment]) -> dict[str, Any]:
    """The values of an RXG and what stands below it; its dose over TQ1-13 is a rate."""
    timings = [with_whole_duration(one) for one in told]
    rxg = with_rate_of_dose(reading, give.rxg, timings, give.results)
    routes = [pcd_orders.with_codes(one) for one in give.routes]
    before = len(reading.accounts)
    values = read_detail(reading, GIVE, rxg, timings, routes, give.components)
    sent = (give.rxg, *told, *give.routes)
    came = {id(one): segment for one, segment in zip((rxg, *timings, *routes), sent, strict=True)}
    for at in range(before, len(reading.accounts)):
        one = reading.accounts[at]
        reading.accounts[at] = one._replace(
            segment=came.get(id(one.segment), one.segment), read=one.read or one.segment
        )
    return values


def number_key(order: Order) -> tuple[int, str]:
    """Gives of one order by their number."""
    return len(order.counters[0]), order.counters[0]


def compose(composing: Composing, gives: list[Order]) -> None:
    """ORDER groups of an RGV^O15 in 2.5.1: for each order its ORC and a GIVE group for each instruction. Raises Refused."""
    groups: dict[str, list[Order]] = {}
    for one in sorted(gives, key=number_key):
        groups.setdefault(order_identity(one.placer, one.filler), []).append(one)
    for group in parents_first({key: tuple(group) for key, group in groups.items()}, groups):
        composing.add("ORC", composing.cells(shown(group[0]), ORC))
        for one in group:
            _compose_give(composing, one)


def profile(records: Records, gives: list[Order]) -> str:
    """MSH-21 of a message of these instructions."""
    return PROFILE if all(pcd_orders.names_pump(records, one) for one in gives) else ""


def _weights_of(composing: Composing, order: Order) -> list[Observation]:
    """The dosing weight of the order: up to 2.6 a GIVE group needs an OBX, and a pump needs the weight."""
    wanted = order.parent.key if order.parent else order_identity(order.placer, order.filler)
    told = composing.records.observations.values()
    return [one for one in told if one.order and order_of(one.order) == wanted and is_weight(one)]


def _for_pump(composing: Composing, order: Order, *, flow: bool) -> list[Observation]:
    """What stands beside an instruction to a pump: with a body weight, under the code of devices (PCD TF-2, 3.3.4.4.8), and with
    the rate of a bolus (`flow`)."""
    found = beside(composing, order)
    if not any(map(is_weight, found)):
        weight = pump_orders.weight_of(composing.records, order)
        found += [weight] if weight else []
    return pcd_orders.with_flow([weight_for_device(one) for one in found], order, wanted=flow)


def _compose_give(composing: Composing, order: Order) -> None:
    to_pump, by_dose = pcd_orders.names_pump(composing.records, order), False
    cells = composing.cells(pcd_orders.with_volume(order) if to_pump else order, *tables_of(GIVE))
    if to_pump:
        by_dose = pcd_orders.is_dose_at_rate(order)
        cells = pcd_orders.rxg(pcd_orders.dose_for_rate(cells) if by_dose else cells)
    else:
        text = "no observation names the pump, as IHE PCD-03 requires: the message does not claim its profile"
        composing.c.warn(
            "pump-not-named", text, hint=f"add an Observation {pcd_orders.pump().code} (MDC) with the device"
        )
    cells.setdefault(1, "1")
    changes = order.state is not None and order.state.control == codes.code("v2-0119.XO").code
    for amount in (5, 6, 7):
        if changes:  # IHE PCD-03: a change of rate must not set the volume to be infused anew
            cells.pop(amount, None)
        elif amount != 6:
            cells.setdefault(amount, NULL)
    composing.add("RXG", cells)
    compose_timing(composing, order)
    before = len(composing.lines)
    compose_routes(composing, order, form=pcd_orders.rxr if to_pump else dict)
    if not any(line.startswith("RXR") for line in composing.lines[before:]):
        composing.lines.insert(before, f"RXR|{NULL}")
    composing.notes(order.notes)  # RGV has no place for them but before or below an OBX
    before = len(composing.lines)
    told = len(composing.used)
    if to_pump:
        compose_beside(composing, order, _for_pump(composing, order, flow=by_dose))
    else:
        compose_beside(composing, order)
        if not any(line.startswith("OBX") for line in composing.lines[before:]):
            compose_results(composing, _weights_of(composing, order))
    own = {
        one.key for one in beside(composing, order)
    }  # when a weight of another was measured is no time of this message
    composing.used[told:] = [one for one in composing.used[told:] if one.key in own]
