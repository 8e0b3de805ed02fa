"""Plain text cells (ST, TX, FT, SI)."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.base import Codec, escape, unescape
from ketafhir.mapping.context import Context


class Text(Codec):
    """Text <-> string; `\\.br\\` is a line end."""

    steady = True
    fhir_type = "string"

    def from_v2(self, c: Context, *cells: str) -> str:
        return unescape(cells[0])

    def to_v2(self, c: Context, value: str) -> tuple[str, ...]:
        return (escape(value),)

    def to_fhir(self, c: Context, value: str) -> str:
        return value

    def from_fhir(self, c: Context, json: Any) -> str:
        return str(json)
