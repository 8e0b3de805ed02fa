"""AL1 (chapter 3.4.6) <-> AllergyIntolerance.

AL1 has no action code: the segments of a message are the whole list (chapter 2, 2.10.4), none says nothing, and one of nulls
deletes the list. What does not stand on the newest list is inactive, never deleted.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import coding_json, first_code, of_name
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.therapy.records import Allergy, Patient
from ketafhir.therapy.values import Coded, Coding
from ketafhir.translate import headings
from ketafhir.translate.composing import Composing
from ketafhir.translate.observed import code_key
from ketafhir.translate.reading import Reading
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

AL1 = "AL1_to_AllergyIntolerance"
TYPE = "AllergyIntolerance"
_CATEGORY, _TABLE = "allergen-category", "HL70127"
_LIST = "allergies"


def read(reading: Reading, group: PatientGroup, patient: Patient) -> None:
    """All AL1 of one patient group, into the patient."""
    found: dict[str, Allergy] = {}
    for segment in group.allergies:
        one = Allergy(**reading.read(segment, AL1))
        nulls = reading.nulls()
        if one.substance is None:
            if "substance" in nulls:
                patient.nulls += (_LIST,)
            else:
                reading.warn("allergen-missing", "an allergy that does not say to what: preserved", segment, 3)
                number = segment.occurrence
                name = "AL1" if number == 1 else f"AL1[{number}]"
                patient.preserved += tuple(
                    (f"{name}-{at}", text) for at, text in enumerate(segment.fields) if at and text
                )
            continue
        one.key = headings.unused(f"{patient.key}|{code_key(one.substance)}", found)
        found[one.key] = one
    patient.allergies = tuple(found.values())


def render(writing: Writing, patient: Patient) -> None:
    """The AllergyIntolerances of a patient, those that stand and the former ones."""
    categories = writing.tables.code_map(_CATEGORY)
    for one in patient.allergies:
        resource = writing.start(TYPE, one.key, EXTENSION + "infusion-allergy")
        status = "allergy-clinical." + ("inactive" if one.former else "active")
        resource["clinicalStatus"] = {"coding": [coding_json(of_name(status))]}
        writing.fill(resource, one, AL1)
        category = categories.domain_to_fhir.get(categories.v2_to_domain.get(_kind(one.kind), ""))
        if category:
            resource["category"] = [category]
        for reaction in resource.get("reaction", ()):
            # R4: a reaction has a manifestation
            reaction.setdefault("manifestation", [_unknown()])
        resource["patient"] = writing.patient(patient.key)
        put_preserved(resource, one.preserved)
        writing.put(resource)


def _kind(kind: Coded | None) -> str:
    """The code of table 0127, or ""."""
    system = codes.system_uri(_TABLE)
    return next((one.code for one in kind.codings if one.system == system), "") if kind else ""


def _unknown() -> Json:
    mark = {"extension": [{"url": DERIVED, "valueBoolean": True}]}
    return {"coding": [{**mark, **coding_json(of_name("absent.unknown"))}]}


def take(taking: Taking, resource: Json) -> None:
    """An AllergyIntolerance, into its patient. Raises Refused."""
    patient = taking.records.patients[taking.patient(resource, "patient")]
    one = Allergy(**taking.take(_without_unknown(resource), AL1))
    _mend_kind(taking, resource, one)
    one.former = not _stands(resource)
    known = {other.key: other for other in patient.allergies}
    one.key = headings.unused(f"{patient.key}|{code_key(one.substance)}", known)
    if one.former or one.substance is None:
        why = "AL1 lists what stands" if one.former else "AL1 needs the substance"
        taking.leave_out(resource, "allergy-left-out", f"{why}: left out")
    else:
        patient.allergies += (one,)


def _without_unknown(resource: Json) -> Json:
    """The resource without the manifestations that only fill the place."""
    if "reaction" not in resource:
        return resource
    reactions = []
    for reaction in resource["reaction"]:
        told = [one for one in reaction.get("manifestation", ()) if one != _unknown()]
        rest = {key: value for key, value in reaction.items() if key != "manifestation"}
        reactions.append({**rest, "manifestation": told} if told else rest)
    return {**resource, "reaction": reactions}


def _mend_kind(taking: Taking, resource: Json, one: Allergy) -> None:
    """The category counts: where the kind of the allergen does not say it, it is made from the category."""
    categories = taking.tables.code_map(_CATEGORY)
    category = next(iter(resource.get("category", ())), "")
    if category and categories.domain_to_fhir.get(categories.v2_to_domain.get(_kind(one.kind), "")) != category:
        code = categories.domain_to_v2.get(categories.fhir_to_domain.get(category, ""), "")
        one.kind = Coded((Coding(code, codes.system_uri(_TABLE)),)) if code else one.kind


def _stands(resource: Json) -> bool:
    clinical, verified = (first_code(resource.get(name)) for name in ("clinicalStatus", "verificationStatus"))
    return clinical in ("", "active") and verified not in ("refuted", "entered-in-error")


def compose(composing: Composing, patient: Patient) -> int:
    """AL1 of what stands; gives how many."""
    standing = [one for one in patient.allergies if not one.former]
    for number, one in enumerate(standing, 1):
        composing.add("AL1", {1: str(number), **composing.cells(one, AL1)})
    return len(standing)
