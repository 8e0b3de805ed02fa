"""A candidacy decision: OBX of our own codes <-> ClinicalImpression (accepted, review or refused, by which rules, by whom).

ClinicalImpression.finding cannot refer to a DetectedIssue in R4: each rule is a finding with its code, what it rests on its
basis. Conditions for evaluating again are Observations in supportingInfo.
"""

from __future__ import annotations

from ketafhir.errors import refused
from ketafhir.hl7v2.groups import Order as Group
from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import of_name, read_cwe
from ketafhir.mapping.engine import NULL, Preserved, get_preserved, put_back, put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.records import Decision, Item, Observation
from ketafhir.therapy.values import Coded
from ketafhir.translate import headings, results
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading, note_texts
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

OBR, OBX, FINDING = (
    "OBR_to_ClinicalImpression",
    "OBX_to_ClinicalImpression",
    "OBX_to_ClinicalImpression.finding",
)
TYPE = "ClinicalImpression"
_CODE, _RULE = "keta.candidacy-decision", "keta.candidacy-rule"
_ANSWERS = ("keta.accepted", "keta.review", "keta.refused")
_INHERITED = (11, 14, 16)  # a rule is told with the status, time and observer of its decision


def may_tell(codes_told: str) -> bool:
    """Whether the OBX-3 of an OBR, as one text, may hold a decision: a look that costs little."""
    return codes.code(_CODE).code in codes_told


def is_decision(reading: Reading, group: Group) -> bool:
    """Whether an OBR reports a candidacy decision."""
    return any(_is(reading, result, _CODE) for result in group.results)


def _is_of(code: Coded | None) -> bool:
    one = of_name(_CODE)
    return code is not None and code.has(one.system, one.code)


def _is(reading: Reading, result: Result, name: str) -> bool:
    one, text = of_name(name), result.obx.get(3)
    if one.code not in text:
        return False
    code = read_cwe(text, reading.c)
    return code is not None and code.has(one.system, one.code)


def _says(reading: Reading, result: Result) -> bool:
    text = result.obx.get(5)
    return text != NULL and read_cwe(text, reading.c) is not None


def read(reading: Reading, group: Group) -> Decision:
    """One decision with its rules; what else stands under its OBR are Observations. Raises Refused."""
    assert group.obr is not None
    values, notes = headings.read(reading, group, OBR)
    chosen = next(result for result in group.results if _is(reading, result, _CODE))
    said = reading.read(chosen.obx, OBX)
    reading.nulls()
    if said.get("decision") is None:
        raise refused(
            "decision-missing", "the decision is not said", where=reading.message.where(chosen.obx, 5), hl7="101",
            hint="send accepted, review or refused as a code of 99KETA, also where OBX-11 takes it back",
        )  # fmt: skip
    preserved: Preserved = values.pop("preserved") + said.pop("preserved", ())
    if not _is_of(values.get("code")):  # told under another heading, which comes back
        preserved += (("OBR-4", group.obr.get(4)),) if group.obr.get(4) else ()
        values["code"] = Coded((of_name(_CODE),))
    preserved += _unlike(chosen, {2: "CWE", 3: group.obr.get(4)})
    for number, other in enumerate(chosen.others, 1):
        preserved += reading.keep(other, number)
    decision = Decision(
        patient=reading.patient, visit=reading.visit, heading_notes=notes, preserved=preserved, told=reading.told,
        **values, **said,
    )  # fmt: skip
    _check(reading, decision, chosen)
    decision.notes = note_texts(chosen.notes, reading)
    scope = headings.scope_of(decision.placer, decision.filler, decision.patient)
    key = headings.key_of(scope, decision.code, decision.start)
    decision.place = group.obr.occurrence if group.obr else 0
    decision.key = headings.unused(key, reading.records.decisions)
    rest = []
    for result in group.results:
        if result is chosen:
            continue
        if _is(reading, result, _RULE) and _says(reading, result):
            decision.rules += (_read_rule(reading, result, chosen),)
        else:
            rest.append(result)
    results.read_results(
        reading, rest, scope_key=scope, heading=decision.code, start=decision.start, report=decision.key
    )
    reading.records.decisions[decision.key] = decision
    return decision


def _check(reading: Reading, decision: Decision, chosen: Result) -> None:
    told = decision.decision
    if told is None or not any(told.has(one.system, one.code) for one in map(of_name, _ANSWERS)):
        reading.warn(
            "code-unmapped", "neither accepted, review nor refused: written as sent", chosen.obx, 5,
            told.label if told else "", "send the decision as a code of 99KETA",
        )  # fmt: skip


def _unlike(result: Result, usual: dict[int, str]) -> Preserved:
    """The cells that are not as the way back writes them anyway."""
    return tuple((f"OBX-{at}", result.obx.get(at)) for at, text in usual.items() if result.obx.get(at) != text)


def _read_rule(reading: Reading, result: Result, chosen: Result) -> Item:
    item = Item(**reading.read(result.obx, FINDING))
    reading.nulls()
    item.notes = note_texts(result.notes, reading)
    item.preserved += _unlike(result, {2: "CWE", **{at: chosen.obx.get(at) for at in _INHERITED}})
    for number, other in enumerate(result.others, 1):
        item.preserved += reading.keep(other, number)
    return item


