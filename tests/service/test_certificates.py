"""Certificates that end: told by `ketafhir check`, by `doctor` and in the metrics, of ours and of authorities."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")
pytest.importorskip("cryptography", reason="the extra smart is missing: make setup")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rest_peers import Served, settings
from service_peers import running

from ketafhir import check, doctor
from ketafhir.finding import Finding
from ketafhir.mllp.certificates import ends

NOW = datetime.now(UTC).replace(microsecond=0)
HEAD = '[[listener]]\nname = "ehr"\nport = 0\ntimezone = "Europe/Berlin"\n'


def authority(end: datetime, begin: datetime = NOW - timedelta(days=400)) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of a test")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def days(number: float) -> datetime:
    return NOW + timedelta(days=number)


@pytest.mark.parametrize(
    "end",
    [
        NOW,
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),  # the last that is written with two digits of the year
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),  # of a certificate that does not end
    ],
)
def test_an_end_is_read_as_it_was_written(tmp_path: Path, end: datetime) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(b"Bag Attributes\n" + authority(end, datetime(1990, 1, 1, tzinfo=UTC)) + authority(days(9)))
    assert ends(file) == [end, days(9)]


@pytest.mark.parametrize("cut", [0, 1, 3, 10, 40, 100])
def test_what_is_no_certificate_is_told(tmp_path: Path, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert(authority(NOW).decode())[:cut]
    file = tmp_path / "one.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(der))
    with pytest.raises(ValueError, match=r"no certificates|breaks off"):
        ends(file)


@pytest.mark.parametrize(
    ("left", "state", "text"),
    [
        ((300,), "ok", "1 authority, the first holds until"),
        ((29, 300), "note", "2 authorities, the first holds until"),
        ((-1, 300), "note", "2 authorities, 1 of them expired"),
        ((-9, -1), "wrong", "2 authorities, expired on"),
        ((), "wrong", "NO_CERTIFICATE_OR_CRL_FOUND"),
    ],
)
def test_authorities_that_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[int, ...], state: str, text: str
) -> None:
    """By `check` and by `doctor` alike; exit code 1 where nothing holds any more."""
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_bytes(b"".join(authority(days(number)) for number in left) or b"nothing")
    Path("k.toml").write_text(f'{HEAD}[fhir]\nurl = "https://127.0.0.1:1/fhir"\ntls_ca = "ca.pem"\n')
    for examine in (check.examine, doctor.examine):
        (one,) = [one for one in examine("k.toml") if one.what == "[fhir] tls_ca, read"]
        assert (one.state, text in one.text) == (state, True), one


@pytest.mark.parametrize(("left", "state"), [(31, "ok"), (29, "note"), (-1, "wrong")])
def test_doctor_tells_a_certificate_of_ours_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, state: str
) -> None:
    monkeypatch.chdir(tmp_path)
    issued(tmp_path, days(left))
    Path("k.toml").write_text(HEAD + 'tls_cert = "one.pem"\ntls_key = "one.key"\n')
    found: list[Finding] = [one for one in doctor.examine("k.toml") if one.what == "certificate of [[listener]] ehr"]
    assert [one.state for one in found] == [state]


def issued(folder: Path, end: datetime) -> tuple[Path, Path]:
    trustme = pytest.importorskip("trustme", reason="trustme is missing: make setup")
    made = trustme.CA().issue_cert("localhost", not_after=end)
    cert, key = folder / "one.pem", folder / "one.key"
    cert.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    key.chmod(0o600)
    return cert, key


def test_the_end_of_each_is_a_metric(tmp_path: Path) -> None:
    cert, key = issued(tmp_path, days(9))
    (tmp_path / "ca.pem").write_bytes(authority(days(300)) + authority(days(70)))
    config = settings(tmp_path, tls_cert=None)
    listener = replace(config.listeners[0], tls_cert=cert, tls_key=key, tls_client_ca=tmp_path / "ca.pem")
    config = replace(config, listeners=(listener,), fhir=replace(config.fhir, tls_ca=tmp_path / "ca.pem"))
    with running(config) as service:
        here = Served(service)
        issued(tmp_path, days(365))  # renewed, and not used before the next start
        told = here.client("metrics").get("/metrics").text
        here.close()
    name = "ketafhir_certificate_expiry_timestamp_seconds"
    lines = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in told.splitlines() if name + "{" in line
    }
    assert lines == {
        f'{name}{{section="[[listener]] ehr",setting="tls_cert"}}': days(9).timestamp(),
        f'{name}{{section="[[listener]] ehr",setting="tls_client_ca"}}': days(70).timestamp(),
        f'{name}{{section="[fhir]",setting="tls_ca"}}': days(70).timestamp(),
    }
