"""Every answer that the service writes (`structures.RESPONSES`) conforms to its version, segment by segment and group by group."""

from __future__ import annotations

import pytest

from ketafhir.errors import Issue
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.hl7v2.structures import RESPONSES
from ketafhir.mapping.tables import Tables
from ketafhir.translate.order_answers import echo

HEAD = "MSH|^~\\&|EHR|WILLOW|K|HUB|20260414082500-0500||{kind}|T1|P|{version}\r"
ORDER = (
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\r"
    "ORC|NW|P-1^EHR|F-1^PH||||^^^20260414090000-0500\rRXO|6130^ketamine^RXN|36||mg^^UCUM\r"
)
REFUSAL = [Issue("error", "unit-unknown", "the unit is not understood", where="RXO-4", value="mgg", hl7="103")]


@pytest.mark.parametrize("code", ["AA", "AE"])
@pytest.mark.parametrize("kind", sorted(RESPONSES))
def test_an_answer_conforms(kind: str, code: ack.Code) -> None:
    version = "2.3" if kind.endswith("^O01") and kind != "ORM^O01" else "2.6" if kind == "ORU^R40" else "2.5.1"
    message = er7.parse(HEAD.format(kind=kind, version=version) + ORDER)
    below = echo(message, code, Tables())
    text = ack.application_response(
        message, code, [] if code == "AA" else REFUSAL, control_id="A1", timestamp="20260414082501-0500", below=below
    )
    answer = er7.parse(text)
    assert (answer.code, answer.event) == RESPONSES[kind][:2]
    assert [one.text for one in check(answer, walk(answer)) if one.severity == "error"] == []
    assert ("ORC" in {one.name for one in answer.segments}) is (kind[:3] in ("RDE", "OMP", "ORM", "RGV"))
