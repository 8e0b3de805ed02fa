"""What goes out in another version conforms to it, and says the same of what was given."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import ketafhir
from golden.sent import messages, unknown
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check, segment_types
from ketafhir.hl7v2.versions import UNASKED, VERSIONS, _types, convert
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
        told = [f"{case}: {one}" for one in unknown(errors, case)]
        found += [one for one in told if not any(re.search(pattern, one) for pattern in KNOWN)]
    assert found == []


@pytest.mark.parametrize("version", UNASKED)
def test_the_types_of_our_file_are_those_of_hl7apy(version: str) -> None:
    listed = [line.split() for line in data.path("mappings").joinpath("field-types.txt").read_text().splitlines()]
    names = [one[1] for one in listed if one[0] == version]
    assert len(names) > 140
    for name in names:
        expected = {number: (kind, most) for number, kind, _, most in segment_types(version, name)}
        assert _types(version, name) == expected, name


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


def _bundle_of(case: str) -> dict[str, Any]:
    message = Path(f"tests/golden/{case}/in.hl7").read_bytes()
    bundle = list(ketafhir.iter_fhir(message))[-1]
    assert isinstance(bundle, ketafhir.Translation)
    return bundle.bundle or {}


def test_nobody_gets_more_than_the_version_in_msh_12_has() -> None:
    """PV1-10 is an IS up to 2.6 and a CWE from 2.7 on."""
    bundle = _bundle_of("ADT_A01/register")
    unasked, asked = ketafhir.to_hl7v2(bundle), ketafhir.to_hl7v2(bundle, version="2.7")
    assert ("|2.5.1|" in unasked.text, "|PAI|" in unasked.text) == (True, True)
    assert "PV1-10" in {one.where for one in unasked.issues if one.code == "version-loss"}
    assert ("|2.7|" in asked.text, "|PAI^Pain management^L|" in asked.text) == (True, True)
    assert "PV1-10" not in {one.where for one in asked.issues}


def test_what_is_written_conforms_without_a_version_being_asked_for() -> None:
    found = []
    for case, text in sent():
        version = text.split("|", 12)[11]
        assert version in UNASKED
        again, issues = convert(text, version)
        if (again, issues) != (text, []):
            found.append(case)
    assert found == []


def test_a_site_says_in_which_version_it_gets_messages(tmp_path: Path) -> None:
    (tmp_path / "settings.csv").write_text("setting,value,comment\nversion,2.4,\n")
    bundle = _bundle_of("ADT_A01/register")
    assert "|P|2.4|" in ketafhir.to_hl7v2(bundle, site=str(tmp_path)).text
    assert "|P|2.7|" in ketafhir.to_hl7v2(bundle, site=str(tmp_path), version="2.7").text
