"""The automaton of message structures on small structures of its own."""

from __future__ import annotations

import pytest

from ketafhir.hl7v2.grammar import Grammar

ONE, MAYBE, ANY, SOME = (1, 1), (0, 1), (0, -1), (1, -1)


def leaf(name: str, times: tuple[int, int]) -> tuple[object, ...]:
    return name, None, times, "SEG"


def group(
    name: str, times: tuple[int, int], *children: tuple[object, ...], kind: str = "sequence"
) -> tuple[object, ...]:
    return name, (kind, children), times, "GRP"


RESULT = group("RESULT", ANY, leaf("OBX", ONE), leaf("NTE", ANY))
ORDER = group("ORDER", SOME, leaf("ORC", ONE), group("GIVEN", SOME, leaf("RXA", SOME), leaf("RXR", ONE), RESULT))
WHOLE = ("sequence", (leaf("MSH", ONE), group("PATIENT", MAYBE, leaf("PID", ONE), leaf("PV1", MAYBE)), ORDER))


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        ("MSH ORC RXA RXR", []),
        ("MSH PID PV1 ORC RXA RXA RXR OBX NTE NTE OBX RXA RXR ORC RXA RXR", []),
        ("MSH PID ORC RXR", [(3, ("RXA",))]),
        ("MSH PID ORC RXA", [(4, ("RXR",))]),
        ("MSH PID ORC RXA OBX RXA RXR", [(4, ("RXR",))]),
        ("MSH PV1 ORC RXA RXR", [(1, ("PID",))]),
        ("MSH PID ORC PV1 RXA RXR", [(3, ())]),
        ("MSH PID XXX ORC RXA RXR XXX", [(2, ()), (6, ())]),
        ("MSH", [(1, ("ORC", "RXA", "RXR"))]),
        ("", [(0, ("MSH", "ORC", "RXA", "RXR"))]),
    ],
)
def test_faults(row: str, faults: list[tuple[int, tuple[str, ...]]]) -> None:
    assert Grammar(WHOLE).check(row.split()) == faults


def test_a_group_can_stand_as_one_name() -> None:
    grammar = Grammar(WHOLE, {"ORDER"})
    assert grammar.check(["MSH", "PID", "ORDER", "ORDER"]) == []
    assert grammar.check(["MSH", "PID"]) == [(2, ("ORDER",))]
    assert grammar.check(["MSH", "PID", "ORDER", "ORC"]) == [(3, ())]


def test_a_choice_takes_one_of_its_segments() -> None:
    detail = group("DETAIL", ONE, leaf("OBR", ONE), leaf("RXO", ONE), kind="choice")
    grammar = Grammar(("sequence", (leaf("ORC", ONE), detail, leaf("NTE", ANY))))
    assert grammar.check(["ORC", "RXO", "NTE"]) == []
    assert grammar.check(["ORC", "OBR"]) == []
    assert grammar.check(["ORC", "OBR", "RXO"]) == [(2, ())]
