"""MedicationAdministrations that others made: nothing of dose, rate, status and order is lost or guessed."""

from __future__ import annotations

from typing import Any

import pytest
from elsewhere import (
    END,
    KETAMINE,
    START,
    administration,
    bundle,
    codes,
    encounter,
    given,
    patient,
    quantity,
    ratio,
    request,
    segments,
)  # fmt: skip

import ketafhir
from ketafhir.errors import Refused

OPEN = {"start": START}
RATE = {"rateQuantity": quantity("54", "mL/h")}
PART_OF = [{"reference": "MedicationAdministration/whole"}]
LATER = {"start": "2026-03-09T09:20:00-05:00", "end": END}
EARLIER = {"start": START, "end": "2026-03-09T09:20:00-05:00"}


def rxa(translation: ketafhir.Translation) -> list[str]:
    (line,) = segments(translation, "RXA")
    return line.split("|") + [""] * 12


def orc(translation: ketafhir.Translation) -> list[str]:
    (line,) = segments(translation, "ORC")
    return line.split("|") + [""] * 6


def test_the_order_is_that_of_the_request_whatever_its_identifiers_are_typed() -> None:
    made = ketafhir.to_hl7v2(bundle(patient(), request(), administration()))
    assert [line.split("|")[1:4] for line in segments(made, "ORC")] == [
        ["NW", "", "ORD-5^^1.2.3.6^ISO"],
        ["RE", "", "ORD-5^^1.2.3.6^ISO"],
    ]


@pytest.mark.parametrize(
    ("told", "placer", "filler", "code"),
    [
        ({"identifier": {"system": "urn:id:EHR", "value": "P-1", "type": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}}}, "P-1^EHR", "", ""),
        ({"identifier": {"system": "urn:id:EHR", "value": "X-1"}}, "", "X-1^EHR", ""),
        ({"reference": "MedicationRequest/elsewhere"}, "", "elsewhere", "order-missing"),
        (None, "", "ma1", "order-unknown"),
    ],
)  # fmt: skip
def test_the_order_where_its_request_is_not_there(told: Any, placer: str, filler: str, code: str) -> None:
    made = given(administration(request=told))
    assert orc(made)[2:4] == [placer, filler]
    assert codes(made) - {"counters-made"} == ({code} if code else set())


@pytest.mark.parametrize(
    ("status", "period", "dosage", "end", "completion", "order"),
    [
        ("in-progress", OPEN, RATE, '""', "", "IP"),
        ("on-hold", OPEN, RATE, '""', "PA", "HD"),
        ("on-hold", None, RATE, "20260309094000-0500", "PA", "HD"),
        ("stopped", None, RATE, "20260309094000-0500", "PA", "DC"),
        ("completed", None, RATE, "20260309094000-0500", "CP", "CM"),
        ("completed", None, None, "20260309094000-0500", "CP", "CM"),
        ("unknown", None, None, "20260309094000-0500", "", ""),
        ("not-done", OPEN, None, '""', "NA", ""),
    ],
)
def test_status(status: str, period: Any, dosage: Any, end: str, completion: str, order: str) -> None:
    told: dict[str, Any] = {"status": status}
    told |= {"effectivePeriod": period} if period else {}
    told |= {"dosage": dosage} if dosage else {}
    made = given(administration(**told))
    assert (rxa(made)[4], rxa(made)[20], orc(made)[5]) == (end, completion, order)


def test_entered_in_error_is_deleted() -> None:
    made = given(administration(status="entered-in-error"))
    assert rxa(made)[20:22] == ["", "D"]
    assert orc(made)[5] == ""


def test_a_dose_beside_a_rate_is_an_observation_of_the_segment() -> None:
    made = given(administration(dosage={"dose": quantity("36.0", "mg"), **RATE}))
    assert rxa(made)[6:8] + rxa(made)[12:13] == ["54", "mL^^UCUM", "H1"]
    (obx,) = segments(made, "OBX")
    assert obx.startswith("OBX|1|NM|segment-amount^Amount of drug delivered in the segment^99KETA||36.0|mg^^UCUM")


def test_a_dose_that_is_rate_times_time_is_not_told_twice_and_another_is_named() -> None:
    rate = {"rateQuantity": quantity("54", "mg/h")}
    assert segments(given(administration(dosage={"dose": quantity("36", "mg"), **rate})), "OBX") == []
    made = given(administration(dosage={"dose": quantity("30", "mg"), **rate}))
    assert "dose-rate-mismatch" in codes(made)
    assert [obx.split("|")[5] for obx in segments(made, "OBX")] == ["30"]


