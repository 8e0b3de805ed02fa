"""A screening OBR with its answers <-> QuestionnaireResponse and score Observation: PHQ-9, GAD-7, C-SSRS screener, pain NRS.

QuestionnaireResponse has no place for status and time of one answer: the worst status and the latest time are those of the
form, and an answer that was told otherwise keeps its own cell beside it.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Order as Group
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import coding_json, of_name, read_cwe
from ketafhir.mapping.codecs.statuses import ExactCode
from ketafhir.mapping.codecs.times import dtm_beside, write_dtm
from ketafhir.mapping.codecs.values import as_sent
from ketafhir.mapping.engine import put_back, put_preserved
from ketafhir.mapping.paths import DERIVED, EXTENSION, Json
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.records import Item, Observation, Response
from ketafhir.therapy.values import Coded, Quantity, Time
from ketafhir.translate import headings, instruments, results, scores
from ketafhir.translate.composing import Composing
from ketafhir.translate.instruments import QUESTIONNAIRE, Instrument
from ketafhir.translate.observed import (
    key_of,
    put_time,
)
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.writing import Writing

OBR, ITEM = "OBR_to_QuestionnaireResponse", "OBX_to_QuestionnaireResponse.item"
TYPE = "QuestionnaireResponse"
_WORST = ("completed", "amended", "in-progress", "entered-in-error")
_SCORE_STATUS = dict(zip(_WORST, ("final", "amended", "preliminary", "entered-in-error"), strict=True))
"""A score made from a form stands as the form stands."""


def form_of(reading: Reading, group: Group) -> Instrument | None:
    """The form that an OBR reports, or None. A score that comes without its answers is a plain report."""
    assert group.obr is not None
    code = read_cwe(group.obr.get(4), reading.c)
    form = instruments.of_panel(code)
    if form is None and code is not None and any(codes.find(one.system, one.code) for one in code.codings):
        return None
    asked = [read_cwe(result.obx.get(3), reading.c) for result in group.results]
    if form is None:
        return instruments.of_questions(asked)
    if form.single:
        return form if any(form.is_result(one) for one in asked) else None
    return form if any(form.item(one) for one in asked) else None


def read(reading: Reading, group: Group, form: Instrument) -> Response:
    """One filled form: its answers, and its score as an Observation. Raises Refused."""
    values, notes = headings.read(reading, group, OBR)
    response = Response(
        patient=reading.patient,
        visit=reading.visit,
        instrument=form.name,
        notes=notes,
        told=reading.told,
        **values,
    )
    scope = headings.scope_of(response.placer, response.filler, response.patient)
    response.place = group.obr.occurrence if group.obr else 0
    response.key = headings.unused(headings.key_of(scope, response.code, response.start), reading.records.responses)
    told: list[Result] = []
    answers: list[Result] = []
    for result in group.results:
        scored = form.is_result(read_cwe(result.obx.get(3), reading.c))
        (told if scored else answers).append(result)
    response.items = in_order(form, tuple(_read_item(reading, result, form) for result in answers))
    _warn_of_repeats(reading, form, answers)
    keys = results.read_results(
        reading, told, scope_key=scope, heading=response.code, start=response.start, report=response.key
    )
    sent = [reading.records.observations[key] for key in keys]
    for one in sent:
        one.response = response.key
    reading.records.responses[response.key] = response
    if not form.single:
        _check(reading, form, response, sent, told, scope)
    return response


def _read_item(reading: Reading, result: Result, form: Instrument) -> Item:
    values = reading.read(result.obx, ITEM)
    reading.nulls()
    item = Item(**values)
    item.notes = note_texts(result.notes, reading)
    numbers: dict[str, int] = {}
    for other in result.others:
        numbers[other.name] = numbers.get(other.name, 0) + 1
        item.preserved += reading.keep(other, numbers[other.name])
    if not form.asks(item.code):
        told = item.code.label if item.code else ""
        reading.warn("item-unexpected", f"not a question of {form.name}: kept as an answer", result.obx, 3, told)
    elif form.item(item.code) and item.answer is not None:
        read = form.points(item.answer) if form.numbers else instruments.agrees(item.answer)
        if read is None:
            reading.warn("answer-unknown", f"not an answer of {form.name}: it counts nothing", result.obx, 5)
    return item


def in_order(form: Instrument, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The answers in the order of the form's questions, as R4 wants them; where one asks something else they stay as told."""
    places = [form.place(item.code) for item in items]
    return items if -1 in places else tuple(sorted(items, key=lambda item: form.place(item.code)))


def _warn_of_repeats(reading: Reading, form: Instrument, told: list[Result]) -> None:
    """A question that is answered twice: which answer holds is not known."""
    seen: set[int] = set()
    for result in told:
        place = form.place(read_cwe(result.obx.get(3), reading.c))
        if place in seen:
            text = f"a question of {form.name} is answered twice: kept as told, as a form without its Questionnaire"
            hint = "send each answer once; a second form has an OBR of its own"
            reading.warn("question-answered-twice", text, result.obx, 3, result.obx.get(3), hint)
        elif place >= 0:
            seen.add(place)


