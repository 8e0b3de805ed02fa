"""Results as monitors and forms send them: pressures under several headings, numbers used twice, answers that are none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ketafhir.errors import Refused
from ketafhir.mapping import codes
from ketafhir.translate.translation import to_fhir
from translate.infusion_feeds import PID, PV1, Held, at, message

SYSTOLIC, DIASTOLIC = "8480-6^Systolic^LN", "8462-4^Diastolic^LN"
RATE = "8867-4^Heart rate^LN"


def oru(*segments: str, pid: str = PID, sent: str = "1015") -> bytes:
    return message(pid, PV1, *segments, kind="ORU^R01^ORU_R01", sent=sent)


def obr(number: str = "FL1^MON", code: str = "85353-1^Vital signs^LN", place: int = 1) -> str:
    return f"OBR|{place}||{number}|{code}|||{at('1000')}"


def obx(code: str, value: str, unit: str = "mm[Hg]", kind: str = "NM", status: str = "F") -> str:
    return f"OBX|1|{kind}|{code}||{value}|{unit}|||||{status}"


def panels(held: Held) -> list[dict[str, Any]]:
    return [one for one in held.resources("Observation") if "component" in one]


@pytest.mark.parametrize("numbers", [("", ""), ("FL1^MON", "FL1^MON"), ("FL1^MON", "FL2^MON")])
def test_a_pressure_is_never_paired_across_headings(numbers: tuple[str, str]) -> None:
    first, second = numbers
    held = Held(oru(obr(first), obx(SYSTOLIC, "120"), obr(second, place=2), obx(DIASTOLIC, "80")))
    values = [[part.get("valueQuantity", {}).get("value") for part in one["component"]] for one in panels(held)]
    assert values == [[120, None], [80, None]]


def test_a_pressure_with_one_half_that_could_not_be_taken_stands_as_the_other() -> None:
    held = Held(oru(obr(), obx(SYSTOLIC, "", status="X"), obx(DIASTOLIC, "80")))
    (panel,) = panels(held)
    assert panel["status"] == "final"


def test_a_number_without_authority_is_another_patients_tomorrow() -> None:
    other = PID.replace("K77", "K78")
    held = Held(oru(obr("1"), obx(RATE, "60", "/min")), oru(obr("1"), obx(RATE, "99", "/min"), pid=other))
    assert sorted(one["valueQuantity"]["value"] for one in held.resources("Observation")) == [60, 99]


def test_a_result_of_one_patient_never_overwrites_that_of_another() -> None:
    other = PID.replace("K77", "K78")
    held = Held(oru(obr(), obx(RATE, "60", "/min")), oru(obr(), obx(RATE, "99", "/min"), pid=other))
    assert held.refused == ["observation-of-other-patient"]
    both = oru(obr(), obx(RATE, "60", "/min"), other, obr(), obx(RATE, "99", "/min"))
    assert Held(both).refused == ["observation-of-other-patient"]


def phq9(answers: list[str], status: str = "F") -> bytes:
    def coded(name: str) -> str:
        one = codes.code(name)
        return f"{one.code}^{one.display.replace('&', 'and')}^LN"

    items = [obx(coded(f"phq9.item{n}"), answer, "", status=status) for n, answer in enumerate(answers, 1)]
    return oru(obr(code=coded("phq9.panel")), *items)


def score(held: Held) -> list[tuple[str, Any]]:
    return [(one["status"], one["valueQuantity"]["value"]) for one in held.resources("Observation")]


def test_an_answer_that_the_form_does_not_have_counts_nothing() -> None:
    held = Held(phq9(["5"] * 9))
    assert score(held) == []
    assert {"answer-unknown", "form-incomplete"} <= set(held.codes)


def test_two_answers_to_one_question_make_no_score() -> None:
    text = phq9(["1"] * 9)
    again = text + text.split(b"\r")[4].replace(b"||1|", b"||2|") + b"\r"
    assert score(Held(again)) == []


@pytest.mark.parametrize(
    ("told", "stands"), [("F", "final"), ("C", "amended"), ("P", "preliminary"), ("W", "entered-in-error")]
)
def test_a_score_made_from_a_form_stands_as_the_form(told: str, stands: str) -> None:
    held = Held(phq9(["1"] * 9, told))
    assert score(held) == [(stands, Decimal(9))]
    flagged = {each["code"] for each in held.resources("QuestionnaireResponse")[0]["meta"].get("tag", ())}
    assert flagged == (set() if told == "W" else {"suicide-item-positive"})


def test_a_decision_that_is_none_is_kept_with_a_warning() -> None:
    code = "candidacy-decision^Candidacy decision^99KETA"
    held = Held(oru(obr(code=code), f"OBX|1|CWE|{code}||maybe^Maybe^99KETA||||||F"))
    assert "code-unmapped" in held.codes


def test_ten_thousand_results_are_accounted_for_in_time() -> None:
    body = [f"OBX|{n}|NM|{RATE}|{n}|60|/min|||||F" for n in range(4000)]
    told = to_fhir(oru(obr(), *body))
    assert len(told.losses) > 4000 * 7


def test_a_batch_of_one_message_is_that_message() -> None:
    one = oru(obr(), obx(RATE, "60", "/min"))
    batch = b"FHS|^~\\&|MON\rBHS|^~\\&|MON\r" + one + b"BTS|1\rFTS|1\r"
    assert to_fhir(batch).bundle == to_fhir(one).bundle
    with pytest.raises(Refused) as refusal:
        to_fhir(b"FHS|^~\\&|MON\r" + one + one)
    assert refusal.value.issues[0].code == "several-messages"