@pytest.mark.parametrize(
    ("rate", "cells"),
    [
        ({"rateQuantity": quantity("0.50", "mg/kg/h")}, ["0.50", "mg/kg^^UCUM", "H1"]),
        ({"rateRatio": ratio(quantity("18", "mL"), quantity("20", "min"))}, ["18", "mL^^UCUM", "M20"]),
        ({"rateRatio": ratio(quantity("10", "mL"), quantity("1.5", "h"))}, ["10", "mL^^UCUM", "M90"]),
        ({"rateQuantity": {"value": 54, "unit": "mL/hr"}}, ["54", "mL^^UCUM", "H1"]),
    ],
)
def test_rates(rate: dict[str, Any], cells: list[str]) -> None:
    made = rxa(given(administration(dosage=rate)))
    assert made[6:8] + made[12:13] == cells


def test_a_dose_in_words_goes_out_in_words() -> None:
    made = given(administration(dosage={"text": "36 mg over 40 min"}))
    assert rxa(made)[6:8] == ["999", ""]
    note = "administration-note^Note on an administration^99KETA"
    assert segments(made, "OBX", "NTE") == [f"OBX|1|ST|{note}||36 mg over 40 min||||||F"]
    assert "dose-in-words" in codes(made)


def test_an_infusion_with_its_segments_in_any_order() -> None:
    whole = administration(id="whole", status="stopped", dosage=None, context={"reference": "Encounter/e1"},
                           note=[{"text": "stopped early"}])  # fmt: skip
    parts = [
        administration(id="c2", partOf=PART_OF, request=None, effectivePeriod=LATER, dosage=RATE),
        administration(id="c1", partOf=PART_OF, request=None, effectivePeriod=EARLIER, dosage=RATE),
    ]
    made = given(whole, *parts)
    assert [line.split("|")[1:4] for line in segments(made, "RXA")] == [
        ["0", "1", "20260309090000-0500"],
        ["0", "2", "20260309092000-0500"],
    ]
    assert [(line.split("|") + [""] * 21)[20] for line in segments(made, "RXA")] == ["CP", "PA"]
    assert orc(made)[3:6] == ["ORD-5^^1.2.3.6^ISO", "", "DC"]
    assert [obx.split("|")[5] for obx in segments(made, "OBX")] == ["stopped early"]
    assert made.text == given(parts[1], parts[0], whole).text


def test_the_dose_of_a_whole_infusion_is_compared_with_its_segments() -> None:
    def told(dose: str, rate: Any) -> ketafhir.Translation:
        whole = administration(id="whole", dosage={"dose": quantity(dose, "mg")})
        return given(whole, administration(id="c1", partOf=PART_OF, dosage=rate))

    in_mg = {"rateQuantity": quantity("54", "mg/h")}
    assert codes(told("36", in_mg)) == {"counters-made"}
    assert "total-differs" in codes(told("30", in_mg))
    (obx,) = segments(told("36", RATE), "OBX")  # no concentration: what the segments give in mg is not known
    assert obx.split("|")[3:7] == ["delivered-total^Total amount of drug delivered^99KETA", "", "36", "mg^^UCUM"]


def test_counters_do_not_depend_on_the_order_of_the_bundle() -> None:
    one, two = administration(id="a", effectivePeriod=LATER), administration(id="b", effectivePeriod=EARLIER)
    assert given(one, two).text == given(two, one).text
    assert "counters-made" in codes(given(one, two))


def test_a_contained_medication_and_one_of_a_single_additive() -> None:
    medication = {"resourceType": "Medication", "id": "m", "code": KETAMINE, "batch": {"lotNumber": "L1"}}
    told = {"medicationCodeableConcept": None, "medicationReference": {"reference": "#m"}}
    made = rxa(given(administration(contained=[medication], **told)))
    assert (made[5], made[15]) == ("6130^ketamine^RXNORM", "L1")
    medication = {"resourceType": "Medication", "id": "m", "ingredient": [{"itemCodeableConcept": KETAMINE}]}
    assert rxa(given(administration(contained=[medication], **told)))[5] == "6130^ketamine^RXNORM"


