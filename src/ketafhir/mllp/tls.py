"""TLS for MLLP: contexts for the listener and the sender. TLS 1.2 or newer, hostnames checked."""

from __future__ import annotations

import ssl
from pathlib import Path

from ketafhir.errors import ConfigError
from ketafhir.private import refuse_exposed


def listening(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """The context of a listener with this certificate chain and private key (PEM).

    With `client_ca` a peer must show a certificate signed by one of these authorities. Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _own(context, certificate, key)
    if client_ca is not None:
        _authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connecting(ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """The context of a client: `ca` in place of the system's authorities, and its own certificate where the
    receiver asks for one. Raises ConfigError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _authorities(context, ca)
    if certificate is not None:
        _own(context, certificate, key or certificate)
    return context


def _own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        refuse_exposed("private key", key)
        context.load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:  # an SSLError is one
        raise ConfigError(f"the certificate {certificate} with the key {key}: {error.strerror or error}") from error


def _authorities(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise ConfigError(f"the certificate authorities {ca}: {error.strerror or error}") from error


def _no_password() -> str:
    """Instead of asking on the terminal."""
    return ""
