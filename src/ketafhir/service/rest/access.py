"""Who asks, and whether they may: bearer tokens (RFC 6750), each with a role."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256


class May(StrEnum):
    """What a role may allow."""

    TRANSLATE = "translate"
    SEND = "send"
    METRICS = "metrics"
    VIEW = "view"  # the queue, without anything about a patient
    AUDIT = "audit"
    WORK = "work"  # change the queue, and read what messages hold


ROLES: dict[str, frozenset[May]] = {
    "auditor": frozenset({May.AUDIT}),
    "metrics": frozenset({May.METRICS}),
    "sender": frozenset({May.TRANSLATE, May.SEND}),
    "viewer": frozenset({May.METRICS, May.VIEW}),
    "operator": frozenset({May.TRANSLATE, May.METRICS, May.VIEW, May.WORK}),
}


@dataclass(slots=True, frozen=True)
class Holder:
    """Who holds a token. `digest` is its SHA-256."""

    name: str
    role: str
    digest: bytes = field(repr=False)

    def may(self, what: May) -> bool:
        """Whether the role allows it."""
        return what in ROLES[self.role]


class Access:
    """The tokens that are known."""

    def __init__(self, holders: Sequence[Holder]) -> None:
        self._holders = tuple(holders)

    def holder(self, authorization: str) -> Holder | None:
        """Who shows this `Authorization` header; None for nobody. Every digest is compared, each in constant time."""
        scheme, _, token = authorization.strip().partition(" ")
        digest = sha256(token.strip().encode()).digest()
        found = [one for one in self._holders if hmac.compare_digest(one.digest, digest)]
        return found[0] if found and scheme.lower() == "bearer" and token else None
