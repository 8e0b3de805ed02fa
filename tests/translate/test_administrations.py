"""Administrations as laws: records to HL7v2 and back, to FHIR and back, are the same records."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.fhir.check import shape
from ketafhir.therapy.records import Administration, Patient, Records, Visit
from ketafhir.therapy.settled import settle
from ketafhir.therapy.values import Coded, Coding, Identifier, Name, Practitioner, Quantity, Rate, Time
from ketafhir.translate import outgoing
from ketafhir.translate.incoming import parse
from ketafhir.translate.messages import Outbound
from ketafhir.translate.session import Session, render_records
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_fhir

PLACER, FILLER = Identifier("P-1", "urn:id:EHR"), Identifier("F-1", "urn:id:PHARM")
MRN, VISIT = Identifier("SYN-1", "urn:id:WILLOW", "MR"), Identifier("V-1", "urn:id:WILLOW", "VN")
KETAMINE = Coded((Coding("6130", "http://www.nlm.nih.gov/research/umls/rxnorm", "ketamine"),))

texts = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool)
)
decimals = st.decimals(Decimal("0.001"), Decimal(9999), places=3).map(
    lambda one: one.normalize() + 0 if one == one.to_integral_value() else one
)
written_codes = texts.map(lambda one: " ".join(one.split()))  # FHIR R4, code: no more than single blanks within
concepts = st.builds(
    lambda code, display: Coded((Coding(code, "urn:id:L", display),)), written_codes, st.one_of(st.just(""), texts)
)
# One number is one person: a Practitioner is written once, as first told.
people = texts.map(
    lambda number: Practitioner(Identifier(number, "urn:id:WILLOW"), Name(f"Family {number}", ("Given",)))
)


def time(minute: int) -> Time:
    return Time(f"2026-04-14T{9 + minute // 60:02}:{minute % 60:02}:00-05:00")


@st.composite
def infusions(draw: st.DrawFn) -> Records:
    """One infusion: segments with and without end, boluses, refused and deleted acts."""
    acts: dict[str, Administration] = {}
    minute = 0
    count = draw(st.integers(1, 5))
    for number in range(1, count + 1):
        kind = draw(st.sampled_from(["segment", "closed", "bolus", "refused", "not-given", "deleted"]))
        start, minute = minute, minute + draw(st.integers(1, 50))
        quantity = Quantity(draw(decimals), draw(st.sampled_from(["mL", "mg", "ug"])))
        act = Administration(
            key=f"urn:id:EHR|P-1|0|{number}", infusion="urn:id:EHR|P-1|0|@urn:id:WILLOW|V-1", order="urn:id:EHR|P-1",
            patient=MRN.key, visit=VISIT.key, placer=PLACER, filler=FILLER, counters=("0", str(number)), start=time(start),
            drug=KETAMINE, action="add",
            performers=tuple(draw(st.lists(people, max_size=2, unique_by=lambda one: one.identifier.value))),
        )  # fmt: skip
        if draw(st.booleans()):
            act.lot, act.concentration = draw(texts), Quantity(draw(decimals), "mg/mL")
        if kind in ("segment", "closed", "deleted"):
            per = Quantity(Decimal(draw(st.integers(1, 90))), draw(st.sampled_from(["min", "h"])))
            act.rate = Rate(quantity, per)
            act.route = draw(st.one_of(st.none(), concepts))
            act.reasons = tuple(draw(st.lists(concepts, max_size=2)))
        if kind == "closed":
            act.end, act.state = time(minute), draw(st.sampled_from(["completed", "stopped"]))
        if kind == "bolus":
            act.amount, act.state = quantity, "completed"
        if kind in ("refused", "not-given"):
            why = tuple(draw(st.lists(concepts, max_size=1)))
            act.state, act.refusal, act.reasons = (
                kind,
                why if kind == "refused" else (),
                why if kind != "refused" else (),
            )
        if kind == "deleted":
            act.state, act.action = "deleted", "delete"
        acts[act.key] = act
    segments = [act for act in acts.values() if act.rate and act.state != "deleted"]
    if segments and not segments[-1].state:
        segments[-1].order_status = "running"
    patient = Patient(
        key=MRN.key, identifier=MRN, identifiers=(MRN,), names=(Name("Halloway", ("Wren",), use="L"),), owned=True
    )
    return Records(
        patients={MRN.key: patient},
        visits={VISIT.key: Visit(key=VISIT.key, patient=MRN.key, number=VISIT, patient_class="outpatient", owned=True)},
        administrations=acts,
    )


def told(records: Records) -> dict[str, Any]:
    """The acts, field by field: without what orders versions and the order's word, which the course of the whole gives back."""
    left_out = ("told", "sender", "order_status", "order_control", "preserved")
    return {
        f"{key} {part.name}": getattr(act, part.name)
        for key, act in records.administrations.items()
        for part in fields(act)
        if part.name not in left_out
    }


