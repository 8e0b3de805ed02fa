"""The patient: PID, MRG and AL1 (chapter 3; ADT and every other message) <-> Patient and AllergyIntolerance.

ADT owns patient and visit: it writes the whole record by business identifier (`PUT Patient?identifier=`). Every other
message only makes sure that they exist (`POST` with `ifNoneExist`) and never changes one.
"""

from __future__ import annotations

from collections.abc import Collection

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.records import Merge, Patient, Records, Visit
from ketafhir.therapy.values import Identifier
from ketafhir.translate import allergies, diagnoses, visits
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

PID, MRG = "PID_to_Patient", "MRG_to_Patient"
PATIENT = EXTENSION + "infusion-patient"
_LISTS = frozenset(("allergies", "diagnoses"))
_MERGE = "A40"
_REPLACED = "replaced-by"  # http://hl7.org/fhir/link-type


def read(reading: Reading, group: PatientGroup, *, owned: bool) -> None:
    """The patient and visit of one group; sets `reading.patient` and `reading.visit`. Raises Refused without a usable PID-3."""
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
    chosen = _choose(reading, identifiers, "PID-3", PID)
    patient = Patient(key=chosen.key, identifier=chosen, owned=owned, nulls=nulls, told=reading.told, **values)
    patient.identifiers = _with_authority(identifiers, chosen)
    patient.notes = note_texts([nte for _, nte in group.notes], reading)
    patient.preserved += _rest(reading, group) if owned else _dropped(reading, group)
    if owned:
        allergies.read(reading, group, patient)
    add(reading, patient)
    reading.patient = patient.key
    if owned and reading.message.event == _MERGE:
        _read_merge(reading, group, patient)
    visits.read(reading, group, owned=owned)


def _with_authority(identifiers: tuple[Identifier, ...], chosen: Identifier) -> tuple[Identifier, ...]:
    """The numbers, with the one that took the default authority as chosen."""
    if chosen in identifiers:
        return identifiers
    return tuple(
        chosen if one.value == chosen.value and not one.system and one.type == chosen.type else one
        for one in identifiers
    )


def add(reading: Reading, patient: Patient) -> None:
    """One version of a patient for each message: of two groups about one (a merge of several) the fuller PID counts."""
    known = reading.records.patients.get(patient.key)
    if known is None or len(patient.identifiers) + len(patient.names) > len(known.identifiers) + len(known.names):
        reading.records.patients[patient.key] = patient


def _read_merge(reading: Reading, group: PatientGroup, patient: Patient) -> None:
    """MRG: the number that was given up. Raises Refused where it is missing, or the one that stays (chapter 3.3.40)."""
    segment = group.mrg
    if segment is None:
        raise _refused(reading, "segment-missing", "a merge needs an MRG for each PID", "MRG", "send MRG-1", "100")
    values = reading.read(segment, MRG)
    reading.nulls()
    identifiers = values.get("identifiers", ())
    chosen = _choose(reading, identifiers, "MRG-1", MRG)
    if chosen.key == patient.key:
        raise _refused(
            reading, "merge-into-itself", "the number given up is the number that stays", "MRG-1",
            "send the prior number in MRG-1", "204",
        )  # fmt: skip
    given_up = Patient(key=chosen.key, identifier=chosen, owned=True, told=reading.told, **values)
    given_up.identifiers = _with_authority(identifiers, chosen)
    add(reading, given_up)
    merges = reading.records.merges
    known = merges.setdefault(chosen.key, Merge(chosen.key, patient.key, reading.told))
    back = merges.get(patient.key)
    if known.patient != patient.key or (back is not None and back.patient == chosen.key):
        raise _refused(
            reading,
            "merge-ambiguous",
            "a number is merged into two patients, or two numbers into each other",
            "MRG-1",
            "send one merge for it",
            "205",
        )


def _refused(reading: Reading, code: str, text: str, where: str, hint: str, hl7: str) -> Refused:
    return Refused(*reading.c.issues, Issue("error", code, text, where=where, hint=hint, hl7=hl7))


def _choose(reading: Reading, identifiers: tuple[Identifier, ...], where: str, table: str) -> Identifier:
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
        code, why = "patient-missing", f"{where} is empty"
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
            "error", code, why, where=where, row=f"segments/{table}.csv [identifiers]",
            hint=f"send {where} with its authority (CX.4), or set [authorities] default (translate: --config FILE)",
            hl7="101",
        ),
    )  # fmt: skip


def _rest(reading: Reading, group: PatientGroup) -> tuple[tuple[str, str], ...]:
    """What an ADT says beside PID and PV1 and no table maps yet: preserved on the Patient."""
    found: tuple[tuple[str, str], ...] = ()
    seen: dict[str, int] = {}
    segments = [one for one in (group.pd1, group.pv2) if one]
    if group.mrg is not None and reading.message.event != _MERGE:
        segments.append(group.mrg)
    segments += [*(result.obx for result in group.results), *group.others]
    for segment in segments:
        seen[segment.name] = seen.get(segment.name, 0) + 1
        found += reading.keep(segment, seen[segment.name], "Patient")
    for result in group.results:
        for segment in (*result.notes, *result.others):
            seen[segment.name] = seen.get(segment.name, 0) + 1
            found += reading.keep(segment, seen[segment.name])
    return found


