"""What the package takes from the mapping tables: the CodeSystem, the ValueSets, the ConceptMaps, the Questionnaires.

They are written, never edited: a code stands in `mappings/codes.csv` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from ketafhir.errors import TableError
from ketafhir.mapping import codes, command, sheet
from ketafhir.mapping.tables import Tables
from ketafhir.translate.instruments import QUESTIONNAIRE, Instrument, instruments

Json = dict[str, Any]
CANONICAL = "https://ketafhir.org/fhir/"
R4_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
ORDINAL = R4_EXTENSION + "ordinalValue"


def resources(version: str) -> Iterator[Json]:
    """Every resource that is made from the tables, each with the version of the package."""
    tables = Tables(None)
    maps = command.concept_maps(tables)
    for one in (codes.codesystem(), *value_sets(), *questionnaires(), *maps):
        one["version"] = version
        yield one


def value_sets() -> Iterator[Json]:
    """The ValueSets of `mappings/valuesets.csv`."""
    for row in sheet.ours("valuesets.csv", "valueset title codes comment"):
        systems: dict[str, list[Json]] = {}
        for one in _members(row["codes"]):
            systems.setdefault(one.system, []).append({"code": one.code, "display": one.display})
        if not systems:
            raise TableError(f"mappings/valuesets.csv: {row['valueset']} has no codes")
        include = [{"system": system, "concept": concepts} for system, concepts in systems.items()]
        yield {**_head("ValueSet", row["valueset"], row["title"]), "compose": {"include": include}}


def _members(cell: str) -> Iterator[codes.Code]:
    """The codes named in a cell: each by its name, or all of a kind (`route.*`)."""
    for name in cell.split():
        yield from codes.codes(name[:-1]) if name.endswith(".*") else (codes.code(name),)


def questionnaires() -> Iterator[Json]:
    """The screening forms: questions with their codes, answers with what each counts, and how the total is made."""
    yield from (_questionnaire(one) for one in instruments().values() if one.panel)


def _questionnaire(form: Instrument) -> Json:
    panel = codes.code(form.panel)
    json = _head("Questionnaire", form.name, panel.display)
    json["url"] = QUESTIONNAIRE + form.name
    json["description"] = _scoring(form)
    json["copyright"] = _copyrights()[form.name]
    json["subjectType"] = ["Patient"]
    json["code"] = [_coding(panel.name)]
    names = list(form.items.values()) or [form.panel]
    json["item"] = [_item(form, name) for name in (*names, *form.others.values())]
    return json


@cache
def _copyrights() -> dict[str, str]:
    """Who made each form, and what that allows (NOTICE)."""
    rows = sheet.ours("instruments.csv", "instrument role code value comment")
    return {row["instrument"]: row["value"] for row in rows if row["role"] == "copyright"}


def _item(form: Instrument, name: str) -> Json:
    one = codes.code(name)
    item: Json = {"linkId": one.code, "code": [_coding(name)]}
    text = form.text(name)
    if text:
        item["text"] = text
    if form.single:
        item["type"] = "integer"
        if form.range:
            ends = zip(("minValue", "maxValue"), form.range, strict=True)
            item["extension"] = [{"url": R4_EXTENSION + name, "valueInteger": value} for name, value in ends]
    elif name in form.others.values():
        item["type"] = "open-choice"
    else:
        item["type"] = "choice"
        item["answerOption"] = [_answer(pair, points) for pair, points in form.answers.items()]
        # Answers are told as numbers as well.
        item["answerOption"] += [{"valueInteger": points} for points in sorted(form.numbers)]
    if form.levels and not form.single:
        item["answerOption"] = [{"valueCoding": _coding(name)} for name in ("answer.yes", "answer.no")]
    return item


def _answer(pair: tuple[str, str], points: Decimal) -> Json:
    """One answer, with what it counts (R4 extension ordinalValue)."""
    one = codes.find(*pair)
    assert one is not None
    return {
        "valueCoding": {
            "extension": [{"url": ORDINAL, "valueDecimal": points}],
            **_coding(one.name),
        }
    }


def _scoring(form: Instrument) -> str:
    if form.levels:
        return "A risk level with its reasons, never a sum."
    if form.single:
        text = "One question, whose answer is the score."
    else:
        top = max(form.numbers, default=None)
        text = f"The total is the sum of the {len(form.items)} answers"
        text += f", each 0 to {top}; a form with a question unanswered has none." if top is not None else "."
        total = codes.code(form.total)
        text += f" Its code is {total.code} of {total.system}."
    bands = [f"{codes.code(name).display} from {start}" for start, name in form.bands]
    return text + (f" Bands: {', '.join(bands)}." if bands else "")


def _coding(name: str) -> Json:
    one = codes.code(name)
    return {"system": one.system, "code": one.code, "display": one.display}


def _head(kind: str, identifier: str, title: str) -> Json:
    return {
        "resourceType": kind,
        "id": identifier,
        "url": f"{CANONICAL}{kind}/{identifier}",
        "name": "".join(part.capitalize() for part in identifier.split("-")),
        "title": title,
        "status": "active",
        "experimental": False,
        "publisher": "ketafhir",
    }