def test_people_by_resource_role_and_name_and_who_is_not_there() -> None:
    nurse = {"resourceType": "Practitioner", "id": "n", "identifier": [{"system": "urn:id:W", "value": "RN-1"}],
             "name": [{"family": "Moss"}]}  # fmt: skip
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/n"}}
    told = [{"actor": {"reference": one}} for one in ("PractitionerRole/r", "Practitioner/nobody")]
    made = given(nurse, role, administration(performer=[*told, {"actor": {"display": "Ada Fern"}}]))
    assert rxa(made)[10] == "RN-1^Moss^^^^^^^W~^Fern^Ada"
    assert "person-missing" in codes(made)


@pytest.mark.parametrize(
    ("told", "code", "where"),
    [
        ({"effectivePeriod": None}, "start-missing", "effective[x]"),
        ({"effectivePeriod": {"end": END}}, "start-missing", "effective[x]"),
        ({"effectivePeriod": {"start": END, "end": START}}, "end-before-start", "effectivePeriod.end"),
        ({"medicationCodeableConcept": None}, "drug-unknown", "medication[x]"),
        ({"medicationCodeableConcept": {"coding": [{"code": "6130"}]}}, "drug-unknown", "medication[x]"),
        ({"medicationCodeableConcept": None, "medicationReference": {"reference": "Medication/x"}}, "drug-unknown", ""),
        ({"dosage": {"dose": {"value": 36}}}, "dose-unreadable", "dosage.dose"),
        ({"dosage": {"dose": quantity("36", "mg") | {"comparator": ">"}}}, "dose-unreadable", "dosage.dose"),
        ({"dosage": {"dose": quantity("-36", "mg")}}, "number-negative", "dosage.dose"),
        ({"dosage": {"dose": quantity("5", "mg/h")}}, "unit-is-rate", "dosage.dose"),
        ({"dosage": {"rateQuantity": quantity("5", "mL/h") | {"comparator": "<"}}}, "dose-unreadable", "dosage.rate[x]"),
        ({"dosage": {"rateQuantity": {"value": 5, "unit": "drops/min"}}}, "unit-unknown", "dosage.rate[x]"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "modifier-unknown", "modifierExtension"),
        ({"dosage": {"dose": quantity("3", "mg"), "modifierExtension": [{"url": "urn:x"}]}}, "modifier-unknown", "dosage"),
        ({"implicitRules": "urn:rules"}, "modifier-unknown", "implicitRules"),
        ({"subject": {"identifier": {"system": "urn:x", "value": "2"}}}, "order-of-other-patient", "subject"),
        ({"status": "banana"}, "code-unknown", "status"),
    ],
)  # fmt: skip
def test_refused(told: dict[str, Any], code: str, where: str) -> None:
    with pytest.raises(Refused) as refusal:
        given(administration(**told))
    issue = refusal.value.issues[-1]
    assert issue.code == code
    assert issue.where.startswith(f"MedicationAdministration/ma1.{where}")


def test_two_acts_under_one_number_are_refused() -> None:
    number = {"value": "0-1", "type": {"coding": [{"system": "https://ketafhir.org/fhir/CodeSystem/keta",
                                                   "code": "administration-number"}]}}  # fmt: skip
    with pytest.raises(Refused) as refusal:
        given(administration(identifier=[number]), administration(id="ma2", identifier=[number]))
    assert refusal.value.issues[-1].code == "identity-collision"


def test_the_visit_of_another_patient_is_refused() -> None:
    other = encounter(subject={"identifier": {"system": "urn:x", "value": "2"}})
    resources = (patient(), other, request(), administration(context={"reference": "Encounter/e1"}))
    with pytest.raises(Refused) as refusal:
        ketafhir.to_hl7v2(bundle(*resources))
    assert refusal.value.issues[-1].code == "visit-of-other-patient"


def test_once_through_fhir_comes_back_the_same() -> None:
    whole = administration(id="whole", context={"reference": "Encounter/e1"}, dosage={"dose": quantity("36", "mg")})
    parts = [administration(id=f"c{at}", partOf=PART_OF, effectivePeriod=period, dosage={"dose": quantity("9", "mg"), **RATE})
             for at, period in enumerate((EARLIER, LATER))]  # fmt: skip
    first = ketafhir.to_fhir(given(whole, *parts).text)
    again = ketafhir.to_fhir(ketafhir.to_hl7v2(first.bundle or {}, message="RAS^O17").text)
    kept = [[entry["resource"] for entry in one.bundle["entry"] if entry["resource"]["resourceType"] != "Provenance"]
            for one in (first, again) if one.bundle]  # fmt: skip
    assert kept[0] == kept[1]
