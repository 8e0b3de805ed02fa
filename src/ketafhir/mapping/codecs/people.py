"""Who and where: XPN, XAD, XTN, XCN, PL <-> HumanName, Address, ContactPoint, references.

(v2-to-FHIR guide: XPN[HumanName], XAD[Address], XTN[ContactPoint], PL[Location].)
"""

from __future__ import annotations

from typing import Any

from ketafhir.mapping import codemaps
from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.codecs.identifiers import authority_parts, authority_system, parts_of, read_hd, read_identifier
from ketafhir.mapping.context import Context
from ketafhir.therapy.values import Address, Contact, Identifier, Name, Place, Practitioner

_QUALIFIER = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"


class PersonName(Codec):
    """XPN <-> HumanName. `vocab` is the code map of its use (table 0200)."""

    steady = True
    fhir_type = "HumanName"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.uses = maps("name-use")

    def from_v2(self, c: Context, *cells: str) -> Name | None:
        family, given, more, suffix, prefix, degree, use = parts_of(cells[0], 7, c)
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
    """A HumanName; of one that is only text, the last word is the family name. A text with a comma ("Doe, Jo", "Jo Doe, MD") is
    written in more ways than one: it stays whole, as family name."""
    suffixes = [str(part or "") for part in json.get("suffix", ())]
    marks = json.get("_suffix", ())
    degree = ""
    for place, mark in enumerate(marks):
        if mark and any(one.get("valueCode") == "AC" for one in mark.get("extension", ())) and place < len(suffixes):
            degree = suffixes[place]
            suffixes[place] = ""
    family, given = str(json.get("family", "")), tuple(str(one) for one in json.get("given", ()))
    if not family and not given and json.get("text"):
        text = str(json["text"])
        *words, family = [text.strip()] if "," in text else text.split() or [""]
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
        street, other, city, state, postal, country, use = parts_of(cells[0], 7, c)
        lines = tuple(line for line in (street, other) if line)
        if use and use not in self.uses.v2_to_domain:
            c.keep(".7", escape(use))
            use = ""
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

    def _read(self, text: str, place: str, c: Context) -> Contact | None:
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
        known = {2: use in self.uses.v2_to_domain, 3: equipment in self.kinds.v2_to_domain}
        for at, part in enumerate(raw, 1):
            if part and at != used and not known.get(at):
                c.preserved.append((f"{place}.{at}", part))
        return Contact(value, use if known[2] else "", equipment if known[3] else "")

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
    number, family, given, more, suffix, prefix, degree = parts_of("^".join(parts[:7]), 7, c)
    hd = read_hd(parts[8] if len(parts) > 8 else "")
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
        unit, room, bed = parts_of("^".join(parts[:3]), 3, c)
        facility = unescape(parts[3]) if len(parts) > 3 else ""
        name, _, universal = facility.partition("&")
        if name and universal and name not in c.authorities:
            c.keep(".4.1", name)  # the system is that of the universal id
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
        return Place(unit, room, bed, "&".join(facility).rstrip("&"), description)
