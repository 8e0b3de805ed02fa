"""Vital signs, scales, scores, risk and candidacy, read from the resources of one patient."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from ketafhir.demo.elements import (
    Record,
    Resource,
    has,
    in_error,
    moment,
    named,
    of_type,
    staff_number,
    target,
)
from ketafhir.demo.view import Assessment, Decision, Reading, Risk, Score, Vitals
from ketafhir.mapping import codes
from ketafhir.mapping.paths import EXTENSION

ITEM_CODE = EXTENSION + "item-code"
READINGS = {
    "vitals.heart-rate": "heart-rate",
    "vitals.resp-rate": "respiratory-rate",
    "vitals.spo2": "oxygen-saturation",
    "vitals.temperature": "body-temperature",
    "vitals.height": "body-height",
    "vitals.mean-bp": "mean-pressure",
}
PRESSURES = {"vitals.systolic": "systolic", "vitals.diastolic": "diastolic", "vitals.mean-bp": "mean"}
ASSESSMENTS = {
    "pain.nrs": "nrs",
    "sedation.rass": "rass",
    "score.moaas": "moaas",
    "score.cadss": "cadss",
    "score.aldrete": "aldrete",
    "score.padss": "padss",
}
TOTALS = {"phq9.total": "phq-9", "gad7.total": "gad-7"}
ITEMS = {"phq9.total": "phq9.item", "gad7.total": "gad7.item"}
SCREENER = tuple(f"cssrs.q{number}" for number in range(1, 7))
LEVELS = {"cssrs.none": "none", "cssrs.low": "low", "cssrs.moderate": "moderate", "cssrs.high": "high"}
DECISIONS = {"keta.accepted": "accepted", "keta.review": "review", "keta.refused": "refused"}


def observations(record: Record) -> list[Resource]:
    """All that count, in order of time."""
    told = [one for one in of_type(record, "Observation") if not in_error(one) and "effectiveDateTime" in one]
    return sorted(told, key=lambda one: (moment(one["effectiveDateTime"]), one["id"]))


def readings(record: Record) -> list[Reading]:
    """Vital signs one by one; weight is left out, since an order repeats it."""
    found = []
    for one in observations(record):
        if has(one.get("code"), "vitals.bp-panel"):
            values = _pressures(one)
            if values:
                found.append(Reading("blood-pressure", one["effectiveDateTime"], values))
            continue
        kind = READINGS.get(named(one.get("code"), READINGS), "")
        value = _number(one.get("valueQuantity"))
        if kind and value is not None:
            found.append(Reading(kind, one["effectiveDateTime"], {"value": value}))
    return found


def _pressures(panel: Resource) -> dict[str, Decimal]:
    found = {}
    for part in panel.get("component", ()):
        kind = PRESSURES.get(named(part.get("code"), PRESSURES), "")
        value = _number(part.get("valueQuantity"))
        if kind and value is not None:
            found[kind] = value
    return found


def vitals(record: Record, told: list[Reading]) -> Vitals:
    """Reports headed as vital signs, and readings by kind; a mean beside a blood pressure counts too."""
    reports = [one for one in of_type(record, "DiagnosticReport") if not in_error(one)]
    sets = sum(has(one.get("code"), "vitals.panel") for one in reports)
    kinds = Counter(one.kind for one in told)
    kinds["mean-pressure"] += sum("mean" in one.values for one in told if one.kind == "blood-pressure")
    return Vitals(sets, dict(sorted((+kinds).items())))


def assessments(record: Record) -> list[Assessment]:
    """Scales told among vital signs, by time and name; pain that belongs to a filled form is a score."""
    found = []
    for one in observations(record):
        what = ASSESSMENTS.get(named(one.get("code"), ASSESSMENTS), "")
        if what and not one.get("derivedFrom"):
            found.append(Assessment(what, _number(one.get("valueQuantity")), one["effectiveDateTime"]))
    return sorted(found, key=lambda one: (moment(one.time), one.what))


def scores(record: Record) -> list[Score]:
    """Totals of instruments, with the answers of the form that they are derived from."""
    found = []
    for one in observations(record):
        name = named(one.get("code"), (*TOTALS, "pain.nrs"))
        form = _form(record, one)
        if name == "pain.nrs" and form is not None:
            instrument = "pain-nrs"
        elif name in TOTALS:
            instrument = TOTALS[name]
        else:
            continue
        items = _items(form, ITEMS[name]) if form is not None and name in ITEMS else None
        found.append(Score(instrument, _number(one.get("valueQuantity")), items, one["effectiveDateTime"]))
    return found


def _form(record: Record, observation: Resource) -> Resource | None:
    found = (target(record, reference) for reference in observation.get("derivedFrom", ()))
    return next((one for one in found if one and one["resourceType"] == "QuestionnaireResponse"), None)


def _items(form: Resource, prefix: str) -> list[Decimal] | None:
    """What each answer counts, in the order of the instrument; None where it was not answered in full."""
    points = {_pair(one): Decimal(number) for number, one in enumerate(codes.codes("phq.answer"))}
    answers = _answers(form)
    found = []
    for question in codes.codes(prefix):
        answer = answers.get(question.code, {})
        coding = answer.get("valueCoding", {})
        count = points.get((coding.get("system"), coding.get("code")), _number(answer))
        if count is None:
            return None
        found.append(count)
    return found


def _answers(form: Resource) -> dict[str, Any]:
    """The first answer to each question, by the code of the question."""
    return {one["linkId"]: one["answer"][0] for one in form.get("item", ()) if one.get("answer")}


def risks(record: Record) -> list[Risk]:
    """The level of the suicide risk screener, and the numbers of the questions answered yes."""
    found = []
    for one in observations(record):
        if has(one.get("code"), "cssrs.risk"):
            level = LEVELS.get(named(one.get("valueCodeableConcept"), LEVELS), "unknown")
            answers = _answers(_form(record, one) or {})
            positive = [
                number
                for number, name in enumerate(SCREENER, 1)
                if has({"coding": [answers.get(codes.code(name).code, {}).get("valueCoding", {})]}, "answer.yes")
            ]
            found.append(Risk("c-ssrs", level, positive, one["effectiveDateTime"]))
    return found


def decisions(record: Record) -> list[Decision]:
    """Whether the patient is a candidate, and the rules that were named."""
    told = [one for one in of_type(record, "ClinicalImpression") if not in_error(one)]
    return [_decision(record, one) for one in told if has(one.get("code"), "keta.candidacy-decision")]


def _decision(record: Record, impression: Resource) -> Decision:
    decided, rules = "unknown", []
    for finding in impression.get("finding", ()):
        concept = finding.get("itemCodeableConcept", {})
        word = DECISIONS.get(named(concept, DECISIONS), "")
        if word:
            decided = word
        elif any(one.get("url") == ITEM_CODE for one in finding.get("extension", ())):
            rules += [str(one.get("code")) for one in concept.get("coding", ())[:1]]
    by = staff_number(record, impression.get("assessor"))
    return Decision(decided, rules, str(impression.get("date", "")), by)


def _pair(code: codes.Code) -> tuple[str, str]:
    return code.system, code.code


def _number(value: Any) -> Decimal | None:
    """The number of a Quantity or of an answer."""
    told = value or {}
    for key in ("value", "valueInteger", "valueDecimal"):
        if key in told:
            return Decimal(told[key])
    return None
