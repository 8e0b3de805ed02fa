"""Who and where: EI, CX, XPN, XAD, XTN, XCN, PL <-> Identifier, HumanName, Address, ContactPoint, references.

(v2-to-FHIR guide: EI[Identifier], CX[Identifier], XPN[HumanName], XAD[Address], XTN[ContactPoint], PL[Location].)
"""

from __future__ import annotations

from typing import Any

from ketafhir.mapping import codemaps
from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.codecs.coded import read_cwe, write_cwe
from ketafhir.mapping.context import Context
from ketafhir.therapy.values import (
    Address,
    Coded,
    Coding,
    Contact,
    Device,
    Identifier,
    Name,
    Place,
    Practitioner,
)

_OID = "urn:oid:"
_NAMED = "urn:id:"
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
SENDER = "urn:ketafhir:sender:"
"""System of numbers that came without authority: the sender's own (MSH-4, else MSH-3), which has no HL7v2 form."""
_QUALIFIER = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"


def _parts(text: str, count: int, c: Context) -> list[str]:
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


def _hd(text: str) -> tuple[str, str, str]:
    """An HD inside a component: name, universal id, its type."""
    name, universal, kind = [*(unescape(part) for part in text.split("&")), "", "", ""][:3]
    return name, universal, kind


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


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


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
            return identifier.authority, _unquoted(universal), _unquoted(kind)
        return _unquoted(kind), "", ""
    return identifier.authority, system, "URI"


def identifier_json(value: Identifier) -> dict[str, Any]:
    """Identifier: type, system, value, and the authority's own name where the system is not made from it."""
    json: dict[str, Any] = {}
    if value.type:
        json["type"] = {"coding": [{"system": _TYPES, "code": value.type}]}
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
        if coding.get("system") == _TYPES:
            kind = str(coding.get("code", ""))
    assigner = json.get("assigner", {}).get("display", "")
    return Identifier(str(json["value"]), str(json.get("system", "")), kind, str(assigner))


class EntityIdentifier(Codec):
    """EI <-> Identifier. `vocab` is its type (PLAC, FILL), which stands in the path's slice and not in the EI.

    A number without authority takes the sender's own `urn:` system.
    """

    fhir_type = "Identifier"

    def from_v2(self, c: Context, *cells: str) -> Identifier | None:
        value, name, universal, kind = _parts(cells[0], 4, c)
        if not value:
            return None
        system = authority_system(name, universal, kind, c) or c.local
        return Identifier(value, system, authority=name if universal and name else "")

    def to_v2(self, c: Context, value: Identifier) -> tuple[str, ...]:
        name, universal, kind = authority_parts(value, c)
        return (join([escape(value.value), escape(name), escape(universal), kind]),)

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
        if not parts[0]:
            return None
        value, check, scheme = _parts("^".join(parts[:3]), 3, c)
        if check:
            c.keep(".2", parts[1])
        if scheme:
            c.keep(".3", parts[2])
        hd = _hd(parts[3] if len(parts) > 3 else "")
        for place in range(5, len(parts)):
            if parts[place]:
                c.keep(f".{place + 1}", parts[place])
        system = authority_system(hd[0], hd[1], hd[2], c)
        kind = unescape(parts[4]) if len(parts) > 4 else ""
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


class PersonName(Codec):
    """XPN <-> HumanName. `vocab` is the code map of its use (table 0200)."""

    steady = True
    fhir_type = "HumanName"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.uses = maps("name-use")

    def from_v2(self, c: Context, *cells: str) -> Name | None:
        family, given, more, suffix, prefix, degree, use = _parts(cells[0], 7, c)
        names = (*([given] if given else ()), *(more.split() if more else ()))
        if not (family or names or prefix or suffix or degree):
            return None
        return Name(family, names, prefix, suffix, degree, use)

    def to_v2(self, c: Context, value: Name) -> tuple[str, ...]:
        given, *more = value.given or ("",)
        return (
            join(
                [
                    escape(part)
                    for part in (
                        value.family, given, " ".join(more), value.suffix, value.prefix, value.degree, value.use,
                    )
                ]
            ),
        )  # fmt: skip

    def to_fhir(self, c: Context, value: Name) -> dict[str, Any]:
        json: dict[str, Any] = {}
        use = self.uses.domain_to_fhir.get(self.uses.v2_to_domain.get(value.use, ""))
        if use:
            json["use"] = use
        json.update(name_json(value))
        return json

    def from_fhir(self, c: Context, json: Any) -> Name:
        name = read_name(json)
        domain = self.uses.fhir_to_domain.get(json.get("use", ""), "")
        name.use = self.uses.domain_to_v2.get(domain, "")
        return name


