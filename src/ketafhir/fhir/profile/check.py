"""What is wrong with a resource or a Bundle, by the profiles it claims."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from ketafhir import data
from ketafhir.fhir import json
from ketafhir.fhir.profile.compiler import Compiler
from ketafhir.fhir.tables import published

Json = dict[str, Any]


class Problem(NamedTuple):
    """One finding: its place (`Observation.component[0].code`), kind (structure, required, value, invariant) and text."""

    path: str
    kind: str
    text: str


def check(resource: Json) -> list[Problem]:
    """The problems of a resource, or of a Bundle and all in it; each by the profiles it claims, else by its type of R4."""
    found = definitions().resource(resource)
    if not found:
        return []
    kind = resource.get("resourceType", "") if isinstance(resource, dict) else ""
    return [Problem(f"{kind}.{path}" if path else str(kind), what, text) for path, what, text in found]


@cache
def definitions() -> Compiler:
    """The checks that ship with the project."""
    with open(data.file("profiles/checks.json"), "rb") as file:
        read = json.loads(file.read())
    return Compiler(read["definitions"], published(), read["forms"])
