"""Which FHIR servers everybody may read."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit


def is_public(url: str, hosts: Collection[str]) -> bool:
    """Whether the host of the address is one of these, or below one of them."""
    host = (urlsplit(url).hostname or "").rstrip(".").casefold()
    return any(host == one.casefold() or host.endswith("." + one.casefold()) for one in hosts)
