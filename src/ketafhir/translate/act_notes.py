"""Notes on an administration: OBX `administration-note` (99KETA) behind the RXR <-> Annotation.

RAS^O17 has no place for an NTE there (chapter 4A.3.19). One with a status but F, with a time, an observer or anything else of its
own is an Observation; one with a text alone is a note of the administration it follows.
"""

from __future__ import annotations

from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.codecs.base import escape, unescape
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Account, Reading

NAME, TABLE = "keta.administration-note", "OBX_to_Annotation"
_TYPES = ("TX", "ST", "FT")
_FIELDS = frozenset((0, 1, 2, 3, 4, 5, 11))


def is_note(result: Result) -> bool:
    """Whether an OBX of that code is a text and nothing else."""
    obx = result.obx
    others = any(text for at, text in enumerate(obx.fields) if at not in _FIELDS)
    final = obx.get(11) in ("", codes.code("v2-0085.F").code)
    return final and not others and obx.get(2) in _TYPES and bool(_text(result)) and not result.notes + result.others


def read(reading: Reading, results: list[Result]) -> tuple[str, ...]:
    """The texts of notes, in order."""
    for result in results:
        reading.accounts.append(Account(result.obx, reading.tables.mapping(TABLE)))
    return tuple(map(_text, results))


def compose(composing: Composing, texts: tuple[str, ...], number: int) -> int:
    """The OBX of these notes; gives the next set ID."""
    one = codes.code(NAME)
    selector = "^".join((one.code, escape(one.display), codes.v2_name(one.system)))
    for place, text in enumerate(texts, 1):
        cells = {1: str(number), 2: "TX", 3: selector, 5: escape(text), 11: codes.code("v2-0085.F").code}
        composing.add("OBX", cells | ({4: str(place)} if len(texts) > 1 else {}))
        number += 1
    return number


def _text(result: Result) -> str:
    return "\n".join(unescape(part) for part in result.obx.get(5).split("~"))
