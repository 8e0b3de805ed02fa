"""Addresses that a configuration names, looked at before anybody goes there.

What is wrong is told without the address itself: a password or key may stand where none belongs.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlsplit

_DATABASES = ("postgresql://", "postgres://")
_DOTS = ".\u3002\uff0e\uff61"  # all of them separate the labels of a name (RFC 3490, 3.1)


def check_url(text: str, *, query: bool = False) -> SplitResult:
    """An address of HTTP, with a query only where one is allowed. Raises ValueError."""
    if "@" in text:
        raise ValueError("it holds no user name and no password")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it cannot be read: it is such as https://fhir.example/r4") from None
    if parts.scheme not in ("http", "https") or not host or text != text.strip():
        raise ValueError("it is http:// or https://, a host and a path, such as https://fhir.example/r4")
    if port == 0 or any(sign in "%\\ " or not sign.isprintable() for sign in host):
        raise ValueError("its host or port is none")
    if parts.fragment or (parts.query and not query):
        raise ValueError("it holds no query and no fragment")
    return parts


def check_origin(text: str) -> None:
    """Scheme, host and port, and nothing more (RFC 6454). Raises ValueError."""
    parts = check_url(text)
    if parts.path not in ("", "/"):
        raise ValueError("an origin is such as https://auth.example or https://auth.example:8443, without a path")


def check_host(text: str) -> None:
    """A name, and no address. Raises ValueError."""
    if not text.strip(_DOTS) or any(sign in "/:@%?#\\ " or not sign.isprintable() for sign in text):
        raise ValueError("a host is a name such as fhir.example, without scheme, port and path")


def check_database(text: str) -> None:
    """The URL of a PostgreSQL database. Raises ValueError."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = None
    if parts is None or not text.startswith(_DATABASES):
        raise ValueError("it is the URL of a PostgreSQL database, postgresql://HOST/DATABASE")


def has_password(url: str) -> bool:
    """Whether the URL of a database holds one, before its host or in its query."""
    user, at, _ = url.partition("://")[2].partition("?")[0].rpartition("@")
    asked = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    return bool(at and ":" in user) or any("password" in name.casefold() for name, _ in asked)


def host_of(url: str) -> str:
    """The host of an address as it is compared: in ASCII, small letters, without the dot of the root; "" for none."""
    try:
        return canonical(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def canonical(host: str) -> str:
    """The same text for all ways to write one name."""
    name = host.strip(_DOTS)
    try:
        return name.encode("idna").decode("ascii").casefold()
    except UnicodeError:
        return name.casefold()
