"""A note on an administration: sent as an NTE or OBX, written as the OBX that RAS^O17 has a place for, read as the same note."""

from __future__ import annotations

import pytest

from ketafhir import to_fhir, to_hl7v2
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check

HEAD = (
    "MSH|^~\\&|EMAR|WILLOW|K|HUB|20260414094100-0500||RAS^O17^RAS_O17|N1|P|2.5.1\r"
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\rORC|RE|P-1^EHR|F-1^PH||CM\r"
    "RXA|0|1|20260414090000-0500|20260414094000-0500|6130^ketamine^RXN|54|mL|||||H1||||||||CP|A\rRXR|IV\r"
)
NOTE = "administration-note^Note on an administration^99KETA"


def notes(text: str) -> list[tuple[str, ...]]:
    return [one.notes for one in to_fhir(text).records.administrations.values()]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("NTE|1||went well\r", ("went well",)),
        ("NTE|1||first~second\rNTE|2||a \\T\\ b\r", ("first\nsecond", "a & b")),
        (f"OBX|1|TX|{NOTE}||went well||||||F\r", ("went well",)),
        (f"OBX|1|ST|{NOTE}||one~two\rOBX|2|ST|{NOTE}||three\r", ("one\ntwo", "three")),
    ],
)
def test_a_note_comes_back_in_its_place_and_is_the_same(told: str, expected: tuple[str, ...]) -> None:
    first = to_fhir(HEAD + told)
    acts = [one["resource"] for one in first.bundle["entry"]]
    assert [tuple(note["text"] for note in one["note"]) for one in acts if "note" in one] == [expected]
    out = str(to_hl7v2(json.dumps(first.bundle)).text)
    parsed = er7.parse(out)
    assert "NTE" not in {one.name for one in parsed.segments}
    assert [one.text for one in check(parsed, walk(parsed)) if one.severity == "error"] == []
    assert notes(out) == [expected]
    assert str(to_hl7v2(json.dumps(to_fhir(out).bundle)).text) == out


@pytest.mark.parametrize("more", ["||||||P", "||||||F|||20260414094000-0500", "||||||F||||||RN-3^Bj"])
def test_a_note_with_facts_of_its_own_is_an_observation(more: str) -> None:
    made = to_fhir(f"{HEAD}OBX|1|TX|{NOTE}||to be confirmed{more}\r")
    assert [one.notes for one in made.records.administrations.values()] == [()]
    assert [one.value for one in made.records.observations.values()] == ["to be confirmed"]
