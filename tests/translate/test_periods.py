"""An end before its start: an order so told is refused; of a visit or a report what has happened is kept, and told of."""

from __future__ import annotations

from typing import Any

import pytest

import ketafhir
from ketafhir import Refused, to_fhir, to_hl7v2
from ketafhir.fhir.profile.check import check

PID = "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F"
PV1 = "PV1|1|O|||||||||||||||||V-1^^^WILLOW^VN"
RXE = "RXE|{timing}|6130^ketamine^RXN|120||mg^^UCUM|||||||||||||||||||20|mL/h^^UCUM"
RXR = "RXR|IV^Intravenous^HL70162"
EARLY, LATE = "20260414090000-0500", "20260415090000-0500"


def message(kind: str, *segments: str, at: str = "20260414083000-0500", version: str = "2.5.1") -> str:
    head = f"MSH|^~\\&|EHR|WILLOW|KETAFHIR|HUB|{at}||{kind}|M1|P|{version}"
    return "\r".join((head, *segments)) + "\r"


def order(tq1: str, **more: str) -> str:
    timing = (tq1,) if tq1 else ()
    lines = (
        PID,
        PV1,
        f"ORC|{more.pop('control', 'NW')}|P-1^EHR|F-1^PHARM",
        RXE.format(timing=more.pop("timing", "")),
        *timing,
        RXR,
    )
    return message("RDE^O11^RDE_O11", *lines, **more)


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        to_fhir(text, timezone="America/Chicago")
    (issue,) = (one for one in caught.value.issues if one.severity == "error")
    return issue.code, issue.where


