"""The numbers for Prometheus of worker processes: told by each, summed where HTTP is answered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")

from rest_peers import LINES, Client, served
from service_peers import CONFIG, Peer, adt, fhir_sink, heart_rate

from http_peer import Answering, serving_http
from ketafhir.service.processes import Processes
from postgresql_server import PostgresServer

pytestmark = pytest.mark.timeout(90)

REST = f"\n[rest]\nenabled = true\nport = 0\ntokens = {list(LINES)!r}\n"


def eventually(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_attempts_of_worker_processes_are_told_where_http_is_answered(
    tmp_path: Path, postgresql: PostgresServer
) -> None:
    file = tmp_path / "ketafhir.toml"
    file.write_text(CONFIG + REST)
    with fhir_sink() as sink, (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "ketafhir", "serve", "--config", str(file), "--fhir", sink.url]
        command += ["--store", postgresql.url(), "--workers", "2"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            port, url = (process.stdout.readline().strip().removeprefix("listening on ") for _ in range(2))
            client = Client(url, "metrics")
            done = 'ketafhir_attempts_total{destination="fhir",state="done"} '

            def told(count: int) -> bool:
                return f"{done}{count}.0" in client.get("/metrics").text.splitlines()

            with Peer(int(port.rpartition(":")[2])) as peer:
                for number in range(6):
                    assert peer.send(adt(f"M{number}", f"SYN-{number}")).code == "AA"
                eventually(lambda: told(6))
                for child in _children(process.pid):
                    os.kill(child, signal.SIGKILL)
                assert peer.send(adt("M6", "SYN-6")).code == "AA"
                eventually(lambda: told(7))
            client.close()
        finally:
            process.terminate()
            assert process.wait(30) == 0
            process.stdout.close()


def _children(parent: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_half_a_line_of_a_process_that_was_killed_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It ends by itself, is started again, and then told so."""
    script = tmp_path / "worker"
    script.write_text(
        f'#!{sys.executable}\nimport sys\nsys.stdout.write(\'[["fhir", "done", 2]]\\n[["fhir", "do\')\nsys.stdout.flush()\n'
    )
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr("ketafhir.service.processes._PAUSE", 0.0)

    async def twice() -> dict[tuple[str, str], int]:
        processes = Processes(["serve"], 1)
        processes.start()
        async with asyncio.timeout(30):
            while processes.attempts().get(("fhir", "done"), 0) < 4:
                await asyncio.sleep(0.01)
        await processes.stop()
        return dict(processes.attempts())

    assert asyncio.run(twice()).keys() == {("fhir", "done")}


def test_a_worker_that_cannot_begin_is_started_again_later_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "worker"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(1)\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr("ketafhir.service.processes._PAUSE", 0.02)
    monkeypatch.setattr("ketafhir.service.processes._LONGEST", 2.0)
    rests: list[float] = []
    rest = Processes._rest

    async def noted(self: Processes, seconds: float) -> None:
        rests.append(seconds)
        await rest(self, min(seconds, 0.05) if len(rests) < 9 else seconds)

    monkeypatch.setattr(Processes, "_rest", noted)

    async def scenario() -> float:
        processes = Processes(["serve"], 1)
        processes.start()
        async with asyncio.timeout(30):
            while len(rests) < 9:
                await asyncio.sleep(0.01)
        before = time.monotonic()
        await processes.stop()
        return time.monotonic() - before

    assert asyncio.run(scenario()) < 1.5  # it does not wait for the end of a rest
    assert rests[:3] == [0.04, 0.08, 0.16]
    assert rests[7:9] == [2.0, 2.0]
    assert "worker 1 has ended with 1 and is started again in 2 s" in caplog.text


def test_why_a_destination_waits(tmp_path: Path) -> None:
    with served(tmp_path) as here:
        assert "ketafhir_destination_waiting{" not in here.client("metrics").get("/metrics").text
        here.client("sender").post("/v1/messages", adt("M1"))
        line = 'ketafhir_destination_waiting{destination="fhir",kind="unsent"} 1.0'
        eventually(lambda: line in here.client("metrics").get("/metrics").text)


class Versioned:
    """A FHIR server over HTTP that minds If-Match in transactions."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[int, dict[str, Any]]] = {}

    def write(self, reference: str, resource: dict[str, Any]) -> dict[str, Any]:
        version = self.held.get(reference, (0, {}))[0] + 1
        self.held[reference] = (version, resource)
        return {"status": "200 OK", "location": f"{reference}/_history/{version}", "etag": f'W/"{version}"'}

    def stale(self, request: dict[str, str]) -> bool:
        return "ifMatch" in request and request["ifMatch"] != f'W/"{self.held.get(request["url"], (0, {}))[0]}"'

    def handler(self) -> type[Answering]:
        peer = self

        class Handler(Answering):
            def do_GET(self) -> None:
                reference = self.path.removeprefix("/fhir/")
                version, resource = peer.held.get(reference, (0, {"resourceType": "OperationOutcome", "issue": []}))
                self.answer(200 if version else 404, resource, {"ETag": f'W/"{version}"'})

            def do_POST(self) -> None:
                entries = json.loads(self.body())["entry"]
                if any(peer.stale(one["request"]) for one in entries):
                    issue = {"severity": "error", "code": "conflict"}
                    self.answer(412, {"resourceType": "OperationOutcome", "issue": [issue]})
                    return
                places = [one["request"]["url"] for one in entries]
                places = [one if "/" in one else f"{one.partition('?')[0]}/1" for one in places]
                told = [{"response": peer.write(at, one["resource"])} for at, one in zip(places, entries, strict=True)]
                self.answer(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": told})

        return Handler


def test_what_is_done_in_place_of_what_somebody_else_had_written_is_counted(tmp_path: Path) -> None:
    server = Versioned()
    with serving_http(server.handler()) as port, served(tmp_path, f"http://127.0.0.1:{port}/fhir") as here:
        metrics, sender = here.client("metrics"), here.client("sender")
        sender.post("/v1/messages", heart_rate("M1"))
        here.service.drain()
        assert 'ketafhir_replaced_total{destination="fhir"} 0.0' in metrics.get("/metrics").text
        (place,) = [one for one in server.held if one.startswith("Observation/")]
        server.write(place, {**server.held[place][1], "status": "preliminary"})
        corrected = heart_rate("M1", value="80").replace(b"|M1|", b"|M2|").replace(b"|||||F|||", b"|||||C|||")
        sender.post("/v1/messages", corrected)
        here.service.drain()
        assert 'ketafhir_replaced_total{destination="fhir"} 1.0' in metrics.get("/metrics").text
        assert server.held[place][0] == 3
        assert server.held[place][1]["status"] == "corrected"
