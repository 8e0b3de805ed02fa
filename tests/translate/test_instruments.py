"""What each instrument's score means: its range, its bands, and what it raises, from the limits of the site."""

from __future__ import annotations

from pathlib import Path

import pytest
from oru_trips import back, below_patient, codes_of, message, obx, read, resources, to_bundle

from ketafhir.mapping import codes
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.values import Coded, Coding, Quantity
from ketafhir.translate import instruments, scores

FORMS = instruments.instruments()
LIMITS = Tables(None).limits
SCORE = "{score}^^UCUM"


def cwe(name: str) -> str:
    one = codes.code(name)
    return f"{one.code}^{one.display}^" + ("LN" if one.system == "http://loinc.org" else "99KETA")


def heading(panel: str) -> str:
    return f"OBR|1||SC-1^EHR|{panel}|||20260309075800-0500||||||||||||||||||F"


def score(form: str, value: str) -> str:
    return message(heading(cwe("vitals.panel")), obx(1, "NM", cwe(FORMS[form].total), value, unit=SCORE))


def said(text: str) -> list[str]:
    """The codes of all derived interpretations of the one Observation."""
    (one,) = resources(to_bundle(text), "Observation")
    return [mark["coding"][0]["code"] for mark in one.get("interpretation", ())]


@pytest.mark.parametrize(
    ("form", "bands"),
    [
        ("phq9", "minimal 0 4, mild 5 9, moderate 10 14, moderately-severe 15 19, severe 20 27"),
        ("gad7", "minimal 0 4, mild 5 9, moderate 10 14, severe 15 21"),
        ("pain-nrs", "none 0 0, mild 1 3, moderate 4 6, severe 7 10"),
        ("madrs", "none 0 6, mild 7 19, moderate 20 34, severe 35 60"),
        ("qids", "none 0 5, mild 6 10, moderate 11 15, severe 16 20, very-severe 21 27"),
        ("bpi-severity", "moderate 4 6.99, severe 7 10"),
        ("bpi-interference", "moderate 4 6.99, severe 7 10"),
    ],
)
def test_every_band_holds_from_its_first_score_to_its_last(form: str, bands: str) -> None:
    for band in bands.split(", "):
        name, first, last = band.split()
        for value in (first, last):
            text = score(form, value)
            assert said(text)[:1] == [name], value
            assert codes_of(read(text).c.issues) == []
            assert back(text) == below_patient(text)


@pytest.mark.parametrize(
    "form", ["pcl5", "auditc", "dast10", "cadss", "bprs", "bsrs5", "moaas", "rass", "aldrete", "padss"]
)
def test_what_has_no_published_bands_gets_none(form: str) -> None:
    assert FORMS[form].bands == []


@pytest.mark.parametrize(
    ("form", "flag", "below", "at"),
    [
        ("gad7", "score-positive", "9", "10"),
        ("pcl5", "score-positive", "30", "31"),
        ("auditc", "score-positive", "2", "3"),
        ("dast10", "score-positive", "2", "3"),
        ("cadss", "score-positive", "4", "5"),
        ("bsrs5", "score-positive", "5", "6"),
        ("moaas", "sedation-act", "3", "2"),
        ("moaas", "sedation-stop", "2", "1"),
        ("rass", "sedation-stop", "-2", "-3"),
        ("rass", "agitation", "1", "2"),
        ("poss", "sedation-act", "2", "3"),
        ("poss", "sedation-stop", "3", "4"),
        ("aldrete", "recovery-met", "8", "9"),
        ("padss", "recovery-met", "8", "9"),
    ],
)
def test_a_flag_is_raised_at_its_threshold_and_not_before(form: str, flag: str, below: str, at: str) -> None:
    assert flag not in said(score(form, below))
    assert flag in said(score(form, at))
    assert back(score(form, at)) == below_patient(score(form, at))


@pytest.mark.parametrize(
    ("form", "lowest", "highest"),
    [
        ("phq9", 0, 27), ("gad7", 0, 21), ("madrs", 0, 60), ("qids", 0, 27), ("pcl5", 0, 80), ("pain-nrs", 0, 10),
        ("cadss", 0, 92), ("bprs", 0, 24), ("bsrs5", 0, 20), ("moaas", 0, 5), ("rass", -5, 4), ("aldrete", 0, 10),
        ("padss", 0, 10), ("auditc", 0, 12), ("dast10", 0, 10), ("bpi-severity", 0, 10), ("bpi-interference", 0, 10),
        ("poss", 1, 4),
    ],
)  # fmt: skip
def test_a_score_that_the_form_cannot_give_is_kept_with_a_warning_raises_nothing(
    form: str, lowest: int, highest: int
) -> None:
    assert codes_of(read(score(form, str(lowest))).c.issues) == []
    assert codes_of(read(score(form, str(highest))).c.issues) == []
    for wrong in (str(lowest - 1), str(highest + 1)):
        text = score(form, wrong)
        (issue,) = read(text).c.issues
        assert (issue.code, issue.where, issue.value) == ("score-impossible", "OBX-5", wrong)
        assert f"from {lowest} to {highest}" in issue.text
        assert said(text) == []
        assert back(text) == below_patient(text)


