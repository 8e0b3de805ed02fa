"""The screening forms: which codes make which form, what an answer counts, and what a total or level means.

`mappings/instruments.csv`; bands and risk levels as published with the forms. From which score on a flag is raised is a limit
of the site (`limits.csv`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

from ketafhir.mapping import codes, sheet
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.plain import Plain, field
from ketafhir.therapy.values import Coded, Coding, Quantity, Value

QUESTIONNAIRE = "https://ketafhir.org/fhir/Questionnaire/"
SHIPPED = frozenset(("phq9", "gad7", "pcl5", "pain-nrs"))
"""Forms whose questions may be shown (NOTICE). Of others the codes alone are written."""
Pair = tuple[str, str]
_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")


class Instrument(Plain):
    """One form, or a score that comes without its answers (no panel). All codes are names of the catalogue.

    `levels` and `raises` are of a form whose result is a risk level; `range` is the lowest and the highest score, and
    `flags` has what a score raises: the flag, the limit that says from where, and whether from there on or down.
    """

    name: str
    panel: str = ""
    total: str = ""
    risk: str = ""
    items: dict[Pair, str] = field(default_factory=dict)
    others: dict[Pair, str] = field(default_factory=dict)
    answers: dict[Pair, Decimal] = field(default_factory=dict)
    numbers: set[Decimal] = field(default_factory=set)
    range: tuple[Decimal, Decimal] | None = None
    whole: bool = False
    flags: list[tuple[str, str, bool]] = field(default_factory=list)
    bands: list[tuple[Decimal, str]] = field(default_factory=list)
    raises: dict[str, str] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether the form is one question, whose answer is the score."""
        return bool(self.panel) and not self.items

    @property
    def result(self) -> str:
        """The name of the code of its score or level."""
        return self.total or self.risk

    def item(self, code: Coded | None) -> str:
        """The name of the question that a code asks, or ""."""
        for coding in code.codings if code else ():
            name = self.items.get((coding.system, coding.code))
            if name:
                return name
        return ""

    def text(self, name: str) -> str:
        """The question of that name, as the Questionnaire has it; "" where it may not be shown."""
        return codes.code(name).display if self.name in SHIPPED else ""

    def question(self, link: str) -> str:
        """The name of the question with that linkId, counted or not; the form itself where it is one question."""
        if self.single and link == codes.code(self.panel).code:
            return self.panel
        return next((name for (_, code), name in (*self.items.items(), *self.others.items()) if code == link), "")

    def takes(self, name: str, answer: dict[str, Any]) -> bool:
        """Whether an answer (`{"valueInteger": 2}`) is one that the Questionnaire allows to a question."""
        if self.single:
            return "valueInteger" in answer
        if name in self.others.values():
            return "valueCoding" in answer or "valueString" in answer
        if "valueCoding" in answer:
            told = (answer["valueCoding"].get("system", ""), answer["valueCoding"].get("code", ""))
            known = codes.find(*told)
            return bool(known and known.name in ("answer.yes", "answer.no")) if self.levels else told in self.answers
        return not self.levels and answer.get("valueInteger") in self.numbers

    def place(self, code: Coded | None) -> int:
        """The place among the form's questions, counted or not, of the one that a code asks; -1 of none."""
        asked = (*self.items, *self.others)
        return next(
            (asked.index(pair) for c in (code.codings if code else ()) if (pair := (c.system, c.code)) in asked), -1
        )

    def asks(self, code: Coded | None) -> bool:
        """Whether a code is one of the form's questions, counted or not."""
        return self.place(code) >= 0

    def is_result(self, code: Coded | None) -> bool:
        """Whether a code is that of the form's score or level."""
        one = of_name(self.result)
        return code is not None and code.has(one.system, one.code)

    def band(self, total: Decimal) -> str:
        """The name of the severity band of a total, or "": there is none outside the range of the form."""
        found = ""
        if not self.holds(total):
            return found
        for start, name in self.bands:
            if total >= start:
                found = name
        return found

    def holds(self, score: Decimal) -> bool:
        """Whether a score is one that the form can give."""
        if self.range is None:
            return True
        lowest, highest = self.range
        return lowest <= score <= highest and not (self.whole and score != score.to_integral_value())

    def points(self, answer: Value | None) -> Decimal | None:
        """What an answer counts: the number sent, or the score of the answer's code. None for no such answer."""
        if isinstance(answer, Quantity):
            return answer.value if answer.value in self.numbers else None
        if isinstance(answer, Coded):
            for coding in answer.codings:
                if (coding.system, coding.code) in self.answers:
                    return self.answers[coding.system, coding.code]
        return None


