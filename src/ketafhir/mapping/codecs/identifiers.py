"""Numbers and what they name: EI, CX <-> Identifier, with their assigning authorities; devices, logical references, counters.

(v2-to-FHIR guide: EI[Identifier], CX[Identifier]; HL7 v2.5.1 chapter 2A.)
"""

from __future__ import annotations

from typing import Any

from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.codecs.coded import code_text, read_cwe, write_cwe
from ketafhir.mapping.context import Context
from ketafhir.therapy.values import Coded, Coding, Device, Identifier

_OID = "urn:oid:"
_NAMED = "urn:id:"
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_CARET = "\\S\\"  # a ^ that is part of a name, as an escape sequence of HL7 v2
SENDER = "urn:ketafhir:sender:"
"""System of numbers that came without authority: the sender's own (MSH-4, else MSH-3), which has no HL7v2 form."""


def parts_of(text: str, count: int, c: Context) -> list[str]:
    """`count` components, unescaped: the first subcomponent of each; what lies beyond is preserved where it stands."""
    parts = text.split("^")
    for place in range(count, len(parts)):
        if parts[place]:
            c.keep(f".{place + 1}", parts[place])
    del parts[count:]
    found = []
    for place, part in enumerate(parts, 1):
        own, _, rest = part.partition("&")
        if rest:
            c.keep(f".{place}.2", rest)
        found.append(unescape(own))
    return found + [""] * (count - len(found))


def read_hd(text: str) -> tuple[str, str, str]:
    """An HD inside a component: name, universal id, its type."""
    name, universal, kind = [*(unescape(part) for part in text.split("&")), "", "", ""][:3]
    return name, universal, kind


def whole_hd(text: str) -> str:
    """An HD field (MSH-3) as it is remembered: its name alone, or with its universal id and the type of that, parted by ^."""
    if "^" not in text and "\\" not in text:
        return text
    return "^".join(unescape(part).replace("^", _CARET) for part in text.rstrip("^").split("^"))


def write_hd(told: str) -> str:
    """The HD field of what `whole_hd` gave."""
    return join([escape(part.replace(_CARET, "^")) for part in told.split("^")])


def authority_system(name: str, universal: str, kind: str, c: Context) -> str:
    """The FHIR system of an assigning authority: as configured, else by its OID or URI, else `urn:id:<name>`.

    A universal id of another type (DNS, EUI-64, ...) is `urn:id:<type>:<id>`.
    """
    if name in c.authorities:
        return c.authorities[name]
    if universal:
        if kind == "ISO":
            return _OID + universal
        return universal if kind == "URI" else f"{_NAMED}{_quoted(kind)}:{_quoted(universal)}"
    return _NAMED + _quoted(name) if name else ""


def _quoted(text: str) -> str:
    """Text as part of a URN; nearly all names of authorities need no change."""
    if text.isalnum():
        return text
    from urllib.parse import quote

    return quote(text, safe="")


def authority_parts(identifier: Identifier, c: Context) -> tuple[str, str, str]:
    """Name, universal id and its type of an identifier's authority: the inverse of `authority_system`."""
    system = identifier.system
    if not system or system.startswith(SENDER):
        return "", "", ""
    if system in c.systems:
        return c.systems[system], "", ""
    if system.startswith(_OID):
        return identifier.authority, system[len(_OID) :], "ISO"
    if system.startswith(_NAMED):
        kind, colon, universal = system[len(_NAMED) :].partition(":")
        if colon:
            return identifier.authority, codes.unquoted(universal), codes.unquoted(kind)
        return codes.unquoted(kind), "", ""
    return identifier.authority, system, "URI"


def identifier_json(value: Identifier) -> dict[str, Any]:
    """Identifier: type, system, value, and the authority's own name where the system is not made from it."""
    json: dict[str, Any] = {}
    if value.type:
        system = _TYPES if codes.is_published(_TYPES, value.type) else codes.local_system(_TYPES)
        json["type"] = {"coding": [{"system": system, "code": value.type}]}
    if value.system:
        json["system"] = value.system
    json["value"] = value.value
    if value.authority:
        json["assigner"] = {"display": value.authority}
    return json


def read_identifier(json: Any) -> Identifier | None:
    """A FHIR Identifier."""
    if not isinstance(json, dict) or not json.get("value"):
        return None
    kind = ""
    for coding in json.get("type", {}).get("coding", ()):
        if codes.of_local(str(coding.get("system", ""))) == _TYPES:
            kind = str(coding.get("code", ""))
    assigner = json.get("assigner", {}).get("display", "")
    return Identifier(str(json["value"]), str(json.get("system", "")), kind, str(assigner))


class EntityIdentifier(Codec):
    """EI <-> Identifier. `vocab` is its type (PLAC, FILL), which stands in the path's slice and not in the EI.

    A number without authority takes the sender's own `urn:` system.
    """

    fhir_type = "Identifier"

    def from_v2(self, c: Context, *cells: str) -> Identifier | None:
        value, name, universal, kind = parts_of(cells[0], 4, c)
        if not value:
            return None
        system = authority_system(name, universal, kind, c) or c.local
        return Identifier(value, system, authority=name if universal and name else "")

    def to_v2(self, c: Context, value: Identifier) -> tuple[str, ...]:
        name, universal, kind = authority_parts(value, c)
        return (join([escape(value.value), escape(name), escape(universal), escape(kind)]),)

    def to_fhir(self, c: Context, value: Identifier) -> dict[str, Any]:
        return identifier_json(value)

    def from_fhir(self, c: Context, json: Any) -> Identifier | None:
        value = read_identifier(json)
        if value is not None:
            value.type = ""
        return value


