"""A transaction Bundle in parts, for a server that takes no transactions, or not one of that size.

What a transaction does at once is done in an order in which nothing refers to what is not there yet: a
`urn:uuid:` reference is resolved by the server within one transaction only (FHIR R4, http.html#trules), so it
is replaced by `Type/id`, which is known beforehand for what is written under its own id, and from the answer
for what is addressed by a business identifier. Every write is idempotent: broken off in the middle, it is
begun again from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ketafhir.fhir.elements import references
from ketafhir.sync.bundle import Outgoing

_URN = "urn:uuid:"


class Parts:
    """The entries that are not written yet, in their order, and where those are that were."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._entries = outgoing.entries
        self._targets = outgoing.targets
        self._left = list(range(len(self._entries)))
        self._places: dict[str, str] = {}
        for entry, target in zip(self._entries, self._targets, strict=True):
            if target is not None and "fullUrl" in entry:
                self._places[entry["fullUrl"]] = target

    def __bool__(self) -> bool:
        return bool(self._left)

    def next(self, most: int) -> list[int]:
        """The numbers of at most `most` entries that can be written now; none where the rest refer to each other.

        What is written under its own id comes after all that it refers to, so that no server finds a reference
        to what it does not hold.
        """
        waiting = {self._entries[number].get("fullUrl") for number in self._left}
        found = [
            number
            for number in self._left
            if not waiting & (set(self._named(number)) - {self._entries[number].get("fullUrl")})
        ]
        if not found:  # a circle: what has an id already may be named before it is there
            found = [number for number in self._left if not self.unresolved(number)]
        return found[:most]

    def entry(self, number: int, versions: Mapping[str, str]) -> dict[str, Any]:
        """The entry as it is sent: its references resolved, If-Match where the version is known."""
        entry = self._entries[number]
        request = {name: value for name, value in entry["request"].items() if name != "ifMatch"}
        target = self._targets[number]
        if target is not None and target in versions:
            request["ifMatch"] = versions[target]
        return {**entry, "resource": _resolved(entry["resource"], self._places), "request": request}

    def target(self, number: int) -> str | None:
        """`Type/id` of what is written under its own id."""
        return self._targets[number]

    def written(self, number: int, place: str) -> None:
        """The entry is done, and is at `place` (`Type/id`; empty where the server did not say)."""
        self._left.remove(number)
        full_url = self._entries[number].get("fullUrl")
        if full_url and place:
            self._places.setdefault(full_url, place)

    def _named(self, number: int) -> list[str]:
        """Every `urn:uuid:` that stands as a reference in an entry."""
        return [one for one in references(self._entries[number]["resource"]) if one.startswith(_URN)]

    def unresolved(self, number: int) -> list[str]:
        """References to what was written, but nobody knows where."""
        return [one for one in self._named(number) if one not in self._places]


def _resolved(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: places.get(part, part) if name == "reference" and isinstance(part, str) else _resolved(part, places)
            for name, part in value.items()
        }
    return [_resolved(part, places) for part in value] if isinstance(value, list) else value


def batch(entries: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """A Bundle of entries; `kind` is batch or transaction."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
