"""Filled forms: PHQ-9, GAD-7, C-SSRS screener and pain NRS as QuestionnaireResponse and score."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
from oru_trips import Json, back, below_patient, codes_of, compose, message, obx, read, resources, take, to_bundle

from ketafhir import data
from ketafhir.fhir.check import shape
from ketafhir.fhir.profile.check import check
from ketafhir.mapping import codes
from ketafhir.translate import instruments

FORMS = instruments.instruments()
RISK = 7  # the place of the risk level below six answers
SCORE = "{score}^^UCUM"


def heading(panel: str) -> str:
    return f"OBR|1||SC-1^EHR|{panel}|||20260309075800-0500||||||||||||||||||F"


def cwe(name: str) -> str:
    one = codes.code(name)
    return f"{one.code}^{one.display}^LN"


def answers(form: str, points: list[int], kind: str = "NM") -> list[str]:
    names = list(FORMS[form].items.values())
    if kind == "NM":
        return [
            obx(at, "NM", cwe(n), str(p), unit=SCORE) for at, (n, p) in enumerate(zip(names, points, strict=False), 1)
        ]
    return [
        obx(at, "CWE", cwe(n), cwe(f"phq.answer{p}")) for at, (n, p) in enumerate(zip(names, points, strict=False), 1)
    ]


def total(form: str, number: int, value: str) -> str:
    return obx(number, "NM", cwe(FORMS[form].total), value, unit=SCORE)


def phq9(points: list[int], sent: str | None = None, kind: str = "NM") -> str:
    lines = answers("phq9", points, kind)
    if sent is not None:
        lines.append(total("phq9", len(lines) + 1, sent))
    return message(heading(cwe("phq9.panel")), *lines)


def cssrs(said: str, *more: str, panel: str = "cssrs-screener^C-SSRS screener^99KETA") -> str:
    """Questions 1 to 6, then 6 within three months: y, n or - for not asked."""
    names = list(FORMS["cssrs"].items.values())
    yes, no = cwe("answer.yes"), cwe("answer.no")
    asked = [(name, one) for name, one in zip(names, said, strict=False) if one != "-"]
    lines = [obx(at, "CWE", cwe(name), yes if one == "y" else no) for at, (name, one) in enumerate(asked, 1)]
    return message(heading(panel), *lines, *more)


def scores(text: str) -> list[Json]:
    return resources(to_bundle(text), "Observation")


def raised(resource: Json) -> list[str]:
    return [one["coding"][0]["code"] for one in resource.get("interpretation", ())]


def test_a_form_is_a_response_with_a_score_derived_from_it_and_no_report() -> None:
    bundle = to_bundle(phq9([3, 3, 2, 3, 2, 3, 2, 1, 2], "21"))
    (response,) = resources(bundle, "QuestionnaireResponse")
    (score,) = resources(bundle, "Observation")
    assert resources(bundle, "DiagnosticReport") == []
    assert response["questionnaire"] == "https://ketafhir.org/fhir/Questionnaire/phq9"
    assert response["status"] == "completed"
    assert response["authored"] == "2026-03-09T07:58:00-05:00"
    assert [one["linkId"] for one in response["item"]] == [code for _, code in FORMS["phq9"].items]
    assert [one["answer"][0]["valueInteger"] for one in response["item"]] == [3, 3, 2, 3, 2, 3, 2, 1, 2]
    assert score["derivedFrom"] == [{"reference": "urn:uuid:" + response["id"]}]
    assert score["category"][0]["coding"][0]["code"] == "survey"
    assert shape(response) == []


@pytest.mark.parametrize("kind", ["NM", "CWE"])
@pytest.mark.parametrize("form", ["phq9", "gad7"])
def test_answers_stay_as_sent_both_ways(form: str, kind: str) -> None:
    count = len(FORMS[form].items)
    lines = answers(form, [1] * count, kind)
    text = message(heading(cwe(FORMS[form].panel)), *lines, total(form, count + 1, str(count)))
    (response,) = resources(to_bundle(text), "QuestionnaireResponse")
    expected = "valueInteger" if kind == "NM" else "valueCoding"
    assert all(list(one["answer"][0]) == [expected] for one in response["item"])
    assert codes_of(read(text).c.issues) == []
    assert back(text) == below_patient(text)


@pytest.mark.parametrize(
    ("form", "points", "band"),
    [("phq9", 0, "minimal"), ("phq9", 4, "minimal"), ("phq9", 5, "mild"), ("phq9", 10, "moderate"),
     ("phq9", 15, "moderately-severe"), ("phq9", 19, "moderately-severe"), ("phq9", 20, "severe"), ("phq9",
     27, "severe"), ("gad7", 4, "minimal"), ("gad7", 9, "mild")],
)  # fmt: skip
def test_a_total_alone_has_its_band_and_no_response(form: str, points: int, band: str) -> None:
    text = message(heading(cwe(FORMS[form].panel)), total(form, 1, str(points)))
    bundle = to_bundle(text)
    (score,) = resources(bundle, "Observation")
    assert raised(score) == [band]
    assert resources(bundle, "QuestionnaireResponse") == []
    assert len(resources(bundle, "DiagnosticReport")) == 1
    assert back(text) == below_patient(text)


def test_a_total_that_is_not_the_sum_is_kept_with_a_warning_that_names_both() -> None:
    text = phq9([3, 3, 2, 3, 2, 3, 2, 1, 2], "20")
    (issue,) = read(text).c.issues
    assert (issue.code, issue.where) == ("score-mismatch", "OBX[10]-5")
    assert "20" in issue.text
    assert "21" in issue.text
    assert scores(text)[0]["valueQuantity"]["value"] == 20
    assert back(text) == below_patient(text)


def test_a_complete_form_without_total_gets_a_derived_one_that_is_not_sent_back() -> None:
    text = phq9([1] * 9)
    (score,) = scores(text)
    assert score["valueQuantity"]["value"] == Decimal(9)
    assert score["meta"]["tag"][0]["code"] == "derived"
    assert back(text) == below_patient(text)


def test_a_form_that_is_not_complete_gives_no_total_and_says_so() -> None:
    text = phq9([1] * 8)
    assert scores(text) == []
    assert codes_of(read(text).c.issues) == ["form-incomplete"]
    assert back(text) == below_patient(text)


def test_a_positive_suicide_question_is_flagged_on_score_and_form() -> None:
    bundle = to_bundle(phq9([0, 0, 0, 0, 0, 0, 0, 0, 1], "1"))
    assert raised(resources(bundle, "Observation")[0]) == ["minimal", "suicide-item-positive"]
    (response,) = resources(bundle, "QuestionnaireResponse")
    assert [tag["code"] for tag in response["meta"]["tag"]] == ["suicide-item-positive"]
    partial = to_bundle(phq9([0, 0, 0, 0, 0, 0, 0, 0, 1][:9], None).replace(cwe("phq9.item1"), "X^x^L"))
    assert resources(partial, "QuestionnaireResponse")[0]["meta"]["tag"][0]["code"] == "suicide-item-positive"


def test_a_question_that_is_not_of_the_form_is_kept_as_an_answer() -> None:
    text = message(heading(cwe("phq9.panel")), *answers("phq9", [0] * 9), obx(10, "ST", "ZZ^Comment^L", "none"))
    assert codes_of(read(text).c.issues) == ["item-unexpected"]
    assert back(text) == below_patient(text)


def test_a_form_of_an_unknown_panel_is_known_by_its_questions() -> None:
    text = cssrs("yynnnn-", panel="93373-9^Columbia screener^LN")
    assert resources(to_bundle(text), "QuestionnaireResponse")[0]["questionnaire"].endswith("/cssrs")


@pytest.mark.parametrize(
    ("said", "level"),
    [("nn---n-", "none"), ("yn---n-", "low"), ("yynnnn-", "low"), ("yyynnn-", "moderate"), ("nn---yn", "moderate"),
     ("yyyynn-", "high"), ("yynnyn-", "high"), ("nn---yy", "high"), ("-y-y---", "high")],
)  # fmt: skip
def test_the_risk_follows_from_the_answers_with_its_reasons_and_is_not_sent_back(said: str, level: str) -> None:
    text = cssrs(said)
    (score,) = scores(text)
    coding = score["valueCodeableConcept"]["coding"][0]
    assert coding["code"] == codes.code(f"cssrs.{level}").code
    assert "valueQuantity" not in score
    assert [one["code"]["coding"][0]["code"] for one in score.get("component", ())] == [
        code for (_, code), one in zip(FORMS["cssrs"].items, said, strict=True) if one == "y"
    ]
    assert ("immediate-evaluation" in raised(score)) is (level == "high")
    assert back(text) == below_patient(text)


@pytest.mark.parametrize("said", ["y-nnnn-", "yy-nnn-", "nn-----", "nn---y-"])
def test_a_screener_with_a_question_missing_gives_no_risk(said: str) -> None:
    text = cssrs(said)
    assert scores(text) == []
    assert "form-incomplete" in codes_of(read(text).c.issues)


def test_a_risk_that_was_sent_is_kept_and_compared() -> None:
    risk = cwe("cssrs.risk")
    agreed = cssrs("yynnnn-", obx(RISK, "CWE", risk, cwe("cssrs.low")))
    assert codes_of(read(agreed).c.issues) == []
    assert back(agreed) == below_patient(agreed)
    lower = cssrs("yyyynn-", obx(RISK, "CWE", risk, cwe("cssrs.low")))
    (issue,) = read(lower).c.issues
    assert issue.code == "score-mismatch"
    assert "high" in issue.text
    assert raised(scores(lower)[0]) == ["immediate-evaluation"]
    assert back(lower) == below_patient(lower)


def test_pain_under_its_own_obr_is_a_form_and_among_vital_signs_a_plain_observation() -> None:
    line = obx(1, "NM", cwe("pain.nrs"), "8", unit=SCORE)
    own = message(heading(cwe("pain.nrs")), line)
    (response,) = resources(to_bundle(own), "QuestionnaireResponse")
    assert response["item"][0]["answer"] == [{"valueInteger": 8}]
    assert back(own) == below_patient(own)
    among = message(heading(cwe("vitals.panel")), line)
    assert resources(to_bundle(among), "QuestionnaireResponse") == []
    assert back(among) == below_patient(among)


def test_a_changed_pain_score_is_sent_once_and_changed() -> None:
    text = message(heading(cwe("pain.nrs")), obx(1, "NM", cwe("pain.nrs"), "8", unit=SCORE))

    def change(bundle: Json) -> None:
        resources(bundle, "Observation")[0]["valueQuantity"]["value"] = 7

    assert [line.split("|")[5] for line in back(text, change)[1:]] == ["7"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [("FFF", "completed"), ("FCF", "amended"), ("FAP", "in-progress"), ("FPD", "entered-in-error"), ("FNX",
    "completed"),
     ("RFF", "in-progress"), ("WWW", "entered-in-error")],
)  # fmt: skip
def test_the_worst_status_of_the_answers_is_that_of_the_form(statuses: str, expected: str) -> None:
    names = list(FORMS["gad7"].items.values())
    lines = [
        obx(at, "NM", cwe(n), "1", unit=SCORE, status=s)
        for at, (n, s) in enumerate(zip(names, statuses, strict=False), 1)
    ]
    text = message(heading(cwe("gad7.panel")), *lines)
    assert resources(to_bundle(text), "QuestionnaireResponse")[0]["status"] == expected
    assert back(text) == below_patient(text)


def test_what_one_answer_says_otherwise_stays_with_it() -> None:
    one, two, three = answers("gad7", [1, 2, 3])
    lines = (
        one.replace("|||20260309075800-0500", "|||20260309075700-0500") + "||RN-1^Moss",
        "NTE|1||asked twice",
        two,
        three.replace("|||20260309075800-0500", ""),
        obx(4, "CWE", cwe("gad7.item4"), "LA6570-1^More than half^LN^X^y^L|", f4="7", f8="A").replace("L||", "L|"),
        obx(5, "ST", cwe("gad7.item5"), "well"),
        obx(6, "NM", cwe("gad7.item6"), "1.50", unit="h^^UCUM"),
        obx(7, "", cwe("gad7.item7"), "", status="X"),
    )
    text = message("ORC|RE", heading(cwe("gad7.panel")).replace("|1||", "|1|P9^E|"), "NTE|1||by telephone", *lines)
    assert back(text) == below_patient(text)
    assert "answer-unknown" in codes_of(read(text).c.issues)


def test_a_form_without_any_time_of_its_answers_takes_that_of_the_obr() -> None:
    text = phq9([0] * 9).replace("|||20260309075800-0500\r", "\r")
    assert resources(to_bundle(text), "QuestionnaireResponse")[0]["authored"] == "2026-03-09T07:58:00-05:00"
    assert back(text) == below_patient(text)


def test_changed_elements_of_a_response_change_the_cells_they_stand_for() -> None:
    text = phq9([1] * 9, "9", kind="CWE")

    def change(bundle: Json) -> None:
        (response,) = resources(bundle, "QuestionnaireResponse")
        response["authored"] = "2026-03-09T08:00:00-05:00"
        response["status"] = "amended"
        response["item"][2]["answer"][0]["valueCoding"].update(code="LA6568-5", display="Not at all")
        response["identifier"]["value"] = "SC-2"

    after = [line.split("|") for line in back(text, change)]
    assert after[0][3] == "SC-2^EHR"
    assert {cells[14] for cells in after[1:10]} == {"20260309080000-0500"}
    assert {cells[11] for cells in after[1:10]} == {"C"}
    assert after[3][5] == "LA6568-5^Not at all^LN"
    assert after[10][14] == "20260309075800-0500"


def test_a_response_from_elsewhere_becomes_an_obr_with_its_answers() -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:x", "value": "7"}]}
    loinc = "http://loinc.org"
    form = {
        "resourceType": "QuestionnaireResponse", "id": "q", "status": "completed", "subject": {"reference": "Patient/p"},
        "questionnaire": "http://loinc.org/q/44249-1", "authored": "2026-03-09T08:00:00-05:00",
        "item": [
            {"linkId": "/44250-9", "answer": [{"valueCoding": {"system": loinc, "code": "LA6571-9"}}]},
            {"linkId": "g", "item": [
                {"linkId": "44255-8", "answer": [{"valueInteger": 2}]},
                {"linkId": "why", "text": "Why", "answer": [{"valueString": "so"}, {"valueString": "and"}]},
            ]},
        ],
    }  # fmt: skip
    nrs = {
        "resourceType": "QuestionnaireResponse", "status": "completed", "subject": {"reference": "Patient/p"},
        "questionnaire": "https://ketafhir.org/fhir/Questionnaire/pain-nrs",
        "item": [{"linkId": "72514-3", "answer": [{"valueInteger": 6}]}],
    }  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, form, nrs)]}
    taking = take(bundle)
    lines = [line.split("|") for line in compose(taking.records)]
    assert [cells[0] for cells in lines] == ["OBR", "OBX", "OBX", "OBX", "OBR", "OBX"]
    assert lines[0][4] == cwe("phq9.panel")
    assert [cells[3].split("^")[0] for cells in lines if cells[0] == "OBX"] == ["44250-9", "44255-8", "why", "72514-3"]
    assert [cells[5] for cells in lines if cells[0] == "OBX"] == ["LA6571-9^^LN", "2", "so", "6"]
    assert codes_of(taking.c.issues) == ["answers-dropped"]


def test_every_row_of_the_forms_names_a_code_and_every_form_has_its_parts() -> None:
    with (data.path("mappings") / "instruments.csv").open(encoding="utf-8") as file:
        assert all(codes.code(row["code"]) for row in csv.DictReader(file))
    counts = {name: len(form.items) for name, form in FORMS.items() if form.panel}
    assert counts == {"phq9": 9, "gad7": 7, "cssrs": 7, "pain-nrs": 0, "pcl5": 20, "auditc": 3}
    assert all(form.result for form in FORMS.values())
    assert all(form.panel or not form.items for form in FORMS.values())


def test_answers_in_any_order_are_the_form_in_its_own() -> None:
    lines = answers("phq9", [3, 3, 2, 3, 2, 3, 2, 1, 2])
    shuffled = message(heading(cwe("phq9.panel")), *lines[4:], *lines[:4], total("phq9", 10, "21"))
    (response,) = resources(to_bundle(shuffled), "QuestionnaireResponse")
    assert response["questionnaire"].endswith("/phq9")
    assert [one["linkId"] for one in response["item"]] == [code for _, code in FORMS["phq9"].items]
    assert [one["answer"][0]["valueInteger"] for one in response["item"]] == [3, 3, 2, 3, 2, 3, 2, 1, 2]


def test_a_question_answered_twice_is_kept_and_claims_no_form() -> None:
    lines = answers("phq9", [3, 3, 2, 3, 2, 3, 2, 1, 2])
    twice = message(heading(cwe("phq9.panel")), *lines[:2], answers("phq9", [3, 0])[1], *lines[2:])
    (response,) = resources(to_bundle(twice), "QuestionnaireResponse")
    assert "questionnaire" not in response
    assert [one["answer"][0]["valueInteger"] for one in response["item"]][:4] == [3, 3, 0, 2]
    assert scores(twice) == []
    (issue, _) = read(twice).c.issues
    assert (issue.code, issue.where) == ("question-answered-twice", "OBX[3]-3")


def test_a_risk_that_is_both_said_and_denied_is_never_the_lower_one() -> None:
    denied = obx(8, "CWE", cwe(list(FORMS["cssrs"].items.values())[1]), cwe("answer.no"))
    assert scores(cssrs("nynnnn", denied)) == []  # a wish, and then not: no level is made
    recent = list(FORMS["cssrs"].items.values())[-1]
    (risk,) = scores(cssrs("nnnnnyy", obx(8, "CWE", cwe(recent), cwe("answer.no"))))
    assert risk["valueCodeableConcept"]["coding"][0]["display"].lower().startswith("high")


def test_a_question_of_another_code_system_is_none_of_the_form() -> None:
    """The number is that of a question, its system is not: the form then claims no Questionnaire, whose order it has not."""
    lines = answers("phq9", [1, 2, 3, 1, 2, 3, 1, 2, 3])
    strange = lines[0].replace("^LN|", "^L|", 1)
    assert strange != lines[0]
    text = message(heading(cwe("phq9.panel")), lines[1], strange, *lines[2:])
    assert "item-unexpected" in codes_of(read(text).c.issues)
    bundle = to_bundle(text)
    assert check(bundle) == []
    (form,) = resources(bundle, "QuestionnaireResponse")
    assert "questionnaire" not in form
    assert len(form["item"]) == 9
