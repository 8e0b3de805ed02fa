"""Entries of a Bundle whose type is not read: each is told of, with its place and what to do. Nothing is left out silently."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from ketafhir.errors import Issue
from ketafhir.fhir.bundle import places
from ketafhir.mapping.codecs.identifiers import SENDER
from ketafhir.mapping.paths import Json

_MADE_ANEW = ("DeviceMetric",)
"""What is written beside an observation, and says nothing that it does not say."""
_MOST_PLACES = 10
_ALIKE = 0.8


def issues(value: Any, unread: list[Json], read: Collection[str]) -> list[Issue]:
    """One warning for each type of the resources that are not `read`, in the order of the Bundle `value`."""
    told: dict[str, list[str]] = {}
    where = places(value)
    for resource in unread:
        kind = resource["resourceType"]
        if not (kind in _MADE_ANEW and str(resource.get("meta", {}).get("source", "")).startswith(SENDER)):
            told.setdefault(kind, []).append(where[id(resource)])
    return [_issue(kind, found, read) for kind, found in told.items()]


def _issue(kind: str, found: list[str], read: Collection[str]) -> Issue:
    lower = {one.lower(): one for one in read}
    meant = get_close_matches(kind.lower(), lower, 1, _ALIKE)
    more = len(found) - _MOST_PLACES
    shown = ", ".join(found[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
    text = f"no {kind} is read: left out ({shown})" if len(found) > 1 else f"no {kind} is read: left out"
    hint = f"is {lower[meant[0]]} meant?" if meant else f"carry it another way; what is read are {', '.join(read)}"
    return Issue("warning", "resource-unread", text, where=found[0], value=kind, hint=hint)