def written(records: Records) -> list[str]:
    out = Outbound(records, default().context(), {"": ("EMAR", "WILLOW")})
    return outgoing.compose(out, default(), "RAS^O17")


@given(infusions())
@settings(max_examples=60, deadline=None)
def test_records_to_hl7v2_and_back(records: Records) -> None:
    session = Session(default())
    for text in written(records):
        session.take(parse(text))
    assert told(settle(session.history)) == told(records)


@given(infusions())
@settings(max_examples=60, deadline=None)
def test_records_to_fhir_and_back(records: Records) -> None:
    context = default().context()
    bundle = render_records(records, default(), context, "urn:ketafhir:sender:WILLOW:EMAR")
    again = outgoing.take(json.loads(json.dumps(bundle)), default()).records
    assert told(again) == told(records)


@given(infusions())
@settings(max_examples=15, deadline=None)
def test_what_is_rendered_has_the_shape_of_r4(records: Records) -> None:
    bundle = render_records(records, default(), default().context(), "urn:ketafhir:sender:WILLOW:EMAR")
    assert [issue for entry in bundle["entry"] for issue in shape(entry["resource"])] == []


@given(infusions())
@settings(max_examples=30, deadline=None)
def test_children_never_carry_a_dose_that_could_be_added_up(records: Records) -> None:
    """Whoever sums parents gets the total; a segment has a rate and no dose, a bolus a dose and no rate."""
    bundle = render_records(records, default(), default().context(), "urn:ketafhir:sender:WILLOW:EMAR")
    for entry in bundle["entry"]:
        one = entry["resource"]
        if one["resourceType"] == "MedicationAdministration" and "partOf" in one:
            dosage = one.get("dosage", {})
            assert not ("dose" in dosage and any(key.startswith("rate") for key in dosage))
            if one["meta"]["tag"][0]["code"] == "infusion-segment":
                assert "dose" not in dosage


RAS = (
    "MSH|^~\\&|EMAR|WILLOW|||20260414090010-0500||RAS^O17^RAS_O17|1|P|2.5.1\rPID|1||SYN-1^^^WILLOW^MR\r"
    "PV1|1|O|||||||||||||||||V-1^^^WILLOW^VN\rORC|RE|P-1^EHR|F-1^PHARM||IP\r"
    'RXA|0|1|20260414090000-0500|""|6130^ketamine^RXN|{amount}|{unit}|||||{per}||||||||{status}|A\r'
)


@pytest.mark.parametrize(
    ("amount", "unit", "per", "code"),
    [
        ("54", "mL/h^^UCUM", "", "unit-is-rate"),
        ("54", "mL/h^^UCUM", "H1", "unit-is-rate"),
        ("54", "mL^^UCUM", "54 mL/h", "rate-unreadable"),
        ("54", "mL^^UCUM", "T5", "rate-unreadable"),
        ("54", "mL^^UCUM", "H0", "rate-unreadable"),
        ("54", "", "", "unit-missing"),
        ("54", "drops", "", "unit-unknown"),
        ("54", "min^^UCUM", "", "unit-wrong-kind"),
        ("fifty", "mL^^UCUM", "H1", "number-unreadable"),
        ("5.4.1", "mL^^UCUM", "H1", "number-unreadable"),
        ("1e2", "mL^^UCUM", "H1", "number-unreadable"),
        ("", "mL^^UCUM", "H1", "rate-unreadable"),
    ],
)
def test_dose_and_rate_are_never_guessed(amount: str, unit: str, per: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        to_fhir(RAS.format(amount=amount, unit=unit, per=per, status=""))
    issue = refusal.value.issues[-1]
    assert issue.code == code
    assert issue.where.startswith("RXA-")
    assert "RXA_to_MedicationAdministration.csv:" in issue.row


@pytest.mark.parametrize(
    ("unit", "ucum"),
    [
        ("mL", "mL"),
        ("ml", "mL"),
        ("cc", "mL"),
        ("mg^milligram^UCUM", "mg"),
        ("mcg", "ug"),
        ("263762^MDC_DIM_MILLI_L^MDC^mL^mL^UCUM", "mL"),
    ],
)
def test_units_are_written_as_ucum(unit: str, ucum: str) -> None:
    bundle = to_fhir(RAS.format(amount="20.50", unit=unit, per="H1", status="")).bundle
    assert bundle is not None
    child = next(one["resource"] for one in bundle["entry"] if "partOf" in one["resource"])
    numerator = child["dosage"]["rateRatio"]["numerator"]
    assert (str(numerator["value"]), numerator["code"], numerator["system"]) == (
        "20.50",
        ucum,
        "http://unitsofmeasure.org",
    )
    assert child["dosage"]["rateRatio"]["denominator"]["code"] == "h"
