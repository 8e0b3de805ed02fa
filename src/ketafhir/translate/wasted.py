"""Waste in from FHIR: what was drawn and not given, with its amounts and who saw it destroyed."""

from __future__ import annotations

from ketafhir.mapping import codes
from ketafhir.mapping.codecs.numbers import read_quantity
from ketafhir.mapping.codecs.people import read_staff
from ketafhir.mapping.engine import get_preserved
from ketafhir.mapping.paths import Json
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Waste
from ketafhir.translate.administrations import ORC, RXA
from ketafhir.translate.numbering import numbered, order_numbers
from ketafhir.translate.taking import Taking


def take_waste(taking: Taking, resource: Json) -> None:
    """A MedicationAdministration tagged as waste, with the Observations about it."""
    values = taking.take(resource, ORC)
    placer, filler = order_numbers(taking, resource, None, values)
    give = numbered(resource, "keta.infusion-number").partition("@")[0] or "0"
    identity, visit = order_identity(placer, filler), taking.visit(resource, "context")
    sub_id = numbered(resource, "keta.waste").removeprefix("waste-")
    infusion = f"{identity}|{give}|@{visit}"
    waste = Waste(
        key=f"{infusion}|waste|{sub_id}", infusion=infusion, order=identity, patient=taking.patient(resource), visit=visit,
        placer=placer, filler=filler, sub_id=sub_id, counters=(give, ""),
    )  # fmt: skip
    waste.drug = taking.tables.mapping(RXA).from_fhir(resource, taking.c, RXA).get("drug")
    waste.at = taking.take(resource, "OBX_to_Waste").get("at")
    waste.preserved = get_preserved(resource)
    waste.deleted = resource.get("status") == "entered-in-error"
    waste.notes = tuple(str(note.get("text", "")) for note in resource.get("note", ()))
    witness = codes.code("performer.witness").code
    for performer in resource.get("performer", ()):
        person = read_staff(performer.get("actor", {}), taking.c)
        function = performer.get("function", {}).get("coding", [{}])
        if person is not None:
            if any(one.get("code") == witness for one in function):
                waste.witnesses += (person,)
            else:
                waste.performers += (person,)
    for observation in taking.index.of_type("Observation"):
        if any(taking.resolve(reference, observation) is resource for reference in observation.get("focus", ())):
            value = read_quantity(observation.get("valueQuantity"))
            if codes.code("keta.waste-amount").code in _codes(observation):
                waste.amount = value
            else:
                waste.volume = value
    taking.records.wastes[waste.key] = waste


def _codes(resource: Json) -> set[str]:
    return {str(one.get("code")) for one in resource.get("code", {}).get("coding", ())}
