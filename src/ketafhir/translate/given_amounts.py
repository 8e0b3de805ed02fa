"""The amount beside a rate, where a site puts the whole rate into RXA-11 or RXA-12 and so RXA-6 is what the segment gave.

Equal to rate times time it is derived: it is in the total of the infusion already, and comes back from rate and time. Anything
else is an observation of the segment, never a dose, which somebody could add.
"""

from __future__ import annotations

from fractions import Fraction

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping import units
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.mapping.codecs.numbers import finite, number_text, write_unit
from ketafhir.therapy.infusion import Act
from ketafhir.therapy.records import Administration, Observation
from ketafhir.therapy.totals import delivered
from ketafhir.therapy.values import Coded, Quantity
from ketafhir.translate.observed import key_of
from ketafhir.translate.reading import Reading


def beside_rate(reading: Reading, act: Administration, rxa: Segment) -> None:
    """Take the amount (RXA-6, RXA-7) from an act that has a rate."""
    amount, act.amount = act.amount, None
    if act.rate is None or amount is None:
        act.amount = amount
        return
    if act.end is None:
        if amount.value:
            text = "an amount beside the rate of a segment that has no end yet: kept as sent, and in no sum"
            reading.warn("amount-of-open-segment", text, rxa, 6, rxa.get(6), "send what was given with RXA-4")
        act.preserved += reading.keep_fields(rxa, 6, 7)
        return
    given = delivered(Act(act, act.state, act.end))
    if given is not None and given[1] == amount.unit:
        if given[0] == Fraction(amount.value):
            return
        text = f"the amount is {number_text(amount.value)} {amount.unit}, rate and time give {float(given[0]):g} {given[1]}"
        reading.warn("dose-rate-mismatch", text, rxa, 6, rxa.get(6), "check RXA-3, RXA-4, RXA-6 and the rate")
    unit = units.find(amount.unit)
    volume = unit is not None and unit.kind == "volume"
    code = Coded((of_name("keta.segment-volume" if volume else "keta.segment-amount"),))
    one = Observation(
        key=key_of(act.key, None, code, "", None), patient=act.patient, visit=act.visit, part_of=act.key, code=code,
        value=amount, status="final", told=reading.told,
    )  # fmt: skip
    reading.records.observations[one.key] = one


def cells(act: Administration) -> dict[int, str]:
    """RXA-6 and RXA-7 beside a rate: rate times time of a segment whose end was told. Raises Unreadable."""
    given = delivered(Act(act, act.state, act.end)) if act.end is not None else None
    value = finite(given[0]) if given else None
    if given is None or value is None:
        return {}
    return {6: number_text(value), 7: write_unit(Quantity(value, given[1]))}
