"""`ketafhir doctor`: each fault that it is for is found and told with a remedy."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest

from http_peer import Answering, serving_http
from ketafhir import doctor
from ketafhir.cli import main
from ketafhir.store.sqlite import SqliteStore


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KETAFHIR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "k.toml"
    path.write_text(
        "[[listener]]\nname = 'ehr'\nport = 0\ntimezone = 'Europe/Berlin'\n[fhir]\nurl = 'http://127.0.0.1:1/fhir'\n"
    )
    return path


def found(file: Path | None = None) -> dict[str, doctor.Finding]:
    """The findings by the first word of what was looked at."""
    return {one.what.split()[0]: one for one in doctor.examine(str(file) if file else None)}


def test_a_fhir_server_that_does_not_answer_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", str(file)]) == 1
    out = capsys.readouterr().out
    assert "wrong  FHIR server http://127.0.0.1:1/fhir: no connection" in out
    assert "`ketafhir fhir-server start`" in out
    assert out.endswith("to mend\n")


def test_a_fhir_server_is_asked_for_its_version(file: Path) -> None:
    class Handler(Answering):
        def do_GET(self) -> None:
            software = {"name": "Willow FHIR", "version": "8.2.0"}
            self.answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": version, "software": software})

    with serving_http(Handler) as port:
        file.write_text(file.read_text().replace("127.0.0.1:1/", f"127.0.0.1:{port}/"))
        version = "5.0.0"
        assert found(file)["FHIR"].state == "wrong"
        version = "4.0.1"
        assert (found(file)["FHIR"].state, found(file)["FHIR"].text) == (
            "ok",
            "Willow FHIR 8.2.0 answers, FHIR 4.0.1",
        )


def test_java_is_needed_only_where_no_fhir_server_answers(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert [one.state for one in doctor._programs(needed=True)] == ["wrong", "wrong"]
    assert [one.state for one in doctor._programs(needed=False)] == ["note", "note"]
    assert "apt-get install" in found(file)["Java"].remedy


def test_a_configuration_that_makes_no_sense_ends_it(file: Path) -> None:
    file.write_text("[fhir]\nurk = 'x'\n")
    *_, last = doctor.examine(str(file))
    assert (last.state, last.what) == ("wrong", "configuration")
    assert "urk" in last.text


def test_no_configuration_is_worth_a_note(file: Path) -> None:
    assert found()["configuration"].state == "note"


def test_a_taken_port_is_wrong(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        file.write_text(file.read_text().replace("port = 0", f"port = {port}"))
        assert (found(file)["port"].state, str(port) in found(file)["port"].text) == ("wrong", True)
    assert found(file)["port"].state == "ok"


def test_a_listener_without_zone_is_worth_a_note(file: Path) -> None:
    assert found(file)["time"].state == "ok"
    file.write_text(file.read_text().replace("timezone = 'Europe/Berlin'\n", ""))
    assert found(file)["time"].state == "note"


def test_the_store_is_looked_at_and_not_made(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "ketafhir.sqlite"
    assert found(file)["store"].state == "ok"
    assert not path.exists()
    SqliteStore(path).close()
    assert found(file)["store"].text == f"SQLite {sqlite3.sqlite_version}, 0 messages, none stuck"
    path.chmod(0o644)
    assert (found(file)["store"].state, "chmod 600" in found(file)["store"].text) == ("wrong", True)


def test_a_wrong_site_overlay_is_found(file: Path) -> None:
    assert found(file)["mapping"].state == "ok"
    file.write_text(file.read_text().replace("port = 0", "port = 0\nsite = 'nowhere'"))
    assert "nowhere" in found(file)["mapping"].text
    assert found(file)["mapping"].state == "wrong"
