"""Which FHIR servers everybody may read."""

from __future__ import annotations

from collections.abc import Collection

from ketafhir.config.addresses import canonical, host_of


def is_public(url: str, hosts: Collection[str]) -> bool:
    """Whether the host of the address is one of these, or below one of them."""
    host = host_of(url)
    return any(host == one or host.endswith("." + one) for one in map(canonical, hosts))
