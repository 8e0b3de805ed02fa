"""What we may do at a FHIR server (SMART App Launch 2, scopes-and-launch-context: `system/TYPE.cruds`; version 1: read, write, *).

c is create, r read, u update, d delete, s search. Version 1 says read for r and s, write for c, u and d.
"""

from __future__ import annotations

import re

from ketafhir.fhir.kinds import MADE, OURS

USUAL = " ".join([*(f"system/{kind}.crus" for kind in MADE), *(f"system/{kind}.cru" for kind in OURS)])
"""What is written is created, read where its version is to be known, and updated; only what others may own too is searched for, and
nothing is deleted. An update that creates is allowed by u alone; some servers ask for c."""

_SCOPE = re.compile(r"system/(\*|[A-Za-z]{1,64})\.(\*|read|write|c?r?u?d?s?)")
_VERSION_1 = {"*": "cruds", "read": "rs", "write": "cud"}

_Rights = dict[str, set[str]]


def missing(asked: str, granted: str) -> list[str]:
    """What of the scopes asked for is not granted, in the syntax of version 2 where it is known."""
    (wanted, texts), (given, others) = _read(asked), _read(granted)
    return [*_beyond(wanted, given), *sorted(texts - others)]


def excess(asked: str, granted: str) -> list[str]:
    """What is granted beyond what was asked for; what is of no known form is left out, since a server may say anything."""
    return _beyond(_read(granted)[0], _read(asked)[0])


def _beyond(one: _Rights, other: _Rights) -> list[str]:
    """The letters of the one that the other has not, neither for the type nor for all."""
    every = other.get("*", set())
    rest = {kind: letters - other.get(kind, set()) - every for kind, letters in sorted(one.items())}
    return [f"system/{kind}.{''.join(sorted(some, key='cruds'.index))}" for kind, some in rest.items() if some]


def _read(text: str) -> tuple[_Rights, set[str]]:
    """The letters of each type, and the texts that are no such scope."""
    rights: _Rights = {}
    others: set[str] = set()
    for one in text.split():
        found = _SCOPE.fullmatch(one)
        if found is None or not found[2]:
            others.add(one)
        else:
            rights.setdefault(found[1], set()).update(_VERSION_1.get(found[2], found[2]))
    return rights, others
