"""FHIR to HL7v2: resources to records, and records to the messages they make, person by person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import guard
from ketafhir.fhir.bundle import Index
from ketafhir.mapping.codecs.times import read_iso
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy import persons
from ketafhir.therapy.values import Time
from ketafhir.translate import (
    allergies,
    diagnoses,
    given,
    headers,
    messages,
    observations,
    orders,
    patients,
    provenance,
    visits,
)  # fmt: skip
from ketafhir.translate.courses import PUMP_SEGMENTS
from ketafhir.translate.messages import Outbound
from ketafhir.translate.settings import Settings
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import sender_of

READ = (
    "Patient", "Encounter", "Practitioner", "PractitionerRole", "Location", "Device", "Provenance", "MedicationRequest",
    "Medication", "MedicationAdministration", "MedicationDispense", "Observation", "DiagnosticReport",
    "QuestionnaireResponse", "ClinicalImpression", "AllergyIntolerance", "Condition", "AdverseEvent",
)  # fmt: skip
"""The resource types that are read; the loss report names the others."""


def outbound(taking: Taking) -> Outbound:
    """What was taken from FHIR, ready to be written."""
    with _of_its_shape(taking):
        return _outbound(taking)


def _outbound(taking: Taking) -> Outbound:
    entries = sorted(taking.index.resources(), key=_is_of_pump)
    senders, held = _senders(entries), _last_updated(taking)
    if len(taking.records.patients) < 2:
        return Outbound(taking.records, taking.c, senders, held)
    of: dict[str, list[Any]] = {}
    for resource in entries:
        of.setdefault(provenance.patient_of(taking, resource), []).append(resource)
    tellers = {key: _senders(some) for key, some in of.items()}
    return Outbound(taking.records, taking.c, senders, held, provenance.about(taking), tellers)


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
    unread = []
    for resource in taking.index.resources():
        guard.check_frame(resource, taking.name(resource))
        if resource["resourceType"] in READ:
            guard.check(resource, taking.name(resource))
        else:
            unread.append(resource)
    if unread:
        from ketafhir.translate.unread import issues

        taking.c.issues += issues(value, unread, READ)
    try:
        with _of_its_shape(taking):
            _take(taking)
    except Unreadable as error:
        issue = Issue(
            "error", error.code, error.why, where=taking.c.where, value=error.value, hint=error.hint, hl7=error.hl7
        )
        raise Refused(*taking.c.issues, issue) from None
    return taking


@contextmanager
def _of_its_shape(taking: Taking) -> Iterator[None]:
    """What fails on a resource that has not the shape of its type is that resource's fault, and refused."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        refusal = guard.malformed([one for one in taking.index.resources() if one["resourceType"] in READ])
        if refusal is None:
            raise  # not the input's fault
        raise refusal from error


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
    check_wanted(wanted)
    made = [text for one in _persons(out) for text in messages.of_person(one, settings, wanted)]
    if wanted != "RGV^O15":
        leave_gives(out.c, sum(one.intent == "give" for one in out.records.orders.values()))
    if not made:
        raise Refused(*out.c.issues, *nothing_to_write(wanted, "the Bundle").issues)
    return as_version(made, version_of(settings, version), out.c)


def _persons(out: Outbound) -> Iterator[Outbound]:
    """What is known of each person by itself, with who told it: no message tells of two, and none is in the name of another's
    sender."""
    if len(out.records.patients) < 2:
        yield out
        return
    alike = len(set(out.senders.values()).union(*(told.values() for told in out.tellers.values()))) < 2
    for records in persons.apart(out.records, out.about):
        senders: dict[str, tuple[str, str]] = {}
        for patient in records.patients:
            senders = {**out.tellers.get(patient, {}), **senders}
        yield out._replace(records=records, senders=out.senders if alike else senders)


def check_wanted(wanted: str | None) -> None:
    """Raises Refused for a type of message that is not written."""
    if wanted is not None and wanted not in headers.STRUCTURES:
        from ketafhir.translate.needs import before_what_is_written

        hint = f"{before_what_is_written(wanted)}written are {', '.join(headers.STRUCTURES)}"
        raise Refused(
            Issue("error", "unsupported-message", "this message is not written", value=wanted, hl7="200", hint=hint)
        )


def nothing_to_write(wanted: str | None, what: str) -> Refused:
    """The refusal of what makes no message (of the type wanted)."""
    text = f"{what} holds nothing that makes a {wanted}" if wanted else f"{what} holds nothing to write"
    from ketafhir.translate.needs import made_of

    hint = made_of(wanted) if wanted else f"what is read are {', '.join(READ)}"
    return Refused(Issue("error", "nothing-to-write", text, where="Bundle", hint=hint, hl7="101"))


def version_of(settings: Settings, asked: str | None) -> str | None:
    """The version of HL7 v2 to write: as asked, else that of the site; None where each message is of its own."""
    own = settings.tables.settings.version
    return asked or (own if own != "stated" else None)


def as_version(made: Iterable[str], version: str | None, c: Context) -> list[str]:
    """The messages in a version of HL7 v2 (None: that of their MSH-12); what it has no place for is warned of. Raises Refused."""
    from ketafhir.hl7v2.versions import VERSIONS, convert

    if version is not None and version not in VERSIONS:
        hint = f"written are {', '.join(VERSIONS)}"
        raise Refused(
            Issue("error", "version-unknown", "this version is not written", value=version, hint=hint, hl7="203")
        )
    found = []
    for text in made:
        converted, issues = convert(text, version or _stated(text))
        found.append(converted)
        c.issues += [one for one in issues if one not in c.issues]
    return found


def _stated(text: str) -> str:
    """The version that a message of ours names in MSH-12."""
    return text.split("|", 12)[11]


def leave_gives(c: Context, count: int) -> None:
    """Give instructions can program a pump: they leave only when asked for by name."""
    if count:
        c.where = ""
        c.warn(
            "gives-left-out", "give instructions leave only when they are asked for", str(count),
            "ask for RGV^O15, where the configuration allows orders to pumps",
        )  # fmt: skip


def _is_of_pump(resource: Any) -> bool:
    """Whether a pump may have told an administration last: then another of the Bundle says better who the eMAR is."""
    told = str(resource.get("identifier", "")) if resource["resourceType"] == "MedicationAdministration" else ""
    return PUMP_SEGMENTS in told or any(given.tagged(resource, name) for name in ("keta.infusion", "keta.withdrawn"))


def _senders(resources: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Application and facility of the sender of each resource type, as meta.source tells them: the first of a type."""
    found: dict[str, tuple[str, str]] = {}
    for resource in resources:
        source = resource.get("meta", {}).get("source", "")
        sender = sender_of(source) if isinstance(source, str) else None
        if sender is not None:
            for kind in (resource["resourceType"], ""):
                found.setdefault(kind, sender)
    return found
