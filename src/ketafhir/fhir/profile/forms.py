"""Answers against their form: what a QuestionnaireResponse may hold of a form that is known (R4 questionnaireresponse.html).

A form is a list of questions: `{"id": linkId, "type": item type, "codes": {system: [code]}, "numbers": [integer]}`; flat, each
question once, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
Finding = tuple[str, str, str]


def answers_check(questions: Sequence[Json]) -> Any:
    """The check of a QuestionnaireResponse of this form; what is not of its type is left to the check of the type."""
    places = {one["id"]: place for place, one in enumerate(questions)}

    def check(response: Json) -> Iterator[Finding]:
        last, seen = -1, set()
        for number, item in enumerate(_listed(response, "item")):
            where, link = f"item[{number}]", item.get("linkId")
            if not isinstance(link, str):
                continue
            if link not in places:
                yield f"{where}.linkId", "value", "is no question of the form"
                continue
            if link in seen:
                yield where, "structure", "answers a question again"
            elif places[link] < last:
                yield where, "structure", "is not in the order of the form"
            seen.add(link)
            last = places[link]
            for place, answer in enumerate(_listed(item, "answer")):
                if not _fits(questions[places[link]], answer):
                    yield f"{where}.answer[{place}]", "value", "is no answer of the form"

    return check


def _fits(question: Json, answer: Json) -> bool:
    kind = question["type"]
    values = {key: value for key, value in answer.items() if key.startswith("value")}
    coding = values.get("valueCoding")
    if kind == "open-choice" or len(values) != 1:
        return "valueCoding" in values or "valueString" in values or not values
    if kind == "integer":
        return "valueInteger" in values
    if isinstance(coding, dict):
        system, code = coding.get("system"), coding.get("code")
        return isinstance(system, str) and code in question["codes"].get(system, ())
    return values.get("valueInteger") in question["numbers"]


def _listed(value: Json, name: str) -> list[Json]:
    found = value.get(name)
    return [one if isinstance(one, dict) else {} for one in found] if isinstance(found, list) else []
