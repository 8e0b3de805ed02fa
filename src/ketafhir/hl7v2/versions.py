"""A message as its version of HL7 v2 has it: segments, fields, data types, event codes (chapters 2 and 4A of each).

What is written follows no version until it comes here: a code has its original text, a field all that was told. What the
version has no place for is left out and told. The types of fields are those of hl7apy, which is loaded with the first
message of a version that nobody gets unasked.
"""

from __future__ import annotations

from functools import cache

from ketafhir import data
from ketafhir.errors import Issue
from ketafhir.hl7v2.structures import structure_of

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1")
"""The versions that are written."""
UNASKED = ("2.5.1", "2.6")
"""Those that are written where none is asked for; the types of their fields are in mappings/field-types.txt."""
_TABLES = {"2.7.1": "2.7"}  # hl7apy has no tables of its own for it
_OLD_EVENTS = {"RAS^O17": "RAS^O01", "RDE^O11": "RDE^O01", "RDS^O13": "RDS^O01", "OMP^O09": "ORM^O01"}
_ADMISSION = ("ADT_A05",)  # in 2.3 and 2.3.1 these events have the structure of A01
_CE = 6  # components of a CE; a CWE has three more, of which the last is the original text
_ORIGINAL_TEXT = 9
_UNITS = {"s": "S", "min": "M", "h": "H", "d": "D", "wk": "W"}
_WITHDRAWN = "WD"
_MOVED = {"XTN": ("2.6", 1, 12), "XPN": ("2.7", 6, 14)}
"""Components withdrawn from a version on, and what stands in their place: a number as text, a degree."""
_REQUIRED: dict[str, dict[str, tuple[int, ...]]] = {
    "2.3": {"RXE": (1,), "ORC": (7,), "OBR": (27,), "RXG": (2, 3)},
    "2.3.1": {"RXE": (1,), "RXG": (3,)},
    "2.4": {"RXE": (1,), "RXG": (3,)},
}
"""Timings, and the counter of a dispense, that a version requires; null where none was told."""
NULL = '""'
_TIMED = {"ORC": 7, "RXE": 1, "RXG": 3}
"""The field that has the timing of a segment before 2.5."""


def convert(text: str, version: str) -> tuple[str, list[Issue]]:
    """A message that was composed (segments end in CR) in a version, and what that has no place for."""
    return _Conversion(version).of(text)


@cache
def _types(version: str, segment: str) -> dict[int, tuple[str, int]]:
    """Data type and most repetitions (-1: any number) of the fields of a segment."""
    if version in UNASKED:
        return _listed(version).get(segment, {})
    from ketafhir.hl7v2.strict import segment_types

    listed = segment_types(_TABLES.get(version, version), segment)
    return {number: (kind, most) for number, kind, _, most in listed}


@cache
def _listed(version: str) -> dict[str, dict[int, tuple[str, int]]]:
    """The types of all segments of a version, from our own file."""
    found: dict[str, dict[int, tuple[str, int]]] = {}
    with open(data.file("mappings/field-types.txt"), encoding="utf-8") as file:
        for line in file:
            told, segment, *words = line.split()
            if told == version:
                parts = (word.partition(":") for word in words)
                found[segment] = {
                    number: (kind, int(most or 1)) for number, (kind, _, most) in enumerate(parts, 1) if kind != "-"
                }
    return found


