"""Shadow mode: everything is done but the write, and what would be sent can be looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from service_peers import CONFIG, adt, config, damaged, fhir_sink, ras, running

from ketafhir import cli
from ketafhir.config import Config
from ketafhir.errors import ConfigError
from ketafhir.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(60)


def shadow(folder: Path, fhir: str) -> Config:
    settings = config(folder / "s.db", fhir)
    return replace(settings, fhir=replace(settings.fhir, mode="shadow", shadow_directory=folder / "shadow"))


def taken(folder: Path, url: str, *messages: bytes) -> list[str]:
    with running(shadow(folder, url)) as service:
        with service.peer() as peer:
            codes = [peer.send(one).code for one in messages]
        service.drain()
        return codes


def test_nothing_is_written_and_all_else_is_done(tmp_path: Path) -> None:
    with fhir_sink() as sink:
        assert taken(tmp_path, sink.url, adt("../../M1"), damaged(), ras("M3")) == ["AA", "AE", "AA"]
        assert sink.resources("Patient") == []
    folder = tmp_path / "shadow"
    assert sorted(file.name for file in folder.iterdir()) == [
        "00000001-fhir.json", "00000001-losses.json", "00000003-fhir.json", "00000003-losses.json",
    ]  # fmt: skip
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    bundle = json.loads((folder / "00000003-fhir.json").read_bytes())
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert (bundle["type"], kinds.count("MedicationAdministration")) == ("transaction", 2)
    report = json.loads((folder / "00000003-losses.json").read_bytes())
    assert report["mapped"] > 10
    assert {one["fate"] for one in report["fields"]} >= {"mapped"}
    store = SqliteStore(tmp_path / "s.db")
    (delivery,) = store.show(3).deliveries
    assert (delivery.destination, delivery.state, delivery.history[0].status) == ("shadow", "done", "shadow")
    store.close()


def test_live_again_only_what_comes_then_and_what_is_asked_for_is_written(tmp_path: Path) -> None:
    with fhir_sink() as sink:
        taken(tmp_path, sink.url, adt("M1"), adt("M2", number="SYN-2"))
        with running(config(tmp_path / "s.db", sink.url)) as service:
            with service.peer() as peer:
                peer.send(adt("M3", number="SYN-3"))
            service.drain()
            assert len(sink.resources("Patient")) == 1
            service.app.store.render_again(1, ["fhir", "shadow"])
            service.drain()
            assert len(sink.resources("Patient")) == 2


def test_a_directory_that_others_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shadow").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="chmod 700"), running(shadow(tmp_path, "http://127.0.0.1:1/fhir")):
        pass


def test_a_link_in_the_directory_is_not_followed(tmp_path: Path) -> None:
    folder, kept = tmp_path / "shadow", tmp_path / "kept"
    folder.mkdir(mode=0o700)
    kept.write_text("mine")
    for name in ("00000001-fhir.json", ".00000001-fhir.json.new"):
        (folder / name).symlink_to(kept)
    taken(tmp_path, "http://127.0.0.1:1/fhir", adt("M1"))
    assert kept.read_text() == "mine"
    assert json.loads((folder / "00000001-fhir.json").read_bytes())["type"] == "transaction"


def test_a_week_of_feed_is_summed_by_row_code_and_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ras("M4").replace(b"||IP||", b"||ZP||")
    taken(tmp_path, "http://127.0.0.1:1/fhir", adt("M1"), damaged(), ras("M3"), odd, ras("M5", order="P-2"))
    (tmp_path / "k.toml").write_text(CONFIG)
    words = ["explain", "--store", str(tmp_path / "s.db"), "--config", str(tmp_path / "k.toml")]
    assert cli.main(words) == 1
    out = capsys.readouterr().out
    assert out.startswith("5 messages: 4 translated, 1 refused\n")
    assert "4 RAS^O17, 1 ADT^A04" in out
    assert "first: message 2, RXA-7" in out
    assert "code-unmapped  ORC-5  ZP" in out
    assert "RXA_to_MedicationAdministration.csv" in out
    assert "SYN-1" not in out
    assert "Doe" not in out
    assert cli.main([*words, "--since", "7d", "--html", str(tmp_path / "week.html")]) == 1
    page = (tmp_path / "week.html").read_text()
    assert "5 messages: 4 translated, 1 refused" in page
    assert "SYN-1" not in page
    capsys.readouterr()


def test_explain_of_a_store_says_what_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteStore(tmp_path / "s.db").close()
    words = ["explain", "--store", str(tmp_path / "s.db")]
    assert cli.main(words) == 1
    assert "no message of that time" in capsys.readouterr().err
    assert cli.main([*words, "--since", "soon"]) == 1
    assert "is no age" in capsys.readouterr().err
    assert cli.main([*words, "--number", "3"]) == 2
    assert cli.main(["explain"]) == 2
    assert cli.main(["explain", "--store", str(tmp_path / "absent.db")]) == 1


def test_to_reconcile_in_shadow_mode_says_what_that_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ketafhir.cli import main
    from ketafhir.store.sqlite import SqliteStore

    SqliteStore(tmp_path / "s.sqlite").close()
    file = tmp_path / "k.toml"
    file.write_text('[store]\npath = "s.sqlite"\n[fhir]\nurl = "http://127.0.0.1:1/fhir"\nmode = "shadow"\n')
    assert main(["reconcile", "--config", str(file)]) == 0
    assert "[fhir] mode is shadow" in capsys.readouterr().err
