"""The consistency checks C1 to C13 on published numbers, exact."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from ketafhir import data
from ketafhir.errors import TableError
from ketafhir.mapping import limits as limits_of
from ketafhir.plain import replace
from ketafhir.therapy import checks, measures, vials, volumes
from ketafhir.therapy.checks import Program
from ketafhir.therapy.values import Quantity, Rate, Time
from ketafhir.therapy.vials import Draw
from ketafhir.therapy.volumes import Reading, Segment

LIMITS = limits_of.load(data.file("mappings"))
DAY = 1_776_124_800  # 2026-04-14T00:00Z


def q(text: str) -> Quantity:
    number, unit = text.split()
    return Quantity(Decimal(number), unit)


def clock(text: str) -> Decimal:
    hours, minutes = text.split(":")
    return Decimal(DAY + int(hours) * 3600 + int(minutes) * 60)


def segment(start: str, end: str, rate: int) -> Segment:
    return Segment(clock(start), clock(end), Fraction(rate))


STORY = [
    segment("9:00", "9:30", 20),
    segment("9:30", "10:30", 30),
    segment("10:30", "11:12", 40),
    segment("11:42", "13:30", 24),
]
WITHOUT_PAUSE = [*STORY[:2], segment("10:30", "11:42", 40), STORY[3]]


def test_vector_1_mood_infusion() -> None:
    kg, per, dose = q("72 kg"), q("1 mg/mL"), q("0.5 mg/kg")
    assert measures.milligrams(dose, kg) == 36
    assert measures.millilitres(dose, kg, per) == 36
    rate = Rate(q("36 mg"), q("40 min"))
    assert measures.milligrams_per_hour(rate) == 54
    assert measures.millilitres_per_hour(rate, kg, per) == 54
    assert measures.milligrams_per_hour(q("12.5 ug/kg/min"), kg) == 54
    assert measures.milligrams_per_hour(q("0.75 mg/kg/h"), kg) == 54
    assert checks.order(q("54 mL/h"), dose, q("40 min"), LIMITS, weight=kg, per=per) is None
    assert checks.protocol(None, dose, q("40 min"), LIMITS, weight=kg, per=per) == []


def test_vector_2_pain_infusion() -> None:
    kg, per = q("80 kg"), q("1 mg/mL")
    assert measures.milligrams_per_hour(q("0.35 mg/kg/h"), kg) == 28
    assert measures.millilitres_per_hour(q("0.35 mg/kg/h"), kg, per) == 28
    assert measures.milligrams(q("112 mL"), kg, per) == 112
    assert checks.protocol(q("28 mL/h"), q("112 mg"), q("4 h"), LIMITS, weight=kg, per=per) == []


def test_vector_3_four_rates_and_a_pause() -> None:
    assert volumes.delivered(STORY, clock("14:00")) == Fraction("111.2")
    assert measures.milligrams(q("1.39 mg/kg"), q("80 kg")) == Fraction("111.2")
    assert sum(Fraction(one.end - one.start) for one in STORY if one.end) / 60 == 240
    assert Fraction(clock("13:30") - clock("09:00")) / 60 == 270
    assert volumes.volume(STORY, Reading(clock("13:30"), Fraction("111.2")), LIMITS) is None


def test_vector_4_a_lost_pause_is_named() -> None:
    told = Reading(clock("13:30"), Fraction("111.2"))
    found = volumes.volume(WITHOUT_PAUSE, told, LIMITS)
    assert found
    assert (found.check, found.code) == ("C6", "volume-unreconciled")
    assert "the pump tells 111.2 mL, rate and time give 131.2 mL" in found.text
    assert "a missed pause of 30 min at 40 mL/h or" in found.text
    between = [Reading(clock("10:30"), Fraction(40)), Reading(clock("11:42"), Fraction(68))]
    found = volumes.volume(WITHOUT_PAUSE, between[1], LIMITS, earlier=[between[0]])
    assert found
    assert found.text.endswith("; a missed pause of 30 min at 40 mL/h would explain it")


def test_vectors_5_and_6_concentration() -> None:
    label = q("1 mg/mL")
    assert checks.concentration(label, q("500 mg"), q("510 mL"), LIMITS) is None
    found = checks.concentration(label, q("250 mg"), q("50 mL"), LIMITS)
    assert found
    assert (found.check, found.code, found.level) == ("C1", "conc-mismatch", "stop")
    assert found.text == "1 mg/mL is told, 250 mg in 50 mL are 5 mg/mL (+400 %)"
    narrow = replace(LIMITS, concentration_ok=Decimal(1))
    found = checks.concentration(label, q("500 mg"), q("510 mL"), narrow)
    assert found
    assert found.text == "1 mg/mL is told, 500 mg in 510 mL are 0.98 mg/mL (-1.96 %)"
    found = checks.concentration(label, q("103 mg"), q("100 mL"), LIMITS)
    assert found
    assert found.level == "warning"


@pytest.mark.parametrize(
    ("kg", "dose", "told", "needed", "percent", "level"),
    [
        ("45 kg", "0.3 mg/kg/h", "11.8 mL/h", "6.75", "+74.81 %", "stop"),
        ("95 kg", "0.2 mg/kg/h", "9.8 mL/h", "9.5", "+3.16 %", "warning"),
        ("85 kg", "0.3 mg/kg/h", "12.3 mL/h", "12.75", "-3.53 %", "warning"),
    ],
)
def test_vectors_7_and_8_rate_tables(kg: str, dose: str, told: str, needed: str, percent: str, level: str) -> None:
    found = checks.order(q(told), q(dose), None, LIMITS, weight=q(kg), per=q("2 mg/mL"))
    assert found
    assert (found.check, found.code, found.level) == ("C2", "order-inconsistent", level)
    assert found.text == f"{told} is told, {dose} needs {needed} mL/h ({percent})"


def test_vector_9_pounds() -> None:
    found = checks.weight(q("165 kg"), q("74.8 kg"), LIMITS)
    assert found
    assert (found.check, found.code, found.level) == ("C4", "weight-suspect", "stop")
    assert found.text == "a dosing weight of 165 kg, last measured 74.8 kg (+120.59 %): lb entered as kg?"
    assert measures.milligrams(q("0.5 mg/kg"), q("165 kg")) == Fraction("82.5")
    assert measures.milligrams(q("0.5 mg/kg"), q("74.8 kg")) == Fraction("37.4")
    found = checks.weight(q("80 kg"), q("70 kg"), LIMITS)
    assert found
    assert found.level == "warning"
    found = checks.weight(q("90 kg"), q("70 kg"), LIMITS)
    assert found
    assert found.level == "stop"
    assert checks.weight(q("77 kg"), q("70 kg"), LIMITS) is None


def test_vector_10_mcg_per_kg_and_minute() -> None:
    rate, kg = q("10 ug/kg/min"), q("70 kg")
    assert measures.milligrams_per_hour(rate, kg) == 42
    assert measures.millilitres_per_hour(rate, kg, q("2 mg/mL")) == 21


def test_vector_11_volume_over_time() -> None:
    found = checks.order(q("75 mL/h"), q("100 mL"), q("60 min"), LIMITS)
    assert found
    assert (found.check, found.level) == ("C2", "stop")
    assert found.text == "75 mL/h is told, 100 mL needs 100 mL/h (-25 %)"
    (of_pump,) = checks.pump(Program(rate=Rate(q("100 mL"), q("60 min"))), Program(rate=q("75 mL/h")), LIMITS)
    assert (of_pump.check, of_pump.code) == ("C5", "pump-order-mismatch")
    assert of_pump.text == "the rate of the order is 100 mL/h, of the pump 75 mL/h"


def test_vector_12_high_rates() -> None:
    kg = q("80 kg")
    (found,) = checks.protocol(q("2 mg/kg/h"), None, None, LIMITS, weight=kg)
    assert (found.check, found.code, found.level) == ("C3", "needs-intensive-monitoring", "warning")
    assert found.text == "2 mg/kg/h (160 mg/h) is above 1 mg/kg/h"
    (found,) = checks.protocol(q("7 mg/kg/h"), None, None, LIMITS, weight=kg)
    assert (found.code, found.level) == ("dose-out-of-protocol", "stop")
    assert found.text.startswith("7 mg/kg/h (560 mg/h)")
    assert found.issue(to_pump=True).severity == "error"
    assert found.issue().severity == "warning"


def test_vector_13_hydrochloride() -> None:
    base, found = checks.base_strength(q("115.33 mg/mL"), LIMITS)
    assert base == 100
    assert found
    assert (found.check, found.code) == ("C11", "unit-suspect")
    assert checks.base_strength(q("100 mg/mL"), LIMITS) == (100, None)
    assert checks.base_strength(q("57.67 mg/mL"), LIMITS)[0] == 50
    assert checks.base_strength(q("11.53 mg/mL"), LIMITS)[0] == 10
    assert checks.base_strength(q("2 mg/mL"), LIMITS) == (2, None)


def test_vector_14_the_night_the_clocks_change() -> None:
    start, end = Time("2026-11-01T01:40:00-05:00"), Time("2026-11-01T01:20:00-06:00")
    assert volumes.minutes(start, end) == 40
    assert volumes.overlap([(start, end), (end, None)]) is None
    found = volumes.overlap([(start, end), (Time("2026-11-01T01:10:00-06:00"), None)])
    assert found
    assert (found.check, found.code) == ("C8", "segment-overlap")


def test_vector_15_below_the_guideline() -> None:
    (found,) = checks.protocol(None, q("0.5 mg/kg"), q("2 h"), LIMITS, weight=q("70 kg"))
    assert (found.code, found.level, found.issue(to_pump=True).severity) == (
        "below-guideline-minimum", "information", "information",
    )  # fmt: skip
    assert found.text == "35 mg over 120 min; the guideline suggests 80 mg or more"


def test_vector_16_within_the_margin() -> None:
    assert volumes.volume(STORY, Reading(clock("13:30"), Fraction("111.0")), LIMITS) is None
    apart = volumes.volume(STORY, Reading(clock("13:30"), Fraction("108.9")), LIMITS)
    assert apart
    assert "108.9 mL" in apart.text


def test_vector_17_ledger() -> None:
    draws = [Draw("V1", "K1", Fraction(500), Fraction(250)), Draw("V1", "K1", Fraction(500), Fraction(260))]
    (found,) = vials.ledger(draws)
    assert (found.check, found.code) == ("C10", "ledger-negative")
    assert found.text == "260 mg drawn of vial V1 that held 250 mg: a balance of -10 mg"
    assert vials.ledger(draws[:1]) == []
    (found,) = vials.ledger([draws[0], Draw("V1", "K2", Fraction(500), Fraction(1))])
    assert "lot K2" in found.text


def test_a_titrated_order_may_need_more_than_its_start_rate() -> None:
    told, dose, over = q("20 mL/h"), q("120 mg"), q("240 min")
    assert checks.order(told, dose, over, LIMITS, per=q("1 mg/mL"), highest=q("40 mL/h")) is None
    assert checks.order(told, dose, over, LIMITS, per=q("1 mg/mL"), highest=q("25 mL/h"))


def test_pump_program_against_order() -> None:
    per, kg = q("1 mg/mL"), q("72 kg")
    ordered = Program("p", "ketamine", per, q("0.75 mg/kg/h"), q("36 mL"), kg)
    assert checks.pump(ordered, Program("p", "ketamine", per, q("54 mL/h"), q("36 mL"), kg), LIMITS) == []
    wrong = Program("q", "morphine", q("2 mg/mL"), q("60 mL/h"), q("50 mL"), q("80 kg"))
    assert [one.text.split(" of the order")[0] for one in checks.pump(ordered, wrong, LIMITS)] == [
        "the patient", "the drug", "the concentration", "the rate", "the VTBI", "the weight",
    ]  # fmt: skip
    assert checks.pump(Program(), wrong, LIMITS) == []


def test_the_counter_of_a_pump_falls_only_when_cleared() -> None:
    readings = [Reading(clock("9:30"), Fraction(10)), Reading(clock("10:00"), Fraction(4))]
    found = volumes.rollback(readings)
    assert found
    assert (found.check, found.code) == ("C7", "volume-rollback")
    assert found.text == "the pump tells 4 mL after 10 mL"
    assert volumes.rollback(readings, [clock("9:45")]) is None
    assert volumes.rollback(reversed(readings))


def test_drawn_is_given_wasted_and_returned() -> None:
    assert vials.waste(q("250 mg"), q("111.2 mg"), q("138.8 mg"), None, LIMITS) is None
    assert vials.waste(q("250 mg"), q("111.2 mg"), q("138.3 mg"), None, LIMITS) is None
    found = vials.waste(q("250 mg"), q("111.2 mg"), q("100 mg"), None, LIMITS)
    assert found
    assert (found.check, found.code) == ("C9", "waste-unreconciled")
    assert found.text == "250 mg drawn, and 111.2 mg given, 100 mg wasted: 38.8 mg not accounted for"
    assert vials.waste(q("250 mg"), q("111.2 mg"), q("100 mg"), q("38.8 mg"), LIMITS) is None
    assert vials.waste(None, q("1 mg"), q("1 mg"), None, LIMITS) is None


@pytest.mark.parametrize(
    ("told", "expected", "word"),
    [
        (36, Fraction("0.5"), "per kg"),
        (54, 27, "mL and mg"),
        (36000, 36, "ug and mg"),
        (Fraction("41.508"), 36, "base"),
    ],
)
def test_a_unit_mistaken_for_another_is_named(told: int | Fraction, expected: int | Fraction, word: str) -> None:
    found = checks.unit(Fraction(told), Fraction(expected), LIMITS, weight=q("72 kg"), per=q("2 mg/mL"))
    assert found
    assert found.code == "unit-suspect"
    assert word in found.text
    assert checks.unit(Fraction(told), Fraction(told), LIMITS) is None
    assert checks.unit(Fraction(3), Fraction(2), LIMITS, weight=q("72 kg"), per=q("4 mg/mL")) is None


def test_the_highest_rate() -> None:
    per, kg = q("1 mg/mL"), q("80 kg")
    assert checks.highest_rate(q("40 mL/h"), q("0.5 mg/kg/h"), LIMITS, weight=kg, per=per) is None
    found = checks.highest_rate(q("41 mL/h"), q("0.5 mg/kg/h"), LIMITS, weight=kg, per=per)
    assert found
    assert (found.check, found.code) == ("C12", "rate-over-max")
    assert found.text == "41 mL/h, the order allows 40 mL/h"
    found = checks.highest_rate(q("600 mL/h"), None, LIMITS)
    assert found
    assert "site allows 500" in found.text
    found = checks.highest_rate(q("50 mg/h"), q("40 mg/h"), LIMITS)
    assert found
    assert "40 mg/h" in found.text


def test_clock_skew() -> None:
    sent = Time("2026-04-14T09:00:00-05:00")
    assert checks.clock(sent, Time("2026-04-14T14:05:00Z"), LIMITS) is None
    found = checks.clock(sent, Time("2026-04-14T14:06:00Z"), LIMITS)
    assert found
    assert (found.check, found.code, found.level) == ("C13", "clock-skew", "warning")


def test_a_site_has_limits_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "limits.csv"
    file.write_text("limit,value,unit,comment\nprotocol-rate-max,7,mg/kg/h,intensive care\n")
    limits = limits_of.load(data.file("mappings"), tmp_path)
    (found,) = checks.protocol(q("7 mg/kg/h"), None, None, limits, weight=q("80 kg"))
    assert found.code == "needs-intensive-monitoring"
    for row, why in (
        ("rate-top,7,mL/h,", "there is no limit"),
        ("rate-max,7,mg/h,", "the unit of rate-max is mL/h"),
        ("rate-max,-7,mL/h,", "zero or more"),
        ("rate-max,7,mL/h,\nrate-max,8,mL/h,", "stands twice"),
    ):
        file.write_text(f"limit,value,unit,comment\n{row}\n")
        with pytest.raises(TableError, match=why):
            limits_of.load(data.file("mappings"), tmp_path)