class _Conversion:
    def __init__(self, version: str) -> None:
        self.version = version
        self.issues: list[Issue] = []

    def of(self, text: str) -> tuple[str, list[Issue]]:
        segments = [line.split("|") for line in text.split("\r") if line]
        if self.version < "2.5":
            segments = self._timings(_one_order_each(segments))
        lines = []
        for fields in segments:
            name = fields[0]
            if name == "MSH":
                lines.append(self._header(fields))
            elif name.startswith("Z"):
                lines.append("|".join(fields))
            elif not _types(self.version, name):
                self._lost(name, "|".join(fields[1:]))
            else:
                lines.append(self._segment(fields))
        return "".join(line + "\r" for line in lines), self.issues

    def _header(self, fields: list[str]) -> str:
        """MSH-9 by table 0354 of the version; fields count from the separator."""
        code, event, structure = [*fields[8].split("^"), "", ""][:3]
        if self.version < "2.4":
            code, _, event = _OLD_EVENTS.get(f"{code}^{event}", f"{code}^{event}").partition("^")
            structure = structure_of(code, event, self.version)
            structure = "ADT_A01" if structure in _ADMISSION else structure
            if fields[20:]:  # MSH-21, the profile, is younger
                self._lost("MSH-21", fields[20])
                del fields[20:]
                while not fields[-1]:
                    fields.pop()
        fields[8] = "^".join((code, event) if self.version == "2.3" else (code, event, structure))
        fields[11] = self.version
        return "|".join(fields)

    def _segment(self, fields: list[str]) -> str:
        name, types = fields[0], _types(self.version, fields[0])
        if name == "RXA" and 11 not in types and len(fields) > 11 and fields[11]:
            _place_given(fields)
        if name == "RXA" and 27 not in types and len(fields) > 27 and not fields[11]:
            _place_given_of_old(fields)
        if name == "OBX":
            self._value_type(fields)
        if name == "DG1" and self.version >= "2.6" and len(fields) > 4 and not fields[3]:
            fields[3] = f"^{fields[4]}"  # required from 2.6 on
        for number in range(1, len(fields)):
            if fields[number]:
                kind, most = types.get(number, (_WITHDRAWN, 0))
                if "^" not in fields[number] and "~" not in fields[number] and kind.upper() != _WITHDRAWN:
                    continue
                kind = fields[2] if (name, number) == ("OBX", 5) else kind
                fields[number] = self._field(kind, most, fields[number], f"{name}-{number}")
        while len(fields) > 1 and not fields[-1]:
            fields.pop()
        return "|".join(fields)

    def _field(self, kind: str, most: int, text: str, place: str) -> str:
        if kind.upper() == _WITHDRAWN:
            self._lost(place, text)
            return ""
        repeats = text.split("~")
        if 0 < most < len(repeats):
            self._lost(place, "~".join(repeats[most:]))
            del repeats[most:]
        return "~".join(self._as(kind, one, place) for one in repeats)

    def _as(self, kind: str, text: str, place: str) -> str:
        """One repetition in the form of a data type."""
        parts = text.split("^")
        if kind in ("IS", "ID") and len(parts) > 1:
            self._lost(place, "^".join(parts[1:]))
            return parts[0]
        moved = _MOVED.get(kind, ("", 0, 0))
        if moved[0] and self.version >= moved[0] and len(parts) >= moved[1] and parts[moved[1] - 1]:
            return self._with_moved(parts, moved[1], moved[2], place)
        if kind != "CE" or len(parts) <= _CE:
            return text
        if len(parts) >= _ORIGINAL_TEXT and not parts[1]:
            parts[1], parts[_ORIGINAL_TEXT - 1] = parts[_ORIGINAL_TEXT - 1], ""
        if any(parts[_CE:]):
            self._lost(place, "^".join(parts[_CE:]))
        parts = parts[:_CE]
        while parts and not parts[-1]:
            parts.pop()
        return "^".join(parts)

    def _with_moved(self, parts: list[str], old: int, new: int, place: str) -> str:
        """The components with one where the version has it; what stands there already counts."""
        parts += [""] * (new - len(parts))
        if parts[new - 1] not in ("", parts[old - 1]):
            self._lost(f"{place}.{old}", parts[old - 1])
        parts[new - 1], parts[old - 1] = parts[new - 1] or parts[old - 1], ""
        return "^".join(parts).rstrip("^")

    def _value_type(self, fields: list[str]) -> None:
        """OBX-2 by table 0125 of the version: CWE and DTM are younger than CE and TS."""
        if len(fields) > 2 and self.version < "2.4":
            fields[2] = {"CWE": "CE", "DTM": "TS"}.get(fields[2], fields[2])

    def _timings(self, segments: list[list[str]]) -> list[list[str]]:
        """Before 2.5: TQ1 behind an RXE is RXE-1, behind an RXG is RXG-3, another is ORC-7."""
        found: list[list[str]] = []
        owner: list[str] | None = None
        for fields in segments:
            if fields[0] == "TQ1" and owner is not None:
                at = _TIMED[owner[0]]
                owner += [""] * (at + 1 - len(owner))
                if owner[at]:
                    self._lost("TQ1", "|".join(fields[1:]))
                else:
                    owner[at] = self._timing(fields)
                continue
            if fields[0] in _TIMED:
                owner = fields
            found.append(fields)
        for fields in found:
            for at in _REQUIRED[self.version].get(fields[0], ()):
                fields += [""] * (at + 1 - len(fields))
                fields[at] = fields[at] or NULL
        return found

    def _timing(self, fields: list[str]) -> str:
        """The TQ of a TQ1: quantity, interval, duration, start, end, priority, condition, text, conjunction; the total
        occurrences from 2.4 on."""
        cells = fields + [""] * (15 - len(fields))
        told = {
            2: cells[2].replace("^", "&"), 3: cells[3].partition("^")[0], 6: _duration(cells[6]), 7: cells[7], 8: cells[8],
            9: cells[9].partition("^")[0], 10: cells[10], 11: cells[11], 12: cells[12].partition("^")[0],
        }  # fmt: skip
        parts = ["", *told.values(), *([] if self.version < "2.4" else ["", "", cells[14]])]
        held = {1: "1", **told, 14: "" if self.version < "2.4" else cells[14]}
        for number in range(1, 15):
            if cells[number] and not held.get(number):
                self._lost(f"TQ1-{number}", cells[number])
        text = "^".join(parts[1:])
        return text.rstrip("^")

    def _lost(self, place: str, value: str) -> None:
        text = f"version {self.version} has no place for {place}: left out"
        self.issues.append(Issue("warning", "version-loss", text, where=place, value=value))


