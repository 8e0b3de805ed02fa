"""QuestionnaireResponse -> the record of a filled form, ours or of others; `translate.screening` has the rest."""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.mapping.codecs.times import read_iso
from ketafhir.mapping.engine import get_preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Item, Observation, Response
from ketafhir.therapy.values import Coded, Coding, Quantity, Time
from ketafhir.translate import headings, instruments, results
from ketafhir.translate.observed import is_derived, is_derived_time, key_of
from ketafhir.translate.screening import ITEM, OBR, in_order, link_of, status_codec
from ketafhir.translate.taking import Taking

_KEPT = {"OBX-11": "status", "OBX-14": "effective"}


def take(taking: Taking, resource: Json) -> Response:
    """A QuestionnaireResponse and the Observations derived from it. Raises Refused."""
    values = taking.take(resource, OBR)
    asked = _items(resource)
    canonical = str(resource.get("questionnaire", ""))
    links = [Coded(tuple(_named(str(one.get("linkId", ""))))) for one in asked]
    form = (
        instruments.of_questionnaire(canonical)
        or instruments.of_panel(values.get("code"))
        or instruments.of_questions(links)
    )
    if "code" not in values:
        values["code"] = Coded((of_name(form.panel),)) if form else Coded((), canonical or "Questionnaire")
    headings.numbers(taking, resource, values)
    response = Response(patient=taking.patient(resource), visit=taking.visit(resource), **values)
    response.instrument = form.name if form else ""
    response.notes = headings.read_notes(resource)
    told = read_iso(resource["authored"], resource.get("_authored"), taking.c) if "authored" in resource else None
    authored = None if is_derived_time(resource, "authored") else told
    if response.start is None and "extension" not in resource:
        response.start = told
    status = status_codec(taking.tables).from_fhir(taking.c, (resource.get("status"), resource.get("_status")))
    scope = headings.scope_of(response.placer, response.filler, response.patient)
    response.key = headings.unused(headings.key_of(scope, response.code, response.start), taking.records.responses)
    scored = _take_scores(taking, resource, response, scope)
    for json in asked:
        item = _take_item(taking, json, status, authored)
        if is_derived(json) or (form and form.single and form.is_result(item.code)):
            if not scored:
                _score_again(taking, response, item, scope)
        else:
            response.items += (item,)
    if form:
        response.items = in_order(form, response.items)
    taking.records.responses[response.key] = response
    return response


def _items(resource: Json) -> list[Json]:
    """All questions with an answer or none below them, groups opened."""
    found: list[Json] = []
    for one in resource.get("item", ()):
        below = [*_items(one), *(inner for answer in one.get("answer", ()) for inner in _items(answer))]
        if "answer" in one or not below:
            found.append(one)
        found += below
    return found


def _named(link: str) -> list[Coding]:
    """The codings of a linkId of a form we know: the code itself, or as a path ends in it (`/<code>`)."""
    code = link.rstrip("/").rpartition("/")[2]
    for form in instruments.instruments().values():
        for system, known in (
            *form.items,
            *form.others,
            *((c.system, c.code) for c in [of_name(form.result)]),
        ):
            if known == code:
                one = codes.find(system, known)
                return [Coding(known, system, one.display if one else "")]
    return []


def _take_item(taking: Taking, json: Json, status: str, authored: Time | None) -> Item:
    values: dict[str, Any] = taking.tables.mapping(ITEM).from_fhir(json, taking.c, ITEM)
    link = str(json.get("linkId", ""))
    if link_of(values.get("code")) != link:
        values["code"] = Coded(tuple(_named(link)) or (Coding(link, "", str(json.get("text", ""))),))
    if len(json.get("answer", ())) > 1:
        taking.c.warn("answers-dropped", "HL7v2 holds one answer to a question: the first", link)
    values |= {"status": status, "effective": authored}
    told = get_preserved(json)
    for place, text in told:
        if place in _KEPT:
            values.pop(_KEPT[place])
            if text:
                fields = ["OBX", *[""] * (int(place[4:]) - 1), text]
                values |= taking.tables.mapping(ITEM).from_v2(Segment("OBX", fields), taking.c)
                taking.c.segment = None
    item = Item(**values)
    item.preserved = tuple(one for one in told if one[0] not in _KEPT)
    item.notes = headings.read_notes(json)
    return item


def _take_scores(taking: Taking, resource: Json, response: Response, scope: str) -> tuple[str, ...]:
    """The Observations derived from a form; gives their keys."""
    found: tuple[str, ...] = ()
    for one in taking.index.of_type("Observation"):
        if any(taking.resolve(reference, one) is resource for reference in one.get("derivedFrom", ())):
            found += results.take_one(
                taking,
                one,
                scope_key=scope,
                heading=response.code,
                report=response.key,
                response=response.key,
            )
    return found


def _score_again(taking: Taking, response: Response, item: Item, scope: str) -> None:
    """The answer of a form of one question, where the Bundle has no Observation of it."""
    if item.answer is None:
        return
    value = item.answer
    if isinstance(value, Quantity) and not value.unit:
        value = Quantity(value.value, "{score}")
    one = Observation(
        key=key_of(scope, response.code, item.code, "", item.effective or response.start), patient=response.patient,
        visit=response.visit, report=response.key, response=response.key, code=item.code, value=value,
        status=item.status, effective=item.effective, group_time=response.start,
    )  # fmt: skip
    taking.records.observations[one.key] = one
