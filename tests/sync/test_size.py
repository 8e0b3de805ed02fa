"""A merge of a long record is hundreds of entries: no server is asked for more at once than it does in time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_worker import delivery, queue

from http_peer import Answering, serving_http
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.client import FhirClient, Timeouts
from ketafhir.sync.courier import FhirCourier
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.size import Size
from ketafhir.sync.worker import Worker

SILENT = Outcome(Disposition.AMBIGUOUS, "no answer in time")


def merged(observations: int) -> bytes:
    """As the merge of a long record: a Patient by identifier, and all that was told of it."""
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "SYN-1"}]}
    entries = [
        {
            "fullUrl": "urn:uuid:p",
            "resource": patient,
            "request": {"method": "PUT", "url": "Patient?identifier=urn%3Amrn%7CSYN-1"},
        }
    ]
    for number in range(observations):
        resource = {"resourceType": "Observation", "id": f"o{number}", "subject": {"reference": "urn:uuid:p"}}
        request = {"method": "PUT", "url": f"Observation/o{number}"}
        entries.append({"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": request})
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


class Slow:
    """A FHIR server that answers to a transaction of more than `most` entries only when nobody waits any more, and does it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []
        self.written: dict[str, dict[str, Any]] = {}
        self.over = threading.Event()

    def answer(self, bundle: dict[str, Any]) -> dict[str, Any]:
        self.sizes.append(len(bundle["entry"]))
        if len(bundle["entry"]) > self.most:
            self.over.wait(30)
        answers = [{"response": self._write(entry)} for entry in bundle["entry"]]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def _write(self, entry: dict[str, Any]) -> dict[str, str]:
        url = entry["request"]["url"]
        place = "Patient/1" if "?" in url else url
        self.written[place] = entry["resource"]
        return {"status": "200 OK", "location": f"{place}/_history/1", "etag": 'W/"1"'}


@contextmanager
def serving(slow: Slow) -> Iterator[str]:
    class Handler(Answering):
        def do_POST(self) -> None:
            self.answer(200, slow.answer(json.loads(self.body())))

    with serving_http(Handler) as port:
        yield f"http://127.0.0.1:{port}/fhir"
        slow.over.set()


@pytest.mark.parametrize(("most", "attempts"), [(200, 1), (120, 2), (50, 3)])
def test_what_a_server_does_not_do_in_time_is_written_in_parts(tmp_path: Path, most: int, attempts: int) -> None:
    store, slow = SqliteStore(tmp_path / "store.db"), Slow(most)
    message = queue(store, merged(599))

    async def scenario(url: str) -> None:
        client = FhirClient(url, timeouts=Timeouts(total=1.0))
        policy = RetryPolicy(first=0.01, longest=0.02)
        worker = Worker(store, FhirCourier(store, client, "fhir"), "fhir", policy=policy, poll_seconds=0.02)
        task = asyncio.create_task(worker.run())
        await worker.drain(30)
        worker.stop()
        await task
        await client.aclose()

    with serving(slow) as url:
        asyncio.run(scenario(url))
    assert delivery(store, message).state == "done"
    assert len(delivery(store, message).history) == attempts
    assert max(slow.sizes) <= 200
    assert slow.sizes[-1] <= most
    assert len(slow.written) == 600
    assert {one["subject"]["reference"] for key, one in slow.written.items() if key != "Patient/1"} == {"Patient/1"}
    store.close()


def test_half_of_what_had_no_answer_for_an_hour_and_not_below_fifty() -> None:
    now = [0.0]
    size = Size(200, lambda: now[0])
    size.tell(180, SILENT)
    assert size.most == 90
    size.tell(90, Outcome(Disposition.UNAVAILABLE, "504", 504))
    assert size.most == 50
    size.tell(50, SILENT)
    assert size.most == 50
    now[0] = 3601.0
    assert size.most == 200


@pytest.mark.parametrize(
    "outcome",
    [Outcome(Disposition.DONE), Outcome(Disposition.UNSENT), Outcome(Disposition.AMBIGUOUS, "cut off", 200)],
)
def test_no_other_end_makes_it_less(outcome: Outcome) -> None:
    size = Size(200, lambda: 0.0)
    size.tell(180, outcome)
    assert size.most == 200
