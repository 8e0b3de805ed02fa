"""The worker between a real store and a FHIR server in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir_sink import BASE, STALE, FhirSink, bundle, outcome

from ketafhir.errors import Permanent, StoreError, Transient
from ketafhir.store.protocol import Inbound, NewDelivery, Result
from ketafhir.store.rows import DeliveryRow
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync import courier
from ketafhir.sync.client import FhirClient
from ketafhir.sync.courier import MAX_RACES, FhirCourier
from ketafhir.sync.retry import RetryPolicy
from ketafhir.sync.worker import Worker

A, B, C = (f"Observation/0b6f3c7e-1111-5222-8333-44445555666{number}" for number in range(3))
QUICK = RetryPolicy(first=0.01, longest=0.02, parked=0.01)
CANARY = "ZZCANARY"


@pytest.fixture(autouse=True)
def _no_long_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_RACE_WAIT", 0.0001)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def sink() -> FhirSink:
    return FhirSink()


def queue(store: SqliteStore, payload: bytes, partition: str = "p1") -> int:
    raw = f"{CANARY} {store.counts().outcomes['translated']}".encode()
    result = Result("translated", deliveries=[NewDelivery("fhir", (partition,), payload)])
    message = Inbound(raw, hashlib.sha256(raw).digest(), "l", "h", "s", raw.decode(), "t", b"AA", result)
    return store.accept(message).message_id


def delivery(store: SqliteStore, message_id: int) -> DeliveryRow:
    return store.show(message_id).deliveries[0]


@asynccontextmanager
async def working(store: SqliteStore, transport: httpx.AsyncBaseTransport, **more: Any) -> AsyncIterator[Worker]:
    client = FhirClient(BASE, transport=transport)
    carrier = FhirCourier(store, client, "fhir", on_conflict=more.pop("on_conflict", "replace"))
    settings: dict[str, Any] = {"policy": QUICK, "poll_seconds": 0.02, "chance": lambda: 0.5} | more
    worker = Worker(store, carrier, "fhir", **settings)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task
        await client.aclose()


def drain(store: SqliteStore, sink: FhirSink, **more: Any) -> None:
    async def scenario() -> None:
        async with working(store, sink.transport, **more) as worker:
            await worker.drain(10)

    asyncio.run(scenario())


# --- the good way


def test_every_delivery_reaches_the_server_and_its_version_is_kept(store: SqliteStore, sink: FhirSink) -> None:
    first = queue(store, bundle(A, B))
    second = queue(store, bundle(C), "p2")
    drain(store, sink)
    assert set(sink.resources) == {A, B, C}
    assert [delivery(store, one).state for one in (first, second)] == ["done", "done"]
    assert store.versions_of("fhir", [A, B, C]) == {A: 'W/"1"', B: 'W/"1"', C: 'W/"1"'}
    (attempt,) = delivery(store, first).history
    assert (attempt.kind, attempt.status) == ("done", "200")


def test_a_patients_deliveries_go_in_order_with_the_version_of_the_last(store: SqliteStore, sink: FhirSink) -> None:
    for number in range(5):
        queue(store, bundle(A, text=str(number)))
    drain(store, sink)
    sent = [json.loads(request.content)["entry"][0] for request in sink.requests]
    assert [entry["resource"]["note"] for entry in sent] == list("01234")
    assert [entry["request"].get("ifMatch") for entry in sent] == [None, *(f'W/"{n}"' for n in range(1, 5))]


def test_the_same_content_again_changes_no_version(store: SqliteStore, sink: FhirSink) -> None:
    for _ in range(3):
        queue(store, bundle(A))
        drain(store, sink)
    assert sink.resources[A][0] == 1


def test_patients_go_in_parallel_and_one_patient_never(store: SqliteStore) -> None:
    under_way: list[str] = []
    most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal most
        url = json.loads(request.content)["entry"][0]["request"]["url"]
        assert url not in under_way
        under_way.append(url)
        most = max(most, len(under_way))
        await asyncio.sleep(0.01)
        under_way.remove(url)
        entry = {"response": {"status": "200", "etag": "1"}}
        return httpx.Response(200, json={"resourceType": "Bundle", "entry": [entry]})

    for number in range(12):
        queue(store, bundle((A, B, C)[number % 3]), f"p{number % 3}")

    async def scenario() -> None:
        async with working(store, httpx.MockTransport(answer), parallel=2) as worker:
            await worker.drain(10)

    asyncio.run(scenario())
    assert most == 2


def test_waking_is_quicker_than_polling(store: SqliteStore, sink: FhirSink) -> None:
    async def scenario() -> None:
        async with working(store, sink.transport, poll_seconds=60.0) as worker:
            await asyncio.sleep(0.05)
            queue(store, bundle(A))
            worker.wake()
            await worker.drain(5)

    asyncio.run(scenario())
    assert A in sink.resources


# --- races


def test_a_stale_version_is_read_again_and_sent_again(
    store: SqliteStore, sink: FhirSink, caplog: pytest.LogCaptureFixture
) -> None:
    queue(store, bundle(A, B, text="1"))
    drain(store, sink)
    sink.write(A, {"resourceType": "Observation", "note": "by another"})
    message_id = queue(store, bundle(A, B, text="2"))
    drain(store, sink)
    assert sink.resources[A] == (3, {"resourceType": "Observation", "id": A.split("/")[1], "note": "2"})
    assert store.versions_of("fhir", [A, B]) == {A: 'W/"3"', B: 'W/"2"'}
    (attempt,) = delivery(store, message_id).history
    assert attempt.detail == f"""done in place of what somebody else had written: {A} (W/"2" for W/"1")"""
    assert attempt.detail in caplog.text
    assert store.page(state="done")[-1].reason == attempt.detail


def test_what_somebody_else_has_changed_is_replaced_only_when_an_operator_says_so(
    store: SqliteStore, sink: FhirSink
) -> None:
    queue(store, bundle(A, text="1"))
    drain(store, sink)
    sink.write(A, {"resourceType": "Observation", "note": "by another"})
    message_id = queue(store, bundle(A, text="2"))

    async def scenario() -> None:
        async with working(store, sink.transport, on_conflict="park") as worker:
            with pytest.raises(Permanent, match="changed by somebody else, and replaced when it is retried"):
                await worker.drain(10)
            assert sink.resources[A][1]["note"] == "by another"
            store.retry(message_id)
            worker.wake()
            await worker.drain(10)

    asyncio.run(scenario())
    assert sink.resources[A] == (3, {"resourceType": "Observation", "id": A.split("/")[1], "note": "2"})


def test_our_own_write_whose_answer_was_lost_is_nobody_elses(store: SqliteStore, sink: FhirSink) -> None:
    queue(store, bundle(A, text="1"))
    drain(store, sink)

    def done_and_silent(request: httpx.Request) -> httpx.Response:
        sink._transaction(json.loads(request.content))
        raise httpx.ReadTimeout("late")

    sink.faults.append(done_and_silent)
    message_id = queue(store, bundle(A, text="2"))
    drain(store, sink)
    assert [(one.kind, one.detail) for one in delivery(store, message_id).history][1:] == [("done", "")]
    assert sink.resources[A][0] == 2


def test_what_is_gone_from_the_server_is_told(store: SqliteStore, sink: FhirSink) -> None:
    queue(store, bundle(A, text="1"))
    drain(store, sink)
    del sink.resources[A]
    message_id = queue(store, bundle(A, text="2"))
    drain(store, sink)
    assert delivery(store, message_id).history[0].detail.endswith(f"written: {A} (gone)")


def test_a_server_that_forgot_everything_is_written_anew(store: SqliteStore, sink: FhirSink) -> None:
    queue(store, bundle(A, text="1"))
    drain(store, sink)
    sink.resources.clear()
    queue(store, bundle(A, text="2"))
    drain(store, sink)
    assert sink.resources[A][0] == 1


def test_a_race_lost_too_often_waits_as_a_row(store: SqliteStore, sink: FhirSink) -> None:
    message_id = queue(store, bundle(A))
    sink.faults.extend([outcome(409, STALE)] * (MAX_RACES + 1))
    drain(store, sink)
    kinds = [attempt.kind for attempt in delivery(store, message_id).history]
    assert kinds == ["conflict", "done"]
    assert len(sink.requests) == MAX_RACES + 2


def test_a_read_that_fails_between_two_races_waits_as_a_row(store: SqliteStore) -> None:
    store.learn_versions("fhir", {A: 'W/"7"'})
    message_id = queue(store, bundle(A))
    sink = FhirSink()
    down = [True]

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and down:
            down.clear()
            raise httpx.ConnectError("refused")
        return await sink.transport.handle_async_request(request)

    async def scenario() -> None:
        async with working(store, httpx.MockTransport(answer)) as worker:
            await worker.drain(10)

    asyncio.run(scenario())
    assert [attempt.kind for attempt in delivery(store, message_id).history] == ["transient", "done"]


# --- faults


@pytest.mark.parametrize(
    ("fault", "kind", "attempts"),
    [
        (httpx.ConnectError("refused"), "unsent", 1),
        (httpx.ReadTimeout("slow"), "ambiguous", 2),
        (httpx.Response(200, content=b'{"resourceType', headers={"Content-Type": "a/json"}), "ambiguous", 2),
        (httpx.Response(200, html="<html>"), "misconfigured", 1),
        (httpx.Response(401), "unauthorized", 1),
        (httpx.Response(429, headers={"Retry-After": "0"}), "throttled", 1),
        (httpx.Response(503), "unavailable", 1),
        (outcome(500, "oops"), "transient", 2),
    ],
)
def test_what_passes_is_tried_again(
    store: SqliteStore, sink: FhirSink, fault: httpx.Response | Exception, kind: str, attempts: int
) -> None:
    message_id = queue(store, bundle(A))
    sink.faults.append(fault)
    drain(store, sink)
    row = delivery(store, message_id)
    assert [attempt.kind for attempt in row.history] == [kind, "done"]
    assert row.attempts == attempts


def test_done_but_not_told_is_repeated_without_harm(store: SqliteStore, sink: FhirSink) -> None:
    """The answer is lost after the server has written: the repeat finds its own work."""

    def written_and_lost(request: httpx.Request) -> httpx.Response:
        sink._transaction(json.loads(request.content))
        raise httpx.ReadError("reset")

    queue(store, bundle(A, text="1"))
    drain(store, sink)
    queue(store, bundle(A, text="2"))
    sink.faults.append(written_and_lost)
    drain(store, sink)
    assert sink.resources[A] == (2, {"resourceType": "Observation", "id": A.split("/")[1], "note": "2"})


def test_a_destination_that_is_down_is_not_tried_for_every_patient(store: SqliteStore, sink: FhirSink) -> None:
    for number in range(20):
        queue(store, bundle(A), f"p{number}")

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    sink.faults.extend([refuse] * 1000)

    async def scenario() -> None:
        slow = RetryPolicy(first=30.0)
        async with working(store, sink.transport, policy=slow, parallel=2):
            await asyncio.sleep(0.2)

    asyncio.run(scenario())
    assert len(sink.requests) <= 2
    assert store.counts().deliveries["queued"] == 20


def test_what_is_turned_down_parks_its_patient_and_no_other(store: SqliteStore, sink: FhirSink) -> None:
    bad = queue(store, bundle(A))
    behind = queue(store, bundle(B))
    other = queue(store, bundle(C), "p2")
    sink.faults.append(outcome(422, f"HAPI-1094: not found '{CANARY}'"))

    async def scenario() -> None:
        slow = RetryPolicy(parked=900.0)
        async with working(store, sink.transport, policy=slow, parallel=1) as worker:
            with pytest.raises(Permanent, match=r"1 parked: message 1: 422: processing HAPI-1094: not found \*\*\*"):
                await worker.drain(10)
            while delivery(store, other).state != "done":
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert [delivery(store, one).state for one in (bad, behind, other)] == ["parked", "queued", "done"]
    assert store.page(state="queued")[0].behind == bad
    store.retry(bad)
    drain(store, sink)
    assert [delivery(store, one).state for one in (bad, behind)] == ["done", "done"]


def test_which_entry_was_turned_down_is_told_without_what_is_of_a_patient(store: SqliteStore, sink: FhirSink) -> None:
    bad = queue(store, bundle(A, B))
    other = queue(store, bundle(C), "p2")
    issues = [
        {"severity": "warning", "code": "informational", "diagnostics": "harmless"},
        {
            "severity": "error", "code": "invalid", "details": {"text": f"no such value '{CANARY}'"},
            "expression": ["Bundle.entry[1].resource.valueQuantity"],
        },
    ]  # fmt: skip
    sink.faults.append(httpx.Response(400, json={"resourceType": "OperationOutcome", "issue": issues}))

    async def scenario() -> None:
        async with working(store, sink.transport, policy=RetryPolicy(parked=900.0), parallel=1):
            while delivery(store, other).state != "done":
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    row = delivery(store, bad)
    told = "400: invalid no such value *** Bundle.entry[1].resource.valueQuantity"
    assert (row.state, row.reason) == ("parked", told)
    assert [(one.status, one.detail) for one in row.history] == [("400", told)]
    assert [one.reason for one in store.page(state="parked")] == [told]


def test_what_is_turned_down_again_and_again_is_dead_and_frees_its_patient(store: SqliteStore, sink: FhirSink) -> None:
    bad = queue(store, bundle(A))
    behind = queue(store, bundle(B))
    sink.faults.extend([outcome(422, "no")] * 3)

    async def scenario() -> None:
        async with working(store, sink.transport) as worker:
            while delivery(store, behind).state != "done":
                await asyncio.sleep(0.01)
            with pytest.raises(Permanent, match="1 dead"):
                await worker.drain(1)

    asyncio.run(scenario())
    assert delivery(store, bad).state == "dead"
    assert delivery(store, bad).rejections == 3


def test_two_patients_of_one_identity_wait_for_a_person(store: SqliteStore, sink: FhirSink) -> None:
    message_id = queue(store, bundle(A))
    sink.faults.append(outcome(412, "Multiple resources match this search"))
    with pytest.raises(Permanent):
        drain(store, sink)
    row = delivery(store, message_id)
    assert (row.state, row.not_before) == ("parked", None)


def test_what_is_no_bundle_is_never_sent(store: SqliteStore, sink: FhirSink) -> None:
    message_id = queue(store, CANARY.encode())
    with pytest.raises(Permanent, match="never sent: json-syntax"):
        drain(store, sink)
    assert sink.requests == []
    assert delivery(store, message_id).state == "dead"


def test_a_fault_of_ours_parks_the_patient_and_the_rest_goes_on(
    store: SqliteStore, sink: FhirSink, caplog: pytest.LogCaptureFixture
) -> None:
    bad = queue(store, bundle(A))
    other = queue(store, bundle(C), "p2")
    sink.faults.append(ZeroDivisionError(CANARY))

    async def scenario() -> None:
        async with working(store, sink.transport, parallel=1):
            while delivery(store, other).state != "done":
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert (delivery(store, bad).state, delivery(store, bad).reason) == (
        "parked",
        "a fault of ours: ZeroDivisionError",
    )
    assert CANARY not in caplog.text


# --- starting and stopping


def test_drain_gives_up_with_a_reason(store: SqliteStore, sink: FhirSink) -> None:
    queue(store, bundle(A))
    sink.faults.extend([httpx.Response(503)] * 1000)

    async def scenario() -> None:
        async with working(store, sink.transport, policy=RetryPolicy(first=30)) as worker:
            with pytest.raises(Transient, match=r"not drained within 0.3 s: message 1: 503"):
                await worker.drain(0.3)

    asyncio.run(scenario())


def test_stopping_lets_what_is_under_way_end(store: SqliteStore) -> None:
    sink = FhirSink()
    begun = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.sleep(0.05)
        return await sink.transport.handle_async_request(request)

    message_id = queue(store, bundle(A))

    async def scenario() -> None:
        async with working(store, httpx.MockTransport(slow)):
            await begun.wait()

    asyncio.run(scenario())
    assert delivery(store, message_id).state == "done"


def test_what_was_cut_off_is_taken_up_by_the_next_of_that_name(store: SqliteStore, sink: FhirSink) -> None:
    begun = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError

    message_id = queue(store, bundle(A))

    async def killed() -> None:
        client = FhirClient(BASE, transport=httpx.MockTransport(never))
        worker = Worker(store, FhirCourier(store, client, "fhir"), "fhir", name="w")
        task = asyncio.create_task(worker.run())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()

    asyncio.run(killed())
    assert delivery(store, message_id).state == "inflight"
    drain(store, sink, name="w")
    assert [attempt.kind for attempt in delivery(store, message_id).history] == ["ambiguous", "done"]


def test_stopped_in_mid_claim_gives_back(store: SqliteStore, sink: FhirSink, monkeypatch: pytest.MonkeyPatch) -> None:
    message_id = queue(store, bundle(A))
    stop: list[Any] = []
    claim = store.claim

    def claim_and_stop(*args: Any) -> Any:
        found = claim(*args)
        stop[0]()
        return found

    monkeypatch.setattr(store, "claim", claim_and_stop)

    async def scenario() -> None:
        client = FhirClient(BASE, transport=sink.transport)
        worker = Worker(store, FhirCourier(store, client, "fhir"), "fhir", poll_seconds=0.02)
        stop.append(lambda: setattr(worker, "_stopping", True))
        await worker.run()
        await client.aclose()

    asyncio.run(scenario())
    assert sink.requests == []
    assert delivery(store, message_id).state == "queued"


@pytest.mark.parametrize("method", ["reclaim", "claim", "mark_inflight", "settle_and_claim"])
def test_a_store_that_fails_for_a_while_is_waited_out(
    store: SqliteStore,
    sink: FhirSink,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    message_id = queue(store, bundle(A))
    good = getattr(store, method)
    failures = [1, 2]

    def failing(*args: Any) -> Any:
        if failures:
            failures.pop()
            raise StoreError("the disk is full")
        return good(*args)

    monkeypatch.setattr(store, method, failing)
    drain(store, sink, lease_seconds=0.05)
    assert delivery(store, message_id).state == "done"
    assert "the disk is full" in caplog.text


def test_a_claim_whose_answer_was_lost_does_not_wait_for_its_lease(
    store: SqliteStore, sink: FhirSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database writes a claim and dies before it says so, while another delivery is under way."""
    first, second = queue(store, bundle(A), "p1"), queue(store, bundle(B), "p2")
    claim, calls = store.claim, []

    def dying(*args: Any) -> Any:
        found = claim(*args)
        calls.append(found)
        if len(calls) == 2:
            raise StoreError("the server closed the connection")
        return found

    monkeypatch.setattr(store, "claim", dying)
    drain(store, sink)
    assert [one.id for one in calls[:2]] == [first, second]
    assert [delivery(store, one).state for one in (first, second)] == ["done", "done"]
    assert [len(delivery(store, one).history) for one in (first, second)] == [1, 1]


