"""Peers as the configuration knows them: TLS, names, their own MSH-3/-4 and acknowledgments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from service_peers import NOWHERE, Peer, adt, config, running

from ketafhir.config import PeerSettings

pytestmark = pytest.mark.timeout(60)


def test_a_peer_has_its_own_senders_and_acknowledgments(tmp_path: Path) -> None:
    settings = config(tmp_path / "s.db")
    object.__setattr__(
        settings, "peers", (PeerSettings("lab", addresses=("127.0.0.1",), sending=(("EHR", "WILLOW"),), acks="AL/NE"),)
    )
    with running(settings) as service:
        with service.peer() as peer:
            assert peer.send(adt("M1")).code == "CA"
            other = peer.send(adt("M2", MSH_3="OTHER"))
            assert (other.code, other.get("ERR", 5).split("^")[0]) == ("CE", "sender-unknown")
        assert service.app.store.show(1).peer.startswith("lab (127.0.0.1:")


def test_who_is_not_allowed_gets_nowhere(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.db", allow=("192.0.2.0/24",))) as service, service.peer() as peer:
        with pytest.raises((AssertionError, OSError)):
            peer.send(adt("M1"))
        assert service.app.intake.counts["received"] == 0


def test_send_and_serve_over_tls_with_a_certificate_of_the_peer(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is missing: make setup")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("localhost", "ehr.example"):
        issued = ca.issue_cert(name)
        (tmp_path / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        (tmp_path / f"{name}.key").chmod(0o600)
    file = tmp_path / "k.toml"
    file.write_text(
        """
[[listener]]
name = "ehr"
port = 0
timezone = "America/Chicago"
tls_cert = "localhost.pem"
tls_key = "localhost.key"
tls_client_ca = "ca.pem"
[[peer]]
name = "ehr"
certificates = ["ehr.example"]
[authorities]
default = "WILLOW"
WILLOW = "https://willow.example/mrn"
[store]
path = "store.sqlite"
"""
    )
    (tmp_path / "m.hl7").write_bytes(adt("M1"))
    command = [sys.executable, "-m", "ketafhir"]
    serve = [*command, "serve", "--config", str(file), "--fhir", NOWHERE]
    with (tmp_path / "log").open("w") as log:
        service = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, text=True)
    assert service.stdout is not None
    try:
        line = service.stdout.readline()
        assert line.startswith("listening on mllps://127.0.0.1:"), (tmp_path / "log").read_text()
        port = line.rpartition(":")[2].strip()
        send = [
            *command,
            "send",
            str(tmp_path / "m.hl7"),
            f"mllps://localhost:{port}",
            "--tls-ca",
            str(tmp_path / "ca.pem"),
        ]
        ours = ["--tls-cert", str(tmp_path / "ehr.example.pem"), "--tls-key", str(tmp_path / "ehr.example.key")]
        done = subprocess.run([*send, *ours], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout[:9]) == (0, "MSA|AA|M1"), done.stderr
        stranger = subprocess.run([*send, "--timeout", "3"], capture_output=True, text=True, timeout=30)
        assert stranger.returncode == 1
        with Peer(int(port)) as plain, pytest.raises((AssertionError, OSError)):
            plain.send(adt("M2"))
    finally:
        service.terminate()
        assert service.wait(20) == 0
        service.stdout.close()
