"""What the terms of infusion pumps mean: `mappings/pump-terms.csv` (ISO/IEEE 11073-10101 and IHE PCD, by their REFID).

Many terms of PCD-10 have no number that is published: they are told by name, with a number of 0, none, or one of the maker's.
So a term is known by its REFID; where only a number is sent, the catalogue names it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ketafhir.mapping import codes, sheet

MDC = "urn:iso:std:iso:11073:10101"
_PRIVATE = "MDCX_"
"""IHE PCD TF-3: a term that was not yet in the standard when it was sent."""


@cache
def _meanings() -> dict[str, str]:
    return {row["refid"]: row["means"] for row in sheet.ours("pump-terms.csv", "refid means comment")}


def meaning(name: str) -> str:
    """What a REFID or a word of an enumeration means here, or ""."""
    return _meanings().get(name, "")


def refid(text: str) -> str:
    """The REFID that a CWE names (in its first or alternate triplet), or ""."""
    parts = [*text.split("~")[0].split("^"), "", "", "", "", "", ""]
    for at in (0, 3):
        number, name, system = parts[at : at + 3]
        if name.startswith(_PRIVATE):
            name = name.replace(_PRIVATE, "MDC_", 1)
        if name in _meanings() and codes.system_uri(system) in (MDC, ""):
            return name
        found = codes.find(MDC, number) if codes.system_uri(system) == MDC else None
        if found is not None:
            return found.display
    return ""


def word(text: str) -> str:
    """The meaning of a value: `^pump-source-info-primary` and `pump-source-info-primary` are primary; "" where it is none."""
    for part in text.split("~")[0].split("^"):
        found = meaning(part)
        if found:
            return found
    return meaning(refid(text))


def of_concept(json: Any) -> str:
    """What a CodeableConcept means, by the names of its MDC codings."""
    for coding in json.get("coding", ()) if isinstance(json, dict) else ():
        if coding.get("system") == MDC:
            found = meaning(str(coding.get("display", "")).replace(_PRIVATE, "MDC_", 1))
            known = codes.find(MDC, str(coding.get("code", ""))) if not found else None
            if found or known is not None:
                return found or meaning(known.display if known else "")
    return ""