def name_json(value: Name) -> dict[str, Any]:
    """HumanName without use; a degree is a suffix marked as academic."""
    json: dict[str, Any] = {}
    if value.family:
        json["family"] = value.family
    if value.given:
        json["given"] = list(value.given)
    if value.prefix:
        json["prefix"] = [value.prefix]
    suffixes = [part for part in (value.suffix, value.degree) if part]
    if suffixes:
        json["suffix"] = suffixes
        if value.degree:
            mark = {"extension": [{"url": _QUALIFIER, "valueCode": "AC"}]}
            json["_suffix"] = [None, mark] if value.suffix else [mark]
    return json


def read_name(json: dict[str, Any]) -> Name:
    """A HumanName; of one that is only text, the last word is the family name."""
    suffixes = [str(part or "") for part in json.get("suffix", ())]
    marks = json.get("_suffix", ())
    degree = ""
    for place, mark in enumerate(marks):
        if mark and any(one.get("valueCode") == "AC" for one in mark.get("extension", ())) and place < len(suffixes):
            degree = suffixes[place]
            suffixes[place] = ""
    family, given = str(json.get("family", "")), tuple(str(one) for one in json.get("given", ()))
    if not family and not given and json.get("text"):
        *words, family = str(json["text"]).split() or [""]
        given = tuple(words)
    return Name(
        family,
        given,
        " ".join(str(one) for one in json.get("prefix", ())),
        " ".join(part for part in suffixes if part),
        degree,
    )


class PostalAddress(Codec):
    """XAD <-> Address. Uses by the code map `address-use` (table 0190)."""

    steady = True
    fhir_type = "Address"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.uses = maps("address-use")

    def from_v2(self, c: Context, *cells: str) -> Address | None:
        street, other, city, state, postal, country, use = _parts(cells[0], 7, c)
        lines = tuple(line for line in (street, other) if line)
        value = Address(lines, city, state, postal, country, use)
        return value if value != Address() else None

    def to_v2(self, c: Context, value: Address) -> tuple[str, ...]:
        first, *rest = value.lines or ("",)
        parts = (first, " ".join(rest), value.city, value.state, value.postal_code, value.country, value.use)
        return (join([escape(part) for part in parts]),)

    def to_fhir(self, c: Context, value: Address) -> dict[str, Any]:
        json: dict[str, Any] = {}
        use = self.uses.domain_to_fhir.get(self.uses.v2_to_domain.get(value.use, ""))
        if use:
            json["use"] = use
        if value.lines:
            json["line"] = list(value.lines)
        for key, part in (
            ("city", value.city),
            ("state", value.state),
            ("postalCode", value.postal_code),
            ("country", value.country),
        ):
            if part:
                json[key] = part
        return json

    def from_fhir(self, c: Context, json: Any) -> Address:
        domain = self.uses.fhir_to_domain.get(json.get("use", ""), "")
        return Address(
            tuple(str(line) for line in json.get("line", ())),
            str(json.get("city", "")),
            str(json.get("state", "")),
            str(json.get("postalCode", "")),
            str(json.get("country", "")),
            self.uses.domain_to_v2.get(domain, ""),
        )


