"""The compiled definitions: they match their sources, name codes of the catalogue, and cover what is written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ketafhir import data
from ketafhir.mapping import codes, command, sheet
from ketafhir.mapping.tables import Tables
from ketafhir.profiles import terminology

ROOT = Path(__file__).resolve().parents[2]
FSH = sorted((ROOT / "profiles" / "fsh" / "input" / "fsh").glob("*.fsh"))
DEFINITIONS = data.path("profiles/definitions")
CHECKS = data.path("profiles/checks.json")
OURS = "https://ketafhir.org/fhir/"
HL7 = ("http://hl7.org/fhir/", "http://terminology.hl7.org/")


def load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def all_definitions() -> list[dict[str, Any]]:
    return [load(file) for file in sorted(DEFINITIONS.glob("*.json"))]


def values(node: Any, name: str) -> Iterator[Any]:
    """Every value of a property of that name, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield value
            yield from values(value, name)
    elif isinstance(node, list):
        for one in node:
            yield from values(one, name)


def test_every_definition_says_what_it_is() -> None:
    for one in all_definitions():
        assert one["url"] == f"{OURS}{one['resourceType']}/{one['id']}"
        assert one["status"] == "active"
        assert one["version"]
        assert one.get("title")
        if one["resourceType"] == "StructureDefinition":
            assert len(one["description"]) > 10, one["id"]
            assert one["snapshot"]["element"], one["id"]


def test_every_value_set_of_ours_that_is_bound_is_published() -> None:
    made = {one["url"] for one in (*all_definitions(), *terminology.resources("0"))}
    bound = {url for one in all_definitions() for url in values(one, "valueSet") if url.startswith(OURS)}
    assert bound
    assert bound - made == set()


def test_a_code_in_a_profile_is_one_of_the_catalogue() -> None:
    wrong = []
    for file in FSH:
        text = file.read_text("utf-8")
        aliases = dict(re.findall(r"^Alias: (\S+) = (\S+)$", FSH[1].with_name("aliases.fsh").read_text(), re.MULTILINE))
        for system, code in re.findall(r"(\$[\w-]+|https?://\S+?)#([^\s\"]+)", text):
            uri = aliases.get(system, system)
            if not uri.startswith(HL7[0]) and "{" not in code and codes.find(uri, code) is None:
                wrong.append(f"{file.name}: {system}#{code}")
    assert wrong == []


def test_every_extension_that_is_written_is_defined() -> None:
    defined = {one["url"] for one in all_definitions() if one.get("type") == "Extension"}
    written = set()
    for file in (ROOT / "tests" / "golden").rglob("bundle*.json"):
        for line in file.read_text("utf-8").splitlines():
            for url in re.findall(r'"url":"(https://ketafhir\.org/fhir/StructureDefinition/[^"]+)"', line):
                written.add(url)
    assert written - defined == set()


def test_every_code_map_with_two_sides_is_published() -> None:
    """A map that is new needs its HL7v2 table and its FHIR system in mappings/conceptmaps.csv."""
    tables = Tables(None)
    listed = {row["map"]: row["fhir"] for row in sheet.ours("conceptmaps.csv", "map table fhir comment")}
    for file in sorted((tables.root / "codesystems").glob("*.csv")):
        if file.stem == "implied":
            continue
        both = any(entry.v2 and entry.fhir for entry in tables.code_map(file.stem).entries)
        assert not both or file.stem in listed, file.stem
        assert ("group" in command.concept_map(tables, file.stem)) is (both and bool(listed[file.stem])), file.stem


@pytest.mark.slow
def test_the_sources_compile_to_what_is_committed(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "profiles.sh"), str(Path(sys.executable).parent), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    made = {file.name: file.read_text("utf-8") for file in tmp_path.rglob("*.*")}
    codes = CHECKS.with_name("codes.csv")
    committed = {file.name: file.read_text("utf-8") for file in (*DEFINITIONS.glob("*.json"), CHECKS, codes)}
    assert sorted(made) == sorted(committed)
    assert [name for name in sorted(made) if made[name] != committed[name]] == [], "run make profiles"
