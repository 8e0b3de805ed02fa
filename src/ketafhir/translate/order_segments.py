"""Infusion orders from HL7v2: RDE^O11 (RXE), OMP^O09 (RXO), and the order details in a RAS^O17 (chapter 4A).

Each Order group gives one record for each intent it tells: RXO the original order, RXE the filler order. Both
share the ORC. `translate.order_groups` writes them back, `translate.orders` is the FHIR side.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Give, Result
from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping import codes, units
from ketafhir.mapping.codecs.intervals import read_interval
from ketafhir.mapping.codecs.numbers import number_text, read_amount, read_unit, write_unit
from ketafhir.mapping.codecs.rates import whole_rate
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.engine import Preserved
from ketafhir.plain import replace
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Ingredient, Order
from ketafhir.therapy.values import Identifier, Quantity, Rate, is_before
from ketafhir.translate.old_timing import account, orc_of_administrations, with_tq1
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.results import read_results

T = TypeVar("T")
ORC, TQ1, RXR, RXC = (
    "ORC_to_MedicationRequest", "TQ1_to_MedicationRequest", "RXR_to_MedicationRequest", "RXC_to_Ingredient",
)  # fmt: skip
OBX = "OBX_to_MedicationRequest"
ORIGINAL, FILLER, GIVE = "original", "filler", "give"
DETAIL = {ORIGINAL: "RXO", FILLER: "RXE", GIVE: "RXG"}
_DRUG_FIELD = {ORIGINAL: 1, FILLER: 2}
_REPLACED = ("replace", "replaced")
_RATE_FIELDS = {ORIGINAL: (17, 21, 22), FILLER: (22, 23, 24), GIVE: (14, 15, 16)}  # per, amount, units
_UNSAID = ("D", "W", "X", "N")  # OBX-11: deleted, wrong, no result, not asked


def tables_of(intent: str) -> tuple[str, str]:
    """The tables of the order detail: for the request, and for its medication."""
    return f"{DETAIL[intent]}_to_MedicationRequest", f"{DETAIL[intent]}_to_Medication"


def order_key(placer: Identifier | None, filler: Identifier | None, intent: str) -> str:
    """The identity of an order record: placer number if valued, else filler number, and the intent."""
    return f"{order_identity(placer, filler)}|{intent}"


def read(reading: Reading, group: PatientGroup) -> None:
    """The orders of one patient group that tell RXE or RXO, into `reading.records`. Raises Refused.

    The details inside a RAS or RDS only fill what is missing: its ORC, OBX and other segments belong to the
    administrations.
    """
    owned = reading.message.code not in ("RAS", "RDS", "RGV")
    replaced: Identifier | None = None
    for one in group.orders:
        if one.rxe is not None or one.rxo is not None:
            _read_order(reading, one, owned, replaced)
        replaced = _replaced(reading, one) or replaced


def _replaced(reading: Reading, group: OrderGroup) -> Identifier | None:
    """The number of an order that the replacement orders after it (RO) stand for (chapter 4: RP, RQ or RU, then RO)."""
    if group.orc is None or group.orc.get(1) not in reading.tables.code_map("request-control").v2_to_domain:
        return None
    if reading.tables.code_map("request-control").v2_to_domain[group.orc.get(1)] not in _REPLACED:
        return None
    values = reading.tables.mapping(ORC).from_v2(group.orc, reading.c)
    reading.c.preserved.clear()
    reading.nulls()
    placer, filler = values.get("placer"), values.get("filler")
    return replace(placer, type="PLAC") if placer else replace(filler, type="FILL") if filler else None


def related(values: dict[str, Any], replaced: Identifier | None = None) -> dict[str, Any]:
    """The values of an ORC; ORC-8 of a replacement order names the order it stands for, and no parent."""
    state = values.get("state")
    if state is not None and state.effect == "replacement":
        parent = values.pop("parent", None)
        if parent or replaced:
            values["replaces"] = parent or replaced
    return values


def _read_order(reading: Reading, group: OrderGroup, owned: bool, replaced: Identifier | None) -> None:
    timed = owned or (reading.message.code == "RAS" and orc_of_administrations(group) is not group.orc)
    group, moved = with_tq1(group, owned=timed)
    common = related(read_orc(reading, group, owned=owned), replaced)
    details = _details(reading, group, owned)
    if moved:
        account(reading, moved)
    if not details:
        return
    for intent, values in details.items():
        last = intent == FILLER or FILLER not in details
        told = note_texts(_notes(group, intent, owned=owned, both=len(details) == 2), reading)
        kept = (*(common["preserved"] if last else ()), *values.pop("preserved"))
        fields = {**common, **values, "nulls": common["nulls"] + values["nulls"], "preserved": kept}
        key = order_key(common.get("placer"), common.get("filler"), intent)
        order = Order(
            key=key, patient=reading.patient, visit=reading.visit, intent=intent, notes=told, owned=owned,
            told=reading.told, **fields,
        )  # fmt: skip
        if owned and last:
            read_beside(reading, group, order)
            _read_infusions(reading, group, order)
        add(reading, order, group)


def _notes(group: OrderGroup, intent: str, *, owned: bool, both: bool) -> list[Segment]:
    """The NTE of one intent: of two, the original order has those that follow the RXO."""
    return [
        nte
        for name, nte in group.notes
        if (owned or name != "ORC") and (not both or (name == "RXO") is (intent == ORIGINAL))
    ]


def read_orc(reading: Reading, group: OrderGroup, *, owned: bool) -> dict[str, Any]:
    """The ORC, with `nulls` and `preserved`. In a RAS the administrations read it too, and account for it."""
    orc = group.head
    reading.c.nulls.clear()
    if owned:
        values = reading.read(orc, ORC)
    else:
        values = reading.tables.mapping(ORC).from_v2(orc, reading.c)
        reading.c.preserved.clear()
    values.setdefault("preserved", ())
    values["nulls"] = reading.nulls()
    if "placer" not in values and "filler" not in values:
        raise reading.refused(orc, 2, "order-number-missing", "an order without number", "send ORC-2 or ORC-3", "101")
    if owned and "state" not in values:
        raise reading.refused(orc, 1, "order-control-unknown", "an order without order control", "send ORC-1", "101")
    return values


def _details(reading: Reading, group: OrderGroup, owned: bool) -> dict[str, dict[str, Any]]:
    """What RXO and RXE tell, by intent. Without RXO the timing before the RXE is the encoded order's."""
    timings, encoding = group.timings, group.encoding_timings
    if group.rxo is None:
        timings, encoding = [], [*timings, *encoding]
    told = {
        ORIGINAL: (group.rxo, timings, group.routes, group.components),
        FILLER: (group.rxe, encoding, group.encoding_routes, group.encoding_components),
    }
    found = {}
    for intent, (segment, *below) in told.items():
        if segment is None:
            continue
        field = _DRUG_FIELD[intent]
        if segment.get(field) not in ("", '""'):
            found[intent] = read_detail(reading, intent, segment, *below)
        elif owned:
            raise reading.refused(
                segment, field, "drug-unknown", "an order without drug",
                "send code^text^coding system", "101",
            )  # fmt: skip
        else:
            for one in (segment, *(one for listed in below for one in listed)):
                reading.drop(one, "an order detail that leaves the drug to the RXA")
    return found


