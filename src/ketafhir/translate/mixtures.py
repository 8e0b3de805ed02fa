"""Several RXA of one group as the components of one mixture: a way of writing that a site declares (`rxa_repeat`).

The standard reads them as administrations of their own (chapter 4A, RAS^O17). Where a site says `mixture`, those with the times of
the first and another drug are its components: the first is the drug that is given, the others stand in its Medication.
"""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import Segment
from ketafhir.mapping.codecs.coded import write_cwe
from ketafhir.mapping.codecs.numbers import number_text, write_unit
from ketafhir.mapping.engine import put_back, put_preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.act_kinds import is_event
from ketafhir.therapy.records import Administration, Ingredient
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading
from ketafhir.translate.writing import Writing

TABLES = ("RXA_to_MedicationAdministration", "RXA_to_Medication")
_OWN = (5, 6, 7)  # drug, amount and unit: what a component says for itself


def apart(rxas: list[Segment]) -> list[tuple[Segment, list[Segment]]]:
    """Each administration with the further components told with it: equal RXA-3 and -4, another RXA-5."""
    found: list[tuple[Segment, list[Segment]]] = []
    for rxa in rxas:
        for first, components in found:
            drugs = {one.get(5) for one in (first, *components)}
            if rxa.get(3) == first.get(3) and rxa.get(4) == first.get(4) and rxa.get(5) not in drugs:
                components.append(rxa)
                break
        else:
            found.append((rxa, []))
    return found


def read(reading: Reading, act: Administration, first: Segment, components: list[Segment]) -> None:
    """The components of an act, into its `ingredients`. Raises Refused."""
    for rxa in components:
        if is_event(act):
            reading.drop(rxa, "a component of what only ends: nothing is given")
            continue
        values = reading.read(rxa, *TABLES)
        reading.c.nulls.clear()
        values.pop("preserved", None)
        differing = tuple(
            (f"RXA-{at}", rxa.get(at))
            for at in range(1, max(len(rxa.fields), len(first.fields)))
            if at not in _OWN and rxa.get(at) != first.get(at)
        )
        act.ingredients += (Ingredient("", values.get("drug"), _amount(reading, act, values, rxa), differing),)


def _amount(reading: Reading, act: Administration, values: dict[str, Any], rxa: Segment) -> Any:
    """The amount of a component, over the same time as that of the drug. Raises Refused."""
    rate = values.get("rate")
    if rate is None and act.rate is None:
        return values.get("amount")
    if rate is None or act.rate is None or rate.per != act.rate.per:
        raise reading.refused(
            rxa, 12, "mixture-rate-differs", "a component of a mixture that goes over another time than the drug",
            "send the same RXA-12, or set rxa_repeat = administrations", value=rxa.get(12),
        )  # fmt: skip
    return rate.amount


def render(writing: Writing, act: Administration, medication: Json) -> None:
    """The components as ingredients of the Medication: the drug that is given, and the others."""
    drug = Ingredient("", act.drug, act.rate.amount if act.rate else act.amount)
    for one in (drug, *act.ingredients):
        item = writing.fill({}, one, "RXC_to_Ingredient")
        put_preserved(item, one.preserved)
        medication.setdefault("ingredient", []).append(item)


def compose(composing: Composing, act: Administration, cells: dict[int, str]) -> None:
    """The RXA of the components after that of the drug, where the receiver has them so."""
    if not act.ingredients:
        return
    if composing.tables.settings.rxa_repeat != "mixture":
        text = "the components of a mixture have no place in an administration: they are left out"
        composing.c.warn("components-dropped", text, act.key, "write for a site whose rxa_repeat is mixture")
        return
    for one in act.ingredients:
        own = {at: text for at, text in cells.items() if at not in _OWN}
        own[5] = write_cwe(one.drug) if one.drug else ""
        if one.amount is not None:
            own |= {6: number_text(one.amount.value), 7: write_unit(one.amount)}
        put_back(own, "RXA", one.preserved)
        composing.add("RXA", own)
