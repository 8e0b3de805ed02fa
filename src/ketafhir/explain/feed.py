"""The sums of a feed that the service has taken: what it told of each message then, and how each is read today."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ketafhir.errors import Issue, Refused
from ketafhir.plain import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ketafhir.explain.sums import Sums
    from ketafhir.translate.settings import Settings

_PARTS = frozenset(names(Issue))


class Taken(NamedTuple):
    """One message of the store. `settings` are None where its listener is not configured any more."""

    number: int
    raw: bytes
    outcome: str
    issues: bytes
    settings: Settings | None
    charset: str


def summed(feed: Iterable[Taken]) -> Sums:
    """Rows by how each message is read today; refusals, codes and warnings as they were told when it came, or was translated
    again. What is not translated counts as refused. One message at a time is in memory."""
    from ketafhir.explain.sums import Sums
    from ketafhir.translate import incoming

    sums = Sums()
    for one in feed:
        issues = [_issue(told) for told in json.loads(one.issues)]
        message = None
        try:
            message = incoming.parse(one.raw, one.charset or None)
            if one.outcome == "translated" and one.settings is not None:
                sums.read(one.number, message, incoming.read(message, one.settings), issues)
                continue
        except Refused as error:
            issues = issues or list(error.issues)
        sums.refuse(one.number, message, issues)
    return sums


def _issue(told: dict[str, object]) -> Issue:
    return Issue(**{name: value for name, value in told.items() if name in _PARTS})  # type: ignore[arg-type]