def read_detail(
    reading: Reading,
    intent: str,
    segment: Segment,
    timings: list[Segment],
    routes: list[Segment],
    components: list[Segment],
) -> dict[str, Any]:
    """The values of one detail with its first TQ1 and RXR and all RXC; further TQ1, TQ2 and RXR are
    preserved."""
    values = reading.read(_with_whole_rate(segment, intent), *tables_of(intent))
    reading.accounts[-1] = reading.accounts[-1]._replace(segment=segment, read=reading.accounts[-1].segment)
    kept: Preserved = values.pop("preserved", ())
    seen: dict[str, int] = {}
    for one in (*timings, *routes):
        number = seen[one.name] = seen.get(one.name, 0) + 1
        table = {"TQ1": TQ1, "RXR": RXR}.get(one.name) if number == 1 else None
        if table is None:
            kept += reading.keep(one, number)
            continue
        more = reading.read(one, table)
        if table is TQ1:
            _check_times(reading, one, more)
        kept += more.pop("preserved", ())
        values.update(more)
    values["nulls"] = reading.nulls()
    values["ingredients"] = tuple(read_component(reading, one) for one in components)
    reading.c.nulls.clear()
    values["preserved"] = kept
    return values


def _check_times(reading: Reading, tq1: Segment, values: dict[str, Any]) -> None:
    start, end = values.get("start"), values.get("end")
    if start and end and is_before(end, start):
        raise reading.refused(
            tq1, 8, "end-before-start", f"the order ends before it starts ({start.iso})",
            "check TQ1-7 and TQ1-8, or what stands for them in ORC-7, RXE-1 or RXG-3", "102", value=tq1.get(8),
        )  # fmt: skip


