"""Every answer that the service writes (`structures.RESPONSES`) conforms to its version, segment by segment and group by group."""

from __future__ import annotations

from typing import Any

import pytest

from golden.sent import answers
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.grammar import Grammar
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.hl7v2.structures import RESPONSES

UNCHECKED = {
    " of 2.7.1,": "hl7apy has no tables for version '2.7.1'",
    "ORA^R41 of ": "hl7apy has no structure ORA_R41",  # checked below
    "RRE^O02 of 2.3,": "hl7apy has no structure RRE_O02 in version 2.3",
}
"""Answers that hl7apy cannot check, each with what it says."""
ANY: Any = None
ORA_R41: tuple[str, Any] = (
    "sequence",
    [
        ("MSH", ANY, (1, 1), "SEG"),
        ("SFT", ANY, (0, -1), "SEG"),
        ("UAC", ANY, (0, 1), "SEG"),
        ("MSA", ANY, (1, 1), "SEG"),
        ("ERR", ANY, (0, -1), "SEG"),
        ("PRT", ANY, (0, -1), "SEG"),
    ],
)
"""HL7 v2.8 chapter 7, ORA^R41 (alert acknowledgment): no group. hl7apy has no table of it."""
ORDERED = ("RRE", "ORP", "ORR", "RRG")


@pytest.mark.parametrize(("name", "text"), list(answers()), ids=[name for name, _ in answers()])
def test_an_answer_conforms(name: str, text: str) -> None:
    answer = er7.parse(text)
    assert f"{answer.code}^{answer.event}" == name.split()[0]
    found = check(answer, walk(answer))
    assert [one.text for one in found if one.severity == "error"] == []
    unchecked = [one.text for one in found if one.code == "strict-unchecked"]
    known = tuple(why for part, why in UNCHECKED.items() if part in name)
    assert [one for one in unchecked if not one.startswith(known)] == []
    names = [one.name for one in answer.segments]
    assert ("ORC" in names) is (name[:3] in ORDERED)
    assert names.count("ORC") in (0, 2), "each order is answered"
    if answer.code == "ORA":
        assert Grammar(ORA_R41).check(names) == []


def test_every_answer_is_there_and_what_does_not_conform_is_found() -> None:
    assert {name.split()[0] for name, _ in answers()} == {"^".join(told[:2]) for told in RESPONSES.values()}
    assert Grammar(ORA_R41).check(["MSH", "MSA", "ORC"]) != []
    text = next(text for name, text in answers() if name.startswith("RRE^O12 of 2.5.1"))
    for broken in (text.replace("MSA|AA|T1", "MSA|AA|"), text.replace("\rMSA|AA|T1", "")):
        answer = er7.parse(broken)
        assert [one for one in check(answer, walk(answer)) if one.severity == "error"]
