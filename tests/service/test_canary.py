"""Nothing of a message in the log, the metrics, the queue as a viewer sees it, an exception or an address."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")

from rest_peers import Client, Served, settings
from service_peers import Running, er7, running

from http_peer import Answering, serving_http
from ketafhir import logs
from ketafhir.config import DeliverySettings, LimitSettings, LogSettings
from ketafhir.mllp.framing import wrap

pytestmark = pytest.mark.timeout(120)

# In every place that a sender may fill; each word is its own, so that a failure says where it was from.
PERSON = (
    "Kanarie", "Goldhamster", "Wellensittich", "Nymphensittich", "Zebrafink", "Papagei", "Beo", "Girlitz", "Kernbeisser",
    "Stieglitz", "Haubenmeise", "19010203", "1901-02-03", "555-0199", "987-65-4321", "MRN77441",
)  # fmt: skip
HEADER = ("Erlenzeisig", "Amsel")  # MSH-9 and MSH-10: the queue shows them, by which its sender's own log is searched
MARKS = (*PERSON, *HEADER)


def message(control_id: str, value: str = "72") -> bytes:
    return er7(
        f"MSH|^~\\&|EHR|WILLOW|KETAFHIR|WILLOW|20260309082030-0500||ORU^R01^ORU_R01|Erlenzeisig-{control_id}|P|2.5.1",
        "PID|1||MRN77441^^^WILLOW^MR||Kanarie^Goldhamster^^^^^L||19010203|F|||Wellensittich 5^^Nymphensittich^^12345"
        "||555-0199|||||987-65-4321",
        "NK1|1|Zebrafink^Papagei",
        f"OBR|1||Girlitz-{control_id}^MONITOR|85353-1^Vital signs^LN|||20260309082000-0500",
        f"OBX|1|NM|8867-4^Heart rate^LN|1|{value}|/min^^UCUM|||||F|||20260309082000-0500||Kernbeisser^Stieglitz",
        "NTE|1||Haubenmeise Beo",
    )


class Parrot:
    """A FHIR server that repeats what it was sent, in every way in which a server may fail."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.answer: Callable[[bytes, str], tuple[int, dict[str, str], bytes]] = lambda body, said: (422, {}, b"")

    def handle(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.paths.append(path)
        return self.answer(body, _said(body))


def _said(body: bytes) -> str:
    words = [mark for mark in MARKS if mark.encode() in body]
    return f'{" ".join(words)} cannot be, "{" ".join(words)}", identifier=urn:x|MRN77441, name {" ".join(words)}'


def outcome(text: str) -> bytes:
    issue = {"severity": "error", "code": "processing", "diagnostics": text, "expression": [f"Patient.name ({text})"]}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


def entries(body: bytes, said: str) -> bytes:
    failed = {"response": {"status": f"422 {said}", "outcome": json.loads(outcome(said))}}
    count = len(json.loads(body)["entry"]) if body else 0
    return json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": [failed] * count}).encode()


ANSWERS: dict[str, Callable[[bytes, str], tuple[int, dict[str, str], bytes]]] = {
    **{f"outcome {status}": (lambda body, said, status=status: (status, {}, outcome(said)))  # type: ignore[misc]
       for status in (400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503)},
    "web page": lambda body, said: (500, {"Content-Type": "text/html"}, f"<h1>{said}</h1>".encode()),
    "web page as success": lambda body, said: (200, {"Content-Type": "text/html"}, f"<h1>{said}</h1>".encode()),
    "broken off": lambda body, said: (200, {}, outcome(said)[:-20]),
    "elsewhere": lambda body, said: (302, {"Location": "http://127.0.0.1:1/Kanarie/MRN77441"}, b""),
    "each entry": lambda body, said: (200, {}, entries(body, said)),
    "several match": lambda body, said: (412, {}, outcome(f"Multiple resources match {said}")),
}  # fmt: skip


@contextmanager
def parrot() -> Iterator[tuple[str, Parrot]]:
    class Handler(Answering):
        def _any(self) -> None:
            status, headers, answer = found.handle(self.path, self.body())
            self.answer(status, answer, headers)

        def do_GET(self) -> None:
            self._any()

        def do_POST(self) -> None:
            self._any()

        def do_PUT(self) -> None:
            self._any()

    found = Parrot()
    with serving_http(Handler) as port:
        yield f"http://127.0.0.1:{port}/fhir", found


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that the service logs, in both forms, at its most talkative."""
    hooks = sys.excepthook, threading.excepthook
    root, ours = logging.getLogger(), logging.getLogger("ketafhir")
    levels = root.level, ours.level
    stream = io.StringIO()
    handlers = [logs.begin(LogSettings(form, "debug"), stream) for form in ("text", "json")]
    yield stream
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    sys.excepthook, threading.excepthook = hooks


def marks_in(text: str, marks: tuple[str, ...] = MARKS) -> list[str]:
    return [mark for mark in marks if mark.casefold() in text.casefold()]


def seen(service: Running, client: Served) -> tuple[str, str]:
    """The metrics and the readiness; and the queue as it is shown to whoever may not see patients."""
    store = service.app.store
    rows = store.page(limit=500)
    numbers = [client.client("metrics").get("/metrics").text, client.client().get("/readyz").text]
    shown = [repr(rows), *(row.reason for row in rows), *(repr(store.show(row.message_id)) for row in rows)]
    shown += [client.client("viewer").get(f"/v1/queue/{row.message_id}").text for row in rows]
    return "\n".join(numbers), "\n".join(shown)


@pytest.mark.parametrize("write", ["transaction", "batch", "single"])
@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_server_repeats(tmp_path: Path, log: io.StringIO, name: str, write: str) -> None:
    with parrot() as (url, server):
        server.answer = ANSWERS[name]
        found = settings(tmp_path, url)
        found = _with(found, write, url)
        with running(found) as service:
            here = Served(service)
            try:
                assert here.client("sender").post("/v1/messages", message("1")).status_code == 200
                _until_tried(service, server)
                shown = seen(service, here)
            finally:
                here.close()
    assert server.paths
    assert marks_in("\n".join(server.paths)) == []
    assert marks_in(log.getvalue()) == []
    assert marks_in(shown[0]) == []
    assert marks_in(shown[1], PERSON) == []


def _with(found: Any, write: str, url: str) -> Any:
    from dataclasses import replace

    delivery = DeliverySettings(wait=0.01, longest_wait=0.01, attempts=2, rejections=1)
    return replace(found, fhir=replace(found.fhir, url=url, write=write), delivery=delivery)


def _until_tried(service: Running, server: Parrot) -> None:
    import time

    until = time.monotonic() + 10
    while time.monotonic() < until:
        (row,) = service.app.store.page()
        if row.reason and row.state in ("queued", "parked", "dead"):
            return
        time.sleep(0.02)
    raise AssertionError("nothing was tried")


def test_what_is_refused_damaged_too_long_or_a_fault(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(tmp_path, limits=LimitSettings(max_message_bytes=4096, frame_timeout=0.5))
    with running(found) as service:
        here = Served(service)
        try:
            sender = here.client("sender")
            with service.peer() as peer:
                for body in _damaged():
                    peer.send(body)
                peer.post(b"Kanarie outside of a frame\r" + wrap(message("3")))
                peer.reply()
                peer.post(wrap(message("4"))[:-40])
            for body in _damaged():
                sender.post("/v1/messages", body)
                sender.post("/v1/translate?to=fhir", body)
            _wrong_requests(sender)
            monkeypatch.setattr("ketafhir.service.translating.Session.take", _raise)
            with service.peer() as peer:
                assert peer.send(message("5")).code == "AA"
            monkeypatch.setattr("ketafhir.service.intake.Intake.take_together", _raise)
            assert sender.post("/v1/messages", message("6")).status_code == 500
            with service.peer() as peer, pytest.raises(AssertionError, match="closed the connection"):
                peer.send(message("7"))
            monkeypatch.setattr("ketafhir.store.tables.TableStore.page", _raise)
            assert here.client("viewer").get("/v1/queue").status_code == 500
            monkeypatch.undo()
            shown = seen(service, here)
        finally:
            here.close()
    assert "internal-error" in log.getvalue()
    assert "a fault of ours: ValueError" in log.getvalue()
    assert marks_in(log.getvalue()) == []
    assert marks_in(shown[0]) == []
    assert marks_in(shown[1], PERSON) == []


def _damaged() -> list[bytes]:
    whole = message("2")
    return [
        whole,
        message("2a", value="Kanarie"),
        whole.replace(b"PID|1||MRN77441^^^WILLOW^MR", b"PID|1||"),
        whole.replace(b"20260309082000-0500", b"Kanarie"),
        whole.replace(b"|2.5.1", b"|Kanarie"),
        whole.replace(b"|P|", b"|Kanarie|"),
        whole.replace(b"ORU^R01^ORU_R01", b"Amsel^Drossel"),
        whole.replace(b"Goldhamster", b"\xff\xfeGoldhamster"),
        whole.replace(b"\rOBR", b"\rKanarie Zebrafink 19010203\rOBR"),
        whole + b"NTE|2||" + b"Papagei " * 1000,
        b"Kanarie Zebrafink MRN77441",
    ]


def _wrong_requests(sender: Client) -> None:
    assert sender.post("/v1/translate?to=Kanarie", b"x").status_code == 400
    assert sender.post("/v1/translate?to=fhir&Kanarie=1", b"x").status_code == 400
    assert sender.get("/v1/Kanarie/MRN77441").status_code == 404
    assert sender.get("/v1/queue/Kanarie").status_code == 403
    bundle = b'{"resourceType": "Patient", "name": [{"family": "Kanarie"}], "birthDate": "1901-02-03", "x": 1e'
    assert sender.post("/v1/translate?to=hl7v2", bundle, "application/fhir+json").status_code == 422


def _raise(*_: object, **__: object) -> None:
    raise ValueError(" ".join(MARKS))


def test_an_exception_is_told_by_its_kind_and_place(log: io.StringIO) -> None:
    try:
        _raise()
    except ValueError:
        logging.getLogger("ketafhir.service").exception("it failed")
        logging.getLogger("asyncio").error(
            "Task failed\nfuture: <Task exception=ValueError('%s')>", MARKS, exc_info=True
        )
    thread = threading.Thread(target=_raise)
    thread.start()
    thread.join()
    assert marks_in(log.getvalue()) == []
    lines = [json.loads(line) for line in log.getvalue().splitlines() if line.startswith("{")]
    assert [one["exception"] for one in lines] == ["ValueError"] * 3
    assert [one["event"] for one in lines][1] == "Task failed"
    assert all("test_canary.py" in one["places"][-1] for one in lines)


def test_json_lines_name_the_message_by_its_number(tmp_path: Path, log: io.StringIO) -> None:
    with running(settings(tmp_path)) as service, service.peer() as peer:
        peer.send(message("1"))
        peer.send(message("2", value="Kanarie"))
    lines = [json.loads(line) for line in log.getvalue().splitlines() if line.startswith("{")]
    about = {(one["message_id"], one["level"]) for one in lines if "message_id" in one}
    assert {(1, "debug"), (2, "warning")} <= about
    assert all({"time", "level", "logger", "event"} <= set(one) for one in lines)
