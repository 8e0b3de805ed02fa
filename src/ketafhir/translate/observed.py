"""One OBX <-> one Observation (chapter 7.4.2; v2-to-FHIR guide, OBX[Observation]): its identity, its resource, its cells."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ketafhir.hl7v2.groups import Result
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.codecs.values import as_sent
from ketafhir.mapping.engine import NULL, Preserved, put_back
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Coded, Identifier, Quantity, Time, instant
from ketafhir.translate.composing import Composing
from ketafhir.translate.kinds import OBSERVATION, Kind, kind_of
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

OBX, COMPONENT = "OBX_to_Observation", "OBX_to_Observation.component"
NOTE = EXTENSION + "note"
_ABSENT = {
    "not-asked": "absent.not-asked",
    "pending": "absent.temp-unknown",
    "order-only": "absent.temp-unknown",
}


def code_key(code: Coded | None) -> str:
    """A concept in an identity: its first coding, or its text."""
    if code is None:
        return ""
    if not code.codings:
        return code.text
    return f"{code.codings[0].system}#{code.codings[0].code}"


@lru_cache(maxsize=4096)
def _moment(iso: str) -> str:
    at = instant(iso)
    text = str(at)
    return text if text.isdigit() else format(at.normalize(), "f")


def moment(time: Time | None) -> str:
    """A time in an identity: the instant, however its offset was told."""
    return _moment(time.iso) if time else ""


def key_of(
    scope: str,
    heading: Coded | None,
    code: Coded | None,
    sub_id: str,
    time: Time | None,
    identifier: Identifier | None = None,
) -> str:
    """The identity of an observation: OBX-21, else the number (or patient) it is told under, OBR-4, OBX-3, OBX-4 and time."""
    if identifier is not None:
        return "OBX-21|" + identifier.key
    return f"{scope}|{code_key(heading)}|{code_key(code)}|{sub_id}|{moment(time)}"


def read_one(reading: Reading, result: Result) -> Observation:
    """The record of one OBX with its notes, without identity and place. Raises Refused."""
    segment = result.obx
    values = reading.read(segment, OBX)
    preserved: Preserved = values.pop("preserved", ())
    if NULL in segment.fields:
        known = reading.tables.mapping(OBX).known
        fields = enumerate(segment.fields)
        preserved += tuple((f"OBX-{at}", NULL) for at, text in fields if text == NULL and at in known)
        reading.nulls()
    record = Observation(patient=reading.patient, visit=reading.visit, told=reading.told, **values)
    if result.notes:
        record.notes = note_texts(result.notes, reading)
    if result.others:
        numbers: dict[str, int] = {}
        for other in result.others:
            numbers[other.name] = numbers.get(other.name, 0) + 1
            preserved += reading.keep(other, numbers[other.name])
    record.preserved = preserved
    _check(reading, result, record)
    return record


def _check(reading: Reading, result: Result, record: Observation) -> None:
    """Warnings: no code, a code of no known kind, a unit that its code does not expect, no status."""
    kind = kind_of(record.code)
    if kind is None:
        told = record.code.label if record.code else ""
        reading.warn(
            "code-unmapped",
            "the observation is of no kind that is known: written with its own coding",
            result.obx,
            3,
            told,
            "add it to mappings/observation-kinds.csv",
        )
    else:
        value = record.value
        if kind.units and isinstance(value, Quantity) and value.unit not in kind.units:
            shown = value.unit or value.display
            expected = ", ".join(sorted(kind.units))
            reading.warn(
                "unit-unexpected",
                f"code and unit disagree: kept as sent, no profile claimed ({kind.name})",
                result.obx,
                6,
                shown,
                f"expected {expected}",
            )
    if not record.status:
        reading.warn("status-missing", "an observation without status is of unknown status", result.obx, 11)


def resource_of(writing: Writing, record: Observation, key: str) -> Json:
    """The Observation resource of one record: what the table writes, and what follows from code, group and status."""
    kind = kind_of(record.code)
    profiles = kind.profiles if kind and fits(record, kind) else (OBSERVATION,)
    tags = (coding_json(of_name("keta.derived")),) if record.derived else ()
    resource = writing.start("Observation", key, *profiles, tags=tags)
    if kind:
        resource["category"] = kind.category_json
    writing.fill(resource, record, OBX)
    resource.setdefault("status", "unknown")
    resource.setdefault("code", coding_of_unknown())
    resource["subject"] = writing.patient(record.patient)
    visit = writing.visit(record.visit)
    if visit:
        resource["encounter"] = visit
    put_time(resource, "effectiveDateTime", record.effective, record.group_time)
    if record.value is None:
        resource["dataAbsentReason"] = absent_reason(record)
    part_of = writing.moved.get(record.part_of, record.part_of)
    if part_of:
        resource["partOf"] = [writing.to("MedicationAdministration", part_of)]
    if record.response:
        resource["derivedFrom"] = [writing.to("QuestionnaireResponse", record.response)]
    if record.notes:
        resource["note"] = [{"text": text} for text in record.notes]
    return resource


def coding_of_unknown() -> Json:
    """Observation.code is required; an OBX without OBX-3 says nothing there."""
    return {"coding": [coding_json(of_name("absent.unknown"))]}


def fits(record: Observation, kind: Kind) -> bool:
    """Whether an observation may claim the profile of its kind: a unit that the kind has, and a time."""
    if not kind.units:
        return True
    if not (record.effective or record.group_time):
        return False
    value = record.value
    if value is None:
        return True
    return isinstance(value, Quantity) and value.unit in kind.units


def absent_reason(record: Observation) -> Json:
    """Observation.dataAbsentReason by status (vital signs need a value or a reason: invariant vs-2)."""
    return {"coding": [coding_json(of_name(_ABSENT.get(record.status, "absent.unknown")))]}


def put_time(resource: Json, element: str, own: Time | None, of_group: Time | None) -> None:
    """Where the record has no time of its own, the time of its group, marked derived so that it is not sent back."""
    if own is None and of_group is not None:
        resource[element] = of_group.iso
        resource["_" + element] = {"extension": [{"url": DERIVED, "valueDateTime": of_group.iso}]}


def is_derived_time(resource: Json, element: str) -> bool:
    """Whether a time is the one taken from the group, and still says the same as then."""
    beside = resource.get("_" + element, {})
    return any(
        one.get("url") == DERIVED and one.get("valueDateTime") == resource.get(element)
        for one in beside.get("extension", ())
    )


def is_derived(element: Any) -> bool:
    """Whether an element is marked as worked out."""
    return isinstance(element, dict) and any(
        one.get("url") == DERIVED and one.get("valueBoolean") is True for one in element.get("extension", ())
    )


def take_values(taking: Taking, resource: Json) -> dict[str, Any]:
    """What an Observation resource says, as values of the record; without identity and place. Raises Refused."""
    told = [one for one in resource.get("interpretation", ()) if not is_derived(one)]
    plain = {**resource, "interpretation": told} if "interpretation" in resource else resource
    values = taking.take(plain, OBX)
    if values.get("status") == "unknown":
        del values["status"]
    if "effectiveDateTime" in resource:
        if is_derived_time(resource, "effectiveDateTime"):
            values["group_time"] = values.pop("effective")
    else:
        effective = other_effective(resource)
        if effective:
            values["effective"] = effective
        if "effectiveTiming" in resource or resource.get("effectivePeriod", {}).get("end"):
            taking.c.warn("effective-partly", "OBX-14 is one point in time: an end or a Timing is left out")
    if len(resource.get("referenceRange", ())) > 1:
        taking.c.warn("ranges-dropped", "OBX-7 holds one reference range: the first")
    if "reference_range" not in values:
        values["reference_range"] = _range_text(resource)
    _absent_status(taking, resource, values)
    tags = resource.get("meta", {}).get("tag", ())
    derived = coding_json(of_name("keta.derived"))
    values["derived"] = any(
        (tag.get("system"), tag.get("code")) == (derived["system"], derived["code"]) for tag in tags
    )
    values["notes"] = tuple(str(one["text"]) for one in resource.get("note", ()) if one.get("text"))
    return values


def _range_text(resource: Json) -> str:
    """A reference range that is told in numbers, as OBX-7 writes it: 1-5, <=5, >=1 (chapter 7.4.2.7)."""
    told: Json = next(iter(resource.get("referenceRange", ())), {})
    low, high = (told.get(end, {}).get("value") for end in ("low", "high"))
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f">={low}" if high is None else f"<={high}"
    return f"{low}-{high}"


def other_effective(resource: Json) -> Time | None:
    """effectiveInstant, or the start of effectivePeriod: OBX-14 is one point in time."""
    told = resource.get("effectiveInstant") or resource.get("effectivePeriod", {}).get("start")
    return Time(str(told)) if told else None


def _absent_status(taking: Taking, resource: Json, values: dict[str, Any]) -> None:
    """A reason for having no value, from elsewhere: HL7v2 says it by the status (N not asked, X cannot be obtained)."""
    reason = resource.get("dataAbsentReason")
    if reason is None or "value" in values or values.get("status") not in ("final", "amended", "corrected"):
        return
    said = {one.get("code") for one in reason.get("coding", ())}
    if of_name("absent.unknown").code in said:
        return
    not_asked = of_name("absent.not-asked").code in said
    values["status"] = "not-asked" if not_asked else "cancelled"
    taking.c.warn("absent-reason", "why there is no value is told by the status only", ", ".join(map(str, said)))


def cells_of(composing: Composing, record: Observation) -> dict[int, str]:
    """The cells of the OBX of one record, all but OBX-1."""
    cells = composing.cells(record, OBX, preserved=())
    preserved = as_sent(cells, record.value, record.preserved)
    kept = tuple(one for one in preserved if one[1] != NULL or int(one[0].partition("-")[2] or 0) not in cells)
    put_back(cells, "OBX", kept)
    return cells
