"""What holds of any observation, report, form and decision: both round trips give it back."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from oru_trips import HEAD, TABLES, compose, read, take
from oru_trips import settings as of_site

from ketafhir.fhir import json
from ketafhir.mapping import codes
from ketafhir.therapy.records import Decision, Item, Observation, Patient, Records, Report, Response
from ketafhir.therapy.values import (
    Coded,
    Coding,
    Device,
    Identifier,
    Name,
    Period,
    Practitioner,
    Quantity,
    Range,
    Ratio,
    Time,
    is_before,
)
from ketafhir.translate import instruments, observations, patients
from ketafhir.translate.observed import code_key, key_of, moment
from ketafhir.translate.writing import Writing

TELLS = settings(max_examples=60, deadline=None)

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
numbers = st.decimals("-999", "999", places=2).map(lambda one: one.quantize(Decimal("0.01")))
systems = st.sampled_from(["http://loinc.org", "urn:id:L", "urn:iso:std:iso:11073:10101"])
codings = st.builds(Coding, code=words, system=systems, display=words)
concepts = st.builds(lambda one, text: Coded((one,), text), codings, st.sampled_from(["", "said so"]))
times = st.builds(
    lambda minute, offset: Time(f"2026-03-09T08:{minute:02}:00{offset}"),
    st.integers(0, 59),
    st.sampled_from(["-05:00", "+00:00", "+05:30"]),
)
identifiers = st.builds(Identifier, value=words, system=st.sampled_from(["urn:id:EHR", "urn:oid:1.2.3"]))
quantities = st.builds(Quantity, value=numbers, unit=st.sampled_from(["mm[Hg]", "/min", "kg", "{score}"]))
values = st.one_of(
    quantities,
    st.builds(lambda one, sign: replace(one, comparator=sign), quantities, st.sampled_from(["<", ">="])),
    concepts,
    words,
    times,
    st.builds(Range, quantities, quantities).map(lambda one: Range(one.low, replace(one.high, unit=one.low.unit))),
    st.builds(lambda a, b: Ratio(Quantity(a), Quantity(b)), numbers, numbers),
)
staff = identifiers.map(lambda one: Practitioner(one, Name(one.value, (one.system,))))
statuses = st.sampled_from(
    [entry.domain for entry in TABLES.code_map("observation-status").entries if entry.domain != "unknown"]
)
notes = st.lists(words, max_size=2).map(tuple)
singles = st.builds(
    Observation,
    code=concepts,
    sub_id=st.one_of(st.just(""), words),
    value=values,
    interpretation=st.lists(concepts, max_size=2).map(tuple),
    reference_range=st.one_of(st.just(""), words),
    status=statuses,
    effective=st.one_of(st.none(), times),
    analysed=st.one_of(st.none(), times),
    performers=st.lists(staff, max_size=2, unique_by=lambda one: one.identifier.key).map(tuple),
    method=st.one_of(st.none(), concepts),
    device=st.one_of(st.none(), st.builds(Device, identifiers)),
    site=st.one_of(st.none(), concepts),
    identifier=st.one_of(st.none(), identifiers),
    notes=notes,
)
PATIENT = Identifier("SYN-100201", "urn:id:WILLOW", "MR")


def told(report: Report, listed: list[Observation]) -> Records:
    """Records as a message would have made them."""
    records = Records()
    records.patients[PATIENT.key] = Patient(PATIENT.key, PATIENT, (PATIENT,), names=(Name("Halloway", ("Wren",)),))
    report.patient = PATIENT.key
    scope = (report.filler or report.placer or PATIENT).key
    start = report.period.start if report.period else None
    report.key = f"{scope}|{code_key(report.code)}|{moment(start)}"
    for one in listed:
        one = replace(one, patient=PATIENT.key, report=report.key, issued=report.issued)
        if one.effective is None:
            one.group_time = start
        one.key = key_of(scope, report.code, one.code, one.sub_id, one.effective or start, one.identifier)
        one.place = len(records.observations)
        records.observations.setdefault(one.key, one)
    records.reports[report.key] = report
    return records


def through_hl7v2(records: Records) -> Records:
    reading = read("\r".join((*HEAD, *compose(records))) + "\r")
    return reading.records


def through_fhir(records: Records) -> Records:
    context = of_site().context()
    writing = Writing(records, TABLES, context, "urn:ketafhir:sender:WILLOW:MONITOR")
    patients.render(writing, next(iter(records.patients.values())))
    observations.render(writing, records, records)
    return take(json.loads(json.dumps(writing.entries.transaction()))).records


def plain(records: Records) -> list[object]:
    """What was told, without when; the group's time only where the record has none of its own."""
    found: list[object] = []
    for one in records.observations.values():
        time = None if one.effective else one.group_time
        found.append(replace(one, told=(Decimal(0), ""), group_time=time and Time(time.iso), place=0))
    for kind in (records.reports, records.responses, records.decisions):
        found += [replace(one, told=(Decimal(0), ""), place=0) for one in kind.values()]
    return found


