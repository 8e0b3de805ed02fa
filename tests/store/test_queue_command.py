"""`ketafhir queue` on a store with one message of each kind."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from contract import Clock, inbound, message, send

from ketafhir.cli import main
from ketafhir.store import command
from ketafhir.store.protocol import NewDelivery, Result, dead, done, park, retry
from ketafhir.store.sqlite import SqliteStore

ISSUES = b'[{"severity": "error", "code": "unit-unknown", "text": "no such unit", "where": "RXA-7"}]'
RAW = b"MSH|^~\\&|A|B\rPID|1||ZZCANARY\r\xff\x00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    clock = Clock()
    store = SqliteStore(path, clock=clock)
    store.accept(message("DONE", "ZZCANARY1"))
    store.settle(send(store), done(status="200"))
    store.accept(message("PARKED", "ZZCANARY2"))
    store.settle(send(store), park("two patients match", kind="identity", status="412"))
    store.accept(message("BEHIND", "ZZCANARY2"))
    store.accept(message("DEAD", "ZZCANARY3"))
    store.settle(send(store), dead("HAPI-1094"))
    store.accept(message("WAITS", "ZZCANARY4"))
    store.settle(send(store), retry(9_999_999_999.0, "server busy " * 20))
    store.accept(inbound("REFUSED\x1b[2J", RAW, Result("refused", ISSUES)))
    both = [NewDelivery("a", ("p",), b"first"), NewDelivery("b", ("p",), b"second")]
    store.accept(inbound("TWO", b"x", Result("translated", deliveries=both)))
    store.close()
    return path


def queue(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_list_is_an_aligned_table_without_anything_of_a_patient(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("list", "--store", str(path)) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("ID  CONTROL ID")
    column = lines[0].index("STATE")
    states = [line[column:].split()[0] for line in lines[1:]]
    assert states == ["done", "parked", "queued", "dead", "queued", "refused", "queued", "queued"]
    assert "two patients match" in lines[2]
    assert "waits for message 2" in lines[3]
    assert "HAPI-1094" in lines[4]
    assert "server busy server busy" in lines[5]
    assert "2286-11-20T17:46:39Z" in lines[5]
    assert max(map(len, lines)) < 180
    assert "ZZCANARY" not in out
    assert "\x1b" not in out


def test_pages(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("list", "--store", str(path), "--limit", "7") == 0
    shown = capsys.readouterr()
    assert shown.err == "more: --after 7.6\n"
    assert queue("list", "--store", str(path), "--limit", "7", "--after", "7.6", "--json") == 0
    page = json.loads(capsys.readouterr().out)
    assert [(entry["control_id"], entry["destination"]) for entry in page["entries"]] == [("TWO", "b")]
    assert page["after"] is None
    assert queue("list", "--store", str(path), "--after", "x") == 2


def test_filters(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("list", "--store", str(path), "--state", "queued", "--to", "fhir", "--json") == 0
    assert [entry["control_id"] for entry in json.loads(capsys.readouterr().out)["entries"]] == [
        "BEHIND",
        "WAITS",
    ]
    with pytest.raises(SystemExit, match="2"):
        queue("list", "--store", str(path), "--state", "banana")


def test_show(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("show", "2", "--store", str(path)) == 0
    out = capsys.readouterr().out
    assert "MSH-10 PARKED" in out
    assert "parked: two patients match" in out
    assert "identity 412 two patients match" in out
    assert queue("show", "6", "--store", str(path)) == 0
    assert "error unit-unknown RXA-7 no such unit" in capsys.readouterr().out


def test_what_is_queued_tells_why_and_when_with_every_attempt(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    store = SqliteStore(path, clock=clock)
    number = store.accept(message("AGAIN", "ZZCANARY5")).message_id
    for count, reason in enumerate(("server busy", "read timeout"), 1):
        store.settle(send(store), retry(clock.now + 60, reason, kind="transient", status=str(500 + count)))
        clock.move(61)
    store.close()
    assert queue("show", str(number), "--store", str(path)) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("to ") and line.endswith("queued: read timeout") for line in lines), lines
    assert any(line.startswith(("next try 20", "next try 19")) for line in lines), lines
    tries = [line for line in lines if line.startswith("try ")]
    assert [line.partition("transient ")[2] for line in tries] == ["501 server busy", "502 read timeout"]


def test_show_as_json_leaves_the_bytes_out(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("show", "6", "--store", str(path), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["issues"][0]["code"] == "unit-unknown"
    assert "raw" not in shown


def test_raw_and_payload_are_the_bytes(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert queue("show", "6", "--raw", "--store", str(path)) == 0
    assert capfdbinary.readouterr().out == RAW
    assert queue("show", "7", "--payload", "--store", str(path)) == 0
    assert capfdbinary.readouterr().out == b"first\nsecond"


def test_retry_of_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("retry", "2", "--store", str(path)) == 0
    assert capsys.readouterr().out == "1 queued again\n"
    store = SqliteStore(path)
    assert store.page(state="parked") == []
    store.close()


def test_retry_of_all_that_is_stuck(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("retry", "--store", str(path)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 dead to fhir", "1 parked to fhir", "2 would be sent again: --yes does it",
    ]  # fmt: skip
    assert queue("retry", "--state", "dead", "--to", "fhir", "--store", str(path), "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "done": True, "found": [{"to": "fhir", "was": "dead", "count": 1}], "queued": 1, "refusals": 0, "refused": [],
    }  # fmt: skip
    store = SqliteStore(path)
    assert (store.show(2).deliveries[0].state, store.show(4).deliveries[0].state) == ("parked", "queued")
    store.close()


def test_many_are_chosen_by_time(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--store", str(path)]
    assert queue("replay", "--as-sent", "--since", "1970-01-12T00:00:00Z", *words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 would be sent again: --yes does it"
    assert queue("replay", "--as-sent", "--since", "1970-01-13T00:00:00Z", *words) == 0
    assert queue("replay", "--re-render", "--since", "9999d", "--yes", *words) == 0
    assert capsys.readouterr().out.endswith("0 to be sent again\n")
    assert queue("replay", "--re-render", "--since", "1970-01-12T00:00:00Z", "--state", "refused", "--yes", *words) == 0
    assert capsys.readouterr().out == "1 refused\n1 to be sent again\n"
    store = SqliteStore(path)
    assert [(row.action, row.message_id) for row in store.audited()] == [("replay", 6)]
    store.close()
    for wrong in (
        ["replay", "--as-sent"], ["replay", "1", "--as-sent", "--since", "1d"], ["retry", "1", "--state", "dead"],
        ["replay", "--as-sent", "--since", "1d", "--state", "refused"], ["retry", "--state", "refused", "--to", "fhir"],
        ["replay", "--re-render", "--since", "1d", "--to", "fhir"], ["retry", "1", "--yes"],
    ):  # fmt: skip
        assert queue(*wrong, *words) == 2
    with pytest.raises(SystemExit, match="2"):
        queue("retry", "--since", "2026-03-01T08:00:00", *words)
    assert "is no time" in capsys.readouterr().err


def test_retry_of_what_is_done(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("retry", "1", "2", "--store", str(path)) == 1
    shown = capsys.readouterr()
    assert shown.out == "1 queued again\n"
    assert "nothing to retry: done" in shown.err


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("list") == 2
    assert "--store FILE" in capsys.readouterr().err
    assert queue("show", "1", "--store", str(tmp_path / "absent.db")) == 1
    assert "there is no store" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [("list", "--limit", "0"), ("list", "--limit", "-5"), ("list", "--after", "-1.0"), ("list", "--after", "9" * 30),
     ("list", "--after", "1.\u00b2"), ("show", "9" * 30), ("show", "0"), ("retry", "9" * 30), ("export", "-1", "--directory", "d")],
)  # fmt: skip
def test_a_number_that_is_none_is_wrong_usage(
    path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """They ended in tracebacks, or were taken for something else."""
    status: object
    try:
        status = main(["queue", *words, "--store", str(path)])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert "is no " in capsys.readouterr().err
    store = SqliteStore(path)
    assert store.audited() == []
    store.close()


def test_a_retry_of_all_notes_each_message(path: Path) -> None:
    assert queue("retry", "--store", str(path)) == 0
    assert queue("retry", "--store", str(path), "--yes") == 0
    store = SqliteStore(path)
    assert [(row.action, row.message_id) for row in store.audited()] == [("retry", 2), ("retry", 4)]
    store.close()


def test_park_and_release(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("park", "3", "5", "1", "--reason", "ward calls\x1b", "--store", str(path)) == 1
    shown = capsys.readouterr()
    assert shown.out == "2 parked\n"
    assert "message 1 has nothing that waits: done" in shown.err
    store = SqliteStore(path)
    assert store.show(5).deliveries[0].reason == "parked by an operator: ward calls"
    assert queue("release", "3", "--store", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"released": [3], "refused": []}
    assert [row.message_id for row in store.page(state="parked")] == [5], "message 2 is of the patient of 3"
    store.close()
    assert queue("release", "3", "--store", str(path)) == 1
    assert "nothing is parked" in capsys.readouterr().err


def test_a_replay_is_told_first_and_done_with_yes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("replay", "1", "--as-sent", "--store", str(path)) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "message 1  RAS^O17  MSH-10 DONE  to fhir, was done",
        "1 would be sent again: --yes does it",
    ]
    store = SqliteStore(path)
    assert store.show(1).deliveries[0].state == "done"
    assert queue("replay", "1", "--as-sent", "--yes", "--store", str(path)) == 0
    assert "1 to be sent again" in capsys.readouterr().out
    assert store.show(1).deliveries[0].state == "queued"
    store.close()
    assert queue("replay", "2", "--as-sent", "--yes", "--store", str(path)) == 1
    assert "has not ended: parked" in capsys.readouterr().err


def test_a_replay_that_is_asked_for_twice_is_done_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def sent() -> list[str]:
        store = SqliteStore(path)
        store.settle(send(store), done(status="200"))
        kinds = [one.kind for one in store.show(1).deliveries[0].history]
        store.close()
        return kinds

    words = ["replay", "1", "--as-sent", "--store", str(path)]
    assert queue(*words, "--yes") == 0
    assert sent() == ["done"] * 2
    assert queue(*words, "--yes") == 1
    assert "message 1 was sent again once already" in capsys.readouterr().err
    assert queue(*words) == 0
    assert "was done; needs --seen 1: it was sent again before" in capsys.readouterr().out
    assert queue("show", "1", "--store", str(path)) == 0
    assert "replayed  1x" in capsys.readouterr().out
    assert queue("replay", "--as-sent", "--since", "1970-01-01T00:00:00Z", "--yes", "--store", str(path)) == 1
    assert "1 are refused" in capsys.readouterr().err
    assert queue(*words, "--yes", "--seen", "1") == 0
    assert sent() == ["done"] * 3
    assert queue("replay", "1", "--re-render", "--yes", "--store", str(path)) == 1
    assert "2 times already" in capsys.readouterr().err
    assert queue("replay", "1", "--re-render", "--yes", "--seen", "2", "--store", str(path)) == 0


def test_render_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("replay", "2", "--re-render", "--store", str(path)) == 0
    assert "to fhir, was translated, 1 waiting given up" in capsys.readouterr().out
    assert queue("replay", "2", "--re-render", "--yes", "--store", str(path)) == 0
    store = SqliteStore(path)
    assert [one.message_id for one in store.unfinished()] == [2]
    store.close()
    assert queue("replay", "2", "--re-render", "--force", "--store", str(path)) == 2


@pytest.mark.parametrize("verb", [["replay", "--as-sent", "--yes"], ["replay", "--re-render", "--yes"], ["retry"]])
def test_an_order_to_a_pump_goes_again_only_when_confirmed(
    path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    store = SqliteStore(path)
    order = inbound("PUMP", b"MSH", Result("translated", deliveries=[NewDelivery("pump", ("q",), b"MSH")]))
    number = store.accept(replace(order, message_type="RGV^O15")).message_id
    delivery = store.claim("w", 60, "pump")
    assert delivery is not None
    store.mark_inflight(delivery, 60)
    store.settle(delivery, dead("AR"))
    words = [*verb, str(number), "--store", str(path)]
    assert queue(*words) == 1
    assert "look at the pump" in capsys.readouterr().err
    assert (store.show(number).deliveries[0].state, store.unfinished()) == ("dead", [])
    assert queue(*words, "--confirm") == 0
    assert store.unfinished() or store.show(number).deliveries[0].state == "queued"
    store.close()


def test_purge_asks_and_deletes_what_has_ended(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue("purge", "--older-than", "1d", "--store", str(path)) == 1
    assert "--yes" in capsys.readouterr().err
    assert queue("purge", "--older-than", "1d", "--yes", "--store", str(path)) == 0
    assert capsys.readouterr().out == "1 deleted\n"
    assert (
        queue("purge", "--older-than", "1d", "--errors-older-than", "1w", "--yes", "--json", "--store", str(path)) == 0
    )
    assert json.loads(capsys.readouterr().out) == {"purged": 2}
    with pytest.raises(SystemExit, match="2"):
        queue("purge", "--older-than", "soon", "--store", str(path))


def test_the_messages_of_one_patient_are_told_first_and_deleted_with_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    for name in ("C1", "C2"):
        store.accept(message(name, "https://willow.example/mrn|ZZ4711"))
        store.settle(send(store), done())
    store.accept(message("OPEN", "https://willow.example/mrn|ZZ4711"))
    config = tmp_path / "k.toml"
    config.write_text(f'[authorities]\nWILLOW = "https://willow.example/mrn"\n[store]\npath = "{path}"\n')
    named = ["queue", "purge", "--config", str(config), "--patient"]
    assert main([*named, "WILLOW|ZZ4711"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "2 would be deleted: --yes does it"
    assert "message 3 is open, and stays" in err
    assert len(store.page()) == 3
    assert main([*named, "WILLOW|ZZ4711", "--yes", "--json"]) == 1
    told, err = capsys.readouterr()
    assert json.loads(told) == {"done": True, "purged": 2, "open": [3]}
    store.settle(send(store), done())
    place = ["--store", str(path)]
    for wrong in ("ZZ4711", "WILLOW|ZZ4711", "|ZZ4711", "https://willow.example/mrn|"):
        assert queue("purge", "--patient", wrong, *place) == 2
        assert "AUTHORITY|ID" in (said := capsys.readouterr().err)
        assert "ZZ4711" not in said
    assert queue("purge", "--patient", "https://willow.example/mrn|ZZ4711", "--yes", *place) == 0
    assert capsys.readouterr().out.startswith("1 deleted\nWhat was learned of the patient stays")
    assert store.page() == []
    noted = [(one.action, one.message_id) for one in store.audited()]
    assert noted == [("purge", 1), ("purge", 2), ("purge", 3)]
    assert "ZZ4711" not in repr(store.audited())
    store.close()


def test_export_without_content_has_nothing_about_a_patient(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = ["--without-content", "--directory", str(folder), "--store", str(path)]
    assert queue("export", "2", "6", *words) == 0
    assert sorted(file.name for file in folder.iterdir()) == ["00000002.json", "00000006.json"]
    texts = [file.read_text() for file in sorted(folder.iterdir())]
    assert "ZZCANARY" not in "".join(texts)
    assert [one["kind"] for one in json.loads(texts[0])["deliveries"][0]["history"]] == ["identity"]
    assert json.loads(texts[1])["issues"] == [{"severity": "error", "code": "unit-unknown", "where": "RXA-7"}]


def test_of_a_message_whose_content_is_gone_the_rest_is_shown(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SqliteStore(path)
    assert store.erase(9_999_999_999.0) == 1
    store.close()
    place = ["--store", str(path)]
    assert queue("show", "1", *place) == 0
    out = capsys.readouterr().out
    assert "its content is gone" in out
    assert "try 1" in out
    for words in (["--raw"], ["--payload"]):
        assert queue("show", "1", *words, *place) == 1
        assert "has no content any more" in capsys.readouterr().err
    assert queue("replay", "1", "--as-sent", *place) == 1
    assert "message 1 has no content any more" in capsys.readouterr().err
    assert queue("export", "1", "--directory", str(tmp_path / "out"), *place) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["00000001.json"]


def test_export_writes_bytes_and_attempts(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert queue("export", "2", "6", "7", "--directory", str(folder), "--store", str(path)) == 0
    assert (folder / "00000006.hl7").read_bytes() == RAW
    assert [(folder / f"00000007.{number}.payload").read_bytes() for number in (1, 2)] == [b"first", b"second"]
    told = json.loads((folder / "00000002.json").read_text())
    assert [one["kind"] for one in told["deliveries"][0]["history"]] == ["identity"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == len(capsys.readouterr().out.splitlines())
    assert queue("export", "2", "--directory", str(folder), "--store", str(path)) == 1
    assert "File exists" in capsys.readouterr().err


def test_a_paused_destination_is_told_with_its_reason(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--store", str(path))
    assert queue("pause", "fhir", "--reason", "the\x1b[2J server is updated", *place) == 0
    assert capsys.readouterr().out == "fhir is paused: 3 waiting\n"
    assert queue("list", *place) == 0
    told = capsys.readouterr().err
    assert told.startswith("fhir is paused since 20")
    assert told.endswith("Z: the [2J server is updated\n")
    assert queue("list", "--json", *place) == 0
    assert [one["destination"] for one in json.loads(capsys.readouterr().out)["paused"]] == ["fhir"]
    assert queue("resume", "fhir", *place) == 0
    assert queue("resume", "fhir", *place) == 1
    assert "fhir is not paused; nothing is" in capsys.readouterr().err
    assert queue("list", *place) == 0
    assert "paused" not in capsys.readouterr().err


def test_only_a_destination_that_is_configured_is_paused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name with a slip in it was taken, and the one that was meant went on."""
    config = path.with_name("ketafhir.toml")
    receiver = '[[receiver]]\nname = "lab"\naddress = "mllp://127.0.0.1:1"\nforward = ["ADT"]\n'
    config.write_text(f'[store]\npath = "{path}"\n{receiver}')
    for place in (["--config", str(config)], ["--config", str(config), "--store", str(path)]):
        assert main(["queue", "pause", "labb", *place]) == 1
        assert "there is no destination 'labb'; configured are fhir, lab" in capsys.readouterr().err
        assert main(["queue", "pause", "lab", *place]) == 0
    assert main(["queue", "resume", "labb", "--store", str(path)]) == 1
    assert "labb is not paused; paused are lab" in capsys.readouterr().err
    assert main(["queue", "pause", "lab", "--store", str(path)]) == 1
    assert "--config FILE" in capsys.readouterr().err
    config.write_text(f'[store]\npath = "{path}"\n[fhir]\nmode = "shadow"\n')
    assert main(["queue", "pause", "fhir", "--config", str(config)]) == 1
    assert "configured are shadow" in capsys.readouterr().err
    assert main(["queue", "resume", "lab", "--config", str(config)]) == 0  # also where it is no more
    assert main(["audit", "list", "--json", "--store", str(path)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(one["action"], one["destination"]) for one in told] == [
        ("pause", "lab"), ("pause", "lab"), ("resume", "labb"), ("resume", "lab"),
    ]  # fmt: skip