def _check(
    reading: Reading,
    form: Instrument,
    response: Response,
    sent: list[Observation],
    told: list[Result],
    scope: str,
) -> None:
    """Compare the score sent with the answers, or derive it where none was sent."""
    for one, result in zip(sent, told, strict=True):
        found = scores.disagreement(form, response, one.value)
        if found:
            reading.warn(
                "score-mismatch",
                f"{found[0]} was sent, the answers give {found[1]}: kept as sent",
                result.obx,
                5,
                found[0],
            )
    if sent:
        return
    value = scores.derived_result(form, response)
    if value is None:
        assert reading.message is not None
        text = f"{form.name} is not complete: no score is made"
        reading.warn("form-incomplete", text, reading.message.segments[0])
        return
    code, time = Coded((of_name(form.result),)), authored_of(response)
    codec = status_codec(reading.tables)
    status = _SCORE_STATUS[codec.to_fhir(reading.c, _worst(response, codec, [])) or _WORST[0]]
    one = Observation(
        key=key_of(scope, response.code, code, "", time or response.start), patient=response.patient,
        visit=response.visit, report=response.key, response=response.key, code=code, value=value, status=status,
        effective=time, group_time=response.start, derived=True, told=reading.told,
    )  # fmt: skip
    reading.records.observations[one.key] = one


def authored_of(response: Response) -> Time | None:
    """The latest time among the answers."""
    return max((item.effective for item in response.items if item.effective), key=lambda one: one.at, default=None)


def status_codec(tables: Tables) -> ExactCode:
    """OBX-11 of an answer, and the status of a form."""
    return ExactCode("response-status", tables.code_map)


def _worst(response: Response, codec: ExactCode, scored: list[Observation]) -> str:
    words = [item.status for item in response.items if item.status] or [one.status for one in scored if one.status]
    known = codec.map.domain_to_fhir
    return max(words, key=lambda word: _WORST.index(known.get(word, "completed")), default="final")


def render(writing: Writing, response: Response, scored: list[Observation]) -> None:
    """The QuestionnaireResponse; its scores are entries of their own."""
    form = instruments.instruments().get(response.instrument)
    tags = tuple(coding_json(of_name(name)) for name in dict.fromkeys(scores.flags(form, response) if form else ()))
    resource = writing.fill(
        writing.start(TYPE, response.key, EXTENSION + "screening-response", tags=tags), response, OBR
    )
    codec = status_codec(writing.tables)
    status = _worst(response, codec, scored)
    resource["status"] = codec.to_fhir(writing.c, status) or "completed"
    beside = codec.beside(status)
    if beside:
        resource["_status"] = beside
    resource["subject"] = writing.patient(response.patient)
    visit = writing.visit(response.visit)
    if visit:
        resource["encounter"] = visit
    authored = authored_of(response) or next((one.effective for one in scored if not response.items), None)
    if authored:
        resource["authored"] = authored.iso
        sent = dtm_beside(authored)
        if sent:
            resource["_authored"] = sent
    else:
        put_time(resource, "authored", None, response.start)
    items = [_item(writing, item, status, authored) for item in response.items]
    if form and form.single:
        items += [_score_item(one) for one in scored]
    if items:
        resource["item"] = items
    links = [one["linkId"] for one in items]
    asked = form and (form.single or all(form.asks(item.code) for item in response.items))
    if form and asked and len(set(links)) == len(links) and all(_is_of_form(form, one) for one in items):
        # R4: who names a Questionnaire answers its questions, by its answers, and shows them as it has them.
        resource["questionnaire"] = QUESTIONNAIRE + response.instrument
    if response.notes:
        resource.setdefault("extension", []).extend(headings.note_extensions(response.notes))
    writing.put(resource, response.preserved)


def _is_of_form(form: Instrument, item: Json) -> bool:
    """Whether an item is a question of the form, answered as the form allows; then it has the text of the form."""
    name = form.question(item["linkId"])
    if not name or not all(form.takes(name, one) for one in item.get("answer", ())):
        return False
    item.pop("text", None)
    text = form.text(name)
    if text:
        item["text"] = text
    return True


def _item(writing: Writing, item: Item, status: str, authored: Time | None) -> Json:
    json: Json = {"linkId": link_of(item.code)}
    if item.code and item.code.label:
        json["text"] = item.code.label
    writing.fill(json, item, ITEM)
    own: list[tuple[str, str]] = []
    if item.status != status:
        own.append(("OBX-11", writing.tables.code_map("observation-status").domain_to_v2.get(item.status, "")))
    if item.effective != authored:
        own.append(("OBX-14", write_dtm(item.effective) if item.effective else ""))
    if item.notes:
        json.setdefault("extension", []).extend(headings.note_extensions(item.notes))
    put_preserved(json, (*own, *item.preserved))
    return json


def _score_item(one: Observation) -> Json:
    """The one question of a form whose answer is its score: said again in the form, derived from the Observation."""
    json: Json = {"linkId": link_of(one.code), "extension": [{"url": DERIVED, "valueBoolean": True}]}
    if one.code and one.code.label:
        json["text"] = one.code.label
    if isinstance(one.value, Quantity):
        whole = one.value.value == one.value.value.to_integral_value()
        number = {"valueInteger": int(one.value.value)} if whole else {"valueDecimal": one.value.value}
        json["answer"] = [number]
    return json


def link_of(code: Coded | None) -> str:
    """The linkId of a question."""
    return (code.codings[0].code if code.codings else code.text) if code else "unknown"


def compose(composing: Composing, number: int, response: Response, scored: list[Observation]) -> None:
    """OBR, the answers as OBX, and the scores."""
    headings.compose(composing, number, response, OBR, response.notes)
    set_id = 1
    for item in response.items:
        cells = composing.cells(item, ITEM, preserved=())
        put_back(cells, "OBX", as_sent(cells, item.answer, item.preserved))
        results.add_result(composing, set_id, cells, item.notes, item.preserved)
        set_id += 1
    results.compose_results(composing, scored, set_id)
    headings.compose_rest(composing, response.preserved)
