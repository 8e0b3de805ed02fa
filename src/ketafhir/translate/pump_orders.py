"""Whether an RGV^O15 may leave: it can program a pump (IHE PCD-03), and so it is held to more than any other message.

It is off unless the configuration says `[pump] orders = true` with the name of its owner, it must be asked for by name, and
every reason against it is told at once: the candidacy decision, how the order stands, the age of the weight, and the checks
C1 to C5, C11 and C12 (`therapy.checks`). There is no way round; docs/safety.md.
"""

from __future__ import annotations

from typing import NamedTuple

from ketafhir.errors import Issue, Refused
from ketafhir.mapping import codes
from ketafhir.plain import replace
from ketafhir.therapy import checks, measures
from ketafhir.therapy.checks import Limits, Mismatch, Program
from ketafhir.therapy.records import Observation, Order, Patient, Records
from ketafhir.therapy.values import Quantity, Ratio
from ketafhir.translate.kinds import is_weight
from ketafhir.translate.order_mismatches import concentration_of, give_mismatch, is_ketamine, order_mismatches
from ketafhir.translate.order_segments import FILLER, GIVE, ORIGINAL

MESSAGE = "RGV^O15"
_WITHDRAWN = (
    "entered-in-error",
    "deleted",
    "cancelled",
    "preliminary",
    "unverified",
    "partial",
    "pending",
    "order-only",
)
_AHEAD = 300  # seconds that a clock may be fast


class PumpOrders(NamedTuple):
    """That orders to pumps are allowed, by whom, and how old a body weight may be. `now` is in seconds since the epoch."""

    owner: str
    weight_hours: int
    now: float


def gives_of(records: Records, patient: Patient, visit: str) -> list[Order]:
    """The give instructions of a patient; where there are none at all, the encoded orders as they are to be given."""
    orders = [one for one in records.orders.values() if one.patient == patient.key and one.visit == visit]
    gives = [one for one in orders if one.intent == GIVE]
    return gives or [_as_give(one) for one in orders if one.intent == FILLER]


def _as_give(order: Order) -> Order:
    """An encoded order as one give instruction: its concentration is the strength, its weight goes along."""
    per, strength = order.concentration, None
    if per is not None:
        mass, _, volume = per.unit.partition("/")
        strength = Ratio(Quantity(per.value, mass), Quantity(type(per.value)(1), volume))
    control = codes.code("v2-0119.CH" if order.parent else "v2-0119.RE").code
    state = replace(order.state, control=control) if order.state else None
    return replace(order, intent=GIVE, counters=("1", ""), strength=strength, state=state, preserved=(), ingredients=())


def check(
    records: Records, patient: Patient, gives: list[Order], policy: PumpOrders | None, limits: Limits
) -> list[Issue]:
    """What to warn of. Raises Refused with every reason why these instructions must not leave."""
    if policy is None:
        raise Refused(
            Issue(
                "error", "pump-orders-off", "orders to pumps are switched off", where=MESSAGE, hl7="207",
                hint="[pump] orders = true and owner = NAME in the configuration, which translate reads with --config",
            )
        )  # fmt: skip
    found = [*_candidacy(records, patient)]
    for give in gives:
        found += _of_give(records, patient, give, policy, limits)
    refused = [one for one in found if one.severity == "error"]
    if refused:
        raise Refused(*dict.fromkeys(refused))
    return list(dict.fromkeys(found))


def _candidacy(records: Records, patient: Patient) -> list[Issue]:
    """The newest decision on the patient says accepted."""
    told = [one for one in records.decisions.values() if one.patient == patient.key and one.status not in _WITHDRAWN]
    newest = max(told, key=lambda one: (one.at or one.start).at if (one.at or one.start) else 0, default=None)  # type: ignore[union-attr]
    accepted = codes.code("keta.accepted")
    if newest is None:
        return [_error("not-a-candidate", "there is no decision that the patient may be treated", "ClinicalImpression")]
    if newest.decision is None or not newest.decision.has(accepted.system, accepted.code):
        label = newest.decision.label if newest.decision else ""
        return [
            _error("not-a-candidate", "the newest decision on the patient is not accepted", "ClinicalImpression", label)
        ]
    return []