def resources(bundle: Any, kind: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("end", [EARLY, "2026041409", "20260414", "202604"])
def test_an_order_that_ends_before_it_starts_is_refused(end: str) -> None:
    start = LATE if len(end) > 6 else "20260515090000-0500"
    assert refusal(order(f"TQ1|1||||||{start}|{end}")) == ("end-before-start", "TQ1-8")


def test_the_timing_of_old_messages_is_looked_at_alike() -> None:
    assert refusal(order("", timing=f"^^^{LATE}^{EARLY}", version="2.3"))[0] == "end-before-start"


def test_a_give_instruction_is_looked_at_alike() -> None:
    rxg = "RXG|1|1||6130^ketamine^RXN|120||mg^^UCUM||||||||20|mL/h^^UCUM|1|mg/mL^^UCUM"
    text = message("RGV^O15^RGV_O15", PID, PV1, "ORC|NW|P-1^EHR|F-1^PHARM", rxg, f"TQ1|1||||||{LATE}|{EARLY}", RXR)
    assert refusal(text) == ("end-before-start", "TQ1-8")


@pytest.mark.parametrize("end", ["20260414", "202604", "20260414100000-0400"])
def test_a_day_is_not_before_a_time_of_that_day(end: str) -> None:
    bundle = to_fhir(order(f"TQ1|1||||||{EARLY}|{end}")).bundle
    assert check(bundle or {}) == []
    assert f"|{EARLY}|{end}" in to_hl7v2(bundle or {}).text


def test_a_request_that_ends_before_it_starts_is_refused() -> None:
    bundle = to_fhir(order(f"TQ1|1||||||{EARLY}|{LATE}")).bundle
    period = resources(bundle, "MedicationRequest")[0]["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]
    period["start"], period["end"] = period["end"], period["start"]
    with pytest.raises(Refused) as caught:
        to_hl7v2(bundle or {})
    assert [one.code for one in caught.value.issues] == ["end-before-start"]
    assert str(caught.value.issues[0].where).endswith("boundsPeriod")


@pytest.mark.parametrize(
    ("told", "period"),
    [
        (f"TQ1|1||||||{LATE}", {"start": "2026-04-15T09:00:00-05:00"}),
        (f"TQ1|1|||||||{EARLY}", {"end": "2026-04-14T09:00:00-05:00"}),
    ],
)
def test_a_newer_time_takes_the_older_one_away_that_it_contradicts(told: str, period: dict[str, str]) -> None:
    """A day on which the order ended is none of an order that begins later."""
    first = f"TQ1|1||||||{EARLY}|20260414100000-0500" if "|||||||" not in told else f"TQ1|1||||||{LATE}"
    messages = [order(first), order(told, control="XO", at="20260414084500-0500")]
    steps = [step for step in ketafhir.iter_fhir([one.encode() for one in messages]) if not isinstance(step, Refused)]
    assert check(steps[1].bundle or {}) == []
    (request,) = resources(steps[1].bundle, "MedicationRequest")
    assert request["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] == period


def test_a_report_that_ends_before_it_starts_keeps_its_results() -> None:
    text = message(
        "ORU^R01^ORU_R01", PID, PV1, f"OBR|1||S-1^MONITOR|85353-1^Vital signs^LN|||{LATE}|{EARLY}",
        "OBX|1|NM|8867-4^Heart rate^LN||82|/min^^UCUM|||||F",
    )  # fmt: skip
    step = to_fhir(text)
    assert [(one.severity, one.code, one.where) for one in step.issues] == [("warning", "end-before-start", "OBR-8")]
    assert check(step.bundle or {}) == []
    (report,) = resources(step.bundle, "DiagnosticReport")
    assert report["effectiveDateTime"] == "2026-04-15T09:00:00-05:00"
    assert f"|{LATE}|{EARLY}" in to_hl7v2(step.bundle or {}).text


@pytest.mark.parametrize("event", ["A03", "A08", "A11"])
def test_a_visit_that_ends_before_it_starts_has_ended(event: str) -> None:
    pv1 = f"{PV1}|||||||||||||||||||||||||{LATE}|{EARLY}"
    assert pv1.split("|")[44:] == [LATE, EARLY]
    kind = "ADT_A03" if event == "A03" else "ADT_A09" if event == "A11" else "ADT_A01"
    step = to_fhir(message(f"ADT^{event}^{kind}", f"EVN|{event}|{LATE}", PID, pv1, at=LATE))
    assert [(one.severity, one.code, one.where) for one in step.issues] == [("warning", "end-before-start", "PV1-45")]
    assert check(step.bundle or {}) == []
    (encounter,) = resources(step.bundle, "Encounter")
    assert encounter["status"] == ("cancelled" if event == "A11" else "finished")
    assert f"|{LATE}|{EARLY}" in to_hl7v2(step.bundle or {}).text


def test_the_time_of_a_discharge_before_the_admission_ends_no_visit_before_it_began() -> None:
    """EVN-6 stands for PV1-45 where that is empty, and only after PV1-44."""
    pv1 = f"{PV1}|||||||||||||||||||||||||{LATE}"
    bundle = to_fhir(message("ADT^A03^ADT_A03", f"EVN|A03|{LATE}||||{EARLY}", PID, pv1)).bundle
    assert check(bundle or {}) == []
    (encounter,) = resources(bundle, "Encounter")
    assert (encounter["status"], encounter["period"]) == ("finished", {"start": "2026-04-15T09:00:00-05:00"})


@pytest.mark.parametrize("backwards", [False, True])
def test_a_correction_that_starts_behind_the_end_takes_it_away_and_says_so(backwards: bool) -> None:
    """Whichever comes first: no segment is written that ends before it starts, and none has a total."""
    rxa = "RXA|0|1|{}|{}|6130^ketamine^RXN|54|mL^^UCUM|||||H1|1|mg/mL^^UCUM||||||{}"
    given = [
        message("RAS^O17^RAS_O17", PID, PV1, "ORC|RE|P-1^EHR|F-1^PHARM||IP", rxa.format(*cells), RXR, at=at)
        for at, cells in (
            ("20260414100000-0500", (EARLY, "20260414093000-0500", "CP|A")),
            ("20260414110000-0500", ("20260414094000-0500", "", "|U")),
        )
    ]
    told = [one.encode() for one in (reversed(given) if backwards else given)]
    steps = [step for step in ketafhir.iter_fhir(told) if not isinstance(step, Refused)]
    assert check(steps[1].bundle or {}) == []
    periods = [one["effectivePeriod"] for one in resources(steps[1].bundle, "MedicationAdministration")]
    assert periods == [{"start": "2026-04-14T09:40:00-05:00"}] * 2
    expected = "version-older" if backwards else "end-before-start"
    assert expected in [one.code for one in steps[1].issues]
