"""The OBX that follow an RXA: waste, what this segment gave and the notes on it; all else is of the infusion."""

from __future__ import annotations

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.people import read_xcn
from ketafhir.mapping.codecs.values import soft_quantity
from ketafhir.therapy.act_kinds import is_event
from ketafhir.therapy.records import Administration, Waste
from ketafhir.therapy.values import Practitioner, Quantity
from ketafhir.translate import adverse_segments
from ketafhir.translate.observations import read_results
from ketafhir.translate.reading import Account, Reading, note_texts

_WASTE = ("keta.waste-amount", "keta.waste-volume", "keta.waste-witness")
_NOTE = "keta.administration-note"
_OF_SEGMENT = ("keta.segment-volume", "keta.segment-amount", _NOTE)


def read(reading: Reading, results: list[Result], act: Administration, identity: str) -> None:
    """OBX after an RXA: waste; what this segment gave and the notes on it; all else is of the infusion."""
    wasted = [result for result in results if _is(result, _WASTE)]
    of_segment = [result for result in results if _is(result, _OF_SEGMENT)]
    if any(_is(result, (_NOTE,)) for result in of_segment):
        from ketafhir.translate import act_notes

        notes = [result for result in of_segment if _is(result, (_NOTE,)) and act_notes.is_note(result)]
        act.notes += act_notes.read(reading, notes)
        told = {id(result) for result in notes}
        results = [result for result in results if id(result) not in told]
        of_segment = [result for result in of_segment if id(result) not in told]
    taken = {id(result) for result in (*wasted, *of_segment)}
    others = [result for result in results if id(result) not in taken]
    if any(adverse_segments.may_tell(result.obx.get(3)) for result in others):
        others = adverse_segments.read_beside(reading, others, act)
    if is_event(act):  # which segment it ended may not have been told yet
        read_results(reading, of_segment, part_of=act.infusion, scope_key=act.key, start=act.start)
    else:
        read_results(reading, of_segment, part_of=act.key, scope_key=act.key)
    read_results(reading, others, part_of=act.infusion, scope_key=identity)
    by_sub_id: dict[str, list[Result]] = {}
    for result in wasted:
        by_sub_id.setdefault(result.obx.get(4), []).append(result)
    for sub_id, parts in by_sub_id.items():
        _read_waste(reading, sub_id, parts, act)


def _is(result: Result, names: tuple[str, ...]) -> str:
    """The name among `names` that an OBX-3 codes, or ""."""
    parts = result.obx.get(3).split("^")
    for at in (0, 3):
        if len(parts) > at + 2:
            found = codes.find(codes.system_uri(parts[at + 2]), parts[at])
            if found and found.name in names:
                return found.name
    return ""


def _read_waste(reading: Reading, sub_id: str, results: list[Result], act: Administration) -> None:
    """One waste: amount, volume and witness under one OBX-4."""
    waste = Waste(
        key=f"{act.infusion}|waste|{sub_id}", infusion=act.infusion, order=act.order, patient=act.patient, visit=act.visit,
        placer=act.placer, filler=act.filler, counters=act.counters, drug=act.drug, sub_id=sub_id, told=reading.told,
        sender=reading.sender,
    )  # fmt: skip
    c = reading.c
    for result in results:
        values = reading.read(result.obx, "OBX_to_Waste")
        c.row = None
        name = _is(result, _WASTE)
        obx = result.obx
        number = _WASTE.index(name) + 1
        kept = ((place.replace("OBX-", f"OBX[{number}]-", 1), text) for place, text in values.get("preserved", ()))
        waste.preserved = (*waste.preserved, *kept)
        if name == _WASTE[2]:
            found = [read_xcn(text, c) for text in obx.get(5).split("~")]
            waste.witnesses += tuple(one for one in found if one and one not in waste.witnesses)
        else:
            value = _waste_quantity(reading, obx)
            if name == _WASTE[0]:
                waste.amount = value
            else:
                waste.volume = value
        waste.at = values.get("at") or waste.at
        waste.performers = values.get("performers") or waste.performers
        if values.get("deleted"):
            waste.deleted = True
        waste.notes = (*waste.notes, *note_texts(result.notes, reading))
        for segment in result.others:
            witness = _witness(reading, segment)
            if witness is None:
                reading.drop(segment, "beside waste only its notes and its witness have a place")
            elif witness not in waste.witnesses:
                waste.witnesses += (witness,)
    if not waste.witnesses:
        reading.warn("waste-without-witness", "waste without a witness", results[0].obx)
    reading.records.wastes[waste.key] = waste


def _witness(reading: Reading, segment: Segment) -> Practitioner | None:
    """Who cosigned, of a PRT (2.7 on): PRT-4 AC (table 0912), PRT-5 the person."""
    if segment.name != "PRT" or segment.get(4).split("^")[0] != codes.code("v2-0912.AC").code:
        return None
    reading.accounts.append(Account(segment, reading.tables.mapping("PRT_to_Waste")))
    return read_xcn(segment.get(5).split("~")[0], reading.c)


def _waste_quantity(reading: Reading, obx: Segment) -> Quantity:
    """The amount of a waste OBX. Raises Refused where its number or unit is not understood."""
    from ketafhir.mapping.context import Unreadable

    try:
        value = soft_quantity(obx.get(5), obx.get(6), reading.c)
        if value.unit not in ("mg", "mL", "g", "ug"):
            raise Unreadable("unit-unknown", "waste is told in mg and mL", value.unit or value.display, hl7="103")
    except Unreadable as error:
        raise reading.refused(obx, 5, error.code, error.why, error.hint, error.hl7, value=error.value) from None
    return value
