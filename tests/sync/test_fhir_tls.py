"""The FHIR client over TLS against a real server: certificates of both sides, names, redirects, and where the token goes."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from http_peer import Answering, serving_http
from ketafhir.errors import ConfigError, TransferError
from ketafhir.sync.opening import Access, open_client

trustme = pytest.importorskip("trustme", reason="trustme is missing: make setup")

CAPABILITIES = json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}).encode()
TOKEN = "a-token-that-nobody-may-see"


@contextmanager
def serving(context: ssl.SSLContext | None, location: str = "") -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server that tells its capabilities, or redirects to `location`; the port, and each request with its headers."""
    came: list[dict[str, Any]] = []

    class Handler(Answering):
        def do_GET(self) -> None:
            peer = self.connection.getpeercert() if context else None  # type: ignore[attr-defined]
            came.append({"path": self.path, "peer": peer, **{name.lower(): one for name, one in self.headers.items()}})
            self.answer(307 if location else 200, CAPABILITIES, {"Location": location} if location else {})

    with serving_http(Handler, context) as port:
        yield port, came


class Certificates:
    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.files = {name: folder / name for name in ("ca", "other-ca", "cert", "key")}
        self.ca.cert_pem.write_to_path(self.files["ca"])
        trustme.CA().cert_pem.write_to_path(self.files["other-ca"])
        ours = self.ca.issue_cert("ketafhir.example")
        ours.cert_chain_pems[0].write_to_path(self.files["cert"])
        ours.private_key_pem.write_to_path(self.files["key"])
        self.files["key"].chmod(0o600)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def access(self, url: str) -> Access:
        files = self.files
        return Access(url, tls_ca=files["ca"], tls_cert=files["cert"], tls_key=files["key"])


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def ask(access: Access) -> dict[str, Any]:
    async def asked() -> dict[str, Any]:
        client = open_client(access)
        try:
            return await client.metadata()
        finally:
            await client.aclose()

    return asyncio.run(asked())


def test_both_sides_show_a_certificate(certificates: Certificates) -> None:
    with serving(certificates.server("127.0.0.1")) as (port, came):
        assert ask(certificates.access(f"https://127.0.0.1:{port}/fhir"))["fhirVersion"] == "4.0.1"
    names = [name for _, name in came[0]["peer"]["subjectAltName"]]
    assert names == ["ketafhir.example"]


def test_without_our_certificate_it_does_not_answer(certificates: Certificates) -> None:
    with serving(certificates.server("127.0.0.1")) as (port, came):
        without = replace(certificates.access(f"https://127.0.0.1:{port}/fhir"), tls_cert=None, tls_key=None)
        with pytest.raises(TransferError):
            ask(without)
    assert came == []


def test_nothing_is_said_to_a_server_of_another_authority_or_name(certificates: Certificates) -> None:
    with serving(certificates.server("127.0.0.1")) as (port, came):
        other = replace(certificates.access(f"https://127.0.0.1:{port}/fhir"), tls_ca=certificates.files["other-ca"])
        with pytest.raises(TransferError, match="no connection"):
            ask(other)
        assert came == []
    with serving(certificates.server("fhir.example")) as (port, came):
        with pytest.raises(TransferError, match="no connection"):
            ask(certificates.access(f"https://127.0.0.1:{port}/fhir"))
        assert came == []


def test_a_key_that_everybody_may_read_is_refused(certificates: Certificates) -> None:
    certificates.files["key"].chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_client(certificates.access("https://127.0.0.1:1/fhir"))


def test_a_redirect_is_not_followed_and_the_token_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    with (
        serving(None) as (elsewhere, there),
        serving(None, f"http://127.0.0.1:{elsewhere}/fhir/metadata") as (port, here),
    ):
        access = Access(f"http://127.0.0.1:{port}/fhir", token_file=file)
        with pytest.raises(TransferError, match="redirects are not followed") as error:
            ask(access)
    assert [one["authorization"] for one in here] == [f"Bearer {TOKEN}"]
    assert there == []
    assert TOKEN not in str(error.value) + repr(error.value) + repr(access)


def test_no_secret_stands_in_a_repr(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(TOKEN)
    file.chmod(0o600)
    for access in (
        Access("http://127.0.0.1:1/fhir", token_file=file),
        Access("http://127.0.0.1:1/fhir", "basic", username="u", password_file=file),
    ):
        client = open_client(access)
        assert TOKEN not in repr(client) + str(client) + repr(vars(client)) + repr(access)
        asyncio.run(client.aclose())
