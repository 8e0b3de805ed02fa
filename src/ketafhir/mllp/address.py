"""`mllp://host:port`, and `mllps://host:port` over TLS."""

from __future__ import annotations

from typing import NamedTuple

from ketafhir.errors import ConfigError


class Address(NamedTuple):
    """Where an MLLP receiver listens; `host` is a name or a bare IPv4 or IPv6 address."""

    host: str
    port: int
    encrypted: bool = False

    def __str__(self) -> str:
        return f"mllp{'s' if self.encrypted else ''}://{endpoint(self.host, self.port)}"


def endpoint(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> Address:
    """Read `mllp://host:port` or `mllps://host:port`, IPv6 in brackets. Raises `ConfigError`, which says what is wrong."""
    scheme, found, rest = text.partition("://")
    if not found or scheme.lower() not in ("mllp", "mllps"):
        raise _wrong(text, "it does not begin with mllp:// or mllps://")
    host, colon, port = rest.removesuffix("/").rpartition(":")
    if not colon or port.endswith("]"):
        raise _wrong(text, "the port is missing")
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise _wrong(text, "the port is not a number from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _wrong(text, "an IPv6 address stands in brackets, as in mllp://[::1]:2575")
    if not host or any(char in "/?#@[] " for char in host):
        raise _wrong(text, "the host is missing or is not a host name")
    return Address(host, int(port), scheme.lower() == "mllps")


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"{text!r} is no MLLP address: {why}; an address reads mllp://host:port")
