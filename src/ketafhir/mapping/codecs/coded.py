"""Codes and concepts: CWE, CE and IS <-> CodeableConcept and code (v2-to-FHIR guide, CWE[CodeableConcept]; chapter 2A)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ketafhir.mapping import codemaps, codes
from ketafhir.mapping.codecs.base import Codec, escape, join, unescape
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.paths import DERIVED
from ketafhir.therapy.values import Coded, Coding

_CODINGS = 2  # that a CWE has room for
_WORDS = re.compile(r"\S+", re.ASCII).findall  # a no-break space is part of a code
_PARTS = 9  # CWE.1 to CWE.9; the second alternate (10 and on) has no reader yet and is preserved


def read_cwe(text: str, c: Context, default: str = "") -> Coded | None:
    """CWE.1-.9 to a concept. A bare text in CWE.2 is text; CWE.9 is the original text beside codes."""
    value, beyond = _read_cwe(text, default)
    for component, part in beyond:
        c.keep(component, part)
    return value


@lru_cache(maxsize=4096)
def _read_cwe(text: str, default: str) -> tuple[Coded | None, tuple[tuple[str, str], ...]]:
    """The concept, and the components that it has no room for. The same few texts come all day."""
    if "^" not in text:
        code = code_text(text)
        return (Coded((Coding(code, default),)) if code else None), ()
    parts = text.split("^")
    beyond = [(f".{place + 1}", parts[place]) for place in range(_PARTS, len(parts)) if parts[place]]
    parts += [""] * (_PARTS - len(parts))
    codings = tuple(
        _coding(parts[at], parts[at + 1], parts[at + 2], parts[version], default)
        for at, version in ((0, 6), (3, 7))
        if code_text(parts[at])
    )
    text = unescape(parts[8])
    if not code_text(parts[0]):
        # No code: CWE.2 is what the concept is called; where CWE.9 has a text as well, CWE.2 is preserved.
        if not text:
            text = unescape(parts[1])
        elif parts[1]:
            beyond.append((".2", parts[1]))
        if parts[2]:
            beyond.append((".3", parts[2]))
    if not parts[3] and parts[4]:
        beyond.append((".5", parts[4]))
    return (Coded(codings, text) if codings or text else None), tuple(beyond)


def code_text(text: str) -> str:
    """A code has no blanks around it, and single ones inside (FHIR R4, code)."""
    found = unescape(text)
    return found if found.isalnum() else " ".join(_WORDS(found))


def _coding(code: str, display: str, system: str, version: str, default: str) -> Coding:
    return Coding(
        code_text(code),
        codes.system_uri(unescape(system)) if system else default,
        unescape(display),
        unescape(version),
    )


def write_cwe(value: Coded) -> str:
    """A concept as CWE: at most two codings have a place."""
    if not value.codings:
        return "^" + escape(value.text) if value.text else ""
    first, *rest = value.codings
    second = rest[0] if rest else None
    return join(
        [
            escape(first.code),
            escape(first.display),
            escape(codes.v2_name(first.system)),
            escape(second.code) if second else "",
            escape(second.display) if second else "",
            escape(codes.v2_name(second.system)) if second else "",
            escape(first.version),
            escape(second.version) if second else "",
            escape(value.text),
        ]
    )


def concept_json(value: Coded) -> dict[str, Any]:
    """CodeableConcept."""
    json: dict[str, Any] = {}
    if value.codings:
        json["coding"] = [coding_json(coding) for coding in value.codings]
    if value.text:
        json["text"] = value.text
    return json


def coding_json(coding: Coding) -> dict[str, Any]:
    """Coding, elements in the order of the specification."""
    json: dict[str, Any] = {}
    if coding.system:
        known = codes.is_published(coding.system, coding.code)
        json["system"] = coding.system if known else codes.local_system(coding.system)
    if coding.version:
        json["version"] = coding.version
    json["code"] = coding.code
    if coding.display:
        json["display"] = coding.display
    return json


def read_concept(json: Any) -> Coded | None:
    """A CodeableConcept; a coding without code is its display, as text."""
    if not isinstance(json, dict):
        raise Unreadable("concept-unreadable", "not a CodeableConcept", str(json))
    codings = []
    text = str(json.get("text", ""))
    for one in json.get("coding", ()):
        if one.get("code"):
            codings.append(read_coding(one))
        elif one.get("display") and not text:
            text = str(one["display"])
    return Coded(tuple(codings), text) if codings or text else None


def read_coding(json: dict[str, Any]) -> Coding:
    """A Coding."""
    return Coding(
        str(json["code"]),
        codes.of_local(str(json.get("system", ""))),
        str(json.get("display", "")),
        str(json.get("version", "")),
    )


def first_code(json: Any) -> str:
    """The code of the first coding of a CodeableConcept such as a clinicalStatus, or ""."""
    codings = json.get("coding", ()) if isinstance(json, dict) else ()
    return next((str(one.get("code", "")) for one in codings), "")


@lru_cache(maxsize=1024)
def of_name(name: str) -> Coding:
    """The coding of a name of the catalogue."""
    one = codes.code(name)
    return Coding(one.code, one.system, one.display)


class Concept(Codec):
    """CWE <-> CodeableConcept. `vocab` is the system (v2 name) of a code that comes without any.

    Codings that the first coding implies (mappings/codesystems/implied.csv: an MDC term its LOINC, a route of
    table 0162 its SNOMED) are added in FHIR, marked derived, and taken away again on the way back.
    """

    steady = True
    fhir_type = "CodeableConcept"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.default = codes.system_uri(vocab) if vocab else ""

    def from_v2(self, c: Context, *cells: str) -> Coded | None:
        return read_cwe(cells[0], c, self.default)

    def to_v2(self, c: Context, value: Coded) -> tuple[str, ...]:
        text = write_cwe(value)
        if self.default and len(value.codings) == 1 and not (value.text or value.codings[0].display):
            return (escape(value.codings[0].code),) if value.codings[0].system == self.default else (text,)
        return (text,)

    def to_fhir(self, c: Context, value: Coded) -> dict[str, Any]:
        json = concept_json(value)
        if value.codings:
            first = value.codings[0]
            for name in codemaps.implied(first.system, first.code):
                one = of_name(name)
                if not value.has(one.system, one.code):
                    mark = {"extension": [{"url": DERIVED, "valueBoolean": True}]}
                    json["coding"].append({**mark, **coding_json(one)})
        return json

    def from_fhir(self, c: Context, json: Any) -> Coded | None:
        if isinstance(json, dict) and any("extension" in one for one in json.get("coding", ())):
            json = {**json, "coding": [one for one in json["coding"] if not _is_derived(one)]}
        value = read_concept(json)
        if value is None or len(value.codings) <= _CODINGS:
            return value
        first, *rest = value.codings
        known = [of_name(name) for name in codemaps.implied(first.system, first.code)]
        kept = [one for one in rest if not any((one.system, one.code) == (k.system, k.code) for k in known)]
        if len(kept) >= _CODINGS:
            c.warn(
                "codings-dropped",
                "HL7v2 holds two codings of a concept; the others are left out",
                value.label,
            )
        return Coded((first, *(kept or rest)[: _CODINGS - 1]), value.text)


def _is_derived(coding: Any) -> bool:
    return any(one.get("url") == DERIVED and one.get("valueBoolean") is True for one in coding.get("extension", ()))


class Drug(Concept):
    """The drug: a concept that must say something (a code with its system, or a text), or the message is refused."""

    def from_v2(self, c: Context, *cells: str) -> Coded:
        value = read_cwe(cells[0], c)
        if value is None or not (value.text or any(one.system or one.display for one in value.codings)):
            raise Unreadable(
                "drug-unknown", "the drug has neither a code with its coding system nor a text", cells[0],
                "send code^text^coding system", "103",
            )  # fmt: skip
        return value


class Code(Codec):
    """A code by a code map, strictly: what stands in no row is refused."""

    steady = True
    fhir_type = "code"

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.map = maps(vocab)

    def from_v2(self, c: Context, *cells: str) -> str:
        text = unescape(cells[0].partition("^")[0])
        found = self.map.v2_to_domain.get(text)
        if found is None:
            raise Unreadable("code-unknown", f"not a code of {self.map.file}", text, self._expected("v2"), "103")
        return found

    def to_v2(self, c: Context, value: str) -> tuple[str, ...]:
        return (self.map.domain_to_v2.get(value, ""),)

    def to_fhir(self, c: Context, value: str) -> str | None:
        return self.map.domain_to_fhir.get(value)

    def from_fhir(self, c: Context, json: Any) -> str:
        found = self.map.fhir_to_domain.get(json)
        if found is None:
            raise Unreadable("code-unknown", f"not a code of {self.map.file}", str(json), self._expected("fhir"))
        return found

    def softly(self, c: Context, cell: str) -> str:
        """The word of a cell; what stands in no row is preserved as sent, with a warning, and has none."""
        found = self.map.v2_to_domain.get(unescape(cell.partition("^")[0]))
        if found is None:
            c.keep("", cell)
            c.warn("code-unmapped", f"not a code of {self.map.file}: preserved", cell)
            return ""
        return found

    def _expected(self, side: str) -> str:
        known = (getattr(entry, side) for entry in self.map.entries)
        return "expected one of " + ", ".join(dict.fromkeys(code for code in known if code))


class SoftCode(Code):
    """A code by a code map; what stands in no row is preserved as sent, with a warning."""

    def from_v2(self, c: Context, *cells: str) -> str:
        return self.softly(c, cells[0])

    def from_fhir(self, c: Context, json: Any) -> str:
        found = self.map.fhir_to_domain.get(json)
        if found is None:
            c.warn("code-unmapped", f"not a code of {self.map.file}: left out", str(json))
            return ""
        return found


class CodeCoding(SoftCode):
    """A code by a code map whose FHIR side is a Coding (Encounter.class); the map's `fhir` column names the catalogue."""

    fhir_type = "Coding"

    def to_fhir(self, c: Context, value: str) -> Any:
        name = self.map.domain_to_fhir.get(value)
        return coding_json(of_name(name)) if name else None

    def from_fhir(self, c: Context, json: Any) -> str:
        told = (json.get("system"), json.get("code"))
        for entry in self.map.entries:
            if entry.fhir and told == (codes.code(entry.fhir).system, codes.code(entry.fhir).code):
                return entry.domain
        c.warn("code-unmapped", f"not a code of {self.map.file}: left out", str(json))
        return ""


class Flag(Code):
    """Whether a cell holds one of the codes of a map; any other says no."""

    fhir_type = "boolean"

    def from_v2(self, c: Context, *cells: str) -> bool | None:  # type: ignore[override]  # a flag, not a word
        return True if cells[0] in self.map.v2_to_domain else None

    def to_v2(self, c: Context, value: bool) -> tuple[str, ...]:  # type: ignore[override]
        return (next(iter(self.map.domain_to_v2.values())) if value else "",)