def test_the_next_claim_whose_answer_was_lost_with_the_end_of_the_last(
    store: SqliteStore, sink: FhirSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were committed: the end is not written twice, and the next one does not wait for its lease."""
    first, second = queue(store, bundle(A)), queue(store, bundle(A))
    good = store.settle_and_claim
    failures = [1]

    def commit_and_fail(*args: Any) -> Any:
        answer = good(*args)
        if failures:
            failures.pop()
            raise StoreError("the connection is lost")
        return answer

    monkeypatch.setattr(store, "settle_and_claim", commit_and_fail)
    drain(store, sink, lease_seconds=600)
    assert [len(delivery(store, one).history) for one in (first, second)] == [1, 1]
    assert len(sink.requests) == 2


def test_a_claim_that_is_still_to_be_answered_is_not_taken_for_a_lost_one(
    store: SqliteStore, sink: FhirSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next claim of one patient is written and not yet told when the store fails for another: it was freed and taken twice."""
    first, second, third = (queue(store, bundle(one), one) for one in (A, B, C))
    good, free = store.settle_and_claim, store.reclaim
    freed, claimed = threading.Event(), threading.Event()

    def settle_and_claim(held: Any, *more: Any) -> Any:
        if held.message_id == first:
            found = good(held, *more)
            claimed.set()
            freed.wait(0.3)
            return found
        if held.message_id == second and not freed.is_set():
            claimed.wait(5)
            raise StoreError("the connection is lost")
        return good(held, *more)

    def reclaim(*args: Any) -> int:
        found = free(*args)
        if claimed.is_set():
            freed.set()
        return found

    monkeypatch.setattr(store, "settle_and_claim", settle_and_claim)
    monkeypatch.setattr(store, "reclaim", reclaim)
    drain(store, sink, parallel=2, lease_seconds=600)
    assert freed.is_set()
    assert [delivery(store, one).state for one in (first, second, third)] == ["done"] * 3
    assert len(sink.requests) == 3
    assert "went to another worker" not in caplog.text


def test_who_stops_claims_no_more_with_the_end_of_the_last(store: SqliteStore, sink: FhirSink) -> None:
    first, second = queue(store, bundle(A)), queue(store, bundle(A))

    async def scenario() -> None:
        stopping: list[Callable[[], None]] = []

        async def stop(request: httpx.Request) -> httpx.Response:
            stopping[0]()
            return await sink.transport.handle_async_request(request)

        async with working(store, httpx.MockTransport(stop)) as worker:
            stopping.append(worker.stop)
            while delivery(store, first).state != "done":
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert delivery(store, second).state == "queued"
    assert len(sink.requests) == 1


def test_who_lost_its_lease_writes_nothing(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    """A request outlives its lease, and an operator's second service has taken the delivery up."""
    sink = FhirSink()
    message_id = queue(store, bundle(A))

    async def slow(request: httpx.Request) -> httpx.Response:
        store.reclaim("slow")
        taken = store.claim("other", 60, "fhir")
        assert taken is not None
        return await sink.transport.handle_async_request(request)

    async def scenario() -> None:
        async with working(store, httpx.MockTransport(slow), name="slow"):
            while "went to another worker" not in caplog.text:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert delivery(store, message_id).state == "claimed"


def test_what_a_server_says_between_two_races_is_scrubbed_too(store: SqliteStore) -> None:
    """It repeats a name without quotes, while its version is read again."""
    store.learn_versions("fhir", {A: 'W/"1"'})
    payload = json.loads(bundle(A))
    payload["entry"][0]["resource"]["name"] = [{"family": "Goldhamster"}]
    message_id = queue(store, json.dumps(payload).encode())

    async def answer(request: httpx.Request) -> httpx.Response:
        return outcome(409, STALE) if request.method == "POST" else outcome(500, "no room for Goldhamster")

    async def scenario() -> None:
        async with working(store, httpx.MockTransport(answer)):
            while not delivery(store, message_id).reason:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert "no room for" in delivery(store, message_id).reason
    assert "Goldhamster" not in delivery(store, message_id).reason


def test_nothing_of_a_patient_is_logged(store: SqliteStore, sink: FhirSink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "ketafhir")
    queue(store, bundle(A, text=CANARY), f"{CANARY}|1")
    queue(store, bundle(B, text=CANARY), f"{CANARY}|2")
    faults = [outcome(400, f'no "{CANARY}" at Patient?identifier=x|{CANARY}'), httpx.ReadTimeout(CANARY)]
    sink.faults.extend(faults * 5)
    with pytest.raises(Permanent) as caught:
        drain(store, sink)
    assert CANARY not in str(caught.value)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ketafhir")]
    assert ours
    assert not [line for line in ours if CANARY in line]


def test_a_store_that_is_away_is_told_when_it_goes_and_when_it_is_back(
    store: SqliteStore, sink: FhirSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """From the start, and later: not at each try between."""
    message_id = queue(store, bundle(A))
    for method in ("occupy", "claim"):
        good, tries = getattr(store, method), iter(range(100))

        def away(*args: Any, good: Callable[..., Any] = good, tries: Iterator[int] = tries) -> Any:
            if next(tries, 100) < 20:
                raise StoreError("the database is away")
            return good(*args)

        monkeypatch.setattr(store, method, away)
    drain(store, sink, poll_seconds=0.001)
    assert delivery(store, message_id).state == "done"
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [
        "nothing is delivered to fhir, the store does not answer: the database is away",
        "the store is back after 0 s: deliveries to fhir go on",
        "nothing can be claimed for fhir: the database is away",
        "the store is back after 0 s: deliveries to fhir go on",
    ]