reports = st.builds(
    Report,
    placer=st.one_of(st.none(), identifiers),
    filler=identifiers,
    code=st.just(Coded((Coding("85353-1", "http://loinc.org", "Vital signs"),))),
    period=st.builds(Period, times, st.one_of(st.none(), times)).filter(
        lambda one: not is_before(one.end or one.start, one.start)
    ),
    issued=st.one_of(st.none(), times),
    status=st.sampled_from(["", "final", "preliminary", "some-results", "corrected", "cancelled", "no-order"]),
    notes=notes,
)


@TELLS
@given(reports, st.lists(singles, min_size=1, max_size=3))
def test_reports_and_their_observations_survive_hl7v2(report: Report, listed: list[Observation]) -> None:
    records = told(report, listed)
    assert plain(through_hl7v2(records)) == plain(records)


@TELLS
@given(reports, st.lists(singles, min_size=1, max_size=3))
def test_reports_and_their_observations_survive_fhir(report: Report, listed: list[Observation]) -> None:
    records = told(report, listed)
    assert plain(through_fhir(records)) == plain(records)


@TELLS
@given(st.lists(st.integers(0, 3), min_size=7, max_size=7), st.booleans(), times, times, statuses)
def test_filled_forms_survive_both_ways(points: list[int], coded: bool, start: Time, at: Time, status: str) -> None:
    form = instruments.instruments()["gad7"]
    panel = codes.code(form.panel)
    response = Response(
        patient=PATIENT.key, instrument="gad7", filler=Identifier("F1", "urn:id:EHR"), start=start,
        code=Coded((Coding(panel.code, panel.system, panel.display),)),
    )  # fmt: skip
    for name, point in zip(form.items.values(), points, strict=True):
        one, answer = codes.code(name), codes.code(f"phq.answer{point}")
        value = Coded((Coding(answer.code, answer.system, answer.display),)) if coded else Quantity(Decimal(point))
        question = Coded((Coding(one.code, one.system, one.display),))
        response.items += (Item(question, value, status=status, effective=at),)
    response.key = f"urn:id:EHR|F1|{code_key(response.code)}|{moment(start)}"
    records = Records(responses={response.key: response})
    records.patients[PATIENT.key] = Patient(PATIENT.key, PATIENT, (PATIENT,))
    for way in (through_fhir, through_hl7v2):
        (found,) = way(records).responses.values()
        assert replace(found, told=response.told, place=0) == response


@TELLS
@given(concepts, st.lists(concepts, max_size=3), times, times, staff, notes, statuses)
def test_decisions_survive_both_ways(
    answer: Coded, rules: list[Coded], start: Time, at: Time, who: Practitioner, said: tuple[str, ...], status: str
) -> None:
    one = codes.code("keta.candidacy-decision")
    rule = codes.code("keta.candidacy-rule")
    heading = Coded((Coding(one.code, one.system, one.display),))
    decision = Decision(
        patient=PATIENT.key, filler=Identifier("F1", "urn:id:EHR"), code=heading, start=start,
        decision=answer, at=at, status=status, decider=who, notes=said,
        rules=tuple(Item(Coded((Coding(rule.code, rule.system, rule.display),)), each, notes=said) for each in
        rules),
    )  # fmt: skip
    decision.key = f"urn:id:EHR|F1|{code_key(heading)}|{moment(start)}"
    records = Records(decisions={decision.key: decision})
    records.patients[PATIENT.key] = Patient(PATIENT.key, PATIENT, (PATIENT,))
    for way in (through_fhir, through_hl7v2):
        (found,) = way(records).decisions.values()
        assert replace(found, told=decision.told, place=0) == decision
