"""What follows from a filled form: totals, risk levels, bands and flags. All of it is derived and never sent back.

A total that was sent is checked against the answers and never repaired; a form that is not complete gives no total.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ketafhir.mapping.codecs.coded import coding_json, concept_json, of_name
from ketafhir.mapping.codecs.numbers import number_text
from ketafhir.mapping.paths import DERIVED, Json
from ketafhir.therapy.records import Observation, Response
from ketafhir.therapy.values import Coded, Quantity, Value
from ketafhir.translate import instruments
from ketafhir.translate.instruments import Instrument
from ketafhir.translate.writing import Writing

if TYPE_CHECKING:
    from ketafhir.therapy.checks import Limits

SUICIDE_ITEM, EVALUATE = "keta.suicide-item-positive", "keta.immediate-evaluation"
_ORDER = ("none", "low", "moderate", "high")
_SCORE = "{score}"
_WITHDRAWN = ("entered-in-error", "deleted")


def total_of(form: Instrument, response: Response) -> Decimal | None:
    """The sum of all answers; None while one is missing, and for a form that is never summed."""
    if not form.numbers or not form.items:
        return None
    points: dict[str, Decimal] = {}
    for item in response.items:
        name, counts = form.item(item.code), form.points(item.answer)
        if name and counts is not None and points.setdefault(name, counts) != counts:
            return None  # one question, two answers
    return sum(points.values(), Decimal(0)) if len(points) == len(form.items) else None


def level_of(form: Instrument, response: Response) -> str:
    """The risk level that the answers give; "" while they do not settle it.

    Questions 1 and 2 are always asked, 3 to 5 after a yes to 2, and 6 always. A high risk stands whatever is missing.
    """
    said: dict[str, bool | None] = {}
    settled = True
    for item in response.items:
        name, yes = form.item(item.code), instruments.agrees(item.answer)
        if name:
            earlier = said.setdefault(name, yes)
            settled = settled and earlier == yes
            said[name] = earlier or yes  # one question, two answers: a yes counts
    raised = {form.raises[name] for name, yes in said.items() if yes and name in form.raises}
    if not form.levels:
        return ""
    level = max(raised, key=_ORDER.index, default="none")
    if level == "high" or (settled and _is_complete(form, said)):
        return level
    return ""


def _is_complete(form: Instrument, said: dict[str, bool | None]) -> bool:
    first, second, *conditional, lifetime, recent = form.items.values()
    needed = [first, second, lifetime]
    if said.get(second):
        needed += conditional
    if said.get(lifetime):
        needed.append(recent)
    return all(said.get(name) is not None for name in needed)


def reasons(form: Instrument, response: Response) -> list[Coded]:
    """The questions answered yes, which a risk level rests on."""
    return [
        item.code for item in response.items if item.code and form.item(item.code) and instruments.agrees(item.answer)
    ]


def flags(form: Instrument, response: Response) -> list[str]:
    """The flags that answers raise: a positive suicide question, a risk that needs evaluation at once."""
    found = []
    for item in response.items:
        if item.status in _WITHDRAWN:
            continue
        name = form.item(item.code)
        if form.raises.get(name) == "suicide" and (form.points(item.answer) or 0) > 0:
            found.append(SUICIDE_ITEM)
    if level_of(form, response) == "high":
        found.append(EVALUATE)
    return found


def said_level(form: Instrument, value: Value | None) -> str:
    """The word of a risk level as sent, by its code or its name; "" where it is none."""
    if not isinstance(value, Coded):
        return ""
    for word, name in form.levels.items():
        one = of_name(name)
        if value.has(one.system, one.code):
            return word
    said = (value.label, *(coding.display for coding in value.codings))
    return next((word for word in form.levels if any(word == text.strip().lower() for text in said)), "")


def derived_result(form: Instrument, response: Response) -> Value | None:
    """The total or level of a complete form."""
    total = total_of(form, response)
    if total is not None:
        return Quantity(total, _SCORE)
    level = level_of(form, response)
    return Coded((of_name(form.levels[level]),)) if level else None


def raised(form: Instrument, value: Value | None, limits: Limits) -> list[str]:
    """The flags that a score raises, sent as a number or as an answer of the form."""
    score = value.value if isinstance(value, Quantity) else form.points(value)
    if score is None or not form.holds(score):
        return []
    at = ((flag, getattr(limits, limit), least) for flag, limit, least in form.flags)
    return [flag for flag, threshold, least in at if (score >= threshold if least else score <= threshold)]


def impossible(form: Instrument, value: Value | None) -> str:
    """Why a value cannot be the score or level of a form; "" where it can."""
    if form.levels:
        return (
            ""
            if value is None or said_level(form, value)
            else f"not a risk level of {form.name}, which is never a number"
        )
    if form.range is None or not isinstance(value, Quantity) or form.holds(value.value):
        return ""
    kind = "a whole number" if form.whole else "a number"
    return f"the score of {form.name} is {kind} from {form.range[0]} to {form.range[1]}"


def disagreement(form: Instrument, response: Response, sent: Value | None) -> tuple[str, str] | None:
    """What was sent and what the answers give, where both are known and differ."""
    total = total_of(form, response)
    if total is not None and isinstance(sent, Quantity):
        return (number_text(sent.value), number_text(total)) if sent.value != total else None
    level, said = level_of(form, response), said_level(form, sent)
    return (said, level) if level and said and level != said else None


def interpret(writing: Writing, one: Observation, resource: Json) -> Json:
    """Band, flags and reasons of a score, added to its resource and marked derived."""
    form = instruments.of_result(one.code)
    if form is None:
        return resource
    response = writing.records.responses.get(one.response)
    names = flags(form, response) if response else []
    score = one.value.value if isinstance(one.value, Quantity) else form.points(one.value)
    if score is not None:
        band = form.band(score)
        names = [band, *names] if band else names
        names += raised(form, one.value, writing.tables.limits) if form.flags else []
    elif said_level(form, one.value) == "high" and EVALUATE not in names:
        names.append(EVALUATE)
    for name in dict.fromkeys(names):
        mark = {**_mark(), "coding": [coding_json(of_name(name))]}
        resource["interpretation"] = [*resource.get("interpretation", ()), mark]
    if response is not None and form.risk:
        for code in reasons(form, response):
            answer = {"coding": [coding_json(of_name("answer.yes"))]}
            resource.setdefault("component", []).append(
                {**_mark(), "code": concept_json(code), "valueCodeableConcept": answer}
            )
    return resource


def _mark() -> Json:
    return {"extension": [{"url": DERIVED, "valueBoolean": True}]}