def _duration(text: str) -> str:
    """A CQ (`45^min&&UCUM`) as the duration of a TQ (`M45`), "" where it is none."""
    number, _, unit = text.partition("^")
    letter = _UNITS.get(unit.partition("&")[0])
    return f"{letter}{number}" if letter and number.isdigit() else ""


def _place_given(fields: list[str]) -> None:
    """RXA-11 (LA2) as RXA-27 (where) and RXA-28 (address), which stand in its place from 2.6 on."""
    parts = fields[11].split("^")
    fields += [""] * (29 - len(fields))
    fields[27] = fields[27] or "^".join(parts[:8]).rstrip("^")
    fields[28] = fields[28] or "^".join(parts[8:]).rstrip("^")
    fields[11] = ""


def _place_given_of_old(fields: list[str]) -> None:
    """RXA-27 (PL) and RXA-28 (XAD) as the RXA-11 (LA2) that they took the place of: its location and its address."""
    place, address = fields[27].split("^"), fields[28].split("^") if len(fields) > 28 else []
    if len(place) > 8 or len(address) > 8 or any("~" in one for one in fields[27:29]):
        return  # more than an LA2 holds: told as what the version has no place for
    fields[11] = "^".join([*place, *[""] * (8 - len(place)), *address]).rstrip("^")
    fields[27:29] = [""] * len(fields[27:29])


def _one_order_each(segments: list[list[str]]) -> list[list[str]]:
    """Before 2.5 an ORDER of RAS has one ADMINISTRATION: each further one gets the ORC again, those before one RXR share it.
    How the order stands (ORC-5) is told with the last."""
    found: list[list[str]] = []
    orc: list[str] = []
    given = False
    for fields in segments:
        if fields[0] == "ORC":
            orc, given = fields, False
        elif fields[0] == "RXA" and orc:
            if given and found[-1][0] != "RXA":
                again = list(orc)
                if len(orc) > 5:
                    orc[5] = ""
                found.append(again)
                orc = again
            given = True
        found.append(fields)
    return found