def test_a_sum_of_answers_is_a_whole_number_and_a_mean_need_not_be() -> None:
    assert codes_of(read(score("phq9", "9.5")).c.issues) == ["score-impossible"]
    assert codes_of(read(score("bpi-severity", "7.25")).c.issues) == []
    assert codes_of(read(score("bpi-interference", "7.43")).c.issues) == []


def test_a_wrong_score_is_seen_after_a_right_one_of_the_same_shape() -> None:
    lines = [
        obx(at, "NM", cwe("pain.nrs"), value, unit=SCORE).replace("075800", f"08{at:02}00")
        for at, value in enumerate("5A", 1)
    ]
    lines[1] = lines[1].replace("|A|", "|11|")
    assert codes_of(read(message(heading(cwe("vitals.panel")), *lines)).c.issues) == ["score-impossible"]


@pytest.mark.parametrize(("name", "points"), [("minus5", -5), ("minus3", -3), ("zero", 0), ("plus2", 2), ("plus4", 4)])
def test_rass_is_told_by_its_loinc_answers_as_well(name: str, points: int) -> None:
    answer = codes.code(f"rass.answer-{name}")
    text = message(
        heading(cwe("vitals.panel")),
        obx(1, "CWE", cwe("sedation.rass"), f"{answer.code}^{answer.display}^LN"),
    )
    assert FORMS["rass"].points(Coded((Coding(answer.code, answer.system),))) == points
    assert said(text) == (["sedation-stop"] if points <= -3 else ["agitation"] if points >= 2 else [])
    assert back(text) == below_patient(text)


def pcl5(points: list[int], kind: str, sent: str | None) -> str:
    names = list(FORMS["pcl5"].items.values())
    lines = []
    for at, (name, count) in enumerate(zip(names, points, strict=False), 1):
        value = str(count) if kind == "NM" else cwe(f"pcl5.answer{count}")
        lines.append(obx(at, kind, cwe(name), value, unit=SCORE if kind == "NM" else ""))
    if sent is not None:
        lines.append(obx(len(lines) + 1, "NM", cwe("score.pcl5"), sent, unit=SCORE))
    return message(heading(cwe("pcl5.panel")), *lines)


@pytest.mark.parametrize("kind", ["NM", "CWE"])
def test_pcl_5_is_summed_over_twenty_answers_of_0_to_4(kind: str) -> None:
    text = pcl5([4] * 20, kind, "80")
    assert codes_of(read(text).c.issues) == []
    (response,) = resources(to_bundle(text), "QuestionnaireResponse")
    assert response["questionnaire"].endswith("/pcl5")
    assert response["item"][19]["text"] == "Trouble falling or staying asleep?"
    assert back(text) == below_patient(text)
    (issue,) = read(pcl5([1] * 20, kind, "21")).c.issues
    assert issue.code == "score-mismatch"
    assert codes_of(read(pcl5([1] * 19, kind, None)).c.issues) == ["form-incomplete"]
    assert said(pcl5([2] * 15 + [1] + [0] * 4, kind, None)) == ["score-positive"]
    assert said(pcl5([2] * 15 + [0] * 5, kind, None)) == []


def test_audit_c_is_summed_over_its_numbers_and_answers_of_other_codes_count_nothing() -> None:
    items = ("auditc.item1", "auditc.item2", "auditc.item3")
    numbers = [
        obx(at, "NM", cwe(name), value, unit=SCORE)
        for at, (name, value) in enumerate(zip(items, "433", strict=True), 1)
    ]
    text = message(heading(cwe("auditc.panel")), *numbers)
    (total,) = resources(to_bundle(text), "Observation")
    assert total["valueQuantity"]["value"] == 10
    coded = obx(3, "CWE", cwe(items[2]), "weekly^Weekly^L")
    partial = message(heading(cwe("auditc.panel")), *numbers[:2], coded)
    assert codes_of(read(partial).c.issues) == ["answer-unknown", "form-incomplete"]
    assert resources(to_bundle(partial), "Observation") == []
    assert back(partial) == below_patient(partial)


def test_the_screener_is_never_a_number() -> None:
    text = message(heading(cwe("vitals.panel")), obx(1, "NM", cwe("cssrs.risk"), "4", unit=SCORE))
    (issue,) = read(text).c.issues
    assert issue.code == "score-impossible"
    assert "never a number" in issue.text
    assert back(text) == below_patient(text)


def test_a_site_moves_a_threshold(tmp_path: Path) -> None:
    rows = "limit,value,unit,comment\ncutoff-pcl5,33,{score},policy of this clinic\nrass-stop,-2,{score},\n"
    (tmp_path / "limits.csv").write_text(rows, encoding="utf-8")
    limits = Tables(tmp_path).limits
    assert scores.raised(FORMS["pcl5"], Quantity(limits.cutoff_pcl5 - 1, ""), limits) == []
    assert scores.raised(FORMS["pcl5"], Quantity(limits.cutoff_pcl5, ""), limits) == ["keta.score-positive"]
    assert scores.raised(FORMS["rass"], Quantity(limits.rass_stop, ""), limits) == ["keta.sedation-stop"]
    assert scores.raised(FORMS["rass"], Quantity(limits.rass_stop, ""), LIMITS) == []


def test_every_threshold_of_the_table_is_a_limit() -> None:
    named = [limit for form in FORMS.values() for _, limit, _ in form.flags]
    assert len(named) == 14
    assert all(hasattr(LIMITS, name) for name in named)
