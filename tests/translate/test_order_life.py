"""The life of an order: what each order control does, what an ORC alone does, and laws that hold for any sequence."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.therapy.fold import History
from ketafhir.therapy.lifecycle import CONFIRMS, ENDED, LEADS, REFUSES
from ketafhir.therapy.settled import settle
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_hl7v2

RXE = "RXE||6130^ketamine^RXNORM|120||mg^^UCUM||||||||||||||||||20|mL/h^^UCUM|1|mg/mL^^UCUM"
PID = "PID|1||SYN-1^^^WILLOW^MR"
CONTROLS = default().tables.code_map("request-control").v2_to_domain


def message(
    orc: str, *segments: str, at: int = 0, kind: str = "RDE^O11^RDE_O11", pid: str = PID, more: str = ""
) -> str:
    time = f"20260414{8 + at // 60:02}{at % 60:02}00-0500"
    msh = f"MSH|^~\\&|PHARM|WILLOW|||{time}||{kind}|M{at}|P|2.5.1"
    return "\r".join(one for one in (msh, pid, orc, *segments) if one) + "\r"


def whole(control: str, at: int, *, status: str = "", rate: str = "20") -> str:
    return message(f"ORC|{control}|P-1^EHR|F-1^PHARM||{status}", RXE.replace("|20|", f"|{rate}|"), at=at)


def alone(
    control: str, at: int, *, status: str = "", kind: str = "ORM^O01^ORM_O01", numbers: str = "P-1^EHR|F-1^PHARM"
) -> str:
    return message(f"ORC|{control}|{numbers}||{status}", at=at, kind=kind)


def take(*texts: str) -> tuple[Session, list[Step]]:
    session = Session(default())
    return session, [session.take(parse(text)) for text in texts]


def requests(step: Step) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in step.bundle["entry"]]
    return [one for one in found if one["resourceType"] == "MedicationRequest"]


def codes(step: Step) -> list[str]:
    return [issue.code for issue in step.issues]


def state_of(session: Session) -> str:
    (order,) = settle(session.history).orders.values()
    assert order.state is not None
    return order.state.standing


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ("NW HD", "on-hold"), ("NW HD RL", "active"), ("NW OH OE", "active"), ("NW HD HR OR", "active"),
        ("NW HD UH", "active"), ("NW HD RL UR", "on-hold"), ("NW HD XO", "on-hold"), ("NW HD RE", "on-hold"),
        ("NW DC", "stopped"), ("NW DC UD", "active"), ("NW HD DC UD", "on-hold"), ("NW DC DR UD", "stopped"),
        ("NW DC OD RL", "stopped"), ("NW OD NW", "stopped"), ("NW CA", "cancelled"), ("NW CA UC", "active"),
        ("NW CA CR UC", "cancelled"), ("NW OC XO", "cancelled"), ("NW UA", "cancelled"), ("NW UA OK", "cancelled"),
        ("NW RP", "stopped"), ("NW RP UM", "active"), ("NW RP RQ UM", "stopped"), ("NW RU", "stopped"),
        ("NW OK", "active"), ("SN NA", "active"), ("NW FU", "active"), ("NW HD FU", "on-hold"), ("NW RF AF", "active"),
        ("NW HD UD", "on-hold"), ("NW HD UH UH", "active"), ("NW HD HD UH", "on-hold"), ("NW SC", "active"), ("PA", "active"),
    ],
)  # fmt: skip
def test_what_a_sequence_of_order_controls_makes(controls: str, expected: str) -> None:
    session, _ = take(*(whole(control, at) for at, control in enumerate(controls.split())))
    assert state_of(session) == expected


def test_every_effect_of_the_code_map_is_known_to_the_lifecycle() -> None:
    effects = set(CONTROLS.values())
    assert effects >= LEADS.keys() | CONFIRMS.keys() | REFUSES.keys()
    assert effects - LEADS.keys() - CONFIRMS.keys() - REFUSES.keys() == {
        "placed",
        "replacement",
        "child",
        "change",
        "stands",
    }
    leads = default().tables.code_map("request-control").domain_to_fhir
    assert {effect: leads[effect] for effect in LEADS} == LEADS


def test_the_documentation_shows_the_code_map() -> None:
    """docs/mapping.md, The life of an order: each control in one row, with what it leads to."""
    text = (Path(__file__).parents[2] / "docs/mapping.md").read_text("utf-8")
    part = text.partition("### The life of an order")[2].partition("### ")[0]
    rows = [line.split("|")[1:-1] for line in part.splitlines() if re.match(r"\| (?:[A-Z]{2} )+\|", line)]
    told = {control: status.strip() for controls, _, status in rows for control in controls.split()}
    assert told.keys() == CONTROLS.keys()
    for control, effect in CONTROLS.items():
        if effect in LEADS:
            assert told[control] == f"`{LEADS[effect]}`", control
        elif effect in REFUSES:
            assert told[control] == "as if it had never been made", control
        else:
            assert "as it stands" in told[control], control


def test_the_order_status_goes_before_the_control() -> None:
    session, steps = take(whole("NW", 0), whole("SC", 1, status="CM"))
    assert state_of(session) == "completed"
    assert requests(steps[1])[0]["status"] == "completed"


def test_an_end_is_told_where_it_is_passed_over() -> None:
    session, steps = take(whole("NW", 0), whole("OD", 1), whole("XO", 2, status="IP"))
    assert state_of(session) == "stopped"
    assert "order-ended" in codes(steps[2])
    request = requests(steps[2])[0]
    assert request["status"] == "stopped"
    assert [one["valueCode"] for one in request["_status"]["extension"]] == ["XO", "DC"]


def test_a_refused_change_changes_nothing() -> None:
    session, steps = take(whole("NW", 0), whole("XO", 1, rate="30"), alone("UX", 2))
    (order,) = settle(session.history).orders.values()
    assert order.rate is not None
    assert order.rate.value == 20
    assert requests(steps[1])[0]["dosageInstruction"][0]["doseAndRate"][0]["rateQuantity"]["value"] == 30
    assert requests(steps[2])[0]["dosageInstruction"][0]["doseAndRate"][0]["rateQuantity"]["value"] == 20


def test_an_orc_alone_changes_the_status_and_renders_the_order_whole() -> None:
    _, (first, second) = take(whole("NW", 0), alone("HD", 1))
    before, after = requests(first)[0], requests(second)[0]
    assert (before["status"], after["status"]) == ("active", "on-hold")
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {"status", "meta"} - ({"meta"} if before["meta"] == after["meta"] else set()) | (
        {"_status"} if "_status" in before or "_status" in after else set()
    )
    patient = [entry for entry in second.bundle["entry"] if entry["resource"]["resourceType"] == "Patient"]
    assert [entry["request"]["method"] for entry in patient] == ["POST"]


def test_an_orc_alone_of_an_unknown_order_is_refused_by_its_number() -> None:
    for kind in ("ORM^O01^ORM_O01", "RDE^O11^RDE_O11", "OMP^O09^OMP_O09", "RRE^O12^RRE_O12"):
        with pytest.raises(Refused) as caught:
            take(alone("CA", 0, kind=kind))
        assert [(issue.code, issue.hl7) for issue in caught.value.issues] == [("order-not-known", "204")]


def test_a_whole_order_may_begin_with_its_end() -> None:
    session, (step,) = take(whole("CA", 0))
    assert state_of(session) == "cancelled"
    assert codes(step) == ["target-unknown"]


def test_a_new_order_needs_what_is_ordered() -> None:
    for control in ("NW", "RO", "XO", "CH"):
        with pytest.raises(Refused) as caught:
            take(whole("NW", 0), alone(control, 1))
        assert caught.value.issues[0].code == "segment-missing"


def test_an_answer_joins_the_number_of_the_filler() -> None:
    placed = message("ORC|NW|P-1^EHR", "RXO|6130^ketamine^RXNORM|120||mg", kind="OMP^O09^OMP_O09")
    msa = "MSA|AA|M1"
    answer = message("ORC|OK|P-1^EHR|F-1^PHARM", at=1, kind="ORP^O10^ORP_O10", pid="").replace("\rORC", f"\r{msa}\rORC")
    by_filler = message("ORC|OH||F-1^PHARM", at=2, kind="ORM^O01^ORM_O01")
    session, (_, second, third) = take(placed, answer, by_filler)
    assert [one["value"] for one in requests(second)[0]["identifier"]] == ["P-1", "F-1"]
    assert requests(second)[0]["subject"]["reference"].startswith("urn:uuid:")
    assert {entry["fullUrl"] for entry in second.bundle["entry"]} >= {requests(second)[0]["subject"]["reference"]}
    assert requests(third)[0]["status"] == "on-hold"
    assert state_of(session) == "on-hold"


def test_an_answer_that_was_not_accepted_tells_only_what_is_refused() -> None:
    placed = whole("NW", 0)

    def answer(control: str) -> str:
        text = message(f"ORC|{control}|P-1^EHR|F-1^PHARM", at=1, kind="RRE^O12^RRE_O12")
        return text.replace("\rPID", "\rMSA|AE|M1\rPID")

    session, steps = take(placed, answer("OK"))
    assert (state_of(session), codes(steps[1]), requests(steps[1])) == ("active", ["answer-without-effect"], [])
    session, _ = take(placed, answer("UA"))
    assert state_of(session) == "cancelled"


def test_an_answer_without_order_writes_nothing() -> None:
    text = message("", kind="RRE^O12^RRE_O12", pid="").replace("2.5.1\r", "2.5.1\rMSA|AA|M1\r")
    _, (step,) = take(text)
    assert (step.bundle.get("entry", []), step.issues) == ([], [])


def test_a_laboratory_order_is_not_translated() -> None:
    text = message("ORC|NW|P-1^EHR", "OBR|1|P-1^EHR||24323-8^CMP^LN", kind="ORM^O01^ORM_O01")
    with pytest.raises(Refused) as caught:
        take(text)
    assert [(issue.code, issue.hl7) for issue in caught.value.issues] == [("unsupported-message", "200")]
    with pytest.raises(Refused):
        take(text.replace("\rOBR", "\rRXO|6130^ketamine^RXNORM|120||mg\rOBR"))


def test_a_child_is_based_on_its_parent_and_comes_back() -> None:
    child = message("ORC|CH|P-9^EHR|F-9^PHARM|||||P-1&EHR^F-1&PHARM", RXE, at=1)
    _, (first, second) = take(whole("NW", 0), child)
    (reference,) = requests(second)[0]["basedOn"]
    assert reference["reference"] == f"MedicationRequest/{requests(first)[0]['id']}"
    assert reference["identifier"]["value"] == "P-1"
    assert "ORC|CH|P-9^EHR|F-9^PHARM|||||P-1&EHR^F-1&PHARM\r" in to_hl7v2(second.bundle).text


@pytest.mark.parametrize("control", ["RP", "RQ", "RU"])
def test_a_replacement_names_the_order_that_it_stands_for(control: str) -> None:
    old, new = f"ORC|{control}|P-1^EHR|F-1^PHARM", "ORC|RO|P-2^EHR|F-2^PHARM"
    told = message(old, new, RXE, at=1)
    by_number = message("ORC|RO|P-3^EHR||||||P-2&EHR", RXE, at=2)
    session, (_, second, third) = take(whole("NW", 0), told, by_number)
    assert [(one["identifier"][0]["value"], one["status"]) for one in requests(second)] == [
        ("P-2", "active"),
        ("P-1", "stopped"),
    ]
    assert [one["priorPrescription"]["identifier"]["value"] for one in (*requests(second)[:1], *requests(third))] == [
        "P-1",
        "P-2",
    ]
    assert all("reference" in one["priorPrescription"] for one in (*requests(second)[:1], *requests(third)))
    assert "ORC|RO|P-2^EHR|F-2^PHARM|||||P-1&EHR\r" in to_hl7v2(second.bundle).text
    orders = settle(session.history).orders.values()
    assert {one.placer.value: one.replaces.value for one in orders if one.placer and one.replaces} == {
        "P-2": "P-1",
        "P-3": "P-2",
    }


def test_the_reason_is_told_with_the_status() -> None:
    held = message("ORC|HD|P-1^EHR|F-1^PHARM|||||||||||||BP^Blood pressure^L", at=1, kind="ORM^O01^ORM_O01")
    _, (_, step, later) = take(whole("NW", 0), held, whole("XO", 2))
    assert requests(step)[0]["statusReason"]["coding"][0]["display"] == "Blood pressure"
    assert requests(later)[0]["statusReason"]["coding"][0]["display"] == "Blood pressure"
    assert requests(later)[0]["status"] == "on-hold"


def test_both_parts_of_an_order_stand_alike() -> None:
    placed = message("ORC|NW|P-1^EHR", "RXO|6130^ketamine^RXNORM|120||mg", kind="OMP^O09^OMP_O09")
    _, (*_, last) = take(placed, whole("NW", 1), alone("OD", 2))
    assert [(one["intent"], one["status"]) for one in requests(last)] == [
        ("original-order", "stopped"), ("filler-order", "stopped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("H1|20|mL^^UCUM", "20 mL/h"), ("M40|36|mg^^UCUM", "0.9 mg/min"), ("H4|120|mg", "30 mg/h"),
        ("H1|20|263762^MDC_DIM_MILLI_L^MDC", "20 mL/h"), ("|20|mL/h", "20 mL/h"), ("M1|0.1|ug/kg", "0.1 ug/kg/min"),
    ],
)  # fmt: skip
def test_a_rate_is_an_amount_per_time_unit_or_whole(cells: str, expected: str) -> None:
    rxe = f"RXE||6130^ketamine^RXNORM|120||mg^^UCUM|||||||||||||||||{cells}"
    rxo = f"RXO|6130^ketamine^RXNORM|120||mg^^UCUM|||||||||||||{cells.split('|')[0]}||||{cells.partition('|')[2]}"
    for kind, detail in (("RDE^O11^RDE_O11", rxe), ("OMP^O09^OMP_O09", rxo)):
        _, (step,) = take(message("ORC|NW|P-1^EHR|F-1^PHARM", detail, kind=kind))
        dosage = requests(step)[0]["dosageInstruction"][0]
        rate = dosage["doseAndRate"][0]["rateQuantity"]
        assert f"{rate['value']} {rate['code']}" == expected
        assert "timing" not in dosage


@pytest.mark.parametrize("cells", ["|20|mL", "T1|20|mL", "M7|1|mL", "H1|-20|mL"])
def test_what_makes_no_rate_is_refused(cells: str) -> None:
    with pytest.raises(Refused):
        take(message("ORC|NW|P-1^EHR", f"RXE||6130^ketamine^RXNORM|120||mg^^UCUM|||||||||||||||||{cells}"))


EVENTS = st.lists(
    st.tuples(st.sampled_from(sorted(CONTROLS)), st.booleans(), st.sampled_from(["", "", "IP", "HD", "DC", "CM"])),
    min_size=1,
    max_size=6,
)


def feed(events: list[tuple[str, bool, str]]) -> list[str]:
    """A whole NW, and after it what was drawn, whole or as an ORC alone."""
    texts = [whole("NW", 0)]
    for at, (control, bare, status) in enumerate(events, 1):
        bare = bare and CONTROLS[control] not in ("placed", "replacement", "change", "child")
        texts.append(
            alone(control, at, status=status) if bare else whole(control, at, status=status, rate=str(20 + at))
        )
    return texts


@settings(max_examples=120, deadline=None)
@given(EVENTS)
def test_nothing_begins_again_but_by_a_refusal(events: list[tuple[str, bool, str]]) -> None:
    session = Session(default())
    state = ""
    for text, (control, _, status) in zip(feed(events), [("NW", False, ""), *events], strict=True):
        session.take(parse(text))
        now = state_of(session)
        refusal = CONTROLS[control] in REFUSES
        assert state not in ENDED or now == state or refusal, (state, now, control, status)
        state = now


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.randoms())
def test_the_order_of_arrival_does_not_matter(events: list[tuple[str, bool, str]], random: Any) -> None:
    texts = feed(events)
    session, _ = take(*texts)
    first, *rest = texts  # what is alone needs the order before it
    random.shuffle(rest)
    again, _ = take(first, *rest, *rest[:2])
    assert settle(again.history).orders == settle(session.history).orders


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["hold", "cancel", "discontinue", "replace", "change"]), EVENTS)
def test_a_refused_request_leaves_no_trace_in_the_state(kind: str, events: list[tuple[str, bool, str]]) -> None:
    request = next(code for code, effect in CONTROLS.items() if effect == kind)
    refusal = next(code for code, effect in CONTROLS.items() if REFUSES.get(effect) == kind)
    texts = feed(events)
    at = len(texts)
    before, _ = take(*texts)
    after, _ = take(*texts, whole(request, at, rate="77"), alone(refusal, at + 1))
    assert state_of(after) == state_of(before)
    (order,) = settle(after.history).orders.values()
    assert order.rate is not None
    assert order.rate.value != 77


def test_all_arrivals_of_a_short_life() -> None:
    texts = [whole("NW", 0), whole("HD", 1), whole("DC", 2), whole("UD", 3), whole("RL", 4)]
    states = set()
    for one in permutations(texts):
        session, _ = take(*one)
        states.add(state_of(session))
    assert states == {"active"}


def test_histories_are_kept_and_read_again() -> None:
    from ketafhir.therapy.asjson import dump_history, load_history

    session, _ = take(whole("NW", 0), alone("HD", 1))
    json = dump_history(session.history)
    assert settle(load_history(json)) == settle(session.history)
    del json["ordered"]
    older: History = load_history(json)
    assert settle(older) == settle(session.history)
