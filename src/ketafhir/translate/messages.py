"""The HL7v2 messages that the records of one person make: one for each patient, visit and type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ketafhir.errors import Issue, Refused
from ketafhir.mapping.codecs.times import write_dtm
from ketafhir.mapping.context import Context
from ketafhir.plain import replace
from ketafhir.therapy import merges
from ketafhir.therapy.infusion import Course, course
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Observation, Patient, Records, Report, Visit
from ketafhir.therapy.values import Time
from ketafhir.translate import acts, adt, headers, observations, order_groups, patients, provenance, visits
from ketafhir.translate.composing import Composing, segment_of
from ketafhir.translate.results import by_heading
from ketafhir.translate.settings import Settings
from ketafhir.translate.writing import sender_of

_TOLD_BY = {
    "ADT": ("Patient",),
    "OMP": ("MedicationRequest",),
    "RDE": ("MedicationRequest",),
    "RGV": ("MedicationRequest",),
    "RAS": ("MedicationAdministration",),
    "RDS": ("MedicationDispense",),
    "ORU": ("DiagnosticReport", "QuestionnaireResponse", "ClinicalImpression", "Observation"),
}


class Outbound(NamedTuple):
    """Records to be written as HL7v2, with their senders (application, facility) by the resource type they told; "" is whoever
    told anything. `held` is when the server last changed any of them, `about` whom a source speaks of (keys of patients),
    `tellers` the senders of what is of one patient, by its key."""

    records: Records
    c: Context
    senders: dict[str, tuple[str, str]]
    held: Time | None = None
    about: Mapping[str, frozenset[str]] = MappingProxyType({})
    tellers: Mapping[str, dict[str, tuple[str, str]]] = MappingProxyType({})


def of_person(out: Outbound, settings: Settings, wanted: str | None) -> Iterator[str]:
    """The messages of one person (all patients that were merged), or only those of the type `wanted`. Raises Refused."""
    if out.records.merges:
        out = out._replace(records=merges.settled(out.records))
    seconds = settings.tables.settings.match_seconds
    person = _Person(
        out, settings, courses_of(out.records, seconds), provenance.event_of(out.records), by_heading(out.records)
    )
    for patient, visit in _subjects(out.records):
        for kind in _kinds(person, patient, visit, wanted):
            yield _message(person, patient, visit, kind)
        for report in observations.events(out.records, patient.key, visit.key if visit else ""):
            if wanted in (None, f"ORU^{report.event}"):
                yield _message(person, patient, visit, f"ORU^{report.event}", report)


class _Person(NamedTuple):
    """What the messages of one person are made of: `event` is what the newest of them was told by, `below` the observations
    by their heading."""

    out: Outbound
    settings: Settings
    courses: list[Course]
    event: str
    below: dict[str, list[Observation]]


def courses_of(records: Records, match_seconds: int = 60) -> list[Course]:
    """The infusions of the acts, in order of start."""
    told: dict[str, list[Any]] = {}
    for act in records.administrations.values():
        told.setdefault(act.infusion, []).append(act)
    by_identity = {
        order_identity(order.placer, order.filler): order for order in records.orders.values() if order.intent != "give"
    }
    whole = {key: _with_strays(key, some, told, match_seconds) for key, some in told.items()}
    found = [
        course(key, some, by_identity.get(some[0].order), None, match_seconds)
        for key, some in whole.items()
        if any(act.delivery in ("", "start") for act in some)
    ]
    for waste in records.wastes.values():
        if waste.infusion not in told:
            raise Refused(
                Issue("error", "waste-without-infusion", "waste without the administrations of its infusion",
                      where="MedicationAdministration", value=waste.sub_id, hint="add the infusion to the Bundle")
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.start.at if one.start else 0, one.key))


def _with_strays(infusion: str, acts: list[Any], told: dict[str, list[Any]], seconds: int) -> list[Any]:
    """The acts of an infusion, with what its pumps told without naming an order, or without its give sub-ID."""
    order = next((act.order for act in acts if act.parent is None), acts[0].order)
    same = [act for some in told.values() for act in some if act.order == order]
    channels = {act.channel for act in (*same, *acts) if act.channel}
    if not channels:
        return acts
    from ketafhir.therapy.pump import placed, with_strays

    # A bolus from what runs is of this infusion, under an order of its own.
    others = [act for some in told.values() for act in some if act.order != order]
    beside = [act for act in others if act.channel in channels or act.infusion == infusion]
    found = with_strays([*placed(same, seconds), *beside], infusion)
    return [act if act.infusion == infusion else replace(act, infusion=infusion) for act in found]


def _subjects(records: Records) -> list[tuple[Patient, Visit | None]]:
    """Each patient with each visit, and without one for what names no visit; first those that were given up."""
    found: list[tuple[Patient, Visit | None]] = [(records.patients[key], None) for key in records.merges]
    for patient in records.patients.values():
        if patient.key in records.merges:
            continue
        found.append((patient, None))
        found += [(patient, visit) for visit in records.visits.values() if visit.patient == patient.key]
    return found


def _of(records: dict[str, Any], patient: Patient, visit: Visit | None) -> list[Any]:
    key = visit.key if visit else ""
    return [one for one in records.values() if one.patient == patient.key and one.visit == key]


def _kinds(person: _Person, patient: Patient, visit: Visit | None, wanted: str | None) -> list[str]:
    """The message types that the records of one patient and visit make."""
    records = person.out.records
    if patient.key in records.merges:
        return [adt.MERGE] if wanted in (None, adt.MERGE) else []
    told = _of(records.orders, patient, visit)
    found = []
    if any(order.intent == "original" and not _encoded(order, told) for order in told):
        found.append("OMP^O09")
    if any(order.intent == "filler" for order in told):
        found.append("RDE^O11")
    if wanted == "RGV^O15" and any(order.intent in ("give", "filler") for order in told):
        found.append("RGV^O15")
    own = _courses(person.courses, patient, visit)
    if own and (wanted or any(_is_charted(one) for one in own)):
        found.append("RAS^O17")
    if _of(records.dispenses, patient, visit):
        found.append("RDS^O13")
    if observations.has_reports(records, patient.key, visit.key if visit else ""):
        found.append("ORU^R01")
    known = [one for one in records.visits.values() if one.patient == patient.key]
    alone = not any(getattr(records, kind) for kind in ("orders", "administrations", "reports", "observations",
                                                        "responses", "decisions", "adverse_events", "wastes",
                                                        "dispenses"))  # fmt: skip
    if wanted and wanted.startswith("ADT^"):
        return [wanted] if wanted != adt.MERGE and (visit is not None or not known) else []
    merged = person.event == adt.MERGE and patient.key in {merge.patient for merge in records.merges.values()}
    alone = alone and not (merged and visit is None)  # A40 tells who stays
    if (alone or adt.tells_lists(patient, visit)) and (visit is not None or not known):
        found.append(adt.kind_of(person.event, patient, visit))
    return [kind for kind in found if wanted in (None, kind)]


def _is_charted(course: Course) -> bool:
    """Whether an eMAR told any of it: what only a pump told goes out as its events, and as RAS where that is asked for."""
    return any(any(one.told.counters) or not one.told.delivery for one in course.acts)


def _encoded(order: Any, told: list[Any]) -> bool:
    """Whether the pharmacy's encoding of an original order is here too: then one RDE^O11 carries both."""
    identity = order_identity(order.placer, order.filler)
    return any(one.intent == "filler" and order_identity(one.placer, one.filler) == identity for one in told)


