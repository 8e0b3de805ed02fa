"""Plain text cells (ST, TX, FT, SI) and fixed values."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.base import Codec, escape, unescape
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.context import Context


class Text(Codec):
    """Text <-> string; `\\.br\\` is a line end."""

    fhir_type = "string"

    def from_v2(self, c: Context, *cells: str) -> str:
        return unescape(cells[0])

    def to_v2(self, c: Context, value: str) -> tuple[str, ...]:
        return (escape(value),)

    def to_fhir(self, c: Context, value: str) -> str:
        return value

    def from_fhir(self, c: Context, json: Any) -> str:
        return str(json)


class Const(Codec):
    """A FHIR element that is always the same: `vocab` is the text, or `code NAME` for a concept, `coding NAME` for a coding.

    It says nothing of the record: nothing is read from it and HL7v2 has no cell for it.
    """

    cells = 0
    fhir_type = "any"

    def from_v2(self, c: Context, *cells: str) -> Any:
        return None

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        return ()

    def to_fhir(self, c: Context, value: Any) -> Any:
        kind, _, name = self.vocab.partition(" ")
        if kind == "concept":
            return {"coding": [coding_json(of_name(name))]}
        if kind == "concepts":
            return [{"coding": [coding_json(of_name(name))]}]
        if kind == "coding":
            return coding_json(of_name(name))
        return self.vocab

    def from_fhir(self, c: Context, json: Any) -> Any:
        return None
