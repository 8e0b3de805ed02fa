"""The patient and visit of a message that only mentions them: what came in the same words before is not read again.

A monitor or pump sends the same PID and PV1 with everything it tells of a patient.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Patient as Group
from ketafhir.plain import copier
from ketafhir.therapy.records import Patient, Visit
from ketafhir.translate import patients
from ketafhir.translate.reading import Account, Reading

_patient_again = copier(Patient, "told")
_visit_again = copier(Visit, "told")
_Known = tuple[Patient, Visit | None, tuple[Account, ...]]


def read(reading: Reading, group: Group) -> None:
    """As `patients.read` of a patient who is not the message's own."""
    key = _words(group)
    if key is None:
        patients.read(reading, group, owned=False)
        return
    c, records = reading.c, reading.records
    known: _Known | None = c.read.get(key)
    if known is not None:
        patient, visit, accounts = known
        patients.add(reading, _patient_again(patient, reading.told))
        reading.patient, reading.visit = patient.key, ""
        if visit is not None:
            records.visits[visit.key] = _visit_again(visit, reading.told)
            reading.visit = visit.key
        for segment, one in zip((group.pid, group.pv1), accounts, strict=False):
            assert segment is not None  # there is a PV1, or its account would not be known
            reading.accounts.append(Account(segment, *one[1:]))
        c.nulls.clear()
        return
    before, first, is_first = c.remarks(), len(reading.accounts), not records.patients
    patients.read(reading, group, owned=False)
    patient, visit = records.patients[reading.patient], records.visits.get(reading.visit)
    said_more = patient.nulls or patient.preserved or (visit is not None and (visit.nulls or visit.preserved))
    # Of a second group about one patient the record may be that of the first.
    if is_first and c.remarks() == before and not said_more:
        c.remember(key, (patient, visit, tuple(reading.accounts[first:])))


def _words(group: Group) -> tuple[str, ...] | None:
    """PID and PV1 as they came; None where more is told of the patient."""
    if group.pid is None or group.pd1 or group.pv2 or group.mrg or group.notes or group.others or group.results:
        return None
    if group.allergies or group.diagnoses:
        return None
    return (*group.pid.fields, *(group.pv1.fields if group.pv1 is not None else ()))
