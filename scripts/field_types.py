#!/usr/bin/env python3
"""Write mappings/field-types.txt: the data types of all fields in the versions of HL7 v2 that are written unasked.

They are those of hl7apy, which takes a quarter of a second to load: a command that writes one message must not wait for it.
A line is version, segment, and a word for each field: its type, behind a colon the most repetitions (-1: any number), `-` where
the version has no such field.
"""

from __future__ import annotations

import importlib

from ketafhir import data
from ketafhir.hl7v2.strict import segment_types
from ketafhir.hl7v2.versions import UNASKED


def lines() -> list[str]:
    """The lines of the file."""
    found = []
    for version in UNASKED:
        library = importlib.import_module(f"hl7apy.v{version.replace('.', '_')}")
        for name in sorted(one for one in library.SEGMENTS if len(one) == 3 and one[0] != "Z"):
            types = {number: _word(kind, most) for number, kind, _, most in segment_types(version, name)}
            if types:
                words = (types.get(number, "-") for number in range(1, max(types) + 1))
                found.append(" ".join((version, name, *words)))
    return found


def _word(kind: str, most: int) -> str:
    return kind if most == 1 else f"{kind}:{most}"


if __name__ == "__main__":
    data.path("mappings").joinpath("field-types.txt").write_text("\n".join(lines()) + "\n", encoding="utf-8")
