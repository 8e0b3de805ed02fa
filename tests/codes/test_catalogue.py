"""The catalogue of codes holds no typing errors, and is the only place where codes stand."""

from __future__ import annotations

import csv
import io
import re
import tokenize
from pathlib import Path

import pytest

from ketafhir import data
from ketafhir.errors import TableError
from ketafhir.mapping import codes

SRC = Path(__file__).parents[2] / "src"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
MDC = "urn:iso:std:iso:11073:10101"
UCUM = "http://unitsofmeasure.org"

LOINC_NUMBER = re.compile(r"(?<![\d.-])\d{3,6}-\d(?![\d-])")
NOT_LOINC = {"8859-1"}  # a part of the name of Latin-1
LOINC_ANSWER = re.compile(r"\bLA\d{1,6}-\d\b")


def mod_10(number: str) -> bool:
    """LOINC: double every second digit from the right, add the digits; the check digit fills up to a ten."""
    digits, _, check = number.partition("-")
    doubled = sum(
        sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10)) for place, digit in enumerate(reversed(digits))
    )
    return (10 - doubled % 10) % 10 == int(check)


def dihedral(a: int, b: int) -> int:
    """The product in the dihedral group of ten elements: 0-4 are rotations, 5-9 reflections."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def verhoeff(number: str) -> bool:
    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place):
            value = step[value]
        check = dihedral(check, value)
    return check == 0


def rows() -> list[dict[str, str]]:
    with (data.path("mappings") / "codes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_check_digit_functions_tell_right_from_wrong() -> None:
    assert mod_10("8480-6")
    assert not mod_10("8480-5")
    assert not mod_10("3150-6")
    assert verhoeff("47625008")
    assert not verhoeff("47625009")
    assert not verhoeff("46725008")


def test_loinc_numbers_have_their_check_digit() -> None:
    numbers = [row.code for row in codes.codes() if row.system == LOINC and not row.code.startswith("LA")]
    assert len(numbers) > 60
    assert [number for number in numbers if not mod_10(number)] == []


def test_loinc_answers_have_the_form_of_answers() -> None:
    answers = [row.code for row in codes.codes() if row.system == LOINC and row.code.startswith("LA")]
    assert len(answers) > 15
    assert [answer for answer in answers if not LOINC_ANSWER.fullmatch(answer)] == []


def test_snomed_identifiers_have_their_check_digit() -> None:
    identifiers = [row.code for row in codes.codes() if row.system == SNOMED]
    assert len(identifiers) > 100
    assert [one for one in identifiers if not verhoeff(one)] == []


PARTITIONS = {
    "mdc.dev": {1, 2},  # objects; some attributes of pumps are called DEV too
    "mdc.flow": {2},
    "mdc.vol": {2},
    "mdc.press": {2},
    "mdc.puls": {2},
    "mdc.resp": {2},
    "mdc.temp": {2},
    "mdc.conc": {2},
    "mdc.rate": {2},
    "mdc.time": {2},
    "mdc.evt": {3},
    "mdc.dim": {4},
    "mdc.attr": {1},
}


def test_mdc_codes_lie_in_the_partition_of_their_kind() -> None:
    """ISO/IEEE 11073-10101: the context-free code is partition * 65536 + term code."""
    found = codes.codes("mdc.")
    assert len(found) > 60
    wrong = []
    for row in found:
        kind = row.name.split("-")[0]
        partition = int(row.code) // 65536
        if kind in PARTITIONS and partition not in PARTITIONS[kind]:
            wrong.append((row.name, partition))
        assert row.display == "MDC_" + row.name[4:].upper().replace("-", "_")
    assert wrong == []
    assert int(codes.code("mdc.flow-fluid-pump").code) == 2 * 65536 + 26712


def test_no_concept_stands_twice() -> None:
    seen = [(row.system, row.code) for row in codes.codes()]
    assert len(seen) == len(set(seen))
    names = [row["name"] for row in rows()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("form", ["phq9", "phq2", "gad7", "auditc", "dast10"])
def test_a_panel_is_not_its_total(form: str) -> None:
    assert codes.code(f"{form}.panel").code != codes.code(f"{form}.total").code
    assert "total" in codes.code(f"{form}.total").display.lower()
    assert "total" not in codes.code(f"{form}.panel").display.lower()


def test_the_phq_difficulty_answers_are_in_the_order_of_their_meaning() -> None:
    displays = [codes.code(f"phq9.difficulty{score}").display for score in range(4)]
    assert [text.split()[0] for text in displays] == ["Not", "Somewhat", "Very", "Extremely"]


def test_a_v2_code_carries_its_table() -> None:
    elsewhere = {"v2-0078": "v3-ObservationInterpretation", "v2-0125": "v2-0440"}
    found = codes.codes("v2-")
    assert len(found) > 300
    for row in found:
        table = row.name.split(".")[0]
        assert row.system == "http://terminology.hl7.org/CodeSystem/" + elsewhere.get(table, table), row.name


def test_every_row_has_a_source_and_no_row_has_blanks_around_its_cells() -> None:
    for row in rows():
        assert row["source"], row["name"]
        assert all(cell == cell.strip() and "\n" not in cell for cell in row.values()), row["name"]
        assert row["display"], row["name"]
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*(\.[A-Za-z0-9-]+)*", row["name"]), row["name"]


def test_own_codes_are_ours_alone_and_named_so() -> None:
    own = [row for row in rows() if row["system"] == codes.OWN_SYSTEM]
    assert len(own) > 100
    assert all(row["source"] == "this project" for row in own)
    assert {row["source"] for row in rows() if row not in own}.isdisjoint({"this project"})


def test_units_of_codes_are_ucum_codes_of_the_catalogue() -> None:
    """A unit is known to the catalogue, or is one that only a device term has."""
    known = {row.code for row in codes.codes("ucum.")}
    of_devices = {row.unit for row in codes.codes("mdc.dim-")}
    for row in codes.codes():
        assert not row.unit or row.unit in known | of_devices, row.name


def test_an_unknown_name_says_where_it_is_missing() -> None:
    with pytest.raises(TableError, match=r"mappings/codes\.csv has no row named 'vitals\.pulse'"):
        codes.code("vitals.pulse")


def test_a_code_is_found_by_what_is_on_the_wire() -> None:
    assert codes.find(LOINC, "8480-6") == codes.code("vitals.systolic")
    assert codes.find(SNOMED, "8480-6") is None


def test_our_code_system_lists_every_own_code_once() -> None:
    resource = codes.codesystem()
    concepts = resource["concept"]
    assert isinstance(concepts, list)
    listed = [one["code"] for one in concepts]
    assert listed == [row.code for row in codes.codes() if row.system == codes.OWN_SYSTEM]
    assert resource["count"] == len(set(listed)) == len(listed)


def literals(source: str) -> list[tuple[int, str]]:
    """Line and text of every string and number of a Python file, docstrings included."""
    kinds = (tokenize.STRING, tokenize.NUMBER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def code_literals(source: str) -> list[tuple[int, str]]:
    """What in a Python file should be a name of the catalogue instead."""
    long_codes = {row.code for row in codes.codes() if row.system in (SNOMED, RXNORM, MDC)}
    own = {row.code for row in codes.codes("keta.") if "-" in row.code}
    found = []
    for line, text in literals(source):
        found += [(line, one) for one in LOINC_NUMBER.findall(text) if mod_10(one) and one not in NOT_LOINC]
        found += [(line, one) for one in LOINC_ANSWER.findall(text)]
        found += [(line, one) for one in re.findall(r"(?<![\d.-])\d{4,18}(?![\d.-])", text) if one in long_codes]
        if text.strip("\"'") in own:
            found.append((line, text))
    return found


def test_the_search_for_literals_finds_them() -> None:
    source = 'a = "8480-6"\nb = ["LA6568-5", 47625008]\nc = "infusion-segment"\nd = "2026-01-05 8480-5"\n'
    assert [line for line, _ in code_literals(source)] == [1, 2, 2, 3]


def test_no_code_literal_stands_in_python() -> None:
    found = {
        f"{path.relative_to(SRC)}:{line}": text
        for path in sorted(SRC.rglob("*.py"))
        for line, text in code_literals(path.read_text(encoding="utf-8"))
    }
    assert found == {}
