"""What goes out in another version conforms to it, and says the same of what was given."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from golden.sent import messages, unknown
from ketafhir.errors import Refused
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.hl7v2.versions import VERSIONS, convert
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

KNOWN = (
    r"NTE (RXR, |RXR|)(OBX)?.*missing before it in the order",  # a note goes where its sender had it, also before 2.5
    r"RXC has no place here in the order",  # what follows such a note, and ORM: hl7apy has no pharmacy orders in it
    r"RXR has no place here in the order",
    r"RDS_O13/.* OBX OBX missing in the order",  # 2.3 has none that is required: hl7apy takes it so
    r"RDS_O13/.* FT1 FT1 has no place here",  # preserved from where it has one
    r"MRG-7 Invalid children .* of type CX",  # hl7apy takes it for a CX in 2.3
)


@cache
def sent() -> list[tuple[str, str]]:
    return list(messages())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_conforms_to_its_version(version: str) -> None:
    found = []
    for case, text in sent():
        converted, _ = convert(text, version)
        message = parse(converted)
        assert message.version == version
        errors = [f"{one.where} {one.text}" for one in check(message, walk(message)) if one.severity == "error"]
        told = [f"{case}: {one}" for one in unknown(errors)]
        found += [one for one in told if not any(re.search(pattern, one) for pattern in KNOWN)]
    assert found == []


def _given(text: str) -> list[Any]:
    """Each administration: when, of what, how much, at what rate, with what outcome."""
    step = Session(default()).take(parse(text))
    return [
        (one.counters, one.start, one.end, one.drug and one.drug.codings, one.amount, one.rate, one.state)
        for one in step.told.administrations.values()
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_tells_the_same_doses(version: str) -> None:
    checked = 0
    for case, text in sent():
        if not case.startswith("RAS_O17"):
            continue
        try:
            before = _given(text)
        except Refused:
            continue  # such as a correction whose original is another message
        assert _given(convert(text, version)[0]) == before, case
        checked += 1
    assert checked > 20


def test_what_a_version_has_no_place_for_is_told() -> None:
    text = next(text for case, text in sent() if case == "RAS_O17/every-field")
    converted, issues = convert(text, "2.3")
    assert {"RXA-23", "RXA-25"} <= {one.where for one in issues}
    assert "|RAS^O01|" in converted
    assert "BC-1" not in converted
    places = next(line for line in convert(text, "2.8.1")[0].split("\r") if line.startswith("RXA")).split("|")
    assert places[11] == ""
    assert places[27].startswith("INFUSION^R3^C1")


def test_timing_before_tq1() -> None:
    text = next(text for case, text in sent() if case == "RDE_O11/service-duration")
    converted, _ = convert(text, "2.3.1")
    rxe = next(line for line in converted.split("\r") if line.startswith("RXE")).split("|")[1]
    start = next(line for line in text.split("\r") if line.startswith("TQ1")).split("|")[7]
    assert rxe.split("^")[3] == start
    assert "\rTQ1|" not in converted
