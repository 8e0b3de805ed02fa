"""FHIR to HL7v2: resources to records, and records to the messages they make."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import guard
from ketafhir.fhir.bundle import Index
from ketafhir.fhir.ids import digest
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.structures import structure_of
from ketafhir.mapping.codecs.base import escape
from ketafhir.mapping.codecs.identifiers import SENDER
from ketafhir.mapping.codecs.times import read_iso, write_dtm
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.engine import put_back
from ketafhir.plain import names
from ketafhir.therapy import merges
from ketafhir.therapy.infusion import Course, course
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Order, Patient, Records, Report, Visit
from ketafhir.therapy.values import Coded, Device, Identifier, Place, Practitioner, Quantity, Time
from ketafhir.translate import (
    acts,
    adt,
    allergies,
    diagnoses,
    given,
    observations,
    orders,
    patients,
    provenance,
    visits,
)  # fmt: skip
from ketafhir.translate.composing import Composing
from ketafhir.translate.courses import PUMP_SEGMENTS
from ketafhir.translate.incoming import ADT
from ketafhir.translate.settings import Settings
from ketafhir.translate.taking import Taking

STRUCTURES = {
    **{f"ADT^{event}": structure_of("ADT", event, "2.5.1") for event in ADT},
    "OMP^O09": "OMP_O09",
    "RDE^O11": "RDE_O11",
    "RGV^O15": "RGV_O15",
    "RAS^O17": "RAS_O17",
    "RDS^O13": "RDS_O13",
    "ORU^R01": "ORU_R01",
    "ORU^R42": "ORU_R01",
    "ORU^R40": "ORU_R40",
}
"""The messages that are written, and their structures (MSH-9.3)."""
READ = (
    "Patient", "Encounter", "Practitioner", "PractitionerRole", "Location", "Device", "Provenance", "MedicationRequest",
    "Medication", "MedicationAdministration", "MedicationDispense", "Observation", "DiagnosticReport",
    "QuestionnaireResponse", "ClinicalImpression", "AllergyIntolerance", "Condition", "AdverseEvent",
)  # fmt: skip
"""The resource types that are read; the loss report names the others."""
VERSION = "2.5.1"
_PROFILES = {
    "ORU^R42": "IHE_PCD_010^IHE PCD^1.3.6.1.4.1.19376.1.6.4.10^ISO",
    "ORU^R40": "IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.4.1^ISO",
    "ORU^R01": "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO",
}
"""MSH-21 of what devices tell (IHE PCD TF-2, 3.1, 3.4 and 3.10), which are of HL7 2.6."""
_DEVICE_VERSION = "2.6"
_TOLD_BY = {
    "ADT": ("Patient",),
    "OMP": ("MedicationRequest",),
    "RDE": ("MedicationRequest",),
    "RGV": ("MedicationRequest",),
    "RAS": ("MedicationAdministration",),
    "RDS": ("MedicationDispense",),
    "ORU": ("DiagnosticReport", "QuestionnaireResponse", "ClinicalImpression", "Observation"),
}
_NO_EVENT = ("told", "expiry")
_TIMELESS = frozenset((str, type(None), bool, int, Decimal, Coded, Device, Identifier, Place, Practitioner, Quantity))
_PLANNED = ("told", "start", "end")  # of an order: when it is to happen, not when something did


class Outbound(NamedTuple):
    """Records to be written as HL7v2, with the event they were told by and their senders (application, facility) by the
    resource type they told; "" is whoever told anything. `held` is when the server last changed any of them."""

    records: Records
    c: Context
    senders: dict[str, tuple[str, str]]
    event: str = ""
    held: Time | None = None


def outbound(taking: Taking) -> Outbound:
    """What was taken from FHIR, ready to be written."""
    event = provenance.event_of(taking.records)
    return Outbound(taking.records, taking.c, _senders(taking), event, _last_updated(taking))


def _last_updated(taking: Taking) -> Time | None:
    """The newest meta.lastUpdated: MSH-7 of what tells no time of its own."""
    found = []
    for resource in taking.index.resources():
        told = resource.get("meta", {}).get("lastUpdated")
        if told is not None:
            try:
                found.append(read_iso(told, None, taking.c))
            except Unreadable as error:
                where = f"{taking.name(resource)}.meta.lastUpdated"
                raise Refused(Issue("error", error.code, error.why, where=where, value=error.value)) from None
    return max(found, key=lambda one: one.at, default=None)


def take(value: Any, settings: Settings) -> Taking:
    """The records of a Bundle or resource. Raises Refused."""
    index = Index(value)
    taking = Taking(index, settings.tables, settings.context())
    if not index.entries:
        raise Refused(Issue("error", "bundle-empty", "the Bundle holds no resource", where="Bundle.entry", hl7="101"))
    for resource in taking.index.resources():
        guard.check_frame(resource, taking.name(resource))
        if resource["resourceType"] in READ:
            guard.check(resource, taking.name(resource))
    try:
        _take(taking)
    except Unreadable as error:
        issue = Issue(
            "error", error.code, error.why, where=taking.c.where, value=error.value, hint=error.hint, hl7=error.hl7
        )
        raise Refused(*taking.c.issues, issue) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        refusal = guard.malformed([one for one in taking.index.resources() if one["resourceType"] in READ])
        if refusal is None:
            raise  # not the input's fault
        raise refusal from error
    return taking


def _take(taking: Taking) -> None:
    provenance.take(taking)
    for resource in taking.index.of_type("Patient"):
        patients.take_patient(taking, resource)
    for resource in taking.index.of_type("Encounter"):
        visits.take(taking, resource)
    for resource in taking.index.of_type(allergies.TYPE):
        allergies.take(taking, resource)
    for resource in taking.index.of_type(diagnoses.TYPE):
        diagnoses.take(taking, resource)
    orders.take(taking)
    if taking.index.of_type("MedicationDispense"):
        from ketafhir.translate import dispenses

        dispenses.take(taking)
    given.take(taking)
    observations.take(taking)


def compose(out: Outbound, settings: Settings, wanted: str | None = None, version: str | None = None) -> list[str]:
    """The HL7v2 messages that the records make, or only those of the type `wanted` (`RAS^O17`), in a version of HL7 v2 (None:
    that of the site, else 2.5.1, and 2.6 of what devices tell). What it has no place for is warned of. Raises Refused.
    """
    own = settings.tables.settings.version
    return as_version(_composed(out, settings, wanted), version or (own if own != "stated" else None), out.c)


def _composed(out: Outbound, settings: Settings, wanted: str | None) -> list[str]:
    if wanted is not None and wanted not in STRUCTURES:
        raise Refused(
            Issue(
                "error", "unsupported-message", "this message is not written", value=wanted, hl7="200",
                hint=f"written are {', '.join(STRUCTURES)}",
            )
        )  # fmt: skip
    if out.records.merges:
        out = out._replace(records=merges.settled(out.records))
    if wanted != "RGV^O15":
        _leave_gives(out)
    courses = courses_of(out.records)
    messages = []
    for patient, visit in _subjects(out.records):
        for kind in _kinds(out, courses, patient, visit, wanted):
            messages.append(_message(out, settings, courses, patient, visit, kind))
        for report in observations.events(out.records, patient.key, visit.key if visit else ""):
            if wanted in (None, f"ORU^{report.event}"):
                messages.append(_message(out, settings, courses, patient, visit, f"ORU^{report.event}", report))
    if not messages:
        text = f"the Bundle holds nothing that makes a {wanted}" if wanted else "the Bundle holds nothing to write"
        raise Refused(Issue("error", "nothing-to-write", text, where="Bundle", hl7="101"))
    return messages


def as_version(messages: list[str], version: str | None, c: Context) -> list[str]:
    """The messages in a version of HL7 v2 (None: that of their MSH-12); what it has no place for is warned of. Raises Refused."""
    from ketafhir.hl7v2.versions import VERSIONS, convert

    if version is not None and version not in VERSIONS:
        hint = f"written are {', '.join(VERSIONS)}"
        raise Refused(
            Issue("error", "version-unknown", "this version is not written", value=version, hint=hint, hl7="203")
        )
    found = []
    for text in messages:
        converted, issues = convert(text, version or _stated(text))
        found.append(converted)
        c.issues += [one for one in issues if one not in c.issues]
    return found


def _stated(text: str) -> str:
    """The version that a message of ours names in MSH-12."""
    return text.split("|", 12)[11]


def _leave_gives(out: Outbound) -> None:
    """Give instructions can program a pump: they leave only when asked for by name."""
    gives = [one for one in out.records.orders.values() if one.intent == "give"]
    if gives:
        out.c.where = ""
        out.c.warn(
            "gives-left-out", "give instructions leave only when they are asked for", str(len(gives)),
            "ask for RGV^O15, where the configuration allows orders to pumps",
        )  # fmt: skip


def courses_of(records: Records) -> list[Course]:
    """The infusions of the acts, in order of start."""
    told: dict[str, list[Any]] = {}
    for act in records.administrations.values():
        told.setdefault(act.infusion, []).append(act)
    by_identity = {
        order_identity(order.placer, order.filler): order for order in records.orders.values() if order.intent != "give"
    }
    found = [course(key, some, by_identity.get(some[0].order)) for key, some in told.items()]
    for waste in records.wastes.values():
        if waste.infusion not in told:
            raise Refused(
                Issue("error", "waste-without-infusion", "waste without the administrations of its infusion",
                      where="MedicationAdministration", value=waste.sub_id, hint="add the infusion to the Bundle")
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.start.at if one.start else 0, one.key))


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


def _kinds(
    out: Outbound, courses: list[Course], patient: Patient, visit: Visit | None, wanted: str | None
) -> list[str]:
    """The message types that the records of one patient and visit make."""
    records = out.records
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
    own = _courses(courses, patient, visit)
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
    merged = out.event == adt.MERGE and patient.key in {merge.patient for merge in records.merges.values()}
    alone = alone and not (merged and visit is None)  # A40 tells who stays
    if (alone or adt.tells_lists(patient, visit)) and (visit is not None or not known):
        found.append(adt.kind_of(out.event, patient, visit))
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


def _message(
    out: Outbound,
    settings: Settings,
    courses: list[Course],
    patient: Patient,
    visit: Visit | None,
    kind: str,
    report: Report | None = None,
) -> str:
    records = out.records
    composing = Composing(records, settings.tables, out.c)
    if kind.startswith("ADT^"):
        composing.add("EVN", _evn(records, kind, visit))
    _beside_header(composing, kind)
    if not kind.startswith("ADT^"):
        patients.compose(composing, patient)
        if visit is not None:
            visits.compose(composing, visit)
    key = visit.key if visit else ""
    told: list[Any]
    if kind in ("RDE^O11", "OMP^O09"):
        told = [_of(records.orders, patient, visit), composing.used]
        orders.compose(composing, told[0], kind)
    elif kind == "RGV^O15":
        from ketafhir.translate import gives, pump_orders

        told = [pump_orders.gives_of(records, patient, key), composing.used]
        composing.c.issues += pump_orders.check(records, patient, told[0], settings.pump, settings.tables.limits)
        gives.compose(composing, told[0])
    elif kind == "RAS^O17":
        own = _courses(courses, patient, visit)
        told = [[one.closers for one in own], [act.told for one in own for act in one.acts], composing.used]
        acts.compose(composing, own)
    elif report is not None:
        told = [composing.used]
        observations.compose_event(composing, report)
    elif kind == "RDS^O13":
        from ketafhir.translate import dispenses

        told = [_of(records.dispenses, patient, visit)]
        dispenses.compose(composing, told[0])
    elif kind == "ORU^R01":
        told = [composing.used]
        observations.compose(composing, patient.key, key)
    else:
        told = [visit, list(records.sources.values())]
        if kind == adt.MERGE:
            adt.compose_merge(composing, records, patient)
        else:
            adt.compose(composing, patient, visit, kind)
    happened = (told, [list(records.sources.values())], [visit])
    newest = next((time for time in map(_newest, happened) if time), None) or out.held or _newest(told, shortest=8)
    if newest is None:
        composing.c.where = ""
        composing.c.warn(
            "time-missing", "nothing tells when any of it happened: MSH-7 stays empty", kind,
            "send meta.lastUpdated, or a time of the event such as authoredOn",
        )  # fmt: skip
    elif kind.startswith("ADT^"):
        composing.lines[0] = er7.encode_segment("EVN", {2: write_dtm(Time(newest.iso)), **_evn(records, kind, visit)})
    profile = _PROFILES[kind] if report is not None or _is_of_devices(composing) else ""
    return _finished(composing.lines, kind, newest, _sender(out, kind), profile)


def _is_of_devices(composing: Composing) -> bool:
    """Whether all reports of an ORU^R01 are told by parts of a device (PCD-01)."""
    told = [one for one in composing.used if isinstance(one, Report)]
    return bool(told) and all(one.containers for one in told)


def _evn(records: Records, kind: str, visit: Visit | None) -> dict[int, str]:
    """EVN-1 is the trigger; EVN-2 and EVN-6 as the newest Provenance told them."""
    cells = {1: kind.partition("^")[2]}
    sources = [one for one in records.sources.values() if one.event.startswith("ADT^")]
    if sources:
        newest = max(sources, key=lambda one: one.sent.at if one.sent else 0)
        cells |= {2: write_dtm(newest.recorded_at)} if newest.recorded_at else {}
        cells |= {6: write_dtm(newest.occurred)} if newest.occurred else {}
        put_back(cells, "EVN", newest.preserved)
    if visit is not None and visit.left is not None and kind == "ADT^A03":
        cells[6] = write_dtm(visit.left)
    return cells


def _beside_header(composing: Composing, kind: str) -> None:
    """The segments of our own agreement (Z..) that stood before the patient, of the newest message of this kind."""
    told = [one for one in composing.records.sources.values() if one.event.startswith(kind)]
    newest = max(told, key=lambda one: one.sent.at if one.sent else 0, default=None)
    if newest is not None:
        for name in dict.fromkeys(place[:3] for place, _ in newest.preserved):
            if name != "EVN":
                composing.add_preserved(name, newest.preserved)


def _newest(parts: list[Any], shortest: int = 11) -> Time | None:
    """The newest time of day (or from `shortest` 8 on, date) among the records: MSH-7 is when the newest of them happened, not
    the clock."""
    best: Time | None = None
    stack = list(parts)
    while stack:
        one = stack.pop()
        kind: Any = type(one)
        if kind is Time:
            if len(one.iso) >= shortest and (best is None or one.at > best.at):
                best = one
        elif kind is list or kind is tuple:
            stack.extend(one)
        elif kind not in _TIMELESS:
            stack.extend([getattr(one, name) for name in _happening(kind)])
    return best


@cache
def _happening(kind: type) -> tuple[str, ...]:
    """The fields of a record in which a time may say when something happened."""
    skipped = _PLANNED if kind is Order else _NO_EVENT
    return tuple(name for name in names(kind) if name not in skipped)


def _is_of_pump(resource: Any) -> bool:
    """Whether a pump may have told an administration last: then another of the Bundle says better who the eMAR is."""
    told = str(resource.get("identifier", "")) if resource["resourceType"] == "MedicationAdministration" else ""
    return PUMP_SEGMENTS in told or any(given.tagged(resource, name) for name in ("keta.infusion", "keta.withdrawn"))


def _senders(taking: Taking) -> dict[str, tuple[str, str]]:
    """Application and facility of the sender of each resource type, as meta.source tells them."""
    from urllib.parse import unquote

    found: dict[str, tuple[str, str]] = {}
    for _, resource in sorted(taking.index.entries, key=lambda entry: _is_of_pump(entry[1])):
        source = resource.get("meta", {}).get("source", "")
        if isinstance(source, str) and source.startswith(SENDER):
            told = source.partition("#")[0]  # HAPI adds the number of the request behind a #
            facility, _, application = told.removeprefix(SENDER).partition(":")
            for kind in (resource["resourceType"], ""):
                found.setdefault(kind, (unquote(application), unquote(facility)))
    return found


def _sender(out: Outbound, kind: str) -> tuple[str, str]:
    """Who sends a message of this type: whoever told what it tells."""
    return next((out.senders[one] for one in (*_TOLD_BY[kind[:3]], "") if one in out.senders), ("", ""))


def _finished(lines: list[str], kind: str, newest: Time | None, sender: tuple[str, str], profile: str = "") -> str:
    """The message with its MSH: MSH-10 is made from the content, so that the same records give the same message."""
    body = "".join(line + "\r" for line in lines)
    application, facility = sender
    cells = {
        3: escape(application),
        4: escape(facility),
        7: write_dtm(Time(newest.iso)) if newest else "",
        9: f"{kind}^{STRUCTURES[kind]}",
        10: digest(f"{kind}\r{body}")[:20].upper(),
        11: "P",
        12: _DEVICE_VERSION if profile else VERSION,
        18: "UNICODE UTF-8",
        21: profile,
    }
    return er7.encode_segment("MSH", cells) + "\r" + body
