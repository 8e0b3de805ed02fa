"""Patient and visit: PID and PV1 (chapter 3; ADT^A01, A04, A08 and every other message) <-> Patient and Encounter.

ADT owns both: it writes the whole record by business identifier (`PUT Patient?identifier=`). Every other message only makes
sure that they exist (`POST` with `ifNoneExist`) and never changes one.
"""

from __future__ import annotations

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.codecs.identifiers import read_identifier
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Patient, Records, Visit
from ketafhir.therapy.values import Identifier
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

PID, PV1 = "PID_to_Patient", "PV1_to_Encounter"
_NOT_HERE = "the segment has no table yet"


def read(reading: Reading, group: PatientGroup, *, owned: bool) -> None:
    """PID and PV1 of one patient group; sets `reading.patient` and `reading.visit`. Raises Refused without a usable PID-3."""
    c = reading.c
    if group.pid is None:
        raise Refused(
            *c.issues,
            Issue(
                "error",
                "patient-missing",
                "there is no PID segment",
                where="PID",
                hint="send PID-3",
                hl7="100",
            ),
        )
    c.nulls.clear()
    values = reading.read(group.pid, PID)
    nulls = reading.nulls()
    identifiers = values.get("identifiers", ())
    chosen = _choose(reading, identifiers)
    patient = Patient(key=chosen.key, identifier=chosen, owned=owned, nulls=nulls, told=reading.told, **values)
    if chosen not in identifiers:
        patient.identifiers = tuple(
            chosen if one.value == chosen.value and not one.system and one.type == chosen.type else one
            for one in identifiers
        )
    patient.notes = note_texts([nte for _, nte in group.notes], reading)
    patient.preserved += _rest(reading, group) if owned else _dropped(reading, group)
    reading.records.patients[patient.key] = patient
    reading.patient, reading.visit = patient.key, ""
    if group.pv1 is not None:
        _read_visit(reading, group, owned=owned)


def _choose(reading: Reading, identifiers: tuple[Identifier, ...]) -> Identifier:
    """The number the patient is found by: of the configured authority, else type MR, else the only one with an authority.

    Numbers without authority take the configured default; an authority that no setting knows
    keeps its own `urn:` system, with a warning.
    """
    c = reading.c
    default = c.authorities.get(c.default_authority, "") if c.default_authority else ""
    named = [one for one in identifiers if one.system]
    candidates = (
        [one for one in named if default and one.system == default]
        or [one for one in named if one.type == "MR"]
        or ([named[0]] if len({one.system for one in named}) == 1 and len(named) == 1 else [])
    )
    if len(candidates) == 1 or (candidates and len({one.key for one in candidates}) == 1):
        chosen = candidates[0]
        if chosen.system not in c.systems and c.authorities:
            reading.warn(
                "authority-unknown", "the assigning authority is not among [authorities]: it keeps a system of its own",
                reading.message.segments[0], 0, chosen.system, "add it to [authorities]",
            )  # fmt: skip
        return chosen
    bare = [one for one in identifiers if not one.system]
    if not candidates and not named and len(bare) == 1 and c.default_authority:
        one = bare[0]
        return Identifier(one.value, default or f"urn:id:{c.default_authority}", one.type, one.authority)
    if not identifiers:
        code, why = "patient-missing", "PID-3 is empty"
    elif candidates or len(named) > 1:
        code, why = "patient-ambiguous", "several patient numbers could be the one to find the patient by"
    else:
        code, why = (
            "patient-authority-missing",
            "the patient number has no assigning authority and there is no default",
        )
    raise Refused(
        *c.issues,
        Issue(
            "error", code, why, where="PID-3", row=f"segments/{PID}.csv [identifiers]",
            hint="send PID-3 with its authority (CX.4), or set [authorities] default", hl7="101",
        ),
    )  # fmt: skip


def _rest(reading: Reading, group: PatientGroup) -> tuple[tuple[str, str], ...]:
    """What an ADT says beside PID and PV1 and no table maps yet: preserved on the Patient."""
    found: tuple[tuple[str, str], ...] = ()
    seen: dict[str, int] = {}
    segments = [one for one in (group.pd1, group.pv2) if one]
    segments += [*group.allergies, *group.diagnoses, *(result.obx for result in group.results), *group.others]
    for segment in segments:
        seen[segment.name] = seen.get(segment.name, 0) + 1
        found += reading.keep(segment, seen[segment.name])
    for result in group.results:
        for segment in (*result.notes, *result.others):
            seen[segment.name] = seen.get(segment.name, 0) + 1
            found += reading.keep(segment, seen[segment.name])
    return found


def _dropped(reading: Reading, group: PatientGroup) -> tuple[tuple[str, str], ...]:
    """Beside PID and PV1, only ADT speaks of the patient: others' PD1, PV2, AL1 ... are left out, and reported."""
    segments = [one for one in (group.pd1, group.pv2) if one]
    for segment in (*segments, *group.allergies, *group.diagnoses, *group.others):
        reading.drop(segment, "only the ADT feed tells this of a patient")
    for result in group.results:
        for segment in (result.obx, *result.notes, *result.others):
            reading.drop(segment, "an observation outside any order has no table yet")
    return ()


def _read_visit(reading: Reading, group: PatientGroup, *, owned: bool) -> None:
    assert group.pv1 is not None
    values = reading.read(group.pv1, PV1)
    nulls = reading.nulls()
    number = values.get("number")
    if number is None:
        if any(name not in ("patient_class",) for name in values):
            reading.warn(
                "visit-without-number",
                "a visit without PV1-19 cannot be found again: left out",
                group.pv1,
                19,
            )
        reading.accounts[-1] = reading.accounts[-1]._replace(why="a visit without number (PV1-19) is not written")
        return
    visit = Visit(key=number.key, patient=reading.patient, owned=owned, nulls=nulls, told=reading.told, **values)
    reading.records.visits[visit.key] = visit
    reading.visit = visit.key


