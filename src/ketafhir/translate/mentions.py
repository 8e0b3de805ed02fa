"""The patient and visit of a message that only mentions them: what came in the same words before is not read again.

A monitor or pump sends the same PID and PV1 with everything it tells of a patient.
"""

from __future__ import annotations

from ketafhir.fhir.writer import Written
from ketafhir.hl7v2.groups import Patient as Group
from ketafhir.plain import copier
from ketafhir.therapy.records import Patient, Records, Visit
from ketafhir.translate import patients, visits
from ketafhir.translate.reading import Account, Reading
from ketafhir.translate.writing import Writing

_patient_again = copier(Patient, "told")
_visit_again = copier(Visit, "told")


class Mention:
    """A patient and visit as they were read, the account of their segments, and the entries they made, by the sender in them."""

    __slots__ = ("accounts", "patient", "visit", "written")

    def __init__(self, patient: Patient, visit: Visit | None, accounts: tuple[Account, ...]) -> None:
        self.patient, self.visit, self.accounts = patient, visit, accounts
        self.written: dict[str, tuple[dict[str, Written], dict[str, None], set[str]]] = {}


def read(reading: Reading, group: Group) -> None:
    """As `patients.read` of a patient who is not the message's own."""
    key = _words(group)
    if key is None:
        patients.read(reading, group, owned=False)
        return
    c, records = reading.c, reading.records
    known: Mention | None = c.read.get(key)
    if known is not None:
        patient, visit = known.patient, known.visit
        patients.add(reading, _patient_again(patient, reading.told))
        reading.patient, reading.visit = patient.key, ""
        if visit is not None:
            records.visits[visit.key] = _visit_again(visit, reading.told)
            reading.visit = visit.key
        for segment, one in zip((group.pid, group.pv1), known.accounts, strict=False):
            assert segment is not None  # there is a PV1, or its account would not be known
            reading.accounts.append(Account(segment, *one[1:]))
        c.nulls.clear()
        _mentioned(reading, known)
        return
    before, first, is_first = c.remarks(), len(reading.accounts), not records.patients
    patients.read(reading, group, owned=False)
    patient, visit = records.patients[reading.patient], records.visits.get(reading.visit)
    said_more = patient.nulls or patient.preserved or (visit is not None and (visit.nulls or visit.preserved))
    # Of a second group about one patient the record may be that of the first.
    if is_first and c.remarks() == before and not said_more:
        known = Mention(patient, visit, tuple(reading.accounts[first:]))
        c.remember(key, known)
        _mentioned(reading, known)


def _mentioned(reading: Reading, known: Mention) -> None:
    """Of several groups about one patient the entry is no longer that of the first."""
    reading.mention = known if len(reading.walked.patients) == 1 else None


def render(writing: Writing, told: Records, mention: Mention | None) -> None:
    """The entries of patients and visits, the first of a Bundle that is written as text (`Writing.as_text`)."""
    known = mention.written.get(writing.source) if mention else None
    if known is not None:
        writing.begin(*known)
        return
    before = writing.c.remarks()
    patients.render_all(writing, told, ())
    for visit in told.visits.values():
        visits.render(writing, visit)
    if mention is not None and writing.c.remarks() == before:
        mention.written[writing.source] = writing.entries.all(), writing.targets.copy(), writing.included.copy()


def _words(group: Group) -> tuple[str, ...] | None:
    """PID and PV1 as they came; None where more is told of the patient."""
    if group.pid is None or group.pd1 or group.pv2 or group.mrg or group.notes or group.others or group.results:
        return None
    if group.allergies or group.diagnoses:
        return None
    return (*group.pid.fields, *(group.pv1.fields if group.pv1 is not None else ()))
