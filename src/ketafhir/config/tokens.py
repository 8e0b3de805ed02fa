"""Who may ask something of the service over HTTP: a name, a role, and the digest of a token that is stored nowhere.

A token has 256 random bits, so that a plain SHA-256 is enough to hide it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from ketafhir.errors import ConfigError
from ketafhir.private import refuse_exposed

ROLES = ("auditor", "metrics", "operator", "sender", "viewer")
_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64})\s+([a-z]+)\s+([0-9a-fA-F]{64})")


@dataclass(slots=True, frozen=True)
class Token:
    """`digest` is the SHA-256 of the token."""

    name: str
    role: str
    digest: bytes = field(repr=False)


def parse_token(line: str) -> Token:
    """`NAME ROLE SHA256`. Raises ValueError, which does not repeat the line: it could hold the token itself."""
    found = _LINE.fullmatch(line.strip())
    if found is None or found[2] not in ROLES:
        roles = ", ".join(ROLES)
        raise ValueError(f"each is NAME ROLE SHA256, with one of the roles {roles}; `ketafhir config token` writes it")
    return Token(found[1], found[2], bytes.fromhex(found[3]))


def read_tokens(lines: Sequence[str], file: Path | None) -> list[Token]:
    """Those of the configuration, and those of a file: one a line, `#` begins a comment. Raises ConfigError."""
    try:
        found = [parse_token(line) for line in lines]
        if file is not None:
            refuse_exposed("token file", file)
            told = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
            found += [parse_token(line) for line in told if line]
    except OSError as error:
        raise ConfigError(f"the token file {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the tokens of [rest]: {error}") from error
    if not found:
        raise ConfigError("[rest] has no token: `ketafhir config token NAME ROLE` makes one")
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two tokens of [rest] are called {name}: the audit log could not tell them apart")
    return found


def new_token(name: str, role: str) -> tuple[str, str]:
    """A token, and its line for the configuration. Raises ConfigError."""
    import secrets

    token = secrets.token_urlsafe(32)
    line = f"{name} {role} {sha256(token.encode()).hexdigest()}"
    try:
        parse_token(line)
    except ValueError as error:
        raise ConfigError(f"a token has a name of letters, digits, . _ - and a role: {', '.join(ROLES)}") from error
    return token, line


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
