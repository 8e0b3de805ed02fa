"""`ketafhir check`: each thing that a configuration may have wrong is found, with its remedy."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ketafhir import check
from ketafhir.cli import main
from ketafhir.finding import Finding

HEAD = """
[[listener]]
name = "ehr"
host = "{host}"
port = 0
timezone = "Europe/Berlin"
{listener}
[authorities]
default = "WILLOW"
WILLOW = "https://willow.example/mrn"
{more}
[fhir]
url = "http://127.0.0.1:1/fhir"
{fhir}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KETAFHIR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(**parts: str) -> list[Finding]:
    """All that is not well but the FHIR server, which is never there."""
    text = HEAD.format(**{"host": "127.0.0.1", "listener": "", "more": "", "fhir": "", **parts})
    Path("k.toml").write_text(text)
    return [one for one in check.examine("k.toml") if one.state != "ok" and not one.what.startswith("FHIR server")]


def certificate(name: str, expires: timedelta = timedelta(days=300)) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is missing: make setup")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", not_after=datetime.now(UTC) + expires)
    Path("ca.pem").write_bytes(authority.cert_pem.bytes())
    Path(f"{name}.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    Path(f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    Path(f"{name}.key").chmod(0o600)


def tls(name: str) -> str:
    return f'tls_cert = "{name}.pem"\ntls_key = "{name}.key"\ntls_client_ca = "ca.pem"\nallow = ["10.1.0.0/16"]'


def test_what_is_well_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    certificate("one")
    assert found(host="0.0.0.0", listener=tls("one")) == []
    assert main(["check", "--config", "k.toml"]) == 1
    out = capsys.readouterr().out
    assert "ok     certificate of [[listener]] ehr: holds until" in out
    assert "ok     authorities: 1 known, default WILLOW" in out
    assert "wrong  FHIR server http://127.0.0.1:1/fhir: no connection" in out


def test_a_file_that_is_not_there_is_empty_or_open_to_others() -> None:
    (one,) = found(fhir='token_file = "absent"')
    assert (one.state, one.what) == ("wrong", "[fhir] token_file")
    Path("token").write_text("secret")
    Path("token").chmod(0o644)
    (one,) = found(fhir='token_file = "token"')
    assert "open to other users" in one.text
    assert one.remedy.startswith("chmod 600")
    assert "secret" not in str(one)
    Path("token").write_text("")
    assert "is empty" in found(fhir='token_file = "token"')[0].text


def test_a_certificate_that_has_ended_ends_soon_or_is_not_of_its_key() -> None:
    certificate("old", timedelta(days=-1))
    assert ["expired" in one.text for one in found(listener=tls("old"))] == [True]
    certificate("soon", timedelta(days=9))
    assert [(one.state, one.remedy) for one in found(listener=tls("soon"))] == [("note", "renew it soon")]
    certificate("one")
    certificate("other")
    Path("one.key").write_bytes(Path("other.key").read_bytes())
    assert [one.state for one in found(listener=tls("one"))] == ["wrong"]
    Path("ca.pem").write_text("no certificate")
    assert any(one.what.endswith("tls_client_ca, read") for one in found(listener=tls("other")))


def test_a_port_for_others_without_tls_or_a_list() -> None:
    (one,) = found(host="0.0.0.0", listener='allow = ["10.1.0.0/16"]')
    assert "without TLS" in one.text


def test_authorities_and_zone() -> None:
    (one,) = found(more='EHR = "https://willow.example/mrn"')
    assert "EHR and WILLOW are one" in one.text
    text = HEAD.format(host="127.0.0.1", listener="", more="", fhir="").replace('default = "WILLOW"\n', "")
    Path("k.toml").write_text(text.replace('timezone = "Europe/Berlin"\n', ""))
    notes = {one.what: one.text for one in check.examine("k.toml") if one.state == "note"}
    assert "no default" in notes["authorities"]
    assert "without an offset are refused" in notes["time zone of ehr"]


def test_shadow_mode_and_a_server_without_tls() -> None:
    assert [one.what for one in found(fhir='mode = "shadow"')] == ["[fhir] mode"]
    text = HEAD.format(host="127.0.0.1", listener="", more="", fhir="").replace(
        "http://127.0.0.1:1", "http://fhir.invalid"
    )
    Path("k.toml").write_text(text)
    assert any("without TLS" in one.text for one in check.examine("k.toml") if one.what == "[fhir] url")


def test_a_receiver_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = '[[receiver]]\nname = "archive"\naddress = "mllp://127.0.0.1:{}"\nforward = ["ADT"]'
        assert found(more="", fhir=receiver.format(server.getsockname()[1])) == []
    assert [one.what for one in found(fhir=receiver.format(1))] == ["receiver archive"]


def test_a_store_that_others_may_read() -> None:
    Path("ketafhir.sqlite").write_bytes(b"")
    Path("ketafhir.sqlite").chmod(0o644)
    (one,) = found()
    assert (one.state, "chmod 600" in one.text) == ("wrong", True)


def test_a_configuration_that_cannot_be_read_ends_it() -> None:
    Path("k.toml").write_text("[fhir]\nbanana = 1\n")
    (one,) = check.examine("k.toml")
    assert "banana" in one.text
    (one,) = check.examine("absent.toml")
    assert one.state == "wrong"


def test_tokens_are_read_as_the_service_reads_them() -> None:
    """A file of them was only looked for."""
    line = "{} viewer " + "0" * 64
    rest = '[rest]\nenabled = true\ntokens_file = "tokens"\n'
    for text, remark in (
        ("Zebrafink", "each is NAME ROLE SHA256"),
        (f"{line.format('a')}\n" * 2, "two tokens"),
        ("#", "no token"),
    ):
        Path("tokens").write_text(text)
        Path("tokens").chmod(0o600)
        (one,) = found(more=rest)
        assert (one.state, one.what, remark in one.text) == ("wrong", "[rest] tokens", True)
        assert "Zebrafink" not in one.line()
    Path("tokens").write_text(line.format("a"))
    assert found(more=rest) == []


def test_the_directory_of_shadow_mode() -> None:
    mode = 'mode = "shadow"\nshadow_directory = "here"'
    Path("here").write_text("")
    assert [one.text for one in found(fhir=mode) if one.state == "wrong"] == ["it is no directory"]
    Path("here").unlink()
    Path("here").mkdir()
    Path("here").chmod(0o755)
    assert [one.text for one in found(fhir=mode) if one.state == "wrong"] == ["it is open to other users"]
    Path("here").chmod(0o700)
    assert [one for one in found(fhir=mode) if one.state == "wrong"] == []


def test_an_address_that_is_not_of_this_machine_is_no_port_that_is_taken() -> None:
    (one,) = [one for one in found(host="192.0.2.1", listener='allow = ["10.1.0.0/16"]') if one.what.startswith("port")]
    assert (one.state, one.remedy) == ("wrong", "name an address of this machine")
