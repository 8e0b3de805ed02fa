"""What AL1 and DG1 tell in forms of their own (HL7 v2 chapters 3.4.6 and 6.5.2; v2-to-FHIR guide, AL1 and DG1)."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.base import Codec, escape, unescape
from ketafhir.mapping.codecs.coded import Concept, concept_json, read_concept, read_cwe, write_cwe
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Coded


class TextConcept(Codec):
    """ST <-> CodeableConcept: a text; what is sent as code^text^system all the same is a code."""

    steady = True
    fhir_type = "CodeableConcept"

    def from_v2(self, c: Context, *cells: str) -> Coded | None:
        if "^" in cells[0]:
            return read_cwe(cells[0], c)
        text = unescape(cells[0])
        return Coded((), text) if text else None

    def to_v2(self, c: Context, value: Coded) -> tuple[str, ...]:
        return (write_cwe(value) if value.codings else escape(value.text),)

    def to_fhir(self, c: Context, value: Coded) -> dict[str, Any]:
        return concept_json(value)

    def from_fhir(self, c: Context, json: Any) -> Coded | None:
        return read_concept(json)


class DescribedConcept(Concept):
    """A code and its description in two cells (DG1-3, DG1-4) <-> CodeableConcept, whose text is the description."""

    cells = 2

    def from_v2(self, c: Context, *cells: str) -> Coded | None:
        code, description = cells
        value = read_cwe(code, c, self.default) if code not in ("", '""') else None
        told = "" if description == '""' else unescape(description)
        if value is None or not value.text:
            codings = value.codings if value else ()
            return Coded(codings, told) if codings or told else None
        if told != value.text and description:
            assert c.row is not None
            cell = c.row.cells[1]
            c.preserved.append((f"{cell.segment}-{cell.text}", description))
        return value

    def to_v2(self, c: Context, value: Coded) -> tuple[str, ...]:
        return (write_cwe(Coded(value.codings)) if value.codings else "", escape(value.text))


class Positive(Codec):
    """A number from 1 on, of a rank <-> positiveInt; another is preserved."""

    fhir_type = "positiveInt"

    def from_v2(self, c: Context, *cells: str) -> str | None:
        text = cells[0].lstrip("0")
        if text.isascii() and text.isdigit():
            return text
        c.keep("", cells[0])
        return None

    def to_v2(self, c: Context, value: str) -> tuple[str, ...]:
        return (value,)

    def to_fhir(self, c: Context, value: str) -> int:
        return int(value)

    def from_fhir(self, c: Context, json: Any) -> str:
        text = str(json)
        if not (text.isascii() and text.isdigit()):
            raise Unreadable("number-unreadable", "not a whole number", text[:60])
        return text
