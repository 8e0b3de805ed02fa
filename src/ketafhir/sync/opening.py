"""A client as the settings of a FHIR server ask for it: how it signs in, its certificate, its patience."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ketafhir.errors import ConfigError
from ketafhir.private import refuse_exposed
from ketafhir.sync.client import FhirClient, Timeouts
from ketafhir.sync.public import Pace
from ketafhir.sync.signin import Smart, SmartClient, basic
from ketafhir.sync.token import read_token


@dataclass(slots=True, frozen=True)
class Access:
    """`auth` is "none", "bearer", "basic" or "smart"; empty: bearer where there is a token, else none.

    A token or password is in the file, or in the environment variable of that name where that is set.
    """

    url: str
    auth: str = ""
    token_file: Path | None = None
    token_variable: str | None = None
    username: str = ""
    password_file: Path | None = None
    password_variable: str | None = None
    smart: SmartClient | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    connections: int = 16
    pace: Pace | None = None


def open_client(access: Access) -> FhirClient:
    """Raises ConfigError for a secret, key or certificate that is not there or that others may read."""
    auth: httpx.Auth | None = None
    token: str | None = None
    if access.auth == "basic":
        password = read_token(variable=access.password_variable, file=access.password_file, what="password")
        if password is None:
            raise ConfigError('[fhir] auth = "basic" needs a password')
        auth = basic(access.username, password)
    elif access.auth == "smart":
        if access.smart is None:
            raise ConfigError('[fhir] auth = "smart" needs client_id and key_file')
        auth = Smart(access.url, access.smart)
    elif access.auth in ("", "bearer"):
        token = read_token(variable=access.token_variable, file=access.token_file)
        if token is None and access.auth:
            raise ConfigError('[fhir] auth = "bearer" needs a token')
    return FhirClient(
        access.url,
        token=token,
        auth=auth,
        tls=_tls(access),
        timeouts=access.timeouts,
        connections=access.connections,
        before_each=access.pace.wait if access.pace else None,
    )


def _tls(access: Access) -> ssl.SSLContext | None:
    """None where nothing differs from what the system has."""
    if access.tls_ca is None and access.tls_cert is None:
        return None
    try:
        context = ssl.create_default_context(cafile=access.tls_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if access.tls_cert is not None and access.tls_key is not None:
            refuse_exposed("private key", access.tls_key)
            context.load_cert_chain(access.tls_cert, access.tls_key, password=lambda: "")
    except OSError as error:  # an SSLError is one
        raise ConfigError(f"[fhir] tls_ca, tls_cert, tls_key: {error.strerror or error}") from error
    return context
