"""Bundles that others made: people, visits, results, what may not be passed over, and the account of what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from elsewhere import (
    LOINC,
    START,
    administration,
    bundle,
    codes,
    encounter,
    observation,
    patient,
    quantity,
    ratio,
    request,
    segments,
)  # fmt: skip

import ketafhir
from ketafhir.errors import Refused


def made(*resources: dict[str, Any], **more: Any) -> ketafhir.Translation:
    return ketafhir.to_hl7v2(bundle(patient(), *resources), **more)


def refused(*resources: dict[str, Any]) -> ketafhir.errors.Issue:
    with pytest.raises(Refused) as refusal:
        made(*resources)
    return refusal.value.issues[-1]


@pytest.mark.parametrize(
    ("dosage", "where"),
    [
        ({"asNeededBoolean": True}, "asNeededBoolean"),
        ({"asNeededCodeableConcept": {"text": "pain"}}, "asNeededCodeableConcept"),
        ({"maxDosePerAdministration": quantity("50", "mg")}, "maxDosePerAdministration"),
        ({"timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}}}, "timing.repeat.frequency"),
        ({"timing": {"repeat": {"count": 6}}}, "timing.repeat.count"),
        ({"timing": {"code": {"text": "BID"}}}, "timing.code"),
        ({"timing": {"event": [START]}}, "timing.event"),
    ],
)
def test_an_order_is_not_sent_without_what_changes_it(dosage: dict[str, Any], where: str) -> None:
    issue = refused(request(dosageInstruction=[{"doseAndRate": [{"doseQuantity": quantity("36", "mg")}], **dosage}]))
    assert (issue.code, issue.where) == ("dosage-unwritable", f"MedicationRequest/mr1.dosageInstruction[0].{where}")


def test_once_is_no_repetition() -> None:
    dose = {"doseAndRate": [{"doseQuantity": quantity("36", "mg")}], "asNeededBoolean": False}
    told = made(request(dosageInstruction=[{**dose, "timing": {"repeat": {"count": 1, "frequency": 1}}}]))
    assert segments(told, "RXE")[0].split("|")[3:6] == ["36", "", "mg^^UCUM"]


@pytest.mark.parametrize(
    ("per", "rate"),
    [(("36", "mg", "40", "min"), "0.9|mg/min^^UCUM"), (("100", "mL", "60", "min"), "100|mL/h^^UCUM"),
     (("5", "mL", "1.5", "min"), "200|mL/h^^UCUM")],
)  # fmt: skip
def test_a_rate_over_any_time_is_one_rate_exactly(per: tuple[str, str, str, str], rate: str) -> None:
    told = {"rateRatio": ratio(quantity(*per[:2]), quantity(*per[2:]))}
    text = segments(made(request(dosageInstruction=[{"doseAndRate": [told]}])), "RXE")[0]
    assert "|".join(text.split("|")[23:25]) == rate


def test_a_rate_is_not_rounded_and_a_limit_of_a_day_is_no_rate() -> None:
    told = {"rateRatio": ratio(quantity("10", "mg"), quantity("7", "min"))}
    assert refused(request(dosageInstruction=[{"doseAndRate": [told]}])).code == "rate-unreadable"
    limit = ratio(quantity("100", "mg"), quantity("24", "h"))
    assert refused(request(dosageInstruction=[{"maxDosePerPeriod": limit}])).code == "limit-is-no-rate"


def test_an_order_in_words_goes_out_in_words() -> None:
    told = made(request(dosageInstruction=[{"text": "36 mg over 40 min"}]))
    assert segments(told, "TQ1") == ["TQ1|1||||||||||36 mg over 40 min"]
    assert "dose-in-words" in codes(told)


@pytest.mark.parametrize("subject", [{"reference": "Patient/p1"}, None])
def test_a_visit_is_known_by_its_number_else_by_its_id(subject: Any) -> None:
    told = made(encounter(subject=subject), request(encounter={"reference": "Encounter/e1"}))
    assert segments(told, "PV1")[0].split("|")[19] == "V-9^^^&1.2.3.5&ISO^VN"
    told = made(encounter(identifier=None, subject=subject), request(encounter={"reference": "Encounter/e1"}))
    assert segments(told, "PV1")[0].split("|")[19] == "e1^^^^VN"


def test_a_visit_that_is_not_there_is_told() -> None:
    assert "visit-missing" in codes(made(request(encounter={"reference": "Encounter/none"})))


def test_a_death_without_date() -> None:
    told = ketafhir.to_hl7v2(patient(deceasedBoolean=True))
    assert (segments(told, "PID")[0].split("|") + [""] * 31)[30] == "Y"
    assert segments(told, "PV1") == ["PV1|1|N"]  # no visit: not applicable


def test_the_time_of_a_message_is_never_the_clock() -> None:
    def time(told: ketafhir.Translation) -> str:
        return segments(told, "MSH")[0].split("|")[6]

    assert time(made(request())) == "20260309090000-0500"
    held = {"lastUpdated": "2026-03-10T10:00:00.123Z"}
    assert time(made(request(authoredOn=None, meta=held))) == "20260310100000.123+0000"
    assert time(made(request(authoredOn="2026-03-09"))) == "20260309"
    silent = made(request(authoredOn=None))
    assert time(silent) == ""
    assert "time-missing" in codes(silent)
    arrived = ketafhir.to_hl7v2(patient(meta=held))
    assert segments(arrived, "EVN") == ["EVN|A08|20260310100000.123+0000"]


def test_what_is_contained_refers_within_its_container() -> None:
    report = {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "Vitals"}, "subject": {"reference": "#p"},
        "contained": [patient(id="p"), observation(id="o", subject={"reference": "#p"})], "result": [{"reference": "#o"}],
    }  # fmt: skip
    told = ketafhir.to_hl7v2(report)
    assert segments(told, "OBX")[0].split("|")[3:6] == ["8867-4^^LN", "", "72"]


def test_a_clinical_impression_of_another_kind_is_no_candidacy_decision() -> None:
    other = {"resourceType": "ClinicalImpression", "id": "c", "status": "completed", "subject": {"reference": "Patient/p1"},
             "date": START, "summary": "improving"}  # fmt: skip
    told = made(other, observation())
    assert len(segments(told, "OBX")) == 1
    assert "decision-unknown" in codes(told)
    ours = {"coding": [{"system": "https://ketafhir.org/fhir/CodeSystem/keta", "code": "accepted"}]}
    told = made({**other, "finding": [{"itemCodeableConcept": ours}]})
    assert segments(told, "OBX")[0].split("|")[3] == "candidacy-decision^Candidacy decision^99KETA"


def test_a_time_that_is_no_point_and_a_second_range_are_named() -> None:
    period = {"start": START, "end": "2026-03-09T09:10:00-05:00"}
    ranges = [{"text": "50-100"}, {"text": "athlete"}]
    told = made(observation(effectiveDateTime=None, effectivePeriod=period, referenceRange=ranges))
    assert {"effective-partly", "ranges-dropped"} <= codes(told)
    dropped = {loss.where for loss in told.losses if loss.fate == "dropped"}
    assert {"Observation/o1.effectivePeriod.end", "Observation/o1.referenceRange[1]"} <= dropped


def test_every_element_that_is_not_carried_is_in_the_loss_report() -> None:
    told = made(
        request(
            substitution={"allowedBoolean": False}, text={"status": "generated", "div": "<div>x</div>"},
            extension=[{"url": "urn:theirs", "valueString": "x"}], category=[{"text": "a"}, {"text": "b"}],
            dispenseRequest={"quantity": quantity("100", "mL"), "numberOfRepeatsAllowed": 3},
        ),
        {"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/p1"}},
    )  # fmt: skip
    dropped = {loss.where: loss.why for loss in told.losses if loss.fate == "dropped"}
    assert {where for where in dropped if not where.endswith(".id")} == {
        "MSH", "MedicationRequest/mr1.substitution", "MedicationRequest/mr1.text", "MedicationRequest/mr1.extension",
        "MedicationRequest/mr1.category[1]", "MedicationRequest/mr1.dispenseRequest.numberOfRepeatsAllowed",
        "AllergyIntolerance/a.patient",
    }  # fmt: skip
    assert all(dropped.values())
    mapped = {loss.where for loss in told.losses if loss.fate == "mapped"}
    assert {"MedicationRequest/mr1.medicationCodeableConcept", "MedicationRequest/mr1.identifier",
            "MedicationRequest/mr1.dosageInstruction.doseAndRate.rateQuantity", "Patient/p1.name"} <= mapped  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (observation(modifierExtension=[{"url": "urn:x"}]), "modifier-unknown"),
        (observation(component=[{"modifierExtension": [{"url": "urn:x"}]}]), "modifier-unknown"),
        ({**observation(), "status": None}, "json-null"),
        (observation(code={"coding": {"system": LOINC, "code": "8867-4"}}), "element-unreadable"),
        (request(dosageInstruction={"text": "once"}), "fhir-shape"),
        (administration(note="once"), "fhir-shape"),
    ],
)
def test_what_is_not_understood_or_not_fhir_is_refused_by_name(resource: dict[str, Any], code: str) -> None:
    assert refused(resource).code == code


def test_the_python_api_takes_parsed_json_with_floats() -> None:
    value = json.loads('{"value": 72.5, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}')
    told = made(request(dosageInstruction=[{"doseAndRate": [{"doseQuantity": value}]}]))
    assert segments(told, "RXE")[0].split("|")[3] == "72.5"
