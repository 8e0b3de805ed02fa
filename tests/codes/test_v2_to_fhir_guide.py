"""Our code maps beside those of the v2-to-FHIR guide: what a code becomes there and here is the same, or docs/errata.md says so.

`v2_to_fhir.csv` has the guide's pairs of codes (none: it gives no target) for each of our maps that it has too: HL7/v2-to-fhir,
mappings/codesystems, "HL7 Concept Map - FHIR E2_ ..." (CompletionStatus, AdministrativeSex,
ObservationResultStatusCodesInterpretation, ResultStatus[Non-Queries], OrderControlCode[ServiceRequest.status], OrderStatus,
PatientClass[EncounterClass], NameType, TelecommunicationUseCode, TelecommunicationEquipmentType,
AllergenType[AllergyIntoleranceCategory], AllergySeverity[AllergyIntolerance.reaction.severity]; commit 04f95a1) and
"HL7 Concept Map_ AddressType[Use]" (3e6a598).
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from ketafhir.mapping import codes
from ketafhir.mapping.tables import Tables

GUIDE = Path(__file__).with_name("v2_to_fhir.csv")
ROOT = Path(__file__).resolve().parents[2]
PLACES = {
    "administration-state": "RXA-20", "administrative-gender": "PID-8", "observation-status": "OBX-11", "report-status": "OBR-25",
    "request-control": "ORC-1", "request-status": "ORC-5", "patient-class": "PV1-2", "name-use": "PID-5", "address-use": "PID-11",
    "telecom-use": "PID-13", "telecom-equipment": "PID-13", "allergen-category": "AL1-2", "allergy-severity": "AL1-4",
}  # fmt: skip
OTHERS = {
    "administration-action": "the guide's map of table 0206 gives HTTP verbs",
    "administration-order-status": "decides the course of an infusion and is no FHIR code",
    "component-type": "the guide has no map of RXC-1",
    "decision-status": "the guide has no ClinicalImpression",
    "dispense-status": "the guide has no map of ORC-1 to MedicationDispense",
    "event-outcome": "the guide has no AdverseEvent",
    "event-severity": "the guide has no AdverseEvent",
    "yes-no": "the guide has no map of table 0136",
    "encounter-status": "made from class, dates and event of the visit, not from a code",
    "implied": "beside a code, not in place of it",
    "list-action": "the guide's map of table 0206 gives HTTP verbs",
    "mar-action": "codes of eMARs",
    "order-control": "the code itself",
    "request-intent": "follows from the segment",
    "request-priority": "the guide's map of table 0485 is not among its published files",
    "response-status": "the guide has no QuestionnaireResponse",
    "waste-deleted": "the guide has no waste",
}
"""Our maps that the guide has no counterpart of, each with the reason."""


def guide() -> list[tuple[str, str, str]]:
    with GUIDE.open(encoding="utf-8", newline="") as file:
        return [(row["map"], row["v2"], row["fhir"]) for row in csv.DictReader(file)]


def ours(name: str) -> dict[str, str]:
    """The FHIR code of each v2 code of a map; "" where the map has none."""
    made = Tables().code_map(name)
    found = {}
    for v2, domain in made.v2_to_domain.items():
        fhir = made.domain_to_fhir.get(domain, "")
        known = "." in fhir and any(one.name == fhir for one in codes.codes(fhir))
        found[v2] = codes.code(fhir).code if known else fhir
    return found


def divergences() -> list[tuple[str, str, str, str]]:
    """Map, v2 code, the guide's FHIR code and ours, where they differ."""
    return [
        (name, v2, there, here) for name, v2, there in guide() if (here := ours(name).get(v2, "")) != there
    ]  # fmt: skip


def listed() -> set[tuple[str, str]]:
    """Every (place, word) of a line of the errata: `("ORC-1", "CA")`."""
    found = set()
    for line in (ROOT / "docs/errata.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 5:
            continue
        for part in re.split(r"(?=\b(?:AL1|RXA|PID|OBX|OBR|ORC|PV1)-\d)", cells[1]):
            place = re.match(r"[A-Z0-9]{3}-\d+", part)
            if place:
                words = re.findall(r"[A-Za-z0-9.]+", " ".join((part, *cells[2:4])))
                found |= {(place[0], word) for word in words}
    return found


@pytest.mark.parametrize("name", PLACES)
def test_the_guide_is_followed_or_the_errata_say_why_not(name: str) -> None:
    known = listed()
    missing = [
        f"{PLACES[name]} {v2}: {there or 'no target'} there, {here or 'not mapped'} here"
        for of, v2, there, here in divergences()
        if of == name and (PLACES[name], v2) not in known
    ]
    assert missing == []


def test_every_map_has_its_counterpart_or_a_reason() -> None:
    maps = {path.stem for path in (ROOT / "mappings/codesystems").glob("*.csv")}
    assert maps == PLACES.keys() | OTHERS.keys()
    assert {name for name, _, _ in guide()} == PLACES.keys()


def test_the_divergences_that_are_known_are_found() -> None:
    found = {(name, v2): (there, here) for name, v2, there, here in divergences()}
    assert found["administration-state", "PA"] == ("completed", "stopped")
    assert found["request-control", "CA"] == ("active", "cancelled")
    assert found["observation-status", "R"] == ("", "preliminary")
    assert ("administrative-gender", "A") not in found