def _dropped(reading: Reading, group: PatientGroup) -> tuple[tuple[str, str], ...]:
    """Beside PID and PV1, only ADT speaks of the patient: others' PD1, PV2, AL1 ... are left out, and reported."""
    segments = [one for one in (group.pd1, group.pv2) if one]
    segments += [group.mrg] if group.mrg else []
    for segment in (*segments, *group.allergies, *group.diagnoses, *group.others):
        reading.drop(segment, "only the ADT feed tells this of a patient")
    for result in group.results:
        for segment in (result.obx, *result.notes, *result.others):
            reading.drop(segment, "an observation outside any order has no table yet")
    return ()


def render_all(writing: Writing, told: Records, moved: Collection[str]) -> None:
    """The patients that a message tells, with their lists where these are told, or where a merge `moved` the patient.

    Of one that was given up, a message that only mentions it says nothing: who stays is mentioned instead.
    """
    for key, one in told.patients.items():
        patient = writing.records.patients[key]
        if patient.owned or key not in writing.survivors:
            render(writing, patient)
        if one.owned and (one.allergies or one.diagnoses or _LISTS & {*one.nulls} or key in moved):
            allergies.render(writing, patient)
            for diagnosis in patient.diagnoses:
                diagnoses.render_one(writing, diagnosis, key, "")


def render(writing: Writing, patient: Patient) -> None:
    """The Patient: replaced by ADT, made where missing by others. One that was given up says who stays."""
    resource: Json = {"resourceType": "Patient", "meta": writing.meta(PATIENT), **writing.filled(patient, PID)}
    if patient.notes:
        resource["extension"] = [*resource.get("extension", ()), *map(_note, patient.notes)]
    put_preserved(resource, patient.preserved)
    if patient.key in writing.survivors:
        resource["active"] = False
        resource["link"] = [{"other": writing.patient(patient.key), "type": _REPLACED}]
    assert patient.identifier is not None
    writing.put_owned(resource, patient.identifier, owned=patient.owned)


def render_mentioned(writing: Writing, told: Records) -> None:
    """Patients and visits that this message does not name, and that what it changes refers to: made where missing."""
    known = writing.records
    for key, patient in known.patients.items():
        if key not in told.patients and key not in writing.survivors and patient.identifier is not None:
            render(writing, Patient(key=key, identifier=patient.identifier, identifiers=(patient.identifier,)))
    for key, visit in known.visits.items():
        if key not in told.visits and visit.number is not None:
            mention = Visit(key=key, patient=visit.patient, number=visit.number, patient_class=visit.patient_class)
            visits.render(writing, mention)


def _note(text: str) -> Json:
    return {"url": EXTENSION + "note", "valueString": text}


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
    known = taking.records.patients.setdefault(patient.key, patient)
    if known is patient:
        _take_link(taking, resource, patient)
    return known


def _take_link(taking: Taking, resource: Json, patient: Patient) -> None:
    """A Patient that was replaced by another: a merge."""
    for link in resource.get("link", ()):
        if link.get("type") != _REPLACED:
            continue
        if taking.resolve(link.get("other"), resource) is None and "identifier" not in link.get("other", {}):
            taking.c.warn("merge-target-missing", "who replaces this patient is not in the Bundle: no merge is sent")
            continue
        stays = taking.patient({**resource, "other": link["other"]}, "other")
        taking.records.merges[patient.key] = Merge(patient.key, stays)


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


def compose(composing: Composing, patient: Patient) -> None:
    """PID and its notes."""
    cells = composing.cells(patient, PID)
    composing.add("PID", {1: "1", **cells})
    composing.notes(patient.notes)


_BEFORE_VISIT = ("PD1", "ARV", "MRG", "NK1")
_BEFORE_LISTS = ("PV2", "ROL", "DB1", "OBX")


def compose_before_visit(composing: Composing, patient: Patient, without: tuple[str, ...]) -> None:
    """What of an ADT was preserved as a whole and has its place before PV1."""
    told = _preserved(patient)
    for name in _BEFORE_VISIT:
        if name in told and name not in without:
            composing.add_preserved(name, patient.preserved)


def compose_rest(composing: Composing, patient: Patient, *, before_lists: bool) -> None:
    """What of an ADT was preserved as a whole and follows PV1: before AL1 and DG1, or behind them."""
    for name in _preserved(patient):
        if name not in _BEFORE_VISIT and (name in _BEFORE_LISTS) is before_lists:
            composing.add_preserved(name, patient.preserved)


def _preserved(patient: Patient) -> list[str]:
    names = dict.fromkeys(place[:3] for place, _ in patient.preserved)
    return [name for name in names if name != "PID"]
