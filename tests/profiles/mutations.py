"""Resources spoilt on purpose, in nine ways, by a seed: what a check has to notice, and what it has to let pass."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
Place = tuple[Any, Any]
KINDS = (
    "dropped", "duplicated", "retyped", "wrong-code", "wrong-system", "wrong-reference", "extra-element", "bad-date", "bad-number",
)  # fmt: skip
_CODES = {"code", "status", "intent", "use", "gender", "type", "role"}
_DATES = ("2026-02-30", "2026-13-01", "20260414", "2026-04-14T09:00:00", "yesterday", "2026-04-14T25:00:00-05:00")
_NUMBERS = (-5, -72.5, 10**30, 123456789012)
_TYPES = ("Patient", "Observation", "Encounter", "Medication", "Practitioner", "Procedure")


def places(node: Any) -> Iterator[Place]:
    """Every (container, key) of a resource, but its resourceType and the profiles it claims."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("resourceType", "profile"):
                yield node, key
                yield from places(value)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield node, number
            yield from places(value)


def mutate(resource: Json, kind: str, chance: random.Random) -> Json | None:
    """A spoilt copy, or None where this kind finds nothing to spoil."""
    copy = deepcopy(resource)
    spoil = {
        "dropped": _drop, "duplicated": _duplicate, "retyped": _retype, "wrong-code": _code, "wrong-system": _system,
        "wrong-reference": _reference, "extra-element": _extra, "bad-date": _date, "bad-number": _number,
    }[kind]  # fmt: skip
    found = [place for place in places(copy) if _fits(kind, *place)]
    if not found:
        return None
    spoil(*chance.choice(found), chance)
    return copy


def _fits(kind: str, at: Any, key: Any) -> bool:
    value = at[key]
    name = key if isinstance(key, str) else ""
    return {
        "dropped": True,
        "duplicated": True,
        "retyped": True,
        "wrong-code": name in _CODES and isinstance(value, str),
        "wrong-system": name == "system" and isinstance(value, str),
        "wrong-reference": name == "reference",
        "extra-element": isinstance(value, dict),
        "bad-date": isinstance(value, str) and len(value) >= 10 and value[:2] == "20" and value[4:5] == "-",
        "bad-number": isinstance(value, (int, float)) and not isinstance(value, bool),
    }[kind]


def _drop(at: Any, key: Any, chance: random.Random) -> None:
    del at[key]


def _duplicate(at: Any, key: Any, chance: random.Random) -> None:
    if isinstance(at, list):
        at.insert(key, deepcopy(at[key]))
    elif isinstance(at[key], list):
        at[key] = at[key] + deepcopy(at[key])
    else:
        at[key] = [at[key], deepcopy(at[key])]


def _retype(at: Any, key: Any, chance: random.Random) -> None:
    value = at[key]
    if isinstance(value, bool):
        at[key] = "true"
    elif isinstance(value, (int, float)):
        at[key] = str(value)
    elif isinstance(value, str):
        at[key] = chance.choice([7, True, {"text": value}])
    elif isinstance(value, list):
        at[key] = value[0]
    else:
        at[key] = chance.choice(["text", 7, [value]])


def _code(at: Any, key: Any, chance: random.Random) -> None:
    at[key] = chance.choice(["banana", "unknown-code", at[key].upper() + "X"])


def _system(at: Any, key: Any, chance: random.Random) -> None:
    at[key] = chance.choice(["http://example.org/none", "urn:oid:1.2.3.4", "no uri"])


def _reference(at: Any, key: Any, chance: random.Random) -> None:
    at[key] = f"{chance.choice(_TYPES)}/t1"


def _extra(at: Any, key: Any, chance: random.Random) -> None:
    at[key][chance.choice(["colour", "valuestring", "Status", "codes"])] = "green"


def _date(at: Any, key: Any, chance: random.Random) -> None:
    at[key] = chance.choice(_DATES)


def _number(at: Any, key: Any, chance: random.Random) -> None:
    at[key] = chance.choice(_NUMBERS)