def agrees(answer: Value | None) -> bool | None:
    """Whether a yes-or-no answer is yes; None where it is neither."""
    if isinstance(answer, Quantity):
        return answer.value > 0
    said = answer if isinstance(answer, str) else ""
    if isinstance(answer, Coded):
        for coding in answer.codings:
            known = codes.find(coding.system, coding.code)
            if known and known.name in ("answer.yes", "answer.no"):
                return known.name == "answer.yes"
        first: Coding | None = answer.codings[0] if answer.codings else None
        said = (first.display or first.code) if first else answer.text
    said = said.strip().lower()
    return True if said in _YES else False if said in _NO else None


@cache
def instruments() -> dict[str, Instrument]:
    """All forms by name."""
    found: dict[str, Instrument] = {}
    for row in sheet.ours("instruments.csv", "instrument role code value comment"):
        one = found.setdefault(row["instrument"], Instrument(row["instrument"]))
        coding = codes.code(row["code"])
        pair = (coding.system, coding.code)
        role, value = row["role"], row["value"]
        if role in ("panel", "total", "risk"):
            setattr(one, role, row["code"])
        elif role == "item":
            one.items[pair] = row["code"]
            if value:
                one.raises[row["code"]] = value
        elif role == "other":
            one.others[pair] = row["code"]
        elif role == "answer":
            one.answers[pair] = Decimal(value)
            one.numbers.add(Decimal(value))
        elif role == "numbers":
            first, last = value.split()
            one.numbers.update(map(Decimal, range(int(first), int(last) + 1)))
        elif role in ("whole", "mean"):
            lowest, highest = value.split()
            one.range, one.whole = (Decimal(lowest), Decimal(highest)), role == "whole"
        elif role in ("at-least", "at-most"):
            one.flags.append((row["code"], value.replace("-", "_"), role == "at-least"))
        elif role == "band":
            one.bands.append((Decimal(value), row["code"]))
        elif role == "level":
            one.levels[value] = row["code"]
    return found


def of_panel(code: Coded | None) -> Instrument | None:
    """The form whose panel a code is."""
    found = _by_panel()
    for coding in code.codings if code else ():
        if (coding.system, coding.code) in found:
            return found[coding.system, coding.code]
    return None


@cache
def _by_panel() -> dict[Pair, Instrument]:
    panels = ((of_name(one.panel), one) for one in instruments().values() if one.panel)
    return {(coding.system, coding.code): one for coding, one in panels}


def of_result(code: Coded | None) -> Instrument | None:
    """The form whose score or level a code is."""
    found = _by_result()
    for coding in code.codings if code else ():
        if (coding.system, coding.code) in found:
            return found[coding.system, coding.code]
    return None


@cache
def _by_result() -> dict[Pair, Instrument]:
    results = ((of_name(one.result), one) for one in instruments().values())
    return {(coding.system, coding.code): one for coding, one in results}


def of_questions(asked: Iterable[Coded | None]) -> Instrument | None:
    """The form that asks at least two of these questions; where the panel's own code is not known."""
    listed = list(asked)
    for one in instruments().values():
        if len({one.item(code) for code in listed} - {""}) >= 2:
            return one
    return None


def of_questionnaire(canonical: str) -> Instrument | None:
    """The form of a Questionnaire canonical: ours, or one that ends in the code of the panel (`http://loinc.org/q/...`)."""
    last = canonical.partition("|")[0].rstrip("/").rpartition("/")[2]
    for one in instruments().values():
        if one.panel and last in (one.name, codes.code(one.panel).code):
            return one
    return None
