"""DG1 (chapter 6.5.2) <-> Condition and Encounter.diagnosis.

DG1 without action code is the whole list of a visit (chapter 2, 2.10.4): what does not stand on the newest list becomes
inactive and leaves Encounter.diagnosis. With DG1-21 an entry changes the list; D makes it entered in error.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.codecs.coded import coding_json, first_code, of_name
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.records import Diagnosis, Patient, Visit
from ketafhir.translate import headings
from ketafhir.translate.composing import Composing
from ketafhir.translate.observed import code_key
from ketafhir.translate.reading import Reading
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

CONDITION, USE = "DG1_to_Condition", "DG1_to_Encounter.diagnosis"
TYPE = "Condition"
_LIST = "diagnoses"
_STANDING = ("active", "recurrence", "relapse")
_TABLES = {True: (CONDITION, USE), False: (CONDITION,)}


def read(reading: Reading, group: PatientGroup) -> None:
    """All DG1 of one patient group, into its visit, or into its patient where no visit is told."""
    if not group.diagnoses:
        return
    records = reading.records
    owner: Visit | Patient = records.visits[reading.visit] if reading.visit else records.patients[reading.patient]
    found: dict[str, Diagnosis] = {}
    for segment in group.diagnoses:
        one = Diagnosis(**reading.read(segment, *_TABLES[bool(reading.visit)]))
        nulls = reading.nulls()
        if one.code is None and one.number is None:
            if "code" in nulls:
                owner.nulls += (_LIST,)
            else:
                reading.warn("diagnosis-missing", "a diagnosis without code and text: preserved", segment, 3)
                owner.preserved += one.preserved
            continue
        one.key = headings.unused(_key(owner, one), found)
        found[one.key] = one
    owner.diagnoses = tuple(found.values())


def _key(owner: Visit | Patient, one: Diagnosis) -> str:
    """DG1-20 where it is valued; else the visit (or patient) with code and type: a working diagnosis may become final."""
    return one.number.key if one.number else f"{owner.key}|{code_key(one.code)}|{code_key(one.role)}"


def render(writing: Writing, resource: Json, visit: Visit) -> None:
    """Encounter.diagnosis of the diagnoses that stand, and the Conditions of all."""
    for one in visit.diagnoses:
        writing.expect(TYPE, one.key)
    for one in visit.diagnoses:
        if not one.former:
            item: Json = {"condition": writing.to(TYPE, one.key)}
            resource.setdefault("diagnosis", []).append(writing.fill(item, one, USE))
        render_one(writing, one, visit.patient, visit.key)


def render_one(writing: Writing, one: Diagnosis, patient: str, visit: str) -> None:
    """One Condition."""
    resource = writing.fill(writing.start(TYPE, one.key, EXTENSION + "infusion-diagnosis"), one, CONDITION)
    if one.action == "delete":
        resource["verificationStatus"] = _concept("condition-verification.entered-in-error")
    else:
        resource["clinicalStatus"] = _concept("condition-clinical." + ("inactive" if one.former else "active"))
    if visit:
        resource["category"] = [_concept("condition-category.encounter-diagnosis")]
    resource["subject"] = writing.patient(patient)
    encounter = writing.visit(visit) if visit else None
    if encounter:
        resource["encounter"] = encounter
    put_preserved(resource, one.preserved)
    writing.put(resource)


def _concept(name: str) -> Json:
    return {"coding": [coding_json(of_name(name))]}


def take(taking: Taking, resource: Json) -> None:
    """A Condition, into the diagnoses of its visit or patient. Raises Refused."""
    patient, visit = taking.patient(resource), taking.visit(resource)
    item = _within(taking, resource) if visit else {}
    one = Diagnosis(**taking.take(resource, CONDITION))
    if visit:
        for name, value in taking.tables.mapping(USE).from_fhir(item, taking.c, USE).items():
            setattr(one, name, value)
    clinical, verified = (first_code(resource.get(name)) for name in ("clinicalStatus", "verificationStatus"))
    one.former = clinical not in ("", *_STANDING) or verified in ("refuted", "entered-in-error")
    owner: Visit | Patient = taking.records.visits[visit] if visit else taking.records.patients[patient]
    one.key = headings.unused(_key(owner, one), {other.key: other for other in owner.diagnoses})
    if one.former:
        taking.leave_out(resource, "diagnosis-former", "DG1 lists what stands: a former diagnosis is not sent")
    elif one.code is not None or one.number is not None:
        owner.diagnoses += (one,)


def _within(taking: Taking, resource: Json) -> Json:
    """The item of Encounter.diagnosis that is about this Condition."""
    encounter = taking.resolve(resource.get("encounter"), resource) or {}
    for item in encounter.get("diagnosis", ()):
        if taking.resolve(item.get("condition"), encounter) is resource:
            return dict(item)
    return {}


def compose(composing: Composing, owner: Visit | Patient) -> int:
    """DG1 of what stands; gives how many."""
    standing = [one for one in owner.diagnoses if not one.former]
    for number, one in enumerate(standing, 1):
        tables = _TABLES[isinstance(owner, Visit)]
        composing.add("DG1", {1: str(number), **composing.cells(one, *tables)})
        composing.used.append(one)
    return len(standing)
