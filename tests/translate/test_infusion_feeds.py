"""Feeds of eMAR events that are legal and odd: corrections, order control alone, one minute, numbers and visits left out."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from ketafhir.translate.translation import to_fhir, to_hl7v2
from translate.infusion_feeds import PID, PV1, RXR, Held, message, orc, ras, rxa

START = ras(rxa(entered="1001"), sent="1001")


def test_a_segment_whose_start_was_mended_is_closed_under_its_new_start() -> None:
    mended = ras(rxa(start="1005", action="U", entered="1006"), sent="1006")
    closed = ras(rxa(start="1005", end="1105", outcome="CP", entered="1106"), sent="1106", status="CM")
    held = Held(START, mended, closed, START)
    assert held.refused == []
    assert (held.clocks(), held.status, held.total) == ([("10:05", "11:05")], "completed", 20)


def test_another_start_told_as_new_stays_refused_after_a_correction() -> None:
    mended = ras(rxa(start="1005", action="U", entered="1006"), sent="1006")
    held = Held(START, mended, ras(rxa(start="1007", entered="1107"), sent="1107"))
    assert held.refused == ["identity-collision"]


def test_a_correction_in_the_message_of_what_it_corrects() -> None:
    held = Held(ras(rxa(note="n^Note^L"), rxa(start="1005", action="U")))
    assert (held.refused, held.clocks()) == ([], [("10:05", "")])
    assert held.segments[0]["statusReason"][0]["coding"][0]["code"] == "n"


@pytest.mark.parametrize("number", range(6))
def test_a_deletion_counts_though_it_was_entered_with_the_time_of_what_it_deletes(number: int) -> None:
    deleted = ras(rxa(action="D", entered="1001"), sent="1030", control_id=f"D{number}")
    for feed in permutations((START, deleted)):
        held = Held(*feed)
        assert [one["status"] for one in held.segments] == ["entered-in-error"]


def test_a_correction_from_rate_to_amount_leaves_the_amount_alone() -> None:
    mended = ras(rxa(amount="36", unit="mg", per="", end="1040", outcome="CP", action="U"), sent="1045", status="CM")
    for feed in permutations((START, mended)):
        held = Held(*feed)
        (act,) = held.resources("MedicationAdministration", "bolus")
        assert set(act["dosage"]) == {"dose", "route"}
        assert held.total == 36


def test_a_deletion_tells_no_other_dose() -> None:
    held = Held(START, ras(rxa(amount="0", per="", action="D"), sent="1100"))
    assert held.segments[0]["dosage"]["rateRatio"]["numerator"]["value"] == 20
    assert "dose" not in held.segments[0]["dosage"]


def test_rate_zero_under_the_number_of_a_segment_never_erases_it() -> None:
    zero = ras(rxa(amount="0", end="1040", outcome="PA", action="U"), sent="1040", status="HD")
    for feed in permutations((START, zero)):
        assert Held(*feed).refused == ["rate-zero-of-segment"]
    assert Held(START, zero).segments[0]["dosage"]["rateRatio"]["numerator"]["value"] == 20


@pytest.mark.parametrize(
    ("control", "status", "outcome", "stands", "asked"),
    [
        ("HD", "", "PA", "on-hold", False),
        ("HD", "IP", "PA", "on-hold", False),
        ("RE", "HD", "PA", "on-hold", False),
        ("RE", "DC", "PA", "stopped", False),
        ("RE", "CM", "PA", "stopped", False),
        ("RE", "", "PA", "on-hold", True),
        ("RE", "CM", "CP", "completed", False),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_pause_and_stop(control: str, status: str, outcome: str, stands: str, asked: bool, own: bool) -> None:
    end = rxa(end="1030", outcome=outcome, action="U") if own else rxa("2", start="1030", amount="0", outcome=outcome)
    held = Held(START, ras(end, sent="1030", control=control, status=status))
    assert held.status == stands
    assert ("pause-or-stop" in held.codes) is asked
    assert held.clocks() == [("10:00", "10:30")]


@pytest.mark.parametrize(("status", "stands"), [("HD", "on-hold"), ("DC", "stopped")])
def test_of_an_event_that_only_ends_what_runs_the_order_says_how(status: str, stands: str) -> None:
    assert Held(START, ras(rxa("2", start="1030", amount="0", outcome="CP"), status=status)).status == stands


def test_an_end_that_nobody_told_is_not_invented() -> None:
    held = Held(ras(rxa(), status="CM"))
    assert "end" not in held.wholes[0]["effectivePeriod"]
    assert held.total is None


def test_a_segment_that_was_over_when_the_next_began_is_completed_and_comes_back_as_told() -> None:
    held = Held(ras(rxa(end="1030"), rxa("2", start="1030", end="1100", amount="30"), sent="1101", status="CM"))
    assert [one["status"] for one in held.segments] == ["completed", "completed"]
    assert held.codes == []
    text = to_hl7v2(held.bundle).text
    assert text is not None
    told = [line.split("|") for line in text.split("\r") if line.startswith("RXA")]
    assert [(one + [""] * 22)[20] for one in told] == ["", ""]


def test_what_starts_at_once_is_in_order_of_its_numbers() -> None:
    held = Held(ras(rxa("9"), rxa("10", amount="40"), rxa("11", start="1030", amount="0", outcome="PA"), status="DC"))
    by_number = {one["identifier"][0]["value"]: one["effectivePeriod"]["end"][11:16] for one in held.segments}
    assert by_number == {"0-9": "10:00", "0-10": "10:30"}
    assert (held.status, held.total) == ("stopped", 20)


def test_stop_and_start_within_one_minute_is_running() -> None:
    held = Held(ras(rxa(), rxa("2", start="1030", amount="0"), rxa("3", start="1030", amount="30")))
    assert held.status == "in-progress"
    assert held.clocks() == [("10:00", "10:30"), ("10:30", "")]


def test_start_and_stop_within_one_minute_is_over() -> None:
    held = Held(ras(rxa(), rxa("2", amount="0", outcome="PA"), status="DC"))
    assert (held.status, held.clocks()) == ("stopped", [("10:00", "10:00")])


def test_an_infusion_told_without_visit_is_of_the_one_visit_that_joined_it() -> None:
    def later(number: str, start: str, *visit: str) -> bytes:
        return ras(rxa(number, start=start), sent=start, head=(PID, *visit))

    held = Held(
        later("1", "1000"), later("2", "1030", PV1), later("3", "1100", PV1.replace("V9", "V10")), later("4", "1130")
    )
    assert held.refused == ["visit-ambiguous"]
    assert [one["context"]["reference"] for one in held.wholes if "context" in one] != []
    assert len(held.wholes) == 2


def test_every_number_of_an_order_is_on_all_its_administrations() -> None:
    told = (
        ras(rxa(), sent="1000", filler=""),
        ras(rxa("2", start="1030"), sent="1030"),
        ras(rxa("3", start="1100"), sent="1100", placer=""),
    )
    held = Held(*told)
    for one in held.resources("MedicationAdministration"):
        assert {"P1", "F1"} <= {each["value"] for each in one["identifier"]}
    text = to_hl7v2(held.bundle).text
    assert text is not None
    assert text.count("\rORC|") == 1


def order(weight: str, dose: str = "36||mg") -> bytes:
    rxe = f"RXE||6130^ketamine^RXN|{dose}||||||||||||||||||54|mL/h|1|mg/mL"
    time = "TQ1|1||||||20260302100000+0100"
    obx = f"OBX|1|NM|{weight}|||||F|||20260302094500+0100"
    return message(PID, PV1, orc("NW"), rxe, time, RXR, obx, kind="RDE^O11^RDE_O11", sent="0950")


@pytest.mark.parametrize(
    ("weight", "total"),
    [
        ("29463-7^Body weight^LN||72|kg", Decimal(36)),
        ("68063^MDC_ATTR_PT_WEIGHT^MDC||72|kg", Decimal(36)),
        ("29463-7^Body weight^LN||72000|g", Decimal(36)),
        ("29463-7^Body weight^LN||160|[lb_av]", Decimal("36.287")),
        ("29463-7^Body weight^LN||72|stone", None),
    ],
)
def test_a_rate_by_weight_adds_up_with_the_weight_of_the_order(weight: str, total: Decimal | None) -> None:
    run = ras(rxa(amount="12.5", unit="ug/kg", per="M1", strength="|", end="1040", outcome="CP"), status="CM")
    held = Held(order(weight), run)
    assert held.total == total


def test_a_dose_by_weight_that_was_not_reached_is_stopped() -> None:
    weight = "29463-7^Body weight^LN||72|kg"
    for amount, stands in (("27", "stopped"), ("54", "completed")):
        run = ras(rxa(amount=amount, end="1040", outcome="CP"), status="CM")
        assert Held(order(weight, dose="0.5||mg/kg"), run).status == stands


def test_a_date_without_clock_is_no_time_to_sum_over() -> None:
    run = ras(rxa(end="1040", outcome="CP").replace("20260302100000+0100", "20260302"), status="CM")
    assert Held(run).total is None


def test_what_was_preserved_of_an_earlier_version_stays() -> None:
    start = ras(rxa(entered="1001"), "ZPM|1|Pump 7", sent="1001")
    closed = ras(rxa(end="1030", outcome="CP", action="U", entered="1030"), sent="1030", status="CM")
    for feed in permutations((start, closed)):
        assert "ZPM" in str(Held(*feed).segments)


@pytest.mark.parametrize("per", ["H1", ""])
def test_less_than_nothing_is_never_given(per: str) -> None:
    assert Held(ras(rxa(amount="-5", per=per))).refused == ["number-negative"]


@pytest.mark.parametrize("strength", ["500|mg", "5|%"])
def test_a_strength_that_is_no_concentration_is_preserved(strength: str) -> None:
    held = Held(ras(rxa(strength=strength)))
    assert held.refused == []
    assert f"|{strength}|" in (to_hl7v2(held.bundle).text or "")


def test_a_field_that_a_row_reads_and_cannot_take_is_accounted_for_as_preserved() -> None:
    told = to_fhir(ras(rxa(strength="500|mg")))
    assert {one.where: one.fate for one in told.losses if one.where in ("RXA-13", "RXA-14", "RXA-6")} == {
        "RXA-6": "mapped", "RXA-13": "preserved", "RXA-14": "preserved",
    }  # fmt: skip


def test_what_stands_beside_an_event_that_only_ends_what_runs_comes_back_with_it() -> None:
    volume = "OBX|1|NM|segment-volume^Volume delivered in the segment^99KETA||10|mL|||||F|||20260302103000+0100"
    stop = message(
        PID, PV1, orc(status="HD"), rxa("2", start="1030", amount="0", outcome="PA"),
        "RXR|IV^Intravenous^HL70162|RLFA", "NTE|1||felt sick", volume, sent="1030",
    )  # fmt: skip
    resumed = ras(rxa("3", start="1100"), sent="1100")
    held = Held(START, stop, resumed)
    known = {entry["fullUrl"] for entry in held.bundle["entry"]}
    (observation,) = held.resources("Observation")
    assert observation["partOf"][0]["reference"] in known  # else the server refuses the whole message
    lines = (to_hl7v2(held.bundle).text or "").split("\r")
    place = next(at for at, line in enumerate(lines) if line.startswith("RXA|0|2|"))
    assert [line[:8] for line in lines[place + 1 : place + 4]] == ["RXR|IV^I", "OBX|1|TX", "OBX|2|NM"]


def test_segments_of_an_administration_that_no_table_maps_come_back() -> None:
    beside = ("RXR|IV", "RXR|IM", "PRT||DE||AP|RN1^Nurse", "PRT||AD||AC|RN2^Nurse", "ZPM|1|Pump 7", "ZPM|2|Pump 8")
    held = Held(message(PID, PV1, orc(), rxa(), *beside))
    text = to_hl7v2(held.bundle, version="2.7").text or ""
    assert [line for line in text.split("\r") if line in beside] == list(beside)
    unasked = to_hl7v2(held.bundle)  # 2.5.1 has no PRT
    assert "PRT" in {one.where for one in unasked.issues if one.code == "version-loss"}
    assert "\rPRT" not in unasked.text


@pytest.mark.parametrize(("version", "events"), [("2.3", "O01"), ("2.3.1", "O01"), ("2.3", "O17"), ("2.8.2", "O17")])
def test_the_pharmacy_messages_of_each_version(version: str, events: str) -> None:
    told = message(PID, PV1, orc(), rxa(), RXR, kind=f"RAS^{events}", version=version)
    assert Held(told).status == "in-progress"
    rde = message(PID, PV1, orc("NW"), "RXE||6130^ketamine^RXN|36||mg", RXR, kind="RDE^O01", version=version)
    assert len(Held(rde).resources("MedicationRequest")) == 1


def test_what_stood_before_the_patient_comes_back_there() -> None:
    ours = "ZMH|top|x"
    lines = (to_hl7v2(Held(message(ours, PID, PV1, orc(), rxa(), RXR)).bundle).text or "").split("\r")
    assert lines[1] == ours
    told = message("EVN|A04|20260302090000+0100|||OP|20260302085900+0100", ours, PID, PV1, kind="ADT^A04^ADT_A01")
    lines = (to_hl7v2(Held(told).bundle).text or "").split("\r")
    assert lines[1:3] == ["EVN|A04|20260302090000+0100|||OP|20260302085900+0100", ours]


def test_waste_told_before_its_order_is_tied_to_it_when_it_comes() -> None:
    wasted = message(
        PID, PV1, orc(), rxa(end="1040", outcome="CP"), RXR,
        "OBX|1|NM|waste-amount^Amount of drug wasted^99KETA|1|3|mg|||||F|||20260302114000+0100", sent="1141",
    )  # fmt: skip
    held = Held(wasted, order("29463-7^Body weight^LN||72|kg"))
    (waste,) = held.resources("MedicationAdministration", "waste")
    assert "reference" in waste["request"]


def test_msh_7_is_the_newest_event_also_of_what_still_runs() -> None:
    held = Held(START, ras(rxa("2", start="1030"), sent="1031"))
    assert (to_hl7v2(held.bundle).text or "").split("|")[6] == "20260302103000+0100"
