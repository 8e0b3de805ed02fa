"""Messages and Bundles as broken senders would write them: those of the golden cases with something done to them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"

CELLS = (
    '""', "0", "-1", "1e400", "1E-400", "NaN", "Infinity", "9" * 400, "0." + "0" * 300 + "1", "1,5", "+5", ".5", "5.",
    "20260230", "20261399", "99999999999999", "00000000", "20260309082030-0500", "20260309082030.12345678+2400",
    "2026030908", "20260309\x00", "^^^^^^^", "~~~~~~", "&&&&", "^^^&&&~^", "\\H\\x\\N\\", "\\X0B\\", "\\X1C0D\\", "\\E",
    "\\", "\\Zx\\", "\\.br\\", "\\C2842\\", "|", "a\nb", "\u00e4\u6f22\U0001f600", "\x00", "\x7f", "\ufeff", "\u2028", "x" * 5000,
    "mg", "mL/h^^UCUM", "{", "1/0", "<1", ">=72", "72-80", "1^2", "RP", "D", "U", "A", "NA", "CP", "SYN-1", "P-1^EHR",
    "../../etc/passwd", "<script>", "=1+1", "%s%n", "null", "None", "true",
)  # fmt: skip
SEPARATORS = ("|^~\\&", "#^~\\&", "|^~\\&#", "||||", "^|~\\&", "|^~", "|", "\x01\x02\x03\x04\x05", "a^~\\&", "|^^\\&")
VALUES: tuple[Any, ...] = (
    None, "", " ", 0, -1, True, False, [], {}, [[]], [None], {"": ""}, Decimal("1E+400"), Decimal("1E-400"), 10**400,
    Decimal("NaN"), Decimal("72.50"), "NaN", "1e5", "2026-02-30", "2026", "2026-13-01T99:00:00Z", "2026-03-09T08:20:30",
    "2026-03-09T08:20:30.123456789+24:00", "0000-00-00", "x" * 5000, "\u0000", "\ud800", "\u2028", "\U0001f600", "|^~\\&",
    "a\rMSH|^~\\&|", "a\nb", "urn:uuid:", "urn:uuid:x", "Patient/", "Patient/1/_history/2", "#", "#x", "http://",
    "../../etc", "<div>", "mg", "mL/h", "final", "completed", "entered-in-error", "unknown", "Patient", "Observation", "Nonsense",
    "http://unitsofmeasure.org", "http://loinc.org", "urn:oid:1.2.3",
)  # fmt: skip


@cache
def messages() -> list[bytes]:
    """Every message of the golden cases."""
    from ketafhir.hl7v2.stream import split_messages

    return [one for file in sorted(GOLDEN.rglob("in.hl7")) for one in split_messages(file.read_bytes())]


@cache
def bundles() -> list[str]:
    """Every Bundle of the golden cases."""
    return [line for file in sorted(GOLDEN.rglob("bundle.json")) for line in _documents(file.read_text("utf-8"))]


def _documents(text: str) -> list[str]:
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = end
    return found


def message(chance: random.Random) -> bytes:
    """One message with one to four mutations."""
    data = chance.choice(messages())
    segments = (
        data.decode("utf-8", "surrogateescape").replace("\r\n", "\r").replace("\n", "\r").rstrip("\r").split("\r")
    )
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice(_OF_SEGMENTS)(chance, segments)
    out = "\r".join(segments) + chance.choice(("\r", "\r", "\r", "", "\r\r", "\r\n"))
    found = out.encode("utf-8", "surrogateescape")
    return _bytes(chance, found) if chance.random() < 0.15 else found


def _bytes(chance: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            out[at:at] = bytes([chance.randrange(256)])
        elif kind == 1:
            del out[at : at + chance.choice((1, 2, 50))]
        elif kind == 2:
            out[at : at + 1] = bytes([chance.randrange(256)])
        else:
            del out[at:]
    return bytes(out) or b"\x00"


def _cut(chance: random.Random, segments: list[str]) -> tuple[int, list[str], int]:
    """A segment, its fields, and one of them; never MSH-1, which `_separators` has."""
    at = chance.randrange(len(segments))
    fields = segments[at].split("|")
    return at, fields, chance.randrange(1, len(fields)) if len(fields) > 1 else 0


def _cell(chance: random.Random, segments: list[str]) -> None:
    at, fields, number = _cut(chance, segments)
    fields[number] = chance.choice(CELLS)
    segments[at] = "|".join(fields)


def _component(chance: random.Random, segments: list[str]) -> None:
    at, fields, number = _cut(chance, segments)
    parts = fields[number].split("^")
    parts[chance.randrange(len(parts))] = chance.choice(CELLS)
    fields[number] = "^".join(parts)
    segments[at] = "|".join(fields)


def _empty(chance: random.Random, segments: list[str]) -> None:
    at, fields, number = _cut(chance, segments)
    fields[number] = ""
    segments[at] = "|".join(fields)


def _other(chance: random.Random, segments: list[str]) -> None:
    """The value of another field."""
    _, fields, number = _cut(chance, segments)
    at, here, place = _cut(chance, segments)
    here[place] = fields[number]
    segments[at] = "|".join(here)


def _repeat(chance: random.Random, segments: list[str]) -> None:
    at, fields, number = _cut(chance, segments)
    fields[number] = "~".join([fields[number]] * chance.choice((2, 3, 40)))
    segments[at] = "|".join(fields)


def _drop(chance: random.Random, segments: list[str]) -> None:
    if len(segments) > 1:
        del segments[chance.randrange(len(segments))]


def _double(chance: random.Random, segments: list[str]) -> None:
    at = chance.randrange(len(segments))
    segments[at:at] = [segments[at]] * chance.choice((1, 1, 2, 30))


def _swap(chance: random.Random, segments: list[str]) -> None:
    one, two = chance.randrange(len(segments)), chance.randrange(len(segments))
    segments[one], segments[two] = segments[two], segments[one]


def _graft(chance: random.Random, segments: list[str]) -> None:
    """Segments of another message."""
    others = chance.choice(messages()).decode("utf-8", "replace").replace("\n", "\r").split("\r")
    at = chance.randrange(len(others))
    place = chance.randrange(len(segments) + 1)
    segments[place:place] = [one for one in others[at : at + chance.choice((1, 3))] if one]


def _rename(chance: random.Random, segments: list[str]) -> None:
    at = chance.randrange(len(segments))
    segments[at] = (
        chance.choice(("ZZZ", "RXA", "OBX", "ORC", "PID", "MSH", "NTE", "", "rxa", "X", "RXE")) + segments[at][3:]
    )


def _separators(chance: random.Random, segments: list[str]) -> None:
    segments[0] = segments[0][:3] + chance.choice(SEPARATORS) + segments[0][8:]


def _stretch(chance: random.Random, segments: list[str]) -> None:
    at = chance.randrange(len(segments))
    segments[at] += "|" * chance.choice((1, 50, 3000)) + chance.choice(CELLS)


_OF_SEGMENTS: tuple[Callable[[random.Random, list[str]], None], ...] = (
    _cell, _cell, _cell, _cell, _component, _component, _component, _empty, _empty, _other, _other, _repeat, _drop, _double,
    _swap, _graft, _rename, _separators, _stretch,
)  # fmt: skip


def bundle(chance: random.Random) -> bytes:
    """One Bundle (or a resource of one) with one to four mutations, as JSON."""
    document = json.loads(chance.choice(bundles()), parse_float=Decimal)
    if chance.random() < 0.1 and document.get("entry"):
        document = chance.choice(document["entry"])["resource"]
    holder = [document]
    for _ in range(chance.choice((1, 1, 2, 4))):
        _mutated(chance, holder)
    text = _written(holder[0])
    data = text.encode("utf-8", "surrogatepass")
    return _bytes(chance, data) if chance.random() < 0.05 else data


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key below `value`."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        for key in one if isinstance(one, dict) else range(len(one)):
            found.append((one, key))
            if isinstance(one[key], (dict, list)):
                waiting.append(one[key])
    return found


def _mutated(chance: random.Random, holder: list[Any]) -> None:
    places = _places(holder)
    container, key = chance.choice(places)
    kind = chance.randrange(10)
    if kind < 4:
        container[key] = copy.deepcopy(chance.choice(VALUES))
    elif kind == 4:
        if container is not holder:
            del container[key]
    elif kind == 5:
        container[key] = [copy.deepcopy(container[key]) for _ in range(chance.choice((1, 2, 30)))]
    elif kind == 6:
        other, place = chance.choice(places)
        container[key] = copy.deepcopy(other[place])
    elif kind == 7 and isinstance(container, dict):
        container[chance.choice(("", "resourceType", "extension", "value", "_value", "id", "valueString", "x"))] = (
            container.pop(key)
        )
    elif kind == 8 and isinstance(container, list):
        chance.shuffle(container)
    else:
        container[key] = _deep(chance) if chance.random() < 0.05 else copy.deepcopy(chance.choice(VALUES))


def _deep(chance: random.Random) -> Any:
    found: Any = 1
    for _ in range(chance.choice((30, 70, 90))):
        found = [found] if chance.random() < 0.5 else {"extension": found}
    return found


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(one) for one in value) + "]"
    return str(value) if isinstance(value, (Decimal, int)) and not isinstance(value, bool) else json.dumps(value)
