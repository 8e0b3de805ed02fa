"""The account of FHIR: each element once, with the field of HL7v2 that truly holds its value; and the sums of NDJSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from explain.test_page import Page
from golden.cases import folders
from ketafhir.errors import Refused
from ketafhir.explain import bundles
from ketafhir.explain.account import Line, Told
from ketafhir.explain.command import explained
from ketafhir.explain.page import page_of
from ketafhir.explain.sums import Sum, Sums
from ketafhir.explain.terminal import Terminal, cells
from ketafhir.fhir import json
from ketafhir.hl7v2.strict import field_names
from ketafhir.translate.outgoing import READ
from ketafhir.translate.read_by_code import elements_of
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_hl7v2

COMMAND = [sys.executable, "-m", "ketafhir", "explain"]
CASES = [folder for folder in folders() if (folder / "bundle.json").is_file() or (folder / "in.json").is_file()]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
WHOLE = GOLDEN / "RAS_O17" / "two-orders" / "bundle.json"


def values(folder: Path) -> list[Any]:
    """The Bundles of a golden case."""
    found = []
    for name in ("in.json", "bundle.json"):
        data = (folder / name).read_bytes() if (folder / name).is_file() else b""
        try:
            found += [json.loads(data)] if data.strip() else []
        except Refused:
            found += [json.loads(line) for line in data.splitlines() if line.strip()]
    return found


def lines(told: Told) -> list[Line]:
    return [line for part in told.parts for line in part.lines]


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_element_is_in_it_once_and_what_holds_it_holds_it(folder: Path) -> None:
    for value in values(folder)[-3:]:
        told, kinds = bundles.of_value(value, default())
        if told.refused:
            assert any(issue.severity == "error" for issue in told.issues)
            continue
        out = to_hl7v2(value)
        reported = [(one.where, one.fate) for one in out.losses if one.where != "MSH"]
        assert [(line.where, line.fate) for line in lines(told)] == reported
        assert [issue.line() for issue in told.issues] == [issue.line() for issue in out.issues]
        assert len(kinds) == out.text.count("MSH|")
        for line in lines(told):
            assert line.targets or line.why, line
            for target in line.targets:
                if target.resources and target.row:
                    assert target.value in out.text


@pytest.mark.parametrize("folder", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_element_that_is_mapped_names_a_row(folder: Path) -> None:
    for value in values(folder)[-1:]:
        told, _ = bundles.of_value(value, default())
        for line in lines(told):
            assert line.fate != "mapped" or any(target.row for target in line.targets), line


def test_an_element_that_is_read_by_code_names_the_field_and_its_text() -> None:
    told, _ = bundles.of_value(json.loads(WHOLE.read_bytes()), default())
    drug = next(line for line in lines(told) if line.name == "medicationCodeableConcept" and "6130" in line.text)
    assert [(one.element, one.value, one.resources) for one in drug.targets] == [
        ("RXA-5", "6130^ketamine^RXNORM", ("RAS^O17 RXA[1]",))
    ]
    assert drug.targets[0].row.startswith("read-by-code.csv:")
    about = next(line for line in lines(told) if line.name == "subject")
    assert [(one.element, one.value) for one in about.targets] == [("PID-3", "SYN-100318^^^WILLOW^MR")]
    parent = next(
        line for line in lines(told) if line.name == "status" and line.text == "in-progress" and "Adm" in line.where
    )
    assert {one.value for one in parent.targets} == {""}, "which of two RXA tells it is not plain"


def test_what_is_read_by_code_goes_into_fields_that_there_are() -> None:
    for kind in READ:
        for one in elements_of(kind):
            assert one.fields or one.comment, one
            for field in one.fields:
                segment, _, number = field.partition("-")
                version = "2.7" if segment == "PRT" else "2.5.1"
                assert int(number) in field_names(version, segment), one


def test_an_element_names_row_codec_field_text_and_segment() -> None:
    told, kinds = bundles.of_value(
        json.loads((GOLDEN / "RAS_O17/story-b-one-message/bundle.json").read_bytes()), default()
    )
    assert kinds == ("RAS^O17",)
    ratio = next(line for line in lines(told) if line.name == "dosage.rateRatio")
    assert ratio.text == "20 mL / 1 h"
    assert [(one.element, one.value) for one in ratio.targets] == [
        ("RXA-6", "20"), ("RXA-7", "mL^^UCUM"), ("RXA-12", "H1"),
    ]  # fmt: skip
    assert {one.resources for one in ratio.targets} == {("RAS^O17 RXA[1]",)}
    assert all(one.row.startswith("segments/RXA_to_MedicationAdministration.csv:") for one in ratio.targets)
    kept = [line for line in lines(told) if line.fate == "preserved"]
    assert all(line.targets[0].resources for line in kept)
    assert {line.name for line in kept} <= {"extension[preserved-field]"}
    why = {line.why for line in lines(told) if line.name == "meta.profile"}
    assert why == {"the server's own bookkeeping"}


def test_what_is_preserved_says_where_it_went() -> None:
    data = (GOLDEN / "RAS_O17/deleted/bundle.json").read_bytes().splitlines()[-1]
    told, _ = bundles.of_value(json.loads(data), default())
    kept = [line for line in lines(told) if line.fate == "preserved"]
    assert kept
    for line in kept:
        (target,) = line.targets
        assert target.value == line.text
        assert target.resources
        assert all(f" {target.element.partition('-')[0]}" in name for name in target.resources)


def test_what_is_refused_is_shown_with_why() -> None:
    data = WHOLE.read_bytes().replace(b'"value": "SYN-100318"', b'"value": ""')
    told, sums = explained(iter([data]), default())
    assert told
    assert told.refused
    assert [issue.severity for issue in told.issues][-1] == "error"
    assert sums.refused == 1
    assert any(line.name == "status" for line in lines(told))
    with pytest.raises(Refused, match="there is no line 2: there are 1"):
        explained(iter([data]), default(), 2)
    with pytest.raises(Refused, match="not JSON"):
        explained(iter([b'{"resourceType": ']), default())
    with pytest.raises(Refused):
        explained(iter([b' {"a": "Bundle"}']), default())


def ndjson() -> bytes:
    whole = json.loads(WHOLE.read_bytes())
    odd = json.loads(WHOLE.read_bytes().replace(b'"value": "SYN-100318"', b'"value": ""'))
    odd["entry"][0]["resource"]["id"] = "Dorian-Vasquez.x"
    text = [json.dumps(one) for one in (whole, odd, whole)]
    return b"\n".join([*text[:2], b"", text[2], b'{"resourceType"']) + b"\n"


@pytest.mark.parametrize("size", [997, 1 << 20])
def test_lines_are_summed_by_row_and_element_and_no_patient_is_in_the_sums(size: int) -> None:
    data = ndjson()
    told, sums = explained((data[at : at + size] for at in range(0, len(data), size)), default())
    assert told is None
    assert (sums.messages, sums.refused) == (4, 2)
    assert sums.types == {"Bundle transaction": 3, "(unreadable)": 1}
    (made,) = sums.of("written")
    assert (made.what, made.times, made.first) == (("RAS^O17",), 2, "line 1")
    rows = {one.what[1]: one for one in sums.of("rows")}
    assert rows["Patient.birthDate"].times == 2
    assert rows["Patient.birthDate"].what[0].startswith("segments/PID_to_Patient.csv:")
    assert rows["Patient.birthDate"].first == "line 1, Patient.birthDate"
    kept = explained(iter([(GOLDEN / "RAS_O17/deleted/bundle.json").read_bytes()]), default())[1].of("preserved")
    assert Sum(("ORC-5",), 1, "line 2, MedicationAdministration.extension[preserved-field]") in kept
    assert ("Patient.meta.profile", "the server's own bookkeeping") in [one.what for one in sums.of("dropped")]
    terminal, page = "\n".join(Terminal(200, False).sums(sums)), page_of(None, sums)
    assert "4 lines: 2 translated, 2 refused" in terminal
    for text in (terminal, page):
        for secret in ("Vasquez", "Dorian", "SYN-100318", "1974", "2026-04-14", "P-B2"):
            assert secret not in text, secret


def test_one_line_of_many_is_shown() -> None:
    told, _ = explained(iter([ndjson()]), default(), 3)
    assert told == explained(iter([WHOLE.read_bytes()]), default())[0]


@pytest.mark.parametrize("width", [40, 60, 88, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for number in (1, 2, None):
        told, sums = explained(iter([ndjson()]), default(), number)
        shown = list(Terminal(width, False).message(told) if told else Terminal(width, False).sums(sums))
        assert max(map(cells, shown)) <= width


def test_the_page_ties_every_element_to_its_field() -> None:
    told, sums = explained(iter([WHOLE.read_bytes()]), default())
    assert told
    found = Page(page_of(told, sums))
    assert found.open == []
    fields = found.of("field")
    assert [one["data-where"] for one in fields] == [line.where for line in lines(told)]
    linked = {one for row in found.of("row") for one in str(row["data-f"]).split()}
    assert linked == {str(one["data-f"]) for one in fields}
    assert "RAS^O17 RXA" in "".join(found.texts)
    assert isinstance(page_of(None, Sums()), str)


def test_authorities_are_those_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "k.toml"
    config.write_text('[authorities]\nWILLOW = "https://willow.example/mrn"\n')
    message = GOLDEN / "RAS_O17" / "two-orders" / "in.hl7"

    def shown(*words: str) -> str:
        return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False).stdout

    system = "https://willow.example/mrn"
    assert "SYN-100318 [mrn]" in shown(str(message), "--config", str(config))
    assert "SYN-100318 [WILLOW]" in shown(str(message))
    data = WHOLE.read_text().replace('"system": "urn:id:WILLOW"', f'"system": "{system}"')
    bundle = tmp_path / "bundle.json"
    bundle.write_text(data)
    assert "PID-3: SYN-100318^^^WILLOW^" in shown(str(bundle), "--config", str(config))
    assert "PID-3: SYN-100318^^^WILLOW^" not in shown(str(bundle))
