"""Who may connect to a listener, known by certificate or address, and how much each may send.

MLLP knows no identity, and MSH-3 and -4 are what anybody writes there. What a peer is known by is the name in
the certificate that it shows, else the address that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_BURST = 2.0  # seconds' worth that may come at once


@dataclass(slots=True, frozen=True)
class PeerRule:
    """One peer. It is known by any of its `certificates` (a DNS name or URI of the certificate, else its common
    name) or, where it has none of these, by an address in `networks`. 0 is no limit.

    `max_connections` at a time, `bytes_per_second` and `messages_per_second` over all of them: what is more is
    not read for as long as it takes, and waits at the peer. Two seconds' worth may come at once.
    """

    name: str = ""
    networks: tuple[Network, ...] = ()
    certificates: tuple[str, ...] = ()
    max_connections: int = 0
    bytes_per_second: float = 0.0
    messages_per_second: float = 0.0


@dataclass(slots=True)
class Admitted:
    """A peer at a listener: its rule, its open connections, and what it has used of its rates."""

    rule: PeerRule
    connections: int = 0
    _debts: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _at: float = 0.0

    def wait(self, now: float, size: int, messages: int) -> float:
        """Seconds until more may be read after `size` bytes, or handed over after so many messages; `now` never goes back."""
        passed, self._at = now - self._at, now
        rates = (self.rule.bytes_per_second, self.rule.messages_per_second)
        waits = [0.0]
        for number, (rate, used) in enumerate(zip(rates, (size, messages), strict=True)):
            if rate:
                self._debts[number] = max(-_BURST, self._debts[number] - passed) + used / rate
                waits.append(self._debts[number] if used else 0.0)
        return max(waits)


class Peers:
    """The peers of one listener. Without any rule everybody may connect, under no name and no limit."""

    def __init__(self, rules: Iterable[PeerRule] = ()) -> None:
        self._known = [Admitted(rule) for rule in rules]
        self._anybody = Admitted(PeerRule())

    def admit(self, host: str, certificate: Mapping[str, Any] | None) -> Admitted | None:
        """The peer that has connected; None where it is none of those that are known."""
        if not self._known:
            return self._anybody
        names = certificate_names(certificate or {})
        for peer in self._known:
            if peer.rule.certificates and names & set(peer.rule.certificates):
                return peer
        return next((peer for peer in self._known if not peer.rule.certificates and _within(host, peer.rule)), None)


def certificate_names(certificate: Mapping[str, Any]) -> set[str]:
    """The DNS names and URIs of a certificate as `SSLSocket.getpeercert` gives it; without any its common name
    (RFC 6125, 6.4.4)."""
    found = {value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI")}
    if found:
        return found
    return {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as `10.1.2.3` or `10.1.0.0/16`. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def _within(host: str, rule: PeerRule) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in rule.networks)