class Telecom(Codec):
    """PID-13 and PID-14 (XTN) <-> ContactPoint: what stands in PID-14 is for work.

    The number is XTN.1 (or XTN.12, or put together from XTN.5 to .8, which are then preserved), an e-mail address XTN.4.
    """

    cells = 2
    steady = True
    fhir_type = "ContactPoint"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.uses, self.kinds = maps("telecom-use"), maps("telecom-equipment")

    def from_v2(self, c: Context, *cells: str) -> tuple[Contact, ...]:
        found = []
        for field, cell, use in ((13, cells[0], ""), (14, cells[1], "WPN")):
            for number, text in enumerate(cell.split("~"), 1):
                place = f"PID-{field}" if number == 1 else f"PID-{field}[{number}]"
                contact = self._read(text, place, c) if text and text != '""' else None
                if contact:
                    contact.use = contact.use or use
                    found.append(contact)
        return tuple(found)

    @staticmethod
    def _read(text: str, place: str, c: Context) -> Contact | None:
        """The one address of an XTN; every other part of it is preserved."""
        raw = text.split("^")
        parts = [unescape(part) for part in raw] + [""] * 12
        number, use, equipment, mail = parts[:4]
        whole = " ".join(("+" + parts[4] if parts[4] else "", parts[5], parts[6])).strip()
        value, used = next(
            (found for found in ((number, 1), (mail, 4), (parts[11], 12), (whole, 0)) if found[0]), ("", 0)
        )
        if not value:
            return None
        for at, part in enumerate(raw, 1):
            if part and at not in (used, 2, 3):
                c.preserved.append((f"{place}.{at}", part))
        return Contact(value, use, equipment)

    def to_v2(self, c: Context, value: tuple[Contact, ...]) -> tuple[str, ...]:
        home = "~".join(self._write(one) for one in value if one.use != "WPN")
        return home, "~".join(self._write(one) for one in value if one.use == "WPN")

    def _write(self, value: Contact) -> str:
        mail = self.kinds.domain_to_fhir.get(self.kinds.v2_to_domain.get(value.equipment, "")) == "email"
        text = escape(value.value)
        return join(["" if mail else text, value.use, value.equipment, text if mail else ""])

    def to_fhir(self, c: Context, value: tuple[Contact, ...]) -> list[dict[str, Any]]:
        found = []
        for one in value:
            kind = self.kinds.domain_to_fhir.get(self.kinds.v2_to_domain.get(one.equipment, ""), "phone")
            json: dict[str, Any] = {"system": kind, "value": one.value}
            use = self.uses.domain_to_fhir.get(self.uses.v2_to_domain.get(one.use, ""))
            if kind == "phone" and self.kinds.v2_to_domain.get(one.equipment) == "mobile":
                use = "mobile"
            if use:
                json["use"] = use
            found.append(json)
        return found

    def from_fhir(self, c: Context, json: Any) -> tuple[Contact, ...]:
        found = []
        for one in json:
            if not one.get("value"):
                continue
            kind, use = one.get("system", "phone"), one.get("use", "")
            domain = "mobile" if use == "mobile" else self.kinds.fhir_to_domain.get(kind, "")
            equipment = self.kinds.domain_to_v2.get(domain, "")
            purpose = self.uses.domain_to_v2.get(self.uses.fhir_to_domain.get(use, ""), "")
            if kind == "email" and not purpose:
                purpose = self.uses.domain_to_v2["network"]  # table 0201: NET is what an e-mail address is for
            found.append(Contact(str(one["value"]), purpose, equipment))
        return tuple(found)


class Staff(Codec):
    """XCN <-> Reference(Practitioner), with its own resource addressed by number."""

    steady = True
    fhir_type = "Reference"

    def from_v2(self, c: Context, *cells: str) -> Practitioner | None:
        return read_xcn(cells[0], c)

    def to_v2(self, c: Context, value: Practitioner) -> tuple[str, ...]:
        return (write_xcn(value, c),)

    def to_fhir(self, c: Context, value: Practitioner) -> dict[str, Any]:
        return c.link("Practitioner", value)

    def from_fhir(self, c: Context, json: Any) -> Practitioner | None:
        return read_staff(json, c)


