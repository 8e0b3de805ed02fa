"""Administrations in from FHIR: MedicationAdministration -> acts and the RXA that ended something.

A resource that others are part of says how the whole infusion stands; all others are acts. What is ours brings its numbers
(RXA-1, RXA-2, ORC-2, ORC-3) along; of what others made, the order is that of `request`, of the whole infusion, or its own
number, and the acts are counted by time.
"""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.identifiers import DeviceIdentifier
from ketafhir.mapping.engine import get_preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.infusion import Course, course, last_event
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.pump import START
from ketafhir.therapy.records import Administration
from ketafhir.therapy.values import Coded, Identifier
from ketafhir.translate import amounts, events, orders
from ketafhir.translate.administrations import MEDICATION, ORC, RXA, RXR
from ketafhir.translate.courses import DERIVED_END, ORDER_STATUS, STANDING, TYPE
from ketafhir.translate.events import OBX
from ketafhir.translate.numbering import Numbered, number, numbered, order_numbers
from ketafhir.translate.observed import is_derived, moment
from ketafhir.translate.strengths import arranged
from ketafhir.translate.taking import Taking
from ketafhir.translate.wasted import take_waste

_NOT_GIVEN = ("refused", "not-given")


def take(taking: Taking) -> None:
    """All MedicationAdministrations of the Bundle, after its orders. Raises Refused."""
    told = []
    for one in taking.index.of_type(TYPE):
        if tagged(one, "keta.withdrawn"):
            taking.left_out[id(one)] = "a pump told the same segment: that goes out"
        else:
            told.append(one)
    above = {id(one): _whole(taking, one) for one in told}
    held = {id(one) for one in above.values() if one is not None}
    wholes = [
        one for one in told if not tagged(one, "keta.waste") and (tagged(one, "keta.infusion") or id(one) in held)
    ]
    acts: list[Numbered] = []
    for resource in told:
        if tagged(resource, "keta.waste"):
            take_waste(taking, resource)
        elif not any(resource is one for one in wholes):
            acts.append(Numbered(_take_act(taking, resource, above[id(resource)]), resource, above[id(resource)]))
    number(taking, acts)
    for numbered_act in acts:
        _add(taking, numbered_act)
    for resource in wholes:
        _take_events(taking, resource)
        _tell_whole(taking, resource)


def tagged(resource: Json, name: str) -> bool:
    """Whether a resource carries a tag of ours."""
    one = codes.code(name)
    tags = resource.get("meta", {}).get("tag", ())
    told = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return any(tag.get("code") == one.code and tag.get("system") == one.system for tag in told)


def _ours(resource: Json) -> bool:
    return tagged(resource, "keta.infusion-segment") or tagged(resource, "keta.bolus")


def _whole(taking: Taking, resource: Json) -> Json | None:
    """The administration in the Bundle that this one is part of."""
    for reference in resource.get("partOf", ()):
        found = taking.resolve(reference, resource)
        if found is not None and found.get("resourceType") == TYPE:
            return found
    return None


def _take_act(taking: Taking, resource: Json, whole: Json | None) -> Administration:
    seen, pump = _of_pump(taking, resource)
    values = taking.take(resource, RXA, seen=_as_period(seen))
    preserved = list(values.pop("preserved", ()))
    values.update(taking.take(resource, RXR, ORC, OBX, seen=seen))
    values.pop("preserved", None)
    preserved += _take_medication(taking, resource, values)
    values["placer"], values["filler"] = order_numbers(taking, resource, whole, values)
    act = Administration(**values, **pump)
    give, number = act.counters
    act.counters = (give, number.partition("@")[0])
    _check(taking, resource, act)
    _restate(resource, act, _refusing(taking))
    if whole is None and not resource.get("partOf"):
        act.order_status = act.order_status or STANDING.get(act.state, "")
    beside = {place: text for place, text in preserved if place in ("ORC-1", "ORC-5")}
    act.order_control = beside.get("ORC-1", "")
    act.order_status = taking.tables.code_map(ORDER_STATUS).v2_to_domain.get(beside.get("ORC-5", ""), act.order_status)
    act.preserved = tuple((place, text) for place, text in preserved if place not in beside)
    act.notes = _notes(resource) if _ours(resource) else ()
    act.action = "delete" if act.state == "deleted" else "add"
    act.patient = taking.patient(resource)
    act.visit = taking.visit(resource, "context") or (taking.visit(whole, "context") if whole else "")
    act.order = order_identity(act.placer, act.filler)
    _check_patient(taking, resource, act, whole)
    return act


