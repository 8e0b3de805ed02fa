"""The service under test: messages for it, the service in a thread, a sender with a bare socket, a FHIR server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from http_peer import Answering, serving_http
from ketafhir.app import App
from ketafhir.config import Config, FhirSettings, LimitSettings, ListenerSettings, PolicySettings, StoreSettings
from ketafhir.mllp.framing import Framer, wrap

T = TypeVar("T")
STORIES = Path(__file__).parents[2] / "examples" / "stories"
NOWHERE = "http://127.0.0.1:1/fhir"
CONFIG = """
[[listener]]
name = "ehr"
port = 0
timezone = "America/Chicago"

[authorities]
default = "WILLOW"
WILLOW = "https://willow.example/mrn"
"""
"""One listener on a free port, as a file of settings."""
AUTHORITIES = {"WILLOW": "https://willow.example/mrn"}


def config(store: Path, fhir: str = NOWHERE, **more: Any) -> Config:
    """One listener on a free port; `more` are fields of the listener, `policy`, `limits`."""
    policy = more.pop("policy", PolicySettings())
    limits = more.pop("limits", LimitSettings())
    listener = ListenerSettings(**{"name": "ehr", "port": 0, "timezone": "America/Chicago", **more})
    return Config(
        (listener,), AUTHORITIES, "WILLOW", FhirSettings(fhir), StoreSettings(store), policy=policy, limits=limits
    )  # fmt: skip


def story(name: str) -> list[bytes]:
    """The messages of a story as they go over the wire."""
    return [
        file.read_bytes().replace(b"\n", b"\r")
        for file in sorted((STORIES / name).glob("*.hl7"))
    ]  # fmt: skip


def damaged() -> bytes:
    return (STORIES / "damaged.hl7").read_bytes().replace(b"\n", b"\r")


def header(control_id: str, kind: str, **cells: str) -> str:
    """MSH; cells as MSH_11="T"."""
    fields = {
        3: "EHR", 4: "WILLOW", 5: "KETAFHIR", 6: "WILLOW", 7: "20260309082030-0500", 9: kind, 10: control_id,
        11: "P", 12: "2.5.1",
    } | {int(name.removeprefix("MSH_")): value for name, value in cells.items()}  # fmt: skip
    return "MSH|^~\\&|" + "|".join(fields.get(number, "") for number in range(3, max(fields) + 1))


def er7(*segments: str) -> bytes:
    return "".join(f"{segment}\r" for segment in segments).encode()


def adt(control_id: str, number: str = "SYN-1", name: str = "Doe^Jo", **cells: str) -> bytes:
    return er7(
        header(control_id, "ADT^A04^ADT_A01", **cells),
        "EVN|A04|20260309082000-0500",
        f"PID|1||{number}^^^WILLOW^MR||{name}^^^^^L||19840211|F",
        f"PV1|1|O|INFUSION^ROOM 1^^WILLOW||||||||||||||||V-{number}^^^WILLOW^VN",
    )


def heart_rate(control_id: str, *numbers: str, value: str = "72", **cells: str) -> bytes:
    """ORU^R01 with one heart rate for each patient."""
    segments = [header(control_id, "ORU^R01^ORU_R01", **cells)]
    for number in numbers or ("SYN-1",):
        segments += [
            f"PID|1||{number}^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F",
            f"OBR|1||{control_id}-{number}^MONITOR|85353-1^Vital signs^LN|||20260309082000-0500",
            f"OBX|1|NM|8867-4^Heart rate^LN|1|{value}|/min^^UCUM|||||F|||20260309082000-0500",
        ]
    return er7(*segments)


def ras(control_id: str, number: str = "SYN-1", order: str = "P-1", **cells: str) -> bytes:
    """RAS^O17 that opens a segment of 54 mL/h under an order."""
    return er7(
        header(control_id, "RAS^O17^RAS_O17", **cells),
        f"PID|1||{number}^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F",
        f"PV1|1|O|INFUSION^ROOM 1^^WILLOW||||||||||||||||V-{number}^^^WILLOW^VN",
        f"ORC|RE|{order}^EHR|F-{order}^PHARM||IP||||20260309082020-0500",
        'RXA|0|1|20260309082000-0500|""|6130^ketamine^RXN|54|mL^^UCUM|||||H1|1|mg/mL^^UCUM|||||||A',
        "RXR|IV^Intravenous^HL70162",
    )


class Reply:
    """An acknowledgment, by its segments and fields."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.segments = [line.split("|") for line in payload.decode("utf-8").split("\r") if line]

    def get(self, name: str, number: int, occurrence: int = 1) -> str:
        """A field, MSH-1 counted as everywhere."""
        found = [segment for segment in self.segments if segment[0] == name][occurrence - 1]
        at = number - 1 if name == "MSH" else number
        return found[at] if at < len(found) else ""

    def count(self, name: str) -> int:
        return sum(segment[0] == name for segment in self.segments)

    @property
    def code(self) -> str:
        return self.get("MSA", 1)

    @property
    def about(self) -> str:
        return self.get("MSA", 2)


class Peer:
    """A sender: one connection, bytes as given."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._framer = Framer()
        self._waiting: list[Reply] = []

    def post(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> Reply:
        while not self._waiting:
            data = self._socket.recv(65536)
            assert data, "the service closed the connection"
            self._waiting += [Reply(found) for found in self._framer.feed(data) if isinstance(found, bytes)]
        return self._waiting.pop(0)

    def send(self, message: bytes) -> Reply:
        """One message, and the first answer to it."""
        self.post(wrap(message))
        return self.reply()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Running:
    """A service that runs in a thread of its own."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self._loop = app, loop

    @property
    def port(self) -> int:
        return self.app.ports[0]

    def call(self, coroutine: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def drain(self, timeout: float = 20) -> None:
        self.call(self.app.drain(timeout), timeout + 5)

    def peer(self) -> Peer:
        return Peer(self.port)


@contextmanager
def running(settings: Config) -> Iterator[Running]:
    """The service on these settings, started and stopped."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = App(settings)
    found = Running(app, loop)
    try:
        found.call(app.start())
        try:
            yield found
        finally:
            found.call(app.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Sink:
    """A FHIR server that takes every transaction and keeps it; `down` answers 503 to all of them.

    `seconds` says how long it takes to answer: what may not pass another is given the time to.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/fhir"
        self.bundles: list[dict[str, Any]] = []
        self.down = False
        self.seconds: Callable[[dict[str, Any]], float] = lambda _: 0
        self._versions: dict[str, int] = {}

    def answer(self, bundle: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "transient"}]}
        time.sleep(self.seconds(bundle))
        self.bundles.append(bundle)
        entries = [{"response": self._written(entry)} for entry in bundle["entry"]]
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _written(self, entry: dict[str, Any]) -> dict[str, str]:
        url = entry["request"]["url"]
        reference = url if "?" not in url and "/" in url else f"{url.partition('?')[0]}/1"
        version = self._versions[reference] = self._versions.get(reference, 0) + 1
        return {"status": "200 OK", "location": f"{reference}/_history/{version}", "etag": f'W/"{version}"'}

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """All that was written of a type, in order."""
        entries = [entry for bundle in self.bundles for entry in bundle["entry"]]
        return [one["resource"] for one in entries if one["resource"]["resourceType"] == kind]


@contextmanager
def fhir_sink() -> Iterator[Sink]:
    class Handler(Answering):
        def do_POST(self) -> None:
            self.answer(*sink.answer(json.loads(self.body())))

    with serving_http(Handler) as port:
        sink = Sink(port)
        yield sink
