"""Each definition has an example that keeps it and one that breaks it; both checks agree about both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_peer import HapiServer
from ketafhir import data
from ketafhir.fhir import json as fhir_json
from ketafhir.fhir.profile.check import check
from ketafhir.mapping import sheet
from ketafhir.profiles import package

EXAMPLES = Path(__file__).resolve().parents[2] / "profiles" / "examples"
OURS = "https://ketafhir.org/fhir/StructureDefinition/"
DEFINITIONS = [one for one in package.contents() if one["resourceType"] == "StructureDefinition"]
NAMES = [one["id"] for one in DEFINITIONS]
Json = dict[str, Any]


def reasons() -> dict[str, dict[str, str]]:
    rows = sheet.read(EXAMPLES / "bad.csv", ["definition", "place", "reason"], "bad.csv")
    return {row["definition"]: row for row, _ in rows}


def load(kind: str, name: str) -> Json:
    found: Json = fhir_json.loads((EXAMPLES / kind / f"{name}.json").read_bytes())
    return found


def urls(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield node.get("url", "")
        for value in node.values():
            yield from urls(value)
    elif isinstance(node, list):
        for value in node:
            yield from urls(value)


def words(issue: Json) -> set[str]:
    return set(
        re.findall(
            r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*|[A-Z][a-z]+|[a-z]+(?=[A-Z])", f"{issue['diagnostics']} {issue['location']}"
        )
    )


def test_each_definition_has_both() -> None:
    for kind in ("good", "bad"):
        assert sorted(path.stem for path in (EXAMPLES / kind).iterdir()) == sorted(NAMES), kind
    assert sorted(reasons()) == sorted(NAMES)
    assert all(row["reason"] for row in reasons().values())
    assert sorted(name for name, _ in package.examples()) == sorted(NAMES)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=NAMES)
def test_an_example_shows_its_definition(definition: Json) -> None:
    for kind in ("good", "bad"):
        resource = load(kind, definition["id"])
        shown = set(urls(resource)) if definition["type"] == "Extension" else resource["meta"]["profile"]
        assert definition["url"] in shown


@pytest.mark.parametrize("name", NAMES)
def test_the_good_one_keeps_it(name: str) -> None:
    assert check(load("good", name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_bad_one_breaks_it_there_and_nowhere_else(name: str) -> None:
    found = {problem.path for problem in check(load("bad", name))}
    place = reasons()[name]["place"]
    assert place in found
    # A value of a wrong type is told beside the right one that is missing; an invariant at the resource.
    beside = place.rpartition(".")[0]
    assert all(path in (place, beside, place.partition(".")[0]) or path.rpartition(".")[0] == beside for path in found)


@pytest.mark.hapi
@pytest.mark.parametrize("name", NAMES)
def test_the_server_says_the_same(name: str, hapi_server: HapiServer) -> None:
    for kind in ("good", "bad"):
        resource = json.loads((EXAMPLES / kind / f"{name}.json").read_text("utf-8"))
        _, outcome = hapi_server.request("POST", f"{resource['resourceType']}/$validate", resource)
        errors = [one for one in outcome["issue"] if one["severity"] in ("error", "fatal")]
        assert bool(errors) is (kind == "bad"), (kind, errors)
        if kind == "bad":
            place = re.match("[a-zA-Z][a-z]+", reasons()[name]["place"].rpartition(".")[2])
            assert place
            # The element that the reason names, or the extension itself.
            assert any({place[0], name} & words(one) for one in errors), errors


def test_examples_are_not_installed() -> None:
    assert {one["resourceType"] for one in package.contents()} == {
        "StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "Questionnaire", "SearchParameter", "CapabilityStatement",
    }  # fmt: skip
    assert data.path("profiles/examples/good").is_dir()
