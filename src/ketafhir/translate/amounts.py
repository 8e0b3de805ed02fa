"""What an administration from elsewhere tells that goes out as OBX of its group.

An amount beside a rate or of a whole infusion, because RXA-6 holds the rate's numerator then; and notes, because RAS^O17 has
no place for an NTE but below an OBX.
"""

from __future__ import annotations

from fractions import Fraction

from ketafhir.mapping import units
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.mapping.codecs.numbers import number_text, read_quantity
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.paths import Json
from ketafhir.therapy.infusion import Act, Course
from ketafhir.therapy.records import Administration, Observation
from ketafhir.therapy.totals import delivered
from ketafhir.therapy.values import Coded, Quantity, Value
from ketafhir.translate.observed import key_of
from ketafhir.translate.taking import Taking

_OF_SEGMENT = ("keta.segment-amount", "keta.segment-volume")
_OF_WHOLE = ("keta.delivered-total", "keta.delivered-volume")
_OVER = ("completed", "stopped")


def beside_rate(taking: Taking, act: Administration) -> None:
    """A dose beside a rate: an observation of what the segment gave, but where it is no more than rate times time."""
    amount = act.amount
    if act.rate is None or amount is None:
        return
    act.amount = None
    found = delivered(Act(act, act.state, act.end))
    if found is not None and found[1] == amount.unit:
        if found[0] == Fraction(amount.value):
            return
        given = f"{float(found[0]):g} {found[1]}"
        taking.c.warn(
            "dose-rate-mismatch", f"the dose is {number_text(amount.value)} {amount.unit}, rate and time give {given}",
            number_text(amount.value), "check dosage.dose, dosage.rate[x] and effectivePeriod",
        )  # fmt: skip
    _observe(taking, act, amount, _OF_SEGMENT, act.key, act.key)


def of_whole(taking: Taking, resource: Json, found: Course) -> None:
    """The dose of a whole infusion: compared with what its administrations give; an observation where they do not tell."""
    json = resource.get("dosage", {}).get("dose")
    if json is None:
        return
    try:
        told = read_quantity(json)
    except Unreadable as error:
        taking.c.warn(error.code, f"{error.why}: the total is left out", error.value)
        return
    sums = {"mg": found.total, "mL": found.volume}
    known = sums.get(told.unit)
    if known is None:
        _observe(taking, found.first, told, _OF_WHOLE, found.key, found.first.order)
    elif known != told.value:
        text = f"the infusion's dose is {number_text(told.value)} {told.unit}, its administrations give {known}"
        taking.c.warn("total-differs", text, number_text(told.value), "its administrations count")


def notes(taking: Taking, act: Administration, texts: tuple[str, ...], part_of: str, scope: str) -> None:
    """Notes, each an observation of its own."""
    for number, text in enumerate(texts, 1):
        _add(taking, act, "keta.administration-note", text, part_of, scope, str(number) if len(texts) > 1 else "")


def _observe(
    taking: Taking, act: Administration, value: Quantity, names: tuple[str, str], part_of: str, scope: str
) -> None:
    unit = units.find(value.unit)
    name = names[1] if unit is not None and unit.kind == "volume" else names[0]
    _add(taking, act, name, value, part_of, scope)


def _add(
    taking: Taking, act: Administration, name: str, value: Value, part_of: str, scope: str, sub_id: str = ""
) -> None:
    code = Coded((of_name(name),))
    one = Observation(
        sub_id=sub_id,
        key=key_of(scope, None, code, sub_id, None), patient=act.patient, visit=act.visit, part_of=part_of, code=code,
        value=value, status="final" if act.state in _OVER else "preliminary",
    )  # fmt: skip
    taking.records.observations[one.key] = one
