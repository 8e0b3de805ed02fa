"""`ketafhir audit`, and what `ketafhir queue` leaves in it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from contract import message, send

from ketafhir.cli import main
from ketafhir.fhir.check import shape
from ketafhir.store.audit import ACTIONS
from ketafhir.store.protocol import done
from ketafhir.store.sqlite import SqliteStore
from ketafhir.translate.audit_event import audit_event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    for name in ("C1", "C2"):
        store.accept(message(name, name))
    store.close()
    return path


def told(path: Path) -> list[tuple[str, int | None]]:
    store = SqliteStore(path)
    rows = store.audited()
    store.close()
    assert all(row.who.startswith("cli ") for row in rows)
    return [(row.action, row.message_id) for row in rows]


def test_every_look_and_every_step_is_noted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--store", str(path)]
    main(["queue", "list", *place])
    assert told(path) == []
    main(["queue", "show", "1", *place])
    main(["queue", "show", "1", "--raw", *place])
    main(["queue", "show", "2", "--payload", *place])
    main(["queue", "retry", "1", "2", *place])
    assert told(path) == [("view", 1), ("content", 1), ("content", 2), ("retry", 1), ("retry", 2)]


def test_it_is_listed_and_as_fhir(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--store", str(path)]
    main(["queue", "show", "1", *place])
    main(["queue", "show", "2", "--raw", *place])
    capsys.readouterr()
    assert main(["audit", "list", *place]) == 0
    assert [line.split()[4:] [:3] for line in capsys.readouterr().out.splitlines()] == [
        ["view", "message", "1"], ["content", "message", "2"],
    ]  # fmt: skip
    assert main(["audit", "list", "--json", "--after", "1", *place]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "content"
    assert main(["audit", "fhir", *place]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["subtype"][0]["code"] for one in events] == ["audit-view", "audit-content"]
    assert len({one["id"] for one in events}) == 2
    assert [problem for one in events for problem in shape(one)] == []


def test_a_step_with_a_destination_names_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--store", str(path)]
    main(["queue", "pause", "fhir", "--reason", "update", *place])
    main(["queue", "resume", "fhir", *place])
    main(
        ["queue", "replay", "1", "--as-sent", "--to", "fhir", "--yes", *place]
    )  # waits still: refused, and nothing to note
    store = SqliteStore(path)
    store.settle(send(store), done())
    store.close()
    main(["queue", "replay", "1", "--as-sent", "--to", "fhir", "--yes", *place])
    capsys.readouterr()
    assert main(["audit", "list", *place]) == 0
    assert [" ".join(line.split()[4:-1]) for line in capsys.readouterr().out.splitlines()] == [
        "pause fhir", "resume fhir", "replay message 1 to fhir",
    ]  # fmt: skip
    assert main(["audit", "fhir", *place]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["entity"][-1] for event in events] == [{"name": "fhir"}] * 3
    assert len(events[2]["entity"]) == 2
    assert [problem for one in events for problem in shape(one)] == []


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_an_event_of_fhir(action: str) -> None:
    """The code of two was missing: after the first of them no event could be told any more."""
    event = audit_event("0" * 64, "2026-03-09T08:20:00.000+00:00", "cli root", action, None, None)
    assert [one["code"] for one in event["subtype"]] == [f"audit-{action}"]
    assert shape(event) == []


def test_an_entry_that_was_changed_is_found(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--store", str(path)]
    for _ in range(3):
        main(["queue", "show", "1", *place])
    assert main(["audit", "verify", *place]) == 0
    assert "3 entries, unbroken" in capsys.readouterr().out
    with sqlite3.connect(path) as behind:
        behind.execute("DROP TRIGGER audit_is_never_changed")
        behind.execute("UPDATE audit SET who = 'cli nobody' WHERE id = 2")
    behind.close()
    assert main(["audit", "verify", *place]) == 1
    assert "entry 2" in capsys.readouterr().err
