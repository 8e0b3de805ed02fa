"""The forms of the package: questions, what an answer counts, the licence; wording only where that allows it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ketafhir.profiles import terminology

FORMS = {one["id"]: one for one in terminology.questionnaires()}
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"


def test_which_there_are() -> None:
    assert FORMS.keys() >= {"phq9", "gad7", "pcl5", "pain-nrs"}


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda one: one["id"])
def test_each_names_its_licence(form: dict[str, Any]) -> None:
    assert len(form["copyright"]) > 30


@pytest.mark.parametrize(("name", "questions", "most"), [("phq9", 9, 27), ("gad7", 7, 21), ("pcl5", 20, 80)])
def test_the_most_that_the_answers_count_is_the_range(name: str, questions: int, most: int) -> None:
    counted = [item for item in FORMS[name]["item"] if item["type"] == "choice"]
    assert len(counted) == questions
    assert all(item["text"] for item in counted)
    top = Decimal(0)
    for item in counted:
        points = {
            extension["valueDecimal"]
            for option in item["answerOption"]
            for extension in option.get("valueCoding", {}).get("extension", ())
            if extension["url"] == ORDINAL
        }
        assert min(points) == 0
        top += max(points)
    assert top == most


def test_a_rating_has_its_ends() -> None:
    (item,) = FORMS["pain-nrs"]["item"]
    assert item["type"] == "integer"
    ends = {one["url"].rpartition("/")[2]: one["valueInteger"] for one in item["extension"]}
    assert ends == {"minValue": 0, "maxValue": 10}
    assert "Bands" in FORMS["pain-nrs"]["description"]


def test_where_the_wording_may_not_be_shown_there_is_none() -> None:
    for name in FORMS.keys() - {"phq9", "gad7", "pcl5", "pain-nrs"}:
        assert not any("text" in item for item in FORMS[name]["item"]), name
