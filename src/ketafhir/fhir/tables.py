"""The codes of the HL7 tables as FHIR publishes them (`profiles/codes.csv`, made from the definitions of R4)."""

from __future__ import annotations

from functools import cache

from ketafhir import data


@cache
def published() -> dict[str, frozenset[str]]:
    """The codes of each code system that is known whole: a code that it does not have is an error to any validator."""
    with open(data.file("profiles/codes.csv"), encoding="utf-8") as lines:
        next(lines)
        rows = (line.rstrip("\n").split(",", 1) for line in lines)
        return {system: frozenset(listed.split(" ")) for system, listed in rows}
