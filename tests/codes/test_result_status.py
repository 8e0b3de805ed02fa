"""Every value of HL7 table 0085 (OBX-11) has a target in the code maps, and the documentation lists it."""

from __future__ import annotations

import pytest

from ketafhir import data
from ketafhir.mapping.tables import Tables
from ketafhir.translate import adverse_segments

# HL7 2.8.1, chapter 2C, table 0085; 2.5.1 has all of them but B and V.
TABLE_0085 = {
    "A": "amended",
    "B": "appended",
    "C": "correction, replaces a final result",
    "D": "deletes the OBX record",
    "F": "final",
    "I": "specimen in the laboratory, results pending",
    "N": "not asked",
    "O": "order detail description only",
    "P": "preliminary",
    "R": "entered, not verified",
    "S": "partial",
    "U": "status changed to final without sending the result again",
    "V": "verified, final",
    "W": "posted as wrong",
    "X": "results cannot be obtained",
}
FHIR_STATUS = {
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
}  # fmt: skip
TABLES = Tables()
OBSERVATION, RESPONSE = TABLES.code_map("observation-status"), TABLES.code_map("response-status")


def documented() -> dict[str, tuple[str, str, str]]:
    """The table of docs/mapping.md: OBX-11 to the status of an Observation, of a form, and what becomes of an event."""
    lines = data.path("docs/mapping.md").read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.strip().startswith("| OBX-11 | Observation.status"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.strip().startswith("|"):
            break
        codes, observation, form, event = (cell.strip().strip("`") for cell in line.strip().strip("|").split("|"))
        for code in codes.split(", "):
            found["" if code == "empty" else code] = (observation, form, event)
    return found


def test_the_documentation_lists_each_value_once_and_no_other() -> None:
    assert set(documented()) == {*TABLE_0085, ""}


@pytest.mark.parametrize("code", sorted(TABLE_0085))
def test_every_value_of_table_0085_has_the_target_that_is_documented(code: str) -> None:
    observation, form, event = documented()[code]
    domain = OBSERVATION.v2_to_domain[code]
    assert OBSERVATION.domain_to_fhir[domain] == observation
    assert observation in FHIR_STATUS
    assert RESPONSE.domain_to_fhir[domain] == form
    assert (domain in adverse_segments.WITHDRAWN_STATUSES) is ("withdrawn" in event)
    assert (TABLES.code_map("waste-deleted").v2_to_domain.get(code) is not None) is (event == "withdrawn")
    # What shares its status with another comes back as it was sent: by the code beside it.
    assert OBSERVATION.domain_to_v2[domain] == code
