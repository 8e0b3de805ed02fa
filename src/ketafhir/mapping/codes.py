"""The codes the project uses: the one place where a code literal stands is `mappings/codes.csv`.

Python and tables name a concept (`vitals.systolic`); the system, the code, its display and the public
source where it was seen are data. `mappings/systems.csv` ties the coding-system names of HL7v2 (table 0396)
to the system URIs of FHIR. Both files are read once, when first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from ketafhir import data
from ketafhir.errors import TableError
from ketafhir.patterns import pattern

OWN_SYSTEM = "https://ketafhir.org/fhir/CodeSystem/keta"

_UNKNOWN = "urn:id:"  # FHIR wants a URI; a v2 name that we do not know stays readable, and goes back as it came
_TABLE_URI = "http://terminology.hl7.org/CodeSystem/v2-"
_TABLE_NAME = pattern(r"HL7(\d{4})")
_URI_SAFE = pattern(r"[A-Za-z0-9_.+-]*")


class Code(NamedTuple):
    """One concept: its stable name, and what goes on the wire. `unit` is the UCUM code of its values."""

    name: str
    system: str
    code: str
    display: str
    unit: str


def code(name: str) -> Code:
    """The code of the concept `name`; TableError when `mappings/codes.csv` has no such row."""
    found = _catalogue().get(name)
    if found is None:
        raise TableError(f"mappings/codes.csv has no row named {name!r}")
    return found


def codes(prefix: str = "") -> list[Code]:
    """All codes, in the order of the file, whose names start with `prefix` (`gad7.item`)."""
    return [row for name, row in _catalogue().items() if name.startswith(prefix)]


def find(system: str, value: str) -> Code | None:
    """The concept with this system URI and code, or None for a code that is not in the catalogue."""
    return _by_code().get((system, value))


def is_published(system: str, value: str) -> bool:
    """Whether a code may be written under a system: a table of HL7 has its codes and no other; True for what is no such table."""
    if (system, value) in _by_code():
        return True
    from ketafhir.fhir.tables import published  # read where a code is not of the catalogue

    listed = published().get(system)
    return listed is None or value in listed


def local_system(system: str) -> str:
    """The system of a code that a table of HL7 does not have: `urn:id:HL70162`, which goes back as HL70162."""
    return _UNKNOWN + v2_name(system)


def of_local(system: str) -> str:
    """The inverse of `local_system`; any other system stands for itself."""
    name = system.removeprefix(_UNKNOWN)
    return system_uri(name) if name != system and _TABLE_NAME.fullmatch(name) else system


def system_uri(v2_name: str) -> str:
    """The FHIR system of an HL7v2 coding-system name (CWE-3).

    A URI stands for itself, no name for no system (""), and an unknown name becomes `urn:id:<name>`.
    """
    known = _systems()[0].get(v2_name)
    if known is not None:
        return known
    if not v2_name or ":" in v2_name:
        return v2_name
    table = _TABLE_NAME.fullmatch(v2_name)
    return _TABLE_URI + table[1] if table else _UNKNOWN + _escaped(v2_name)


def v2_name(uri: str) -> str:
    """The HL7v2 coding-system name of a FHIR system: the inverse of `system_uri`, the preferred of several.

    A URI that no row knows stands for itself.
    """
    known = _systems()[1].get(uri)
    if known is not None:
        return known
    table = uri.removeprefix(_TABLE_URI)
    if table != uri and _TABLE_NAME.fullmatch("HL7" + table):
        return "HL7" + table
    return unquoted(uri.removeprefix(_UNKNOWN)) if uri.startswith(_UNKNOWN) else uri


def codesystem() -> dict[str, object]:
    """Our own codes as a FHIR R4 CodeSystem resource, generated from the catalogue."""
    own = [row for row in codes() if row.system == OWN_SYSTEM]
    return {
        "resourceType": "CodeSystem",
        "id": "keta",
        "url": OWN_SYSTEM,
        "name": "KetamineInfusion",
        "title": "Ketamine infusion records",
        "status": "active",
        "experimental": False,
        "publisher": "ketafhir",
        "description": "Concepts of ketamine infusion records for which no public code was found.",
        "caseSensitive": True,
        "content": "complete",
        "count": len(own),
        "concept": [{"code": row.code, "display": row.display} for row in own],
    }


def _escaped(v2_name: str) -> str:
    if _URI_SAFE.fullmatch(v2_name):
        return v2_name
    from urllib.parse import quote

    return quote(v2_name, safe="+")


def unquoted(text: str) -> str:
    """The text of a part of a URN."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _rows(name: str, width: int) -> Iterator[list[str]]:
    """The rows of a file under `mappings/` below its heading, each of `width` cells."""
    import csv

    place = data.file(f"mappings/{name}")
    try:
        with open(place, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            next(rows, None)
            for row in rows:
                if len(row) != width:
                    raise TableError(f"{place}:{rows.line_num}: {len(row)} cells where {width} belong")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{place}: {error}") from error


@cache
def _catalogue() -> dict[str, Code]:
    found: dict[str, Code] = {}
    for name, system, value, display, unit, _source, _note in _rows("codes.csv", 7):
        if name in found:
            raise TableError(f"mappings/codes.csv: the name {name!r} stands twice")
        found[name] = Code(name, system, value, display, unit)
    return found


@cache
def _by_code() -> dict[tuple[str, str], Code]:
    return {(row.system, row.code): row for row in _catalogue().values()}


@cache
def _systems() -> tuple[dict[str, str], dict[str, str]]:
    """From v2 name to URI, and from URI to the preferred name."""
    uris: dict[str, str] = {}
    preferred: dict[str, str] = {}
    for name, uri, prefer, _comment in _rows("systems.csv", 4):
        uris[name] = uri
        if prefer == "y":
            preferred[uri] = name
    return uris, preferred
