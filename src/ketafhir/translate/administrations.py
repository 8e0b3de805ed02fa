"""Administrations in from HL7v2: RAS^O17 (chapter 4A.3.19) -> acts, waste and the observations beside them.

Each RXA is one act; several RXA before one RXR share it. An act belongs to the ORC of its own ORDER group and to no other.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.hl7v2.groups import Administration as AdministrationGroup
from ketafhir.hl7v2.groups import Order as OrderGroup
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping import codes
from ketafhir.mapping.engine import NULL
from ketafhir.therapy.act_kinds import is_event
from ketafhir.therapy.boluses import is_bolus
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Administration
from ketafhir.therapy.settled import act as settled
from ketafhir.therapy.values import Event
from ketafhir.translate.observed import moment
from ketafhir.translate.reading import Reading, note_texts

RXA, MEDICATION = "RXA_to_MedicationAdministration", "RXA_to_Medication"
_TAKES_PART = ("", "AD", "UC")  # of table 0287
PRT = "PRT_to_MedicationAdministration"
RXR, ORC = "RXR_to_MedicationAdministration", "ORC_to_MedicationAdministration"


def read(reading: Reading, group: PatientGroup) -> None:
    """All administrations of one patient group. Raises Refused for what must not be guessed."""
    for order in group.orders:
        if order.administrations:
            _read_order(reading, order)


def _read_order(reading: Reading, order: OrderGroup) -> None:
    assert order.orc is not None  # the walker refuses an RXA without ORC
    segment = order.orc
    if segment.get(7) and (order.rxo or order.rxe):
        from ketafhir.translate.old_timing import orc_of_administrations

        segment = orc_of_administrations(order)
    orc = reading.read(segment, ORC)
    reading.accounts[-1] = reading.accounts[-1]._replace(segment=order.orc)
    identity = order_identity(orc.get("placer"), orc.get("filler"))
    if not identity:
        raise reading.refused(
            order.orc, 2, "order-number-missing", "an administration whose order has no number", hl7="101"
        )
    kept = orc.pop("preserved", ())
    account = reading.accounts[-1]
    parent = orc.pop("parent", None)
    standing = {name: orc.pop(name, "") for name in ("order_control", "order_status")}
    acts: list[Administration] = []
    for group in order.administrations:
        # ORC-5 and ORC-1 speak of the last administration of the order.
        acts += _read_group(reading, group, identity, orc, standing if group is order.administrations[-1] else {})
    last = acts[-1]
    for act in acts:
        act.parent = parent if is_bolus(act) else None
    if parent is not None and not any(act.parent for act in acts):
        kept = (*kept, ("ORC-8", order.orc.get(8)))
        at = reading.accounts.index(account)
        reading.accounts[at] = account._replace(kept=account.kept | {"ORC-8"}, told=account.told - {"parent"})
    last.preserved = (*last.preserved, *kept)
    last.preserved += _keep(reading, order.others, {})
    notes = note_texts([nte for name, nte in order.notes if name == "ORC"], reading)
    last.notes = (*notes, *last.notes)


def _read_group(
    reading: Reading, group: AdministrationGroup, identity: str, orc: dict[str, Any], standing: dict[str, str]
) -> list[Administration]:
    """The acts of one ADMINISTRATION group, with what follows them."""
    event, results, notes = None, group.results, [nte for _, nte in group.notes]
    if results or notes:
        from ketafhir.translate import mar_actions

        event, results, notes = mar_actions.of_group(reading, group)
    route: dict[str, Any] = {}
    rest: tuple[tuple[str, str], ...] = ()
    if group.rxrs:
        route = reading.read(group.rxrs[0], RXR)
        rest = route.pop("preserved", ())
    told_by: list[tuple[Segment, Administration]] = []
    for rxa, components in _apart(reading, group.rxas):
        told = standing if group.rxas[-1] in (rxa, *components) else {}
        act = _read_act(reading, rxa, identity, {**orc, **route, **told}, event, components)
        told_by += [(one, act) for one in (rxa, *components)]
    acts = list({id(act): act for _, act in told_by}.values())
    texts = note_texts(notes, reading)
    if texts:
        acts[-1].notes = texts
    given = [act for act in acts if not is_event(act)]
    participations = [prt for owner, prt in group.participations if not _performed(reading, told_by, owner, prt)]
    beside = [*group.rxrs[1:], *participations, *group.others]
    if given:
        rest += _keep(reading, beside, {"RXR": len(group.rxrs[:1])})
    else:
        for segment in beside:
            reading.drop(segment, "an event that makes no administration has no place for it")
    for act in acts:
        act.preserved += rest
    if results:
        from ketafhir.translate import act_results

        act_results.read(reading, results, acts[-1], identity)
    return acts


def _performed(reading: Reading, told_by: list[tuple[Segment, Administration]], owner: Segment, prt: Segment) -> bool:
    """Whether a PRT (2.7 on) says no more than who administered: PRT-4 AP (table 0912), PRT-5 the person. Then it is a
    performer of the RXA it follows (behind the RXR: of all), as in RXA-10."""
    code = prt.get(4).split("^")[0]
    alone = not any(text for at, text in enumerate(prt.fields) if at not in (0, 1, 2, 4, 5))
    if code != codes.code("v2-0912.AP").code or not alone or prt.get(5) in ("", NULL) or prt.get(2) not in _TAKES_PART:
        return False
    values = reading.read(prt, PRT)
    for act in [act for rxa, act in told_by if rxa is owner] or [act for _, act in told_by]:
        before = len(act.performers)
        act.performers += tuple(one for one in values.get("performers", ()) if one not in act.performers)
        if len(act.performers) > before:  # what a component of the person holds besides goes with it
            act.preserved += tuple(
                (place.replace("PRT-5", f"RXA-10[{before + 1}]" if before else "RXA-10"), text)
                for place, text in values.get("preserved", ())
                if "[" not in place
            )
    return True


def _apart(reading: Reading, rxas: list[Segment]) -> list[tuple[Segment, list[Segment]]]:
    """Each RXA that is an administration, with those that are components of its mixture where the site says so."""
    if len(rxas) == 1 or reading.tables.settings.rxa_repeat != "mixture":
        return [(rxa, []) for rxa in rxas]
    from ketafhir.translate import mixtures

    return mixtures.apart(rxas)


def _keep(reading: Reading, segments: list[Segment], seen: dict[str, int]) -> tuple[tuple[str, str], ...]:
    """Segments as a whole, each with its number among those of its name."""
    kept: tuple[tuple[str, str], ...] = ()
    for segment in segments:
        seen[segment.name] = seen.get(segment.name, 0) + 1
        kept += reading.keep(segment, seen[segment.name], "MedicationAdministration")
    return kept


def _read_act(
    reading: Reading,
    rxa: Segment,
    identity: str,
    shared: dict[str, Any],
    event: Event | None,
    components: list[Segment],
) -> Administration:
    sent = rxa
    if rxa.get(9) and reading.tables.settings.mar_action == "RXA-9":
        from ketafhir.translate import mar_actions

        event, rxa = mar_actions.of_rxa(reading, rxa)
    values = reading.read(rxa, RXA, MEDICATION)
    reading.accounts[-1] = reading.accounts[-1]._replace(segment=sent)
    reading.c.nulls.clear()
    for name, field in (("start", 3), ("drug", 5), ("action", 21)):
        if name not in values and not (name == "action" and not rxa.get(21)):
            raise reading.refused(rxa, field, f"{name}-missing", "a required field is empty", hl7="101")
    act = Administration(**shared, **values, event=event)
    act.action = act.action or "add"
    if act.end is not None and act.start is not None and act.end.at == act.start.at:
        act.end = None  # chapter 4A, RXA-4: a rate setting or a point in time
    _check_times(reading, act, rxa)
    give, number = act.counters
    act.order, act.key = identity, f"{identity}|{give or '0'}|{number}"
    if reading.tables.settings.rxa2 == "not-unique":
        act.key += f"@{moment(act.start)}{event.action if event and is_event(act) else ''}"
    act.infusion = f"{identity}|{give or '0'}|@{reading.visit}"
    act.patient, act.visit = reading.patient, reading.visit
    act.told, act.sender = _told(reading, act), reading.sender
    if act.rate is not None and act.amount is not None:  # only where the site puts the whole rate elsewhere
        from ketafhir.translate import given_amounts

        given_amounts.beside_rate(reading, act, rxa)
    if act.action == "delete":
        act.state = "deleted"
    if rxa.get(18) not in ("", NULL) and act.state != "deleted" and "refusal" not in values:
        # Chapter 4A, RXA-18: the patient did not take it; beside any other outcome that is a contradiction.
        reading.warn("refusal-without-status", "a refusal reason, and no refusal: preserved", rxa, 18, rxa.get(18))
    if event is not None:
        from ketafhir.translate import mar_actions

        mar_actions.settle(reading, act, rxa)
    elif act.amount is not None and not act.amount.value and act.rate is None and act.state in ("completed", "stopped"):
        raise reading.refused(
            rxa, 6, "dose-zero", "an amount of 0 without a rate: whether it ends what runs or was not given is not told",
            "send RXA-20 NA for what was not given; rate 0 (RXA-12) or an action (mar_action) for what ended",
            value=rxa.get(6),
        )  # fmt: skip
    elif act.state == "completed" and act.rate is not None and act.end is None and act.order_status == "running":
        reading.warn(
            "status-contradiction", "completed (RXA-20) without an end (RXA-4) in an order in progress (ORC-5): RXA-20 counts",
            rxa, 20, rxa.get(20), "leave RXA-20 empty while it runs, or send RXA-4",
        )  # fmt: skip
    if components:
        from ketafhir.translate import mixtures

        mixtures.read(reading, act, rxa, components)
    known = reading.records.administrations
    known[act.key] = _merged(reading, act, known[act.key], rxa) if act.key in known else act
    return known[act.key]


def _told(reading: Reading, act: Administration) -> tuple[Decimal, str]:
    """What orders the versions of an act: RXA-22, then MSH-7, then a correction after what it corrects."""
    at, digest = reading.told
    rank = ("add", "update", "delete").index(act.action)
    return act.recorded.at if act.recorded else at, f"{at:020.6f}|{rank}|{digest}"


def _check_times(reading: Reading, act: Administration, rxa: Segment) -> None:
    if act.end is not None and act.start is not None and act.end.at < act.start.at:
        raise reading.refused(
            rxa, 4, "end-before-start", f"the administration ends before it starts ({act.start.iso})",
            "check RXA-3, RXA-4 and their offsets", "102", value=rxa.get(4),
        )  # fmt: skip


def _merged(reading: Reading, act: Administration, other: Administration, rxa: Segment) -> Administration:
    """One message may tell one act twice (opened, closed); two starts under one number are two acts, and refused."""
    if act.action == other.action == "add" and other.start and act.start and other.start.at != act.start.at:
        raise reading.refused(
            rxa, 2, "identity-collision", "two administrations with different starts have one number",
            "number each administration of an order (RXA-1, RXA-2)", "205", value="/".join(act.counters),
        )  # fmt: skip
    merged = settled((other, act))
    if act.action == "update" and other.start == act.start:
        merged.action = other.action
    return merged
