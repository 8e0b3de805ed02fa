"""Lists that one message tells as a whole: the allergies of a patient (AL1), the diagnoses of a visit (DG1).

HL7 v2 chapter 2, 2.10.4: repeating segments without action code are a snapshot, which replaces the list told before; no
segment at all says nothing; a segment of nulls deletes the list. An entry with an action code (DG1-21) changes the list.
"""

from __future__ import annotations

from typing import Any

from ketafhir.plain import replace


def settled(versions: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """The list `name` after these versions of a record, oldest first: the entries that stand, then the former ones."""
    standing: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    for version in versions:
        entries = getattr(version, name)
        if name in version.nulls:
            standing = {}
        if not entries:
            continue
        if not any(one.action for one in entries):
            standing = {}
        for one in entries:
            seen[one.key] = one
            if one.action == "delete":
                standing.pop(one.key, None)
            else:
                standing[one.key] = one
    gone = [replace(one, former=True) for key, one in seen.items() if key not in standing]
    return (*standing.values(), *gone)