def _of_give(records: Records, patient: Patient, give: Order, policy: PumpOrders, limits: Limits) -> list[Issue]:
    number = give.filler or give.placer
    name = number.value if number else ""
    order = _order_of(records, give)
    found = []
    for one in (give, order):
        standing = (one.state.standing or one.state.says or "active") if one and one.state else "active"
        if standing != "active":
            found.append(_error("order-not-active", f"the order is {standing}", "ORC-5", name))
    if order is None:
        found.append(_error("order-not-known", "the order that this is to be given under is not here", "ORC-2", name))
    if give.rate is None:
        found.append(_error("pump-order-incomplete", "a pump cannot be programmed without a rate", "RXG-15", name))
    if concentration_of(give) is None:
        found.append(
            _error("pump-order-incomplete", "a pump cannot be programmed without the concentration", "RXG-17", name)
        )
    if (
        isinstance(give.dose, Quantity)
        and give.dose.unit
        and measures.millilitres(give.dose, None, concentration_of(give)) is None
    ):
        found.append(_error("pump-order-incomplete", "the volume to be infused does not follow", "RXG-5", name))
    dosing, last = _weights(records, patient.key, give, order)
    found += _weight_age(last or dosing, policy, name)
    value = dosing.value if dosing and isinstance(dosing.value, Quantity) else None
    known = last.value if last and isinstance(last.value, Quantity) else None
    mismatches = [] if order is None else order_mismatches(order, limits, value, known)
    mismatches += [one for one in (give_mismatch(give, limits, value),) if one is not None]
    mismatches += _against_order(give, order, value, patient, limits)
    return found + [one.issue("RXG", name, to_pump=True) for one in mismatches]


def _order_of(records: Records, give: Order) -> Order | None:
    """The order a give is under: its parent's for a bolus from a running infusion, encoded before placed."""
    wanted = [give.parent] if give.parent else [give.placer, give.filler]
    numbers = {one.key for one in wanted if one}
    for intent in (FILLER, ORIGINAL):
        for one in records.orders.values():
            if one.intent == intent and numbers & {number.key for number in (one.placer, one.filler) if number}:
                return one
    return None


def weight_of(records: Records, give: Order) -> Observation | None:
    """The body weight that a pump is told with an instruction: that the dose goes by, else the last one measured."""
    dosing, last = _weights(records, give.patient, give, _order_of(records, give))
    return dosing or last


def _weights(
    records: Records, patient: str, give: Order, order: Order | None
) -> tuple[Observation | None, Observation | None]:
    """The dosing weight told with the give or its order, and the last one measured."""
    told = [
        one
        for one in records.observations.values()
        if one.patient == patient
        and is_weight(one)
        and one.status not in _WITHDRAWN
        and isinstance(one.value, Quantity)
    ]
    keys = {one.key for one in (give, order) if one is not None}
    own = [one for one in told if one.order in keys]
    measured = [one for one in told if not one.order]
    return max(own, key=_at, default=None), max(measured, key=_at, default=None)


def _at(one: Observation) -> float:
    time = one.effective or one.group_time
    return float(time.at) if time else 0.0


def _weight_age(weight: Observation | None, policy: PumpOrders, name: str) -> list[Issue]:
    if weight is None:
        return [_error("weight-missing", "no body weight is known", "OBX-3", name)]
    hours = (policy.now - _at(weight)) / 3600
    if hours * 3600 < -_AHEAD:
        return [_error("weight-stale", "the body weight was measured in the future", "OBX-14", name)]
    if hours > policy.weight_hours:
        text = f"the body weight is {hours:.0f} h old, {policy.weight_hours} h are allowed"
        return [_error("weight-stale", text, "OBX-14", name)]
    return []


def _against_order(
    give: Order, order: Order | None, weight: Quantity | None, patient: Patient, limits: Limits
) -> list[Mismatch]:
    """C5 and C12: what the pump would be told against what was ordered. A bolus or a change has a rate of its own."""
    if order is None:
        return []
    titrated = give.parent is not None or order.max_rate is not None
    ordered = Program(order.patient, _drug(order), order.concentration, None if titrated else order.rate, None, weight)
    told = Program(patient.key, _drug(give), concentration_of(give), give.rate, None, weight)
    per = concentration_of(give)
    tops = [give.max_rate] if give.parent else [give.max_rate, order.max_rate]
    found: list[Mismatch | None] = [*checks.pump(ordered, told, limits)]
    found += [checks.highest_rate(give.rate, top, limits, weight=weight, per=per) for top in tops]
    if is_ketamine(give.drug):  # a bolus is judged by its dose: it goes fast
        dose = give.dose if isinstance(give.dose, Quantity) else None
        rate = None if give.parent else give.rate
        found += checks.protocol(rate, dose, give.over, limits, weight=weight, per=per)
    return [one for one in found if one is not None]


def _drug(order: Order) -> str:
    """The drug by its first code, else its name."""
    if order.drug is None:
        return ""
    return next((f"{one.system}|{one.code}" for one in order.drug.codings if one.code), order.drug.label)


def _error(code: str, text: str, where: str, value: str = "") -> Issue:
    return Issue("error", code, text, where=where, value=value, hl7="207", hint=_HINTS[code])


_HINTS = {
    "not-a-candidate": "a prescriber decides; send the decision as accepted",
    "order-not-active": "send a new order",
    "order-not-known": "add the order to the Bundle",
    "pump-order-incomplete": "send the rate, the concentration and the volume",
    "weight-missing": "weigh the patient",
    "weight-stale": "weigh the patient again",
}
