"""The resource types that ketafhir writes, by how they are addressed: what a server is asked to do and to allow follows from it."""

from __future__ import annotations

FOUND = ("Patient", "Encounter")
"""Others may own these too: updated where their number is found, created where it is not."""

MADE = (*FOUND, "Practitioner", "Location")
"""Created unless their number is there already; looked for by it."""

OURS = (
    "AdverseEvent", "AllergyIntolerance", "ClinicalImpression", "Condition", "Device", "DeviceMetric", "DiagnosticReport",
    "Medication", "MedicationAdministration", "MedicationDispense", "MedicationRequest", "Observation", "Provenance",
    "QuestionnaireResponse",
)  # fmt: skip
"""Written under ids of our own, and looked for by nothing else."""