def render(writing: Writing, patient: Patient, visit: Visit | None) -> None:
    """Patient and Encounter as entries: replaced by ADT, made where missing by others."""
    resource: Json = {"resourceType": "Patient", "meta": {"source": writing.source}, **writing.filled(patient, PID)}
    if patient.notes:
        resource["extension"] = [*resource.get("extension", ()), *map(_note, patient.notes)]
    put_preserved(resource, patient.preserved)
    _put(writing, resource, patient.identifier, owned=patient.owned)
    if visit is not None and visit.number is not None:
        _render_visit(writing, visit)


def render_mentioned(writing: Writing, told: Records) -> None:
    """Patients and visits that this message does not name, and that what it changes refers to: made where missing."""
    known = writing.records
    for key, patient in known.patients.items():
        if key not in told.patients and patient.identifier is not None:
            render(writing, Patient(key=key, identifier=patient.identifier, identifiers=(patient.identifier,)), None)
    for key, visit in known.visits.items():
        if key not in told.visits and visit.number is not None:
            mention = Visit(key=key, patient=visit.patient, number=visit.number, patient_class=visit.patient_class)
            _render_visit(writing, mention)


def _note(text: str) -> Json:
    return {"url": "https://ketafhir.org/fhir/StructureDefinition/note", "valueString": text}


def _render_visit(writing: Writing, visit: Visit) -> None:
    resource: Json = {"resourceType": "Encounter", "meta": {"source": writing.source}, **writing.filled(visit, PV1)}
    resource["status"] = "finished" if visit.end else "planned" if visit.patient_class == "preadmit" else "in-progress"
    if "class" not in resource:
        resource["class"] = _unknown_class(writing)
    resource["subject"] = writing.patient(visit.patient)
    put_preserved(resource, visit.preserved)
    _put(writing, resource, visit.number, owned=visit.owned)


def _unknown_class(writing: Writing) -> Json:
    """Encounter.class is required; a visit told without class is of class unknown (table 0004 U)."""
    row = next(row for row in writing.tables.table(PV1).rows if row.domain == "patient_class")
    assert row.codec is not None
    json: Json = row.codec.to_fhir(writing.c, "unknown")
    return json


def _put(writing: Writing, resource: Json, identifier: Identifier | None, *, owned: bool) -> None:
    assert identifier is not None
    add = writing.entries.put_conditional if owned else writing.entries.post_if_none_exist
    writing.targets[add(resource, identifier.system, identifier.value)] = None


def take_patient(taking: Taking, resource: Json) -> Patient:
    """A Patient resource as record. Raises Refused where it has no identifier to be known by."""
    values = taking.take(resource, PID)
    identifiers = tuple(values.get("identifiers", ()))
    account = values.get("account")
    chosen = _known_by(taking, identifiers)
    if chosen is None:
        raise Refused(
            *taking.c.issues,
            Issue(
                "error",
                "patient-missing",
                "the Patient has no identifier",
                where="Patient.identifier",
                hl7="101",
            ),
        )
    patient = Patient(key=chosen.key, identifier=chosen, owned=True, **values)
    patient.account = account
    dead = resource.get("deceasedBoolean")
    if isinstance(dead, bool) and "PID-30" not in dict(patient.preserved):
        patient.preserved += (("PID-30", "Y" if dead else "N"),)
    patient.notes = tuple(
        str(one.get("valueString", "")) for one in resource.get("extension", ()) if one.get("url") == _note("")["url"]
    )
    return taking.records.patients.setdefault(patient.key, patient)


def _known_by(taking: Taking, identifiers: tuple[Identifier, ...]) -> Identifier | None:
    default = taking.c.authorities.get(taking.c.default_authority, "")
    for wanted in (
        [one for one in identifiers if default and one.system == default],
        [one for one in identifiers if one.type == "MR" and one.system],
        [one for one in identifiers if one.system],
        list(identifiers),
    ):
        if wanted:
            return wanted[0]
    return None


def take_visit(taking: Taking, resource: Json) -> str:
    """An Encounter resource as record; gives its key. Without a number it is known by its id."""
    values = taking.take(resource, PV1)
    number = values.get("number")
    if number is None:
        found = [one for one in map(read_identifier, resource.get("identifier", ())) if one]
        first = found[0] if found else Identifier(taking.local_key(resource))
        number = values["number"] = Identifier(first.value, first.system, "VN", first.authority)
    if number.key not in taking.records.visits:
        taking.records.visits[number.key] = Visit(key=number.key, owned=True, **values)
        if resource.get("subject"):
            taking.records.visits[number.key].patient = taking.patient(resource)
    return str(number.key)


def compose(composing: Composing, patient: Patient, visit: Visit | None) -> None:
    """PID, its notes, and PV1."""
    cells = composing.cells(patient, PID)
    composing.add("PID", {1: "1", **cells})
    composing.notes(patient.notes)
    if visit is not None:
        composing.add("PV1", {1: "1", **composing.cells(visit, PV1)})


def compose_rest(composing: Composing, patient: Patient) -> None:
    """The segments of an ADT that were preserved as a whole."""
    names = dict.fromkeys(place[:3] for place, _ in patient.preserved)
    for name in names:
        if name != "PID":
            composing.add_preserved(name, patient.preserved)
