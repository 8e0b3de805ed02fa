"""Strengths of others: of a Medication with one ingredient, a strength per volume (500 mg per 500 mL) is its concentration.

R4 says of `Medication.ingredient.strength` how much of the ingredient there is in this Medication. Ours is per mixture (RXC-3),
and the concentration (RXE-25, RXA-13) has an extension. Where there are several ingredients some systems write the strength of
the vial that was added: that is left to the warning `strength-unread`.
"""

from __future__ import annotations

from fractions import Fraction

from ketafhir.mapping import units
from ketafhir.mapping.codecs.numbers import finite, quantity_json, read_quantity
from ketafhir.mapping.context import Unreadable
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.values import Quantity

_URL = EXTENSION + "concentration"


def arranged(medication: Json) -> Json:
    """The Medication as the tables are to see it: with its concentration, where that follows exactly; else itself."""
    listed = medication.get("ingredient", ())
    if len(listed) != 1 or any(one.get("url") == _URL for one in medication.get("extension", ())):
        return medication
    found = _concentration(listed[0].get("strength"))
    if found is None:
        return medication
    rest = {name: value for name, value in listed[0].items() if name != "strength"}
    extensions = [*medication.get("extension", ()), {"url": _URL, "valueRatio": found}]
    return {**medication, "extension": extensions, "ingredient": [rest]}


def _concentration(strength: Json | None) -> Json | None:
    try:
        top, bottom = (read_quantity((strength or {}).get(end)) for end in ("numerator", "denominator"))
    except Unreadable:
        return None
    whole = units.find(f"{top.unit}/{bottom.unit}")
    if whole is None or whole.kind != "concentration" or top.comparator or bottom.comparator or bottom.value <= 0:
        return None
    value = finite(Fraction(top.value) / Fraction(bottom.value))
    if value is None or value < 0:
        return None
    one = Quantity(type(value)(1), bottom.unit)
    return {"numerator": quantity_json(Quantity(value, top.unit)), "denominator": quantity_json(one)}