class CheckedIdentifier(Codec):
    """CX <-> Identifier: the authority is CX.4 (an HD), the type CX.5 (table 0203)."""

    steady = True
    fhir_type = "Identifier"

    def from_v2(self, c: Context, *cells: str) -> Identifier | None:
        parts = cells[0].split("^")
        if not unescape(parts[0].partition("&")[0]):
            return None
        value, check, scheme = parts_of("^".join(parts[:3]), 3, c)
        if check:
            c.keep(".2", parts[1])
        if scheme:
            c.keep(".3", parts[2])
        hd = read_hd(parts[3] if len(parts) > 3 else "")
        for place in range(5, len(parts)):
            if parts[place]:
                c.keep(f".{place + 1}", parts[place])
        system = authority_system(hd[0], hd[1], hd[2], c)
        kind = code_text(parts[4]) if len(parts) > 4 else ""
        return Identifier(value, system, kind, hd[0] if hd[0] and hd[1] and hd[0] not in c.authorities else "")

    def to_v2(self, c: Context, value: Identifier) -> tuple[str, ...]:
        authority = join([escape(part) for part in authority_parts(value, c)], "&")
        return (join([escape(value.value), "", "", authority, escape(value.type)]),)

    def to_fhir(self, c: Context, value: Identifier) -> dict[str, Any]:
        return identifier_json(value)

    def from_fhir(self, c: Context, json: Any) -> Identifier | None:
        return read_identifier(json)


class VisitNumber(CheckedIdentifier):
    """PV1-19, PID-18: a CX whose type is given by the path's slice (`vocab`); without authority it is the sender's own."""

    def from_v2(self, c: Context, *cells: str) -> Identifier | None:
        value = super().from_v2(c, *cells)
        if value is not None:
            value.system = value.system or c.local
            if value.type not in ("", self.vocab):
                c.keep(".5", cells[0].split("^")[4])
            value.type = self.vocab
        return value


class DeviceIdentifier(EntityIdentifier):
    """OBX-18 (EI) <-> Reference(Device): a pump or monitor by the number it reports."""

    steady = True
    fhir_type = "Reference"

    def from_v2(self, c: Context, *cells: str) -> Any:
        value = super().from_v2(c, *cells)
        return Device(value) if value else None

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        return super().to_v2(c, value.identifier)

    def to_fhir(self, c: Context, value: Any) -> dict[str, Any]:
        return c.link("Device", value)

    def from_fhir(self, c: Context, json: Any) -> Any:
        resource = c.resolve(json)
        identifiers = resource.get("identifier", []) if resource else [json.get("identifier")]
        found = next((one for one in map(read_identifier, identifiers) if one), None)
        return Device(found) if found else None


class Logical(Codec):
    """CWE <-> a logical Reference to a resource of type `vocab`: the code as identifier, its name as display."""

    steady = True
    fhir_type = "Reference"

    def from_v2(self, c: Context, *cells: str) -> Any:
        value = read_cwe(cells[0], c)
        if value is None or not value.codings:
            return value
        # A logical reference holds one code with its name: all else is preserved.
        for at, part in enumerate(cells[0].split("^")[3:9], 4):
            if part:
                c.keep(f".{at}", part)
        first = value.codings[0]
        return Coded((Coding(first.code, first.system, first.display),))

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        return (write_cwe(value),)

    def to_fhir(self, c: Context, value: Any) -> dict[str, Any]:
        json: dict[str, Any] = {"type": self.vocab}
        if value.codings:
            first = value.codings[0]
            json["identifier"] = {"value": first.code}
            if first.system:
                json["identifier"] = {"system": first.system, "value": first.code}
            if first.display:
                json["display"] = first.display
        elif value.text:
            json["display"] = value.text
        return json

    def from_fhir(self, c: Context, json: Any) -> Any:
        found = read_identifier(json.get("identifier"))
        display = str(json.get("display", ""))
        if found:
            return Coded((Coding(found.value, found.system, display),))
        return Coded((), display) if display else None


class Counters(Codec):
    """RXA-1 and RXA-2 <-> Identifier.value `give-administration`; its system is the order's, set by code."""

    cells = 2
    fhir_type = "Identifier"

    def from_v2(self, c: Context, *cells: str) -> tuple[str, str]:
        give, administration = (unescape(cell) for cell in cells)
        return give, administration

    def to_v2(self, c: Context, value: tuple[str, str]) -> tuple[str, ...]:
        return escape(value[0]), escape(value[1])

    def to_fhir(self, c: Context, value: tuple[str, str]) -> dict[str, Any]:
        return {"value": f"{value[0]}-{value[1]}"}

    def from_fhir(self, c: Context, json: Any) -> tuple[str, str]:
        give, _, administration = str(json.get("value", "")).partition("-")
        return give, administration