def _of_pump(taking: Taking, resource: Json) -> tuple[Json, dict[str, Any]]:
    """A segment that a pump told: the resource without its pump, and what that says of the act."""
    key = numbered(resource, "keta.pump-segment")
    if not key:
        return resource, {}
    codec = DeviceIdentifier("", taking.tables.code_map)
    pumps = {
        at: codec.from_fhir(taking.c, one)
        for at, one in enumerate(resource.get("device", ()))
        if taking.resolve(one, resource) is not None
    }
    rest = [one for at, one in enumerate(resource.get("device", ())) if at not in pumps]
    seen = {name: part for name, part in resource.items() if name != "device"}
    if rest:
        seen["device"] = rest
    pump = next(iter(pumps.values()), None)
    return seen, {"key": key, "delivery": START, "channel": key.rpartition("@")[0], "pump": pump}


def _take_medication(taking: Taking, resource: Json, values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Drug and batch of the Medication that is referred to, into `values`; gives what is preserved of it."""
    reference = resource.get("medicationReference")
    medication = taking.resolve(reference, resource)
    if medication is not None and medication.get("resourceType") == "Medication":
        batch = taking.take(medication, MEDICATION, seen=arranged(medication))
        preserved: tuple[tuple[str, str], ...] = batch.pop("preserved", ())
        values.update(batch)
        values.setdefault("drug", orders.drug_within(taking, medication, resource))
        if _ours(resource):
            found = (
                orders.take_ingredient(taking, one, medication, resource) for one in medication.get("ingredient", ())
            )
            values["ingredients"] = tuple(one for one in found if one.drug != values["drug"])
        return preserved
    if "drug" not in values and isinstance(reference, dict) and reference.get("display"):
        values["drug"] = Coded((), str(reference["display"]))
    return ()


def _notes(resource: Json) -> tuple[str, ...]:
    """The notes, and the dosage in words, which HL7v2 has no other place for."""
    told = [note.get("text") for note in resource.get("note", ())]
    told.append(resource.get("dosage", {}).get("text"))
    return tuple(str(text) for text in told if text)


def _as_period(resource: Json) -> Json:
    """The resource with effectiveDateTime as a period without end, as the tables read it."""
    if "effectiveDateTime" not in resource:
        return resource
    period = {"start": resource["effectiveDateTime"]}
    if "_effectiveDateTime" in resource:
        period["_start"] = resource["_effectiveDateTime"]
    return {**resource, "effectivePeriod": period}


def _check(taking: Taking, resource: Json, act: Administration) -> None:
    """What an RXA must have, and must not say. Raises Refused."""
    if not orders.understood(act.drug):
        raise refusal(
            taking, resource, "medication[x]", "drug-unknown",
            "the drug has neither a code with its system nor a text", "send medicationCodeableConcept", "103",
        )  # fmt: skip
    if act.start is None:
        raise refusal(taking, resource, "effective[x]", "start-missing", "an administration without start", "", "101")
    if act.end is not None and act.end.at < act.start.at:
        raise refusal(
            taking, resource, "effectivePeriod.end", "end-before-start",
            f"the administration ends before it starts ({act.start.iso})", "", "102",
        )  # fmt: skip
    if act.amount is None and act.rate is None and resource.get("dosage", {}).get("text"):
        taking.c.where = taking.name(resource)
        taking.c.warn(
            "dose-in-words", "the dose is told in words only: it goes out as a text, and the amount as not known",
            str(resource["dosage"]["text"]), "send dosage.dose or dosage.rate[x]",
        )  # fmt: skip
    if resource.get("status") == "in-progress" and act.end is not None:
        taking.c.warn("status-contradiction", "in progress, and yet with an end: both go out as told", act.end.iso)


def _check_patient(taking: Taking, resource: Json, act: Administration, whole: Json | None) -> None:
    """An administration is of the patient of its order and of its infusion. Raises Refused."""
    request = taking.resolve(resource.get("request"), resource)
    others = [taking.patient(one) for one in (request, whole) if one is not None and "subject" in one]
    if any(one != act.patient for one in others):
        raise refusal(
            taking, resource, "subject", "order-of-other-patient",
            "the order or the infusion is another patient's", "check subject, request and partOf", "205",
        )  # fmt: skip


def refusal(
    taking: Taking, resource: Json, element: str, code: str, text: str, hint: str = "", hl7: str = "207"
) -> Refused:
    """The refusal of a Bundle for one element of an administration."""
    where = f"{taking.name(resource)}.{element}"
    return Refused(*taking.c.issues, Issue("error", code, text, where=where, hint=hint, hl7=hl7))


def _refusing(taking: Taking) -> set[str]:
    """The outcomes of which RXA-18 tells the reason, as the row says: the other reasons are RXA-9."""
    row = next((one for one in taking.tables.table(RXA).rows if one.domain == "refusal"), None)
    told = row.when.values if row is not None and row.when is not None else None
    states = taking.tables.code_map("administration-state").v2_to_domain
    return {states[code] for code in told or () if code in states}


def _restate(resource: Json, act: Administration, refusing: set[str]) -> None:
    """What is derived in FHIR is not told: an end from the next event, and the states that follow from it."""
    beside = resource.get("effectivePeriod", {}).get("_end", {})
    if any(one.get("url") == DERIVED_END for one in beside.get("extension", ())):
        act.end = None
        if act.state in ("completed", "stopped"):
            act.state = ""
    if act.state == "completed" and is_derived(resource.get("_status")):
        act.state = ""
    if act.state == "running":
        act.state, act.order_status = "", "running"
    elif act.state == "held":
        act.state, act.order_status = "stopped", "held"  # PA with HD is a pause
    elif act.state == "unknown":
        act.state = ""
    not_done = act.state in _NOT_GIVEN
    kinds = {codes.code("v2-0322.RE").code: "refused", codes.code("v2-0322.NA").code: "not-given"}
    system = codes.code("v2-0322.RE").system
    reasons = []
    for reason in act.reasons or act.refusal:
        found = next((kinds.get(one.code, "") for one in reason.codings if one.system == system), "")
        if not_done and found:
            act.state = found
        else:
            reasons.append(reason)
    act.reasons, act.refusal = ((), tuple(reasons)) if act.state in refusing else (tuple(reasons), ())


def _counted_by_start(resource: Json) -> bool:
    """Whether the number of an administration names its start too: at its site RXA-1 and -2 are not unique."""
    number = codes.code("keta.administration-number").code
    return any(
        coding.get("code") == number and "@" in str(one.get("value", ""))
        for one in resource.get("identifier", ())
        for coding in one.get("type", {}).get("coding", ())
    )


def _add(taking: Taking, one: Numbered) -> None:
    """The act under its key, with what it gave beside a rate. Raises Refused where two have one key."""
    act, resource = one.act, one.resource
    give = act.counters[0] or "0"
    if not act.key:
        act.key = f"{act.order}|{give}|{act.counters[1]}"
        if _counted_by_start(resource):
            act.key += f"@{moment(act.start)}"
    act.infusion = f"{act.order}|{give}|@{act.visit}"
    _join_parent(taking, one)
    if taking.records.administrations.setdefault(act.key, act) is not act:
        raise refusal(
            taking, resource, "identifier", "identity-collision",
            f"two administrations have one number ({'-'.join(act.counters)})", "", "205",
        )  # fmt: skip
    taking.acts[id(resource)] = act.key
    if one.whole is not None:
        taking.infusions.setdefault(id(one.whole), act.infusion)
    amounts.beside_rate(taking, act)
    if not _ours(resource):
        amounts.notes(taking, act, _notes(resource), act.key, act.key)


def _join_parent(taking: Taking, one: Numbered) -> None:
    """A bolus under an order of its own is part of the infusion of another (IHE PCD-03)."""
    if one.whole is None or not tagged(one.whole, "keta.infusion"):
        return
    told = taking.take(one.whole, ORC)
    placer, filler = told.get("placer"), told.get("filler")
    owner = order_identity(placer, filler)
    own = {number.key for number in (one.act.placer, one.act.filler) if number}
    if not owner or own & {number.key for number in (placer, filler) if number}:
        return
    named = [number for number in one.whole.get("identifier", ()) if _is_infusion_number(number)]
    give = str(named[0].get("value", "")).partition("@")[0] if named else "0"
    one.act.infusion = f"{owner}|{give or '0'}|@{one.act.visit}"
    number, role = (placer, "PLAC") if placer else (filler, "FILL")
    assert number is not None  # one of the two is the owner's
    one.act.parent = Identifier(number.value, number.system, role, number.authority)


def _is_infusion_number(number: Json) -> bool:
    codings = number.get("type", {}).get("coding", ())
    return any(coding.get("code") == codes.code("keta.infusion-number").code for coding in codings)


def _take_events(taking: Taking, whole: Json) -> None:
    """The events that make no child, preserved on the whole infusion."""
    preserved = get_preserved(whole)
    place = 1
    while (act := events.take(preserved, taking.c, place)) is not None:
        act.placer, act.filler = order_numbers(taking, whole, None, taking.take(whole, ORC))
        act.patient, act.visit = taking.patient(whole), taking.visit(whole, "context")
        act.order = order_identity(act.placer, act.filler)
        act.action = act.action or "add"
        give = act.counters[0] or "0"
        act.key = f"{act.order}|{give}|{act.counters[1]}"
        if act.key in taking.records.administrations or any(
            one.counters == act.counters and one.order == act.order for one in taking.records.administrations.values()
        ):
            act.key += f"@{moment(act.start)}{act.event.action if act.event else ''}"
        act.infusion = taking.infusions.get(id(whole), f"{act.order}|{give}|@{act.visit}")
        taking.records.administrations[act.key] = act
        place += 1


def _tell_whole(taking: Taking, whole: Json) -> None:
    """How the whole infusion stands is what the order said beside its last event; what else it tells goes there as well."""
    infusion = taking.infusions.get(id(whole), "")
    acts = [act for act in taking.records.administrations.values() if act.infusion == infusion]
    last = last_event(acts)
    if not acts:
        taking.c.where = taking.name(whole)
        taking.c.warn(
            "infusion-without-acts", "a whole infusion without its administrations: it makes no RXA", str(whole.get("status")),
            "add those that are partOf it to the Bundle",
        )  # fmt: skip
        return
    state = taking.tables.code_map("administration-state").fhir_to_domain.get(whole.get("status", ""), "")
    if last is not None and state in STANDING:
        contradicted = (
            last.order_status == "running" and last.state == state == "completed"
        )  # told so, and kept (RXA-20 counts)
        last.order_status = last.order_status if contradicted else STANDING[state]
        if state in ("held", "stopped") and last.state == "completed" and _course(taking, acts).status != state:
            last.state = "stopped"  # RXA-20 PA with ORC-5 HD or DC is how HL7v2 says a pause or a stop
    if tagged(whole, "keta.infusion"):
        return
    found = _course(taking, acts)
    if state and found.status != state:
        taking.c.where = taking.name(whole)
        text = f"the infusion is {whole['status']}, and of its administrations follows {found.status}: these count"
        taking.c.warn("status-differs", text, str(whole["status"]))
    amounts.notes(taking, found.first, _notes(whole), found.key, found.first.order)
    amounts.of_whole(taking, whole, found)


def _course(taking: Taking, acts: list[Administration]) -> Course:
    order = orders.find_order(taking.records, acts[0].placer, acts[0].filler)
    return course(acts[0].infusion, acts, order)