def _courses(courses: list[Course], patient: Patient, visit: Visit | None) -> list[Course]:
    key = visit.key if visit else ""
    return [one for one in courses if one.first.patient == patient.key and one.first.visit == key]


def _message(person: _Person, patient: Patient, visit: Visit | None, kind: str, report: Report | None = None) -> str:
    out, settings = person.out, person.settings
    records = out.records
    composing = Composing(records, settings.tables, out.c)
    if kind.startswith("ADT^"):
        composing.add("EVN", headers.evn(records, kind, visit))
    headers.beside_header(composing, kind)
    if not kind.startswith("ADT^"):
        patients.compose(composing, patient)
        if visit is not None:
            visits.compose(composing, visit)
    key = visit.key if visit else ""
    told: list[Any]
    if kind in ("RDE^O11", "OMP^O09"):
        told = [_of(records.orders, patient, visit), composing.used]
        order_groups.compose(composing, told[0], kind)
    elif kind == "RGV^O15":
        from ketafhir.translate import gives, pump_orders

        told = [pump_orders.gives_of(records, patient, key), composing.used]
        composing.c.issues += pump_orders.check(records, patient, told[0], settings.pump, settings.tables.limits)
        gives.compose(composing, told[0])
    elif kind == "RAS^O17":
        own = _courses(person.courses, patient, visit)
        told = [[one.closers for one in own], [act.told for one in own for act in one.acts], composing.used]
        acts.compose(composing, own)
    elif report is not None:
        told = [composing.used]
        observations.compose_event(composing, report, person.below)
    elif kind == "RDS^O13":
        from ketafhir.translate import dispenses

        told = [_of(records.dispenses, patient, visit)]
        dispenses.compose(composing, told[0])
    elif kind == "ORU^R01":
        told = [composing.used]
        observations.compose(composing, patient.key, key, person.below)
    else:
        told = [visit, list(records.sources.values())]
        if kind == adt.MERGE:
            adt.compose_merge(composing, records, patient)
        else:
            adt.compose(composing, patient, visit, kind)
    happened = (told, [list(records.sources.values())], [visit])
    newest = (
        next((time for time in map(headers.newest, happened) if time), None)
        or out.held
        or headers.newest(told, shortest=8)
    )
    if newest is None:
        composing.c.where = ""
        composing.c.warn(
            "time-missing", "nothing tells when any of it happened: MSH-7 stays empty", kind,
            "send meta.lastUpdated, or a time of the event such as authoredOn",
        )  # fmt: skip
    elif kind.startswith("ADT^"):
        composing.lines[0] = segment_of("EVN", {2: write_dtm(Time(newest.iso)), **headers.evn(records, kind, visit)})
    if kind == "RGV^O15":
        profile = gives.profile(records, told[0])
    else:
        profile = headers.PROFILES[kind] if report is not None or _is_of_devices(composing) else ""
    sender = (sender_of(report.sender) if report is not None else None) or _sender(out, kind)
    return headers.finished(composing.lines, kind, newest, sender, profile)


def _is_of_devices(composing: Composing) -> bool:
    """Whether all reports of an ORU^R01 are told by parts of a device (PCD-01)."""
    told = [one for one in composing.used if isinstance(one, Report)]
    return bool(told) and all(one.containers for one in told)


def _sender(out: Outbound, kind: str) -> tuple[str, str]:
    """Who sends a message of this type: whoever told what it tells."""
    return next((out.senders[one] for one in (*_TOLD_BY[kind[:3]], "") if one in out.senders), ("", ""))
