"""The certificates that a configuration names: ours, and those of the authorities that we trust."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ketafhir.config import Config
from ketafhir.finding import Finding
from ketafhir.mllp.certificates import ends

_SOON = timedelta(days=30)
_SETTINGS = ("tls_cert", "tls_ca", "tls_client_ca")


def sections(config: Config) -> list[tuple[str, Any]]:
    """Each section that can name files."""
    return [
        *((f"[[listener]] {one.name}", one) for one in config.listeners),
        *((f"[[receiver]] {one.name}", one) for one in config.receivers),
        ("[fhir]", config.fhir),
        ("[rest]", config.rest),
    ]


def named(config: Config) -> Iterator[tuple[str, str, Path]]:
    """Section, setting and file of each."""
    for place, section in sections(config):
        for name in _SETTINGS:
            file = getattr(section, name, None)
            if file is not None:
                yield place, name, file


def first_ends(config: Config) -> dict[tuple[str, str], float]:
    """By section and setting when the first certificate of the file ends, in seconds since 1970; without what cannot be read."""
    found: dict[tuple[str, str], float] = {}
    for place, name, file in named(config):
        try:
            found[place, name] = min(ends(file)).timestamp()
        except (OSError, ValueError):
            continue
    return found


def findings(config: Config) -> Iterator[Finding]:
    """Of each whether it is one, is of its key, and for how long it holds."""
    for place, section in sections(config):
        if section.tls_cert is not None and section.tls_key is not None:
            yield _own(f"certificate of {place}", section.tls_cert, section.tls_key)
    for place, name, file in named(config):
        if name != "tls_cert":
            yield _trusted(f"{place} {name}, read", file)


def _own(where: str, cert: Path, key: Path) -> Finding:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
        until = min(ends(cert))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        return Finding(
            "wrong",
            where,
            f"{cert}: {_reason(error)}",
            "name the PEM file of the certificate with its chain, and its own key",
        )
    now = datetime.now(UTC)
    if until <= now:
        return Finding("wrong", where, f"expired on {until:%Y-%m-%d}", "renew it")
    if until - now < _SOON:
        return Finding("note", where, _holds(until), "renew it soon")
    return Finding("ok", where, _holds(until))


def _trusted(where: str, file: Path) -> Finding:
    """Authorities: one that has ended is in the way of nobody who is signed by another."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        until = sorted(ends(file))
    except (OSError, ValueError) as error:
        return Finding(
            "wrong", where, f"{file}: {_reason(error)}", "name a PEM file with the certificates of the authorities"
        )
    now = datetime.now(UTC)
    ended = sum(one <= now for one in until)
    count = f"{len(until)} authorities" if len(until) > 1 else "1 authority"
    if ended == len(until):
        return Finding("wrong", where, f"{count}, expired on {until[-1]:%Y-%m-%d}", "get the new one of the authority")
    if ended:
        return Finding("note", where, f"{count}, {ended} of them expired", "take out what nobody is signed by any more")
    if until[0] - now < _SOON:
        return Finding("note", where, f"{count}, the first {_holds(until[0])}", "get the new one of the authority soon")
    return Finding("ok", where, f"{count}, the first {_holds(until[0])}")


def _holds(until: datetime) -> str:
    return f"holds until {until:%Y-%m-%d}"


def _reason(error: Exception) -> str:
    return getattr(error, "reason", "") or getattr(error, "strerror", "") or "no certificates in PEM"