def render(writing: Writing, decision: Decision, told: list[Observation]) -> None:
    """The ClinicalImpression; the observations that support it are entries of their own."""
    resource = writing.fill(writing.start(TYPE, decision.key, f"{EXTENSION}candidacy-decision"), decision, OBR, OBX)
    resource.setdefault("status", "completed")
    resource["subject"] = writing.patient(decision.patient)
    visit = writing.visit(decision.visit)
    if visit:
        resource["encounter"] = visit
    for item in decision.rules:
        resource.setdefault("finding", []).append(_finding(writing, item))
    if told:
        resource["supportingInfo"] = results.references(writing, [one.key for one in told])
    if decision.notes:
        resource["note"] = [{"text": text} for text in decision.notes]
    if decision.heading_notes:
        resource["extension"] = headings.note_extensions(decision.heading_notes)
    writing.put(resource, decision.preserved)


def _finding(writing: Writing, item: Item) -> Json:
    json = writing.fill({}, item, FINDING)
    if item.notes:
        json["basis"] = item.notes[0]
        more = headings.note_extensions(item.notes[1:])
        if more:
            json.setdefault("extension", []).extend(more)
    put_preserved(json, item.preserved)
    return json


def is_ours(resource: Json) -> bool:
    """Whether a ClinicalImpression is a candidacy decision: by its code, its answer, or the question that was kept on it."""
    one = of_name(_CODE)
    told = resource.get("code", {}).get("coding", ())
    if any((coding.get("system"), coding.get("code")) == (one.system, one.code) for coding in told):
        return True
    kept = dict(get_preserved(resource)).get("OBX-3", "")
    return kept.startswith(one.code + "^") or any(_is_answer(finding) for finding in resource.get("finding", ()))


def take(taking: Taking, resource: Json) -> Decision | None:
    """A candidacy decision and the Observations that support it; None of another ClinicalImpression. Raises Refused."""
    if not is_ours(resource):
        taking.leave_out(resource, "decision-unknown", "a ClinicalImpression that is no candidacy decision is left out")
        return None
    findings = resource.get("finding", [])
    chosen = next((one for one in findings if _is_answer(one)), None) or next(
        (one for one in findings if not _has_question(one)), None
    )
    shown = {**resource, "finding": [chosen] if chosen else []}
    values = taking.take(shown, OBR, OBX)
    headings.numbers(taking, resource, values)
    values.setdefault("code", Coded((of_name(_CODE),)))
    decision = Decision(patient=taking.patient(resource), visit=taking.visit(resource), **values)
    decision.notes = tuple(str(one["text"]) for one in resource.get("note", ()) if one.get("text"))
    decision.heading_notes = headings.read_notes(resource)
    decision.rules = tuple(_take_rule(taking, one) for one in findings if one is not chosen)
    scope = headings.scope_of(decision.placer, decision.filler, decision.patient)
    key = headings.key_of(scope, decision.code, decision.start)
    decision.key = headings.unused(key, taking.records.decisions)
    for reference in resource.get("supportingInfo", ()):
        found = taking.resolve(reference, resource)
        if found is not None and found.get("resourceType") == "Observation":
            results.take_one(taking, found, scope_key=scope, heading=decision.code, report=decision.key)
    taking.records.decisions[decision.key] = decision
    return decision


def _is_answer(finding: Json) -> bool:
    told = finding.get("itemCodeableConcept", {}).get("coding", ())
    known = [of_name(name) for name in _ANSWERS]
    return any((one.get("system"), one.get("code")) == (k.system, k.code) for one in told for k in known)


def _has_question(finding: Json) -> bool:
    return any(one.get("url") == EXTENSION + "item-code" for one in finding.get("extension", ()))


def _take_rule(taking: Taking, finding: Json) -> Item:
    item = Item(**taking.tables.mapping(FINDING).from_fhir(finding, taking.c, FINDING))
    if item.code is None:
        item.code = Coded((of_name(_RULE),))
    basis = (str(finding["basis"]),) if finding.get("basis") else ()
    item.notes = (*basis, *headings.read_notes(finding))
    item.preserved = get_preserved(finding)
    return item


def compose(composing: Composing, number: int, decision: Decision, told: list[Observation]) -> None:
    """OBR, the decision, its rules, and what supports it."""
    headings.compose(composing, number, decision, OBR, decision.heading_notes)
    heading = composing.cells(decision, OBR, preserved=())
    cells = {2: "CWE", 3: heading.get(4, ""), 11: "F", **composing.cells(decision, OBX, preserved=())}
    own = tuple(one for one in decision.preserved if one[0].startswith("OBX-"))
    inherited = {at: cells.get(at, "") for at in _INHERITED}
    put_back(cells, "OBX", own)
    results.add_result(composing, 1, cells, decision.notes, own)
    for set_id, item in enumerate(decision.rules, 2):
        cells = {2: "CWE", **inherited, **composing.cells(item, FINDING, preserved=())}
        put_back(cells, "OBX", item.preserved)
        results.add_result(composing, set_id, cells, item.notes, item.preserved)
    results.compose_results(composing, told, len(decision.rules) + 2)
    headings.compose_rest(composing, decision.preserved)
