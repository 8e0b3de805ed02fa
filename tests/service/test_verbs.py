"""What an operator can do: the same verbs with the same effects on the command line and over HTTP."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")

from rest_peers import served
from service_peers import Sink, adt, fhir_sink

from ketafhir.cli import main
from ketafhir.service.rest.application import OPERATIONS
from ketafhir.store import command

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with fhir_sink() as found:
        yield found


def test_a_destination_is_paused_and_resumed(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")

        def step(verb: str, **body: str) -> httpx.Response:
            return client.post(f"/v1/queue/{verb}", json.dumps(body).encode(), "application/json")

        assert step("pause", to="fihr").status_code == 400
        assert step("pause", to="fhir", reason="the server\nis updated").json() == {"paused": "fhir", "waiting": 0}
        assert here.client("sender").post("/v1/messages", adt("M1")).status_code == 200
        time.sleep(0.3)
        assert sink.bundles == []
        page = client.get("/v1/queue").json()
        assert [row["state"] for row in page["entries"]] == ["queued"]
        assert [(one["destination"], one["reason"]) for one in page["paused"]] == [("fhir", "the server is updated")]
        assert 'ketafhir_destination_paused{destination="fhir"} 1.0' in here.client("metrics").get("/metrics").text
        assert here.client("viewer").post("/v1/queue/resume", b'{"to": "fhir"}', "application/json").status_code == 403
        assert step("resume", to="fhir").json() == {"resumed": "fhir", "waiting": 1}
        here.service.drain()
        assert len(sink.bundles) == 1
        assert step("resume", to="fhir").status_code == 409
        told = here.client("auditor").get("/v1/audit").json()["entries"]
        assert [(one["action"], one["destination"]) for one in told] == [
            ("pause", "fhir"), ("resume", "fhir"), ("resume", "fhir"),
        ]  # fmt: skip


def test_rest_and_the_command_have_the_same_verbs() -> None:
    """A verb of one that the other has not is forgotten."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    (commands,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    paths = {(one.method, one.path) for one in OPERATIONS if one.path.startswith("/v1/queue")}
    verbs = {path.rpartition("/")[2] for _, path in paths} - {"queue", "{id}", "raw", "payload"}
    assert {"list", "show", *verbs} == set(commands.choices)
    assert {("GET", "/v1/queue"), ("GET", "/v1/queue/{id}")} <= paths


@pytest.mark.parametrize("way", ["http", "command"])
def test_a_verb_has_the_same_effect_over_http_and_on_the_command_line(tmp_path: Path, sink: Sink, way: str) -> None:
    """What the store says after each step is compared with what is written here, once for both."""
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        store = here.service.app.store

        def step(verb: str, number: int | None = None, **more: Any) -> int:
            """0 or 1, the exit code; 0 of an HTTP status below 300."""
            if way == "http":
                if verb == "export":
                    return int(client.get(f"/v1/queue/{number}/export").status_code >= 300)
                place = f"{number}/{verb}" if number else verb
                body = json.dumps(more).encode()
                return int(client.post(f"/v1/queue/{place}", body, "application/json").status_code >= 300)
            words = ["queue", verb, "--store", str(tmp_path / "messages.sqlite")]
            words += [str(number)] if number else []
            if verb == "export":
                words += ["--directory", str(tmp_path / "out")]
            if "days" in more:
                words += ["--older-than", f"{more.pop('days')}d"]
            if "how" in more:
                words.append(f"--{more.pop('how')}")
            if "seen" in more:
                words += ["--seen", str(more.pop("seen"))]
            for name, value in more.items():
                words += [str(value)] if name == "to" else [f"--{name}"] + ([value] if isinstance(value, str) else [])
            return main(words)

        def states() -> list[str]:
            return [row.state for row in store.page()]

        assert step("pause", to="fhir", reason="a test") == 0
        here.client("sender").post("/v1/messages", adt("M1"))
        assert step("park", 1, reason="asked") == 0
        assert states() == ["parked"]
        assert store.page()[0].reason == "parked by an operator: asked"
        assert step("release", 1) == 0
        assert states() == ["queued"]
        assert step("release", 1) == 1  # nothing is parked
        assert step("retry", 9) == 1
        assert step("resume", to="fhir") == 0
        assert step("resume", to="fhir") == 1
        here.service.drain()
        assert step("retry", 1) == 1  # nothing waits
        assert step("replay", 1, how="as-sent", yes=True) == 0
        here.service.drain()
        assert step("replay", 1, how="as-sent", yes=True) == 1  # asked for twice
        assert step("replay", 1, how="re-render", yes=True, seen=1) == 0
        until = time.monotonic() + 10
        while len(sink.bundles) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        here.service.drain()
        assert len(sink.bundles) == 3
        assert step("export", 1) == 0
        assert step("purge", days=0) == 1  # without yes
        assert step("purge", days=0, yes=True) == 0
        assert states() == []
        told = [row.action for row in store.audited()]
    same = ["pause", "park", "release", "release", "retry", "resume", "resume", "retry", "replay", "replay", "export"]
    assert told == [*same, "purge"]