def read_xcn(text: str, c: Context) -> Practitioner | None:
    """XCN.1-.7 and the authority XCN.9, as number and name."""
    parts = text.split("^")
    number, family, given, more, suffix, prefix, degree = _parts("^".join(parts[:7]), 7, c)
    hd = _hd(parts[8] if len(parts) > 8 else "")
    for place in (7, *range(9, len(parts))):
        if place < len(parts) and parts[place]:
            c.keep(f".{place + 1}", parts[place])
    names = (*([given] if given else ()), *(more.split() if more else ()))
    name = Name(family, names, prefix, suffix, degree)
    identifier = None
    if number:
        system = authority_system(hd[0], hd[1], hd[2], c) or c.local
        identifier = Identifier(number, system, authority=hd[0] if hd[0] and hd[1] else "")
    return Practitioner(identifier, name if name != Name() else None) if identifier or name != Name() else None


def write_xcn(value: Practitioner, c: Context) -> str:
    """Number and name as XCN."""
    name = value.name or Name()
    given, *more = name.given or ("",)
    number, authority = "", ""
    if value.identifier:
        number = escape(value.identifier.value)
        authority = join([escape(part) for part in authority_parts(value.identifier, c)], "&")
    parts = (name.family, given, " ".join(more), name.suffix, name.prefix, name.degree)
    return join([number, *(escape(part) for part in parts), "", authority])


def read_staff(json: Any, c: Context) -> Practitioner | None:
    """A reference to a person: by the resource where that is at hand (of a role, its practitioner), else by identifier and
    display."""
    found = _read_person(c.resolve(json), c)
    if found is not None:
        return found
    identifier = read_identifier(json.get("identifier"))
    name = read_name({"text": json["display"]}) if json.get("display") else None
    if identifier or name:
        return Practitioner(identifier, name)
    if json.get("reference"):
        c.warn(
            "person-missing", "a person who is neither in the Bundle nor named is left out", str(json["reference"]),
            "add the Practitioner to the Bundle, or display",
        )  # fmt: skip
    return None


def _read_person(resource: dict[str, Any] | None, c: Context) -> Practitioner | None:
    if resource is None:
        return None
    if resource.get("resourceType") == "PractitionerRole":
        told = resource.get("practitioner")
        return read_staff(told, c) if told else None
    found = [one for one in map(read_identifier, resource.get("identifier", ())) if one]
    names = resource.get("name", ())
    if isinstance(names, str):  # an Organization
        names = [{"family": names}]
    if not (found or names):
        return None
    return Practitioner(found[0] if found else None, read_name(names[0]) if names else None)


class Location(Codec):
    """PL <-> Reference(Location), with its own resource addressed by unit^room^bed."""

    steady = True
    fhir_type = "Reference"

    def from_v2(self, c: Context, *cells: str) -> Place | None:
        parts = cells[0].split("^")
        unit, room, bed = _parts("^".join(parts[:3]), 3, c)
        facility = unescape(parts[3]) if len(parts) > 3 else ""
        description = unescape(parts[8]) if len(parts) > 8 else ""
        for place in range(4, len(parts)):
            if parts[place] and place != 8:
                c.keep(f".{place + 1}", parts[place])
        value = Place(unit, room, bed, facility, description)
        return value if value != Place() else None

    def to_v2(self, c: Context, value: Place) -> tuple[str, ...]:
        parts = [value.unit, value.room, value.bed, value.facility, "", "", "", "", value.description]
        return (join([escape(part).replace("\\T\\", "&") for part in parts]),)

    def to_fhir(self, c: Context, value: Place) -> dict[str, Any]:
        return c.link("Location", value)

    def from_fhir(self, c: Context, json: Any) -> Place | None:
        resource = c.resolve(json)
        identifiers = [json.get("identifier")]
        description = ""
        if resource and resource.get("resourceType") == "Location":
            identifiers = resource.get("identifier", [])
            description = str(resource.get("description", ""))
        found = next((one for one in map(read_identifier, identifiers) if one), None)
        if found is None:
            return Place(unit=str(json["display"])) if json.get("display") else None
        unit, room, bed = [*found.value.split("^"), "", ""][:3]
        facility = authority_parts(found, c)
        return Place(unit, room, bed, "&".join(part for part in facility if part), description)


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
