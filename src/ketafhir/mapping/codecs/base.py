"""What every codec is: four functions, two for each wire format.

A codec turns the cells of one row into one value of the therapy model and back, and that value into one FHIR element and
back. Cells are raw ER7 text (still escaped), in the standard separators `|^~\\&`: messages with others are rewritten when
they are read (`translate.incoming`). A codec raises `Unreadable` for what must not be guessed and uses `Context.warn` for
what can be kept as it came.
"""

from __future__ import annotations

from typing import Any

from ketafhir.hl7v2.er7 import DEFAULT, Separators
from ketafhir.hl7v2.er7 import escape as _escape
from ketafhir.hl7v2.er7 import unescape as _unescape
from ketafhir.mapping.codemaps import Maps
from ketafhir.mapping.context import Context

SEPARATORS: Separators = DEFAULT


def unescape(text: str) -> str:
    """ER7 text to text; blanks alone say nothing (HL7 v2 chapter 2A, ST: blanks at the end may be left out)."""
    found = _unescape(text, SEPARATORS) if "\\" in text else text
    return "" if found.isspace() else found


def escape(text: str) -> str:
    """Text to ER7 text."""
    return _escape(text, SEPARATORS) if text and not text.isalnum() else text


def join(parts: list[str], separator: str = "^") -> str:
    """Parts with their separator, empty ones at the end left out."""
    while parts and not parts[-1]:
        parts.pop()
    return separator.join(parts)


class Codec:
    """The four directions. `cells` is how many v2 cells a row of this codec takes (0: any).

    `steady` values come again in message after message of a feed: codes, people, devices; not times and numbers.
    """

    cells = 1
    fhir_type = ""
    companion = False  # whether the FHIR primitive can have extensions beside it
    steady = False

    def __init__(self, vocab: str, maps: Maps) -> None:
        self.vocab = vocab

    def from_v2(self, c: Context, *cells: str) -> Any:
        """The value of the cells, or None where they say nothing."""
        raise NotImplementedError

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        """The cells of the value."""
        raise NotImplementedError

    def to_fhir(self, c: Context, value: Any) -> Any:
        """The JSON of the value."""
        raise NotImplementedError

    def from_fhir(self, c: Context, json: Any) -> Any:
        """The value of the JSON, or None where it says nothing."""
        raise NotImplementedError
