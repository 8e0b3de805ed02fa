"""Each value of table 0485 (TQ1-9) has the target that docs/errata.md gives, and comes back."""

from __future__ import annotations

import pytest

from ketafhir import to_fhir, to_hl7v2
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.mapping import codes

TARGETS = {"A": "asap", "R": "routine", "S": "stat", "T": "urgent"}
MESSAGE = (
    "MSH|^~\\&|PHARM|WILLOW|K|HUB|20260414083500-0500||RDE^O11^RDE_O11|R1|P|2.5.1\r"
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\rORC|NW|P-2^EHR|F-2^PH\r"
    "RXE||6130^ketamine^RXN|120||mg\rTQ1|1||||||||{code}\rRXR|IV\r"
)


@pytest.mark.parametrize("code", sorted(one.code for one in codes.codes("v2-0485.")))
def test_every_priority_has_the_target_that_is_documented(code: str) -> None:
    made = to_fhir(MESSAGE.format(code=code))
    resources = [one["resource"] for one in made.bundle["entry"]]
    (request,) = [one for one in resources if one["resourceType"] == "MedicationRequest"]
    assert request.get("priority") == TARGETS.get(code)
    assert ("code-unmapped" in [one.code for one in made.issues]) is (code not in TARGETS)
    out = er7.parse(str(to_hl7v2(json.dumps(made.bundle)).text))
    assert [one.get(9) for one in out.segments if one.name == "TQ1"] == [code]
