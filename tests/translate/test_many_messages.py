"""Results told under one heading in several messages are one report and one pressure, in any order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from golden.cases import last_state
from ketafhir.translate.translation import iter_fhir

HEAD = (
    "MSH|^~\\&|MONITOR|WILLOW|||2026041409{minute}00-0500||ORU^R01^ORU_R01|M-{minute}|P|2.5.1\r"
    "PID|1||SYN-1^^^WILLOW^MR\rOBR|1||S-1^MONITOR|85353-1^Vital signs^LN|||20260414090000-0500\r"
)
RESULTS = {
    "01": "OBX|1|NM|8480-6^Systolic blood pressure^LN|1|140|mm[Hg]^^UCUM|||||F\r",
    "02": "OBX|1|NM|8462-4^Diastolic blood pressure^LN|1|86|mm[Hg]^^UCUM|||||F\r",
    "03": "OBX|1|NM|8867-4^Heart rate^LN||78|/min^^UCUM|||||F\r",
}


def final(order: tuple[str, ...]) -> dict[str, Any]:
    feed = "".join(HEAD.format(minute=minute) + RESULTS[minute] for minute in order).encode()
    bundles = []
    for one in iter_fhir(feed):
        assert not isinstance(one, Exception)
        assert one.bundle is not None
        bundles.append(one.bundle)
    return last_state(bundles)


@pytest.mark.parametrize("order", list(itertools.permutations(RESULTS)))
def test_nothing_told_earlier_is_written_over(order: tuple[str, ...]) -> None:
    resources = [entry["resource"] for entry in final(order)["entry"]]
    panels = [one for one in resources if one["resourceType"] == "Observation" and "component" in one]
    values = [[str(part["valueQuantity"]["value"]) for part in one["component"]] for one in panels]
    assert ["140", "86"] in values
    report = next(one for one in resources if one["resourceType"] == "DiagnosticReport")
    assert len(report["result"]) == 2