def read_component(reading: Reading, rxc: Segment) -> Ingredient:
    """One component of a mixture. Raises Refused where it is not said of what."""
    found = Ingredient(**reading.read(rxc, RXC))
    if found.drug is None:
        raise reading.refused(rxc, 2, "drug-missing", "a component of a mixture without its drug", "send RXC-2", "101")
    return found


def _with_whole_rate(segment: Segment, intent: str) -> Segment:
    """The segment with an amount per time unit (20, mL, H1) told as a whole rate (20 mL/h), as in an RXA (chapter 4A, RXE-22).

    The time is then that of the rate, and not of the dose. What makes no rate stays as it is, and is refused by its row.
    """
    per, amount, unit = _RATE_FIELDS[intent]
    if not (segment.get(per) and segment.get(amount) and segment.get(unit)):
        return segment
    found = read_unit(segment.get(unit))[0]
    if found is None or found.kind not in units.AMOUNTS:
        return segment
    try:
        over = read_interval(segment.get(per))
        whole = whole_rate(Rate(Quantity(read_amount(segment.get(amount)), found.ucum), over))
    except Unreadable:
        return segment
    fields = list(segment.fields)
    fields[per], fields[amount], fields[unit] = "", number_text(whole.value), write_unit(whole)
    return Segment(segment.name, fields, segment.line, segment.occurrence)


def read_beside(reading: Reading, group: OrderGroup | Give, order: Order, scope: str = "") -> None:
    """Observations of the order, the highest rate among them, and the segments that no table maps."""
    rest: list[Result] = []
    for result in group.results:
        if order.max_rate is None and _is_max_rate(result.obx):
            _read_max_rate(reading, result, order)
        else:
            rest.append(result)
    if rest:
        identity = scope or order_identity(order.placer, order.filler)
        order.observations = read_results(reading, rest, order=order.key, scope_key=identity)
    seen: dict[str, int] = {}
    for segment in (*(prt for _, prt in group.participations), *group.others):
        if segment.name in ("NTE", "TQ1", "TQ2", "RXR", "RXC"):
            reading.drop(segment, "it follows a segment that no table maps")
            continue
        number = seen[segment.name] = seen.get(segment.name, 0) + 1
        order.preserved += reading.keep(segment, number, "MedicationRequest")


def _read_infusions(reading: Reading, group: OrderGroup, order: Order) -> None:
    for number, infusion in enumerate(group.infusions, 1):
        order.preserved += reading.keep(infusion.rxv, number)
        below = (
            *infusion.timings,
            *(nte for _, nte in infusion.notes),
            *(prt for _, prt in infusion.participations),
        )
        for segment in (*below, *infusion.others):
            reading.drop(segment, "what follows an RXV has no place of its own")


def _is_max_rate(obx: Segment) -> bool:
    one = codes.code("keta.rate-max")
    parts = obx.get(3).split("^")
    named = (one.code, codes.v2_name(one.system))
    return any((parts[at], parts[at + 2]) == named for at in (0, 3) if len(parts) > at + 2)


def _read_max_rate(reading: Reading, result: Result, order: Order) -> None:
    obx, status = result.obx, result.obx.get(11)
    if status in _UNSAID:
        reading.drop(obx, "a highest rate that was taken back")
    else:
        values = reading.read(obx, OBX)
        order.max_rate = values.get("max_rate")
        order.preserved += values.get("preserved", ())
        if status not in ("", "F"):
            order.preserved += (("OBX-11", status),)
    order.notes += note_texts(result.notes, reading)
    for segment in result.others:
        reading.drop(segment, "what follows the highest rate has no place of its own")


def add(reading: Reading, order: Order, group: OrderGroup) -> None:
    """The order into the records. Raises Refused where the message has another under its number."""
    known = reading.records.orders.setdefault(order.key, order)
    if known is not order and order.owned:
        raise reading.refused(
            group.head, 2, "identity-collision", "two orders of one message have one number",
            "give each order its own number", "205",
        )  # fmt: skip
