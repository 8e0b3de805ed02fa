"""HTTP: messages in, translations, the queue, health, and what is turned away."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import trustme

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")

from rest_peers import HL7V2, LINES, TOKENS, Client, Served, described, served
from service_peers import Sink, adt, damaged, er7, fhir_sink, header, heart_rate, ras, story

from ketafhir import __version__
from ketafhir.fhir.check import shape
from ketafhir.service.rest import server
from ketafhir.service.rest.access import ROLES
from ketafhir.service.rest.application import OPERATIONS, application
from ketafhir.service.rest.operations import FHIR_JSON
from ketafhir.store.protocol import StoreError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as found:
        yield found


@pytest.fixture
def sink() -> Iterator[Sink]:
    with fhir_sink() as found:
        yield found


# --- messages


def test_a_message_is_stored_acknowledged_and_delivered(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        answer = here.client("sender").post("/v1/messages", adt("M1"))
        here.service.drain()
        told = answer.json()
        assert (answer.status_code, told["outcome"], told["duplicate"]) == (200, "translated", False)
        assert "MSA|AA|M1" in told["ack"]
        assert here.service.app.store.show(told["message"]).peer == "http sender-1"
        assert len(sink.resources("Patient")) == 1


def test_the_same_message_again_changes_nothing_over_http_and_mllp_alike(here: Served) -> None:
    client = here.client("sender")
    first = client.post("/v1/messages", adt("M1")).json()
    again = client.post("/v1/messages", adt("M1")).json()
    with here.service.peer() as peer:
        over_mllp = peer.send(adt("M1")).payload.decode()
    assert (again["message"], again["ack"], again["duplicate"]) == (first["message"], first["ack"], True)
    assert over_mllp == first["ack"]
    assert here.service.app.store.counts().outcomes["translated"] == 1


def test_another_body_under_one_msh_10_is_processed_and_warned_of(here: Served) -> None:
    client = here.client("sender")
    client.post("/v1/messages", adt("M1"))
    other = client.post("/v1/messages", adt("M1", name="Doe^Jane")).json()
    assert other["message"] == 2
    assert [one["details"]["coding"][0]["code"] for one in other["issues"]["issue"]] == ["control-id-reused"]


def test_the_acknowledgment_alone_where_it_is_asked_for(here: Served) -> None:
    answer = here.client("sender").post("/v1/messages", adt("M1"), headers={"Accept": HL7V2})
    assert answer.headers["content-type"].startswith(HL7V2)
    assert answer.headers["ketafhir-message"] == "1"
    assert b"MSA|AA|M1" in answer.content


@pytest.mark.parametrize(
    ("accept", "alone"),
    [
        (f"{HL7V2}, application/json;q=0.5", True),
        (f"{HL7V2.upper()} ; q=0.9, */*;q=0.1", True),
        (f"application/json, {HL7V2};q=0.1", False),
        (f"{HL7V2};q=0, */*", False),
        ("*/*", False),
        ("text/html", False),
    ],
)
def test_the_form_of_the_answer_goes_by_what_is_preferred(here: Served, accept: str, alone: bool) -> None:
    answer = here.client("sender").post("/v1/messages", adt("M1"), headers={"Accept": accept})
    assert (answer.status_code, answer.content.startswith(b"MSH")) == (200, alone)


def test_a_refused_message_is_kept_and_told(here: Served) -> None:
    answer = here.client("sender").post("/v1/messages", damaged())
    told = answer.json()
    assert (answer.status_code, told["outcome"]) == (422, "refused")
    assert "MSA|AE" in told["ack"]
    assert told["issues"]["issue"][0]["severity"] == "error"


def test_enhanced_mode_gives_both_answers(here: Served) -> None:
    told = here.client("sender").post("/v1/messages", adt("M1", MSH_15="AL", MSH_16="AL")).json()
    assert "MSA|CA|M1" in told["ack"]
    assert "MSA|AA|M1" in told["answer"]


def test_its_sender_counts_as_told(here: Served) -> None:
    here.client("sender").post("/v1/messages", adt("M1"))
    until = time.monotonic() + 10
    while here.service.app.store.show(1).ack_state != "delivered" and time.monotonic() < until:
        time.sleep(0.05)
    assert here.service.app.store.show(1).ack_state == "delivered"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-hl7"),
        (b"hello", "not-hl7"),
        (b"FHS|^~\\&\rBHS|^~\\&\r" + adt("M1"), "several-messages"),
        (er7(header("A1", "ACK"), "MSA|AA|M1"), "not-taken"),
    ],
)
def test_what_is_no_message(here: Served, body: bytes, code: str) -> None:
    answer = here.client("sender").post("/v1/messages", body)
    assert (answer.status_code, _code(answer)) == (422, code)
    assert here.service.app.store.counts().outcomes["refused"] == 0


def test_what_cannot_be_stored_is_to_be_sent_again(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(here.service.app.store, "accept", full)
        answer = here.client("sender").post("/v1/messages", adt("M1"))
        in_hl7 = here.client("sender").post("/v1/messages", adt("M1"), headers={"Accept": HL7V2})
        ready = here.client().get("/readyz")
    assert (answer.status_code, _code(answer), answer.headers["retry-after"]) == (503, "not-stored", "5")
    assert (in_hl7.status_code, b"MSA|AR|M1" in in_hl7.content) == (503, True)
    assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "the last message could not be stored")
    assert here.client("sender").post("/v1/messages", adt("M1")).status_code == 200
    assert here.client().get("/readyz").status_code == 200


# --- translations


def test_a_translation_is_that_of_the_command(here: Served) -> None:
    client = here.client("sender")
    feed = b"".join(story("b"))
    answer = client.post("/v1/translate?to=fhir", feed)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert len(answer.content.splitlines()) == len(story("b"))
    bundle = client.post("/v1/translate?to=fhir", adt("M1"))
    assert bundle.headers["content-type"] == FHIR_JSON
    assert bundle.json()["type"] == "transaction"
    back = client.post("/v1/translate?to=hl7v2&version=2.4", bundle.content, FHIR_JSON)
    assert b"|2.4" in back.content.split(b"\r")[0]
    assert b"SYN-1" in back.content
    assert here.service.app.store.counts().outcomes["translated"] == 0


def test_a_refusal_is_an_operation_outcome(here: Served) -> None:
    answer = here.client("sender").post("/v1/translate?to=fhir", adt("M1") + damaged())
    assert (answer.status_code, answer.headers["content-type"]) == (422, FHIR_JSON)
    assert answer.json()["issue"][0]["expression"][0].startswith("message 2")


def test_report_and_rejects_stand_beside_the_result(here: Served) -> None:
    told = here.client("sender").post("/v1/translate?to=fhir&report=true&rejects=true", adt("M1") + damaged()).json()
    assert set(told) == {"result", "outcome", "report", "rejects"}
    assert told["outcome"]["resourceType"] == "OperationOutcome"
    assert told["rejects"].startswith("FHS|")
    assert '"transaction"' in told["result"]


def test_strict_timezone_and_message(here: Served) -> None:
    client = here.client("sender")
    local = ras("M1").replace(b"-0500", b"")
    chicago = client.post("/v1/translate?to=fhir", local).content
    berlin = client.post("/v1/translate?to=fhir&timezone=Europe/Berlin", local).content
    assert b"08:20:00-05:00" in chicago
    assert b"08:20:00+01:00" in berlin
    assert client.post("/v1/translate?to=fhir&strict=true", ras("M1").replace(b"RXR|", b"RXR||")).status_code == 422
    only = client.post(
        "/v1/translate?to=hl7v2&message=ADT^A08", client.post("/v1/translate?to=fhir", ras("M1")).content
    )
    assert only.status_code == 422 or b"ADT^A08" in only.content


@pytest.mark.parametrize(
    "query",
    ["", "to=xml", "to=fhir&to=fhir", "to=fhir&site=/etc", "to=fhir&version=2.4", "to=fhir&strict=maybe",
     "to=fhir&listener=other", "to=fhir&timezone=../../etc/passwd"],
)  # fmt: skip
def test_parameters_that_make_no_sense(here: Served, query: str) -> None:
    answer = here.client("sender").post(f"/v1/translate?{query}", adt("M1"))
    assert answer.status_code == 400
    assert b"passwd" not in answer.content


def test_json_too_deep_is_refused(here: Served) -> None:
    answer = here.client("sender").post("/v1/translate?to=hl7v2", b'{"a":' * 5000 + b"1" + b"}" * 5000, FHIR_JSON)
    assert (answer.status_code, _code(answer)) == (422, "json-depth")


# --- what is turned away


@pytest.mark.parametrize("kind", ["application/xml", "text/xml", "application/fhir+xml", "multipart/form-data"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/translate?to=fhir"])
def test_xml_and_forms_are_not_read(here: Served, kind: str, path: str) -> None:
    answer = here.client("sender").post(path, b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", kind)
    assert (answer.status_code, _code(answer)) == (415, "media-type")
    assert (b"XML is not read" in answer.content) is kind.endswith("xml")


def test_xml_that_is_told_to_be_something_else_is_named(here: Served) -> None:
    answer = here.client("sender").post("/v1/translate?to=hl7v2", b"\n<Patient>Zebrafink</Patient>", FHIR_JSON)
    assert (answer.status_code, _code(answer)) == (422, "input-unknown")
    assert b"the input is XML, which is not read" in answer.content
    assert b"Zebrafink" not in answer.content


@pytest.mark.parametrize(
    "query",
    ["?after=" + "9" * 30 + ".1", "?after=1.%C2%B2", "?limit=" + "0" * 30, "/" + "9" * 30, "/00000000000000000015"],
)
def test_a_number_that_no_message_has(here: Served, query: str) -> None:
    """They were faults of ours, and a long number was cut to that of another message."""
    here.client("sender").post("/v1/messages", adt("M1"))
    assert here.client("viewer").get(f"/v1/queue{query}").status_code == 400


def test_a_body_is_read_up_to_the_cap_and_no_further(tmp_path: Path) -> None:
    from ketafhir.config import LimitSettings

    with served(tmp_path, limits=LimitSettings(max_message_bytes=2048, frame_timeout=0.5)) as here:
        client = here.client("sender")
        assert client.post("/v1/messages", b"M" * 4096).status_code == 413
        port = int(here.url.rpartition(":")[2])
        head = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + TOKENS["sender"].encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b"M" * 1024 + b"\r\n") * 3)
            assert b" 413 " in raw.recv(4096).split(b"\r\n")[0]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(head + b"\r\nContent-Length: 100\r\n\r\nMSH")
            assert b" 408 " in raw.recv(4096).split(b"\r\n")[0]
        assert client.post("/v1/messages", adt("M1")).status_code == 200


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_operation_asks_for_a_role(here: Served, one: object) -> None:
    path = one.path.replace("{id}", "1")  # type: ignore[attr-defined]
    method = one.method.lower()  # type: ignore[attr-defined]
    may = one.may  # type: ignore[attr-defined]
    for role in (None, *TOKENS):
        answer = getattr(here.client(role), method)(path)
        if may is None:
            assert answer.status_code in (200, 503)
        elif role is None:
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        elif may not in ROLES[role]:
            assert answer.status_code == 403
        else:
            assert answer.status_code not in (401, 403)


@pytest.mark.parametrize(
    "told", ["", "Bearer", "Basic dTpw", f"Basic {TOKENS['operator']}", f"Bearer {TOKENS['operator']}x"]
)
def test_no_other_token_is_known(here: Served, told: str) -> None:
    answer = here.client().get("/v1/queue", headers={"Authorization": told})
    assert answer.status_code == 401
    assert TOKENS["operator"] not in answer.text


def test_one_connection_too_many_is_told_so_and_closed(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ketafhir.service.rest.server._MOST_REQUESTS", 2)
    port = int(here.url.rpartition(":")[2])
    assert here.client().get("/healthz").status_code == 200
    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        answer = here.client("viewer").get("/v1/queue")  # one of two: they keep their connections
        assert (answer.status_code, _code(answer), answer.headers["retry-after"]) == (503, "busy", "1")
        assert answer.headers["connection"] == "close"
        silent.close()
    eventually = iter(range(100))
    while here.client("viewer").get("/v1/queue").status_code == 503:
        assert next(eventually, None) is not None


# --- the queue


def test_the_queue_is_listed_page_by_page(here: Served) -> None:
    for number in range(3):
        here.client("sender").post("/v1/messages", adt(f"M{number}", f"SYN-{number}"))
    client = here.client("viewer")
    first = client.get("/v1/queue?limit=2").json()
    second = client.get(f"/v1/queue?limit=2&after={first['after']}").json()
    assert [one["control_id"] for one in (*first["entries"], *second["entries"])] == ["M0", "M1", "M2"]
    assert second["after"] is None
    assert client.get("/v1/queue?state=dead").json()["entries"] == []
    for wrong in ("state=lost", "limit=0", "limit=501", "after=x", "other=1"):
        assert client.get(f"/v1/queue?{wrong}").status_code == 400


def test_a_viewer_sees_nothing_about_a_patient(here: Served) -> None:
    here.client("sender").post("/v1/messages", adt("M1", "SYN-77", "Zanzibar^Jo"))
    here.client("sender").post("/v1/messages", heart_rate("M2", "SYN-77", value="Zanzibar"))
    seen = "".join(here.client("viewer").get(f"/v1/queue/{number}").text for number in (1, 2))
    assert '"control_id":"M2"' in seen
    assert "SYN-77" not in seen
    assert "Zanzibar" not in seen
    operator = here.client("operator")
    assert "SYN-77" in operator.get("/v1/queue/1").text
    assert operator.get("/v1/queue/1/raw").content == adt("M1", "SYN-77", "Zanzibar^Jo")
    assert "Zanzibar" in operator.get("/v1/queue/1/payload").json()["deliveries"][0]["payload"]


def test_what_is_stuck_is_queued_again(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        sink.down = True
        here.client("sender").post("/v1/messages", adt("M1"))
        client = here.client("operator")
        until = time.monotonic() + 10
        while True:  # in between an attempt is under way
            answer = client.post("/v1/queue/1/retry", b'{"force": false}', "application/json")
            if answer.status_code == 200 or time.monotonic() > until:
                break
        assert answer.json() == {"message": 1, "queued": 1}
        sink.down = False
        assert client.post("/v1/queue/1/release", b"", "application/json").status_code == 409
        here.service.drain()
        assert client.post("/v1/queue/1/retry", b"", "application/json").status_code == 409
        assert client.post("/v1/queue/9/retry", b"", "application/json").status_code == 404
        for body in (b"[]", b'{"force": 1}', b'{"other": true}', b"{"):
            assert client.post("/v1/queue/1/retry", body, "application/json").status_code == 400


def test_all_that_is_stuck_is_queued_again_at_once(tmp_path: Path, sink: Sink) -> None:
    """As `ketafhir queue retry` without a number."""
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        client.post("/v1/queue/pause", b'{"to": "fhir"}', "application/json")
        for number in ("1", "2", "3"):
            here.client("sender").post("/v1/messages", adt(f"M{number}", f"SYN-{number}"))
        for number in (1, 3):
            client.post(f"/v1/queue/{number}/park", b"{}", "application/json")
        assert here.client("viewer").post("/v1/queue/retry", b"", "application/json").status_code == 403
        told = client.post("/v1/queue/retry", b"", "application/json").json()
        assert (told["done"], told["found"]) == (False, [{"to": "fhir", "was": "parked", "count": 2}])
        assert client.post("/v1/queue/retry", b'{"yes": true}', "application/json").json()["queued"] == 2
        assert client.post("/v1/queue/retry", b'{"yes": true}', "application/json").json()["queued"] == 0
        told = [(one.action, one.message_id) for one in here.service.app.store.audited()]
        assert told[-2:] == [("retry", 1), ("retry", 3)]


def test_many_are_replayed_by_time(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        for number in ("1", "2", "3"):
            here.client("sender").post("/v1/messages", adt(f"M{number}", "SYN-1", f"Doe^Jane{number}"))
        here.service.drain()
        sent = len(sink.bundles)

        def replay(body: bytes) -> httpx.Response:
            return client.post("/v1/queue/replay", body, "application/json")

        told = replay(b'{"how": "as-sent", "since": "1h"}').json()
        assert (told["done"], told["queued"], told["found"]) == (False, 3, [{"to": "fhir", "was": "done", "count": 3}])
        assert replay(b'{"how": "as-sent", "since": "1h", "yes": true}').json()["queued"] == 3
        here.service.drain()
        names = [one["entry"][0]["resource"]["name"][0]["given"] for one in sink.bundles[sent:]]
        assert names == [["Jane1"], ["Jane2"], ["Jane3"]]
        assert replay(b'{"how": "re-render", "since": "1h", "state": "refused", "yes": true}').json()["queued"] == 0
        assert replay(b'{"how": "as-sent", "since": "1h", "until": "1h"}').json()["queued"] == 0
        for wrong in (
            b"{}", b'{"how": "as-sent"}', b'{"how": "as-sent", "since": "soon"}',
            b'{"how": "re-render", "since": "1h", "to": "fhir"}',
            b'{"how": "as-sent", "since": "1h", "state": "refused"}', b'{"how": "again", "since": "1h"}',
        ):  # fmt: skip
            assert replay(wrong).status_code == 400
        assert (
            client.post("/v1/queue/retry", b'{"state": "refused", "to": "fhir"}', "application/json").status_code == 400
        )
        told = [(one.action, one.message_id) for one in here.service.app.store.audited()]
        assert told == [("replay", 3), ("replay", 2), ("replay", 1)]


def test_the_verbs_are_those_of_the_command(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        sink.down = True
        client = here.client("operator")
        here.client("sender").post("/v1/messages", adt("M1"))

        def step(verb: str, body: bytes = b"") -> httpx.Response:
            return client.post(f"/v1/queue/{verb}", body, "application/json")

        until = time.monotonic() + 10
        while (parked := step("1/park", b'{"reason": "asked by the ward"}')).status_code == 409:  # an attempt runs
            assert time.monotonic() < until
        assert parked.json() == {"message": 1, "parked": 1}
        (row,) = client.get("/v1/queue?state=parked").json()["entries"]
        assert row["reason"] == "parked by an operator: asked by the ward"
        sink.down = False
        assert step("1/release").json() == {"message": 1, "queued": 1}
        here.service.drain()
        told = step("1/replay", b'{"how": "as-sent"}').json()
        assert (told["done"], told["replay"][0]["was"], len(sink.bundles)) == (False, "done", 1)
        assert step("1/replay", b'{"how": "as-sent", "yes": true}').json()["done"] is True
        here.service.drain()
        assert sink.bundles[0]["entry"][0]["resource"] == sink.bundles[1]["entry"][0]["resource"]
        assert step("1/replay", b'{"how": "re-render", "yes": true, "seen": 1}').status_code == 200
        here.service.drain()
        for wrong in (b"{}", b'{"how": "again"}', b'{"how": "re-render", "force": true}'):
            assert step("1/replay", wrong).status_code == 400
        with zipfile.ZipFile(io.BytesIO(client.get("/v1/queue/1/export").content)) as archive:
            assert archive.read("00000001.hl7") == adt("M1")
        assert step("purge", b'{"days": 0}').status_code == 400
        assert step("purge", b'{"days": 0, "yes": true}').json() == {"purged": 1}
        assert client.get("/v1/queue/1").status_code == 404
        actions = [one["action"] for one in here.client("auditor").get("/v1/audit").json()["entries"]]
        assert actions[-6:] == ["release", "replay", "replay", "export", "purge", "view"]


def test_the_messages_of_one_patient_go(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        for number, patient in enumerate(("SYN-1", "SYN-2", "SYN-1"), 1):
            here.client("sender").post("/v1/messages", adt(f"M{number}", patient))
        here.service.drain()

        def purge(**told: object) -> httpx.Response:
            return client.post("/v1/queue/purge", json.dumps(told).encode(), "application/json")

        assert purge(patient="WILLOW|SYN-1").json() == {"done": False, "ended": 2, "open": []}
        for wrong in ({"patient": "SYN-1"}, {"patient": "OTHER|SYN-1"}, {"patient": "WILLOW|SYN-1", "days": 1}):
            answer = purge(**wrong, yes=True)
            assert (answer.status_code, "SYN-1" in answer.text) == (400, False)
        assert purge(patient="WILLOW|SYN-1", yes=True).json() == {"done": True, "purged": 2, "open": []}
        assert [one["message_id"] for one in client.get("/v1/queue").json()["entries"]] == [2]
        told = [(one.who, one.action, one.message_id) for one in here.service.app.store.audited()]
        assert told == [("http operator-1", "purge", 1), ("http operator-1", "purge", 3)]
        sent = len(sink.bundles)
        here.client("sender").post("/v1/messages", adt("M4", "SYN-1", "Doe^Jane"))
        here.service.drain()
        assert len(sink.bundles) == sent + 1, "what was learned of the patient is joined as ever"


def test_without_its_content_a_message_is_known_still(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        sent = here.client("sender").post("/v1/messages", adt("M1")).json()
        here.service.drain()

        def exported(query: str) -> list[str]:
            with zipfile.ZipFile(io.BytesIO(client.get(f"/v1/queue/1/export{query}").content)) as archive:
                assert (b"SYN-1" in archive.read("00000001.json")) is (query == "")
                return archive.namelist()

        assert len(exported("")) == 4
        assert exported("?content=false") == ["00000001.json"]
        assert here.service.app.store.erase(time.time()) == 1
        for path in ("raw", "payload"):
            answer = client.get(f"/v1/queue/1/{path}")
            assert (answer.status_code, "has no content any more" in answer.text) == (409, True)
        assert client.get("/v1/queue/1").json()["erased_at"] > 0
        told = client.post("/v1/queue/1/replay", b'{"how": "as-sent", "yes": true}', "application/json")
        assert (told.status_code, "has no content any more" in told.text) == (409, True)
        again = here.client("sender").post("/v1/messages", adt("M1")).json()
        assert (again["message"], again["ack"]) == (sent["message"], sent["ack"])


def test_a_replay_that_is_asked_for_twice_is_done_once(tmp_path: Path, sink: Sink) -> None:
    """A client that did not hear the answer and asks again does no harm."""
    with served(tmp_path, sink.url) as here:
        client = here.client("operator")
        here.client("sender").post("/v1/messages", adt("M1"))
        here.service.drain()

        def replay(where: str, **told: object) -> httpx.Response:
            answer = client.post(f"/v1/queue/{where}replay", json.dumps(told).encode(), "application/json")
            here.service.drain()
            return answer

        assert replay("1/", how="as-sent", yes=True).status_code == 200
        sent = len(sink.bundles)
        again = replay("1/", how="as-sent", yes=True)
        assert (again.status_code, _code(again)) == (409, "not-allowed")
        assert "message 1 was sent again once already" in again.text
        assert replay("1/", how="re-render", yes=True).status_code == 409
        many = {"how": "as-sent", "since": "1h", "yes": True}
        assert replay("", **many).status_code == 409
        assert len(sink.bundles) == sent
        assert replay("1/", how="as-sent").json()["replay"][0]["replays"] == 1
        assert client.get("/v1/queue/1").json()["replays"] == 1
        assert replay("1/", how="as-sent", yes=True, seen=1).status_code == 200
        assert replay("", **many, seen=2).json()["queued"] == 1
        assert replay("1/", how="re-render", yes=True, seen=3).json()["replay"][0]["replays"] == 3
        assert len(sink.bundles) == sent + 3
        told = [(one.who, one.action, one.message_id) for one in here.service.app.store.audited()]
        assert [one for one in told if one[1] == "replay"] == [("http operator-1", "replay", 1)] * 4


# --- the audit log


def test_what_is_seen_and_done_is_noted_with_who_did_it(here: Served) -> None:
    here.client("sender").post("/v1/messages", adt("M1"))
    here.client("viewer").get("/v1/queue")
    here.client("viewer").get("/v1/queue/1")
    operator = here.client("operator")
    operator.get("/v1/queue/1/raw")
    operator.get("/v1/queue/1/payload")
    operator.post("/v1/queue/1/retry", b"", "application/json")
    operator.post("/v1/queue/1/release", b"", "application/json")
    auditor = here.client("auditor")
    told = auditor.get("/v1/audit").json()
    assert [(one["who"], one["action"], one["message_id"]) for one in told["entries"]] == [
        ("http viewer-1", "view", 1), ("http operator-1", "content", 1), ("http operator-1", "content", 1),
        ("http operator-1", "retry", 1), ("http operator-1", "release", 1),
    ]  # fmt: skip
    assert auditor.get("/v1/audit?after=4").json()["entries"] == told["entries"][4:]
    bundle = auditor.get("/v1/audit", headers={"Accept": FHIR_JSON}).json()
    events = [one["resource"] for one in bundle["entry"]]
    assert [problem for event in events for problem in shape(event)] == []
    assert [event["action"] for event in events] == ["R", "R", "R", "E", "E"]
    assert events[0]["entity"][0]["what"]["identifier"]["value"] == "1"


def test_what_cannot_be_noted_is_not_done(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    here.client("sender").post("/v1/messages", adt("M1"))

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(here.service.app.store, "audit", full)
    for path in ("", "/raw", "/payload"):
        assert here.client("operator").get(f"/v1/queue/1{path}").status_code == 503
    assert here.client("operator").post("/v1/queue/1/retry", b"", "application/json").status_code == 503


def test_a_store_that_is_away_does_not_fill_the_log(
    here: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(here.service.app.store, "page", away)
    for _ in range(5):
        assert here.client("viewer").get("/v1/queue").status_code == 503
    loud = [one for one in caplog.records if one.name == "ketafhir.rest" and one.levelno >= logging.INFO]
    assert [one.getMessage() for one in loud] == ["the store does not answer: the database is away"]
    monkeypatch.setattr("ketafhir.service.rest.application._TOLD_AGAIN", 0.0)
    here.client("viewer").get("/v1/queue")
    assert caplog.text.count("the store does not answer") == 2


# --- health, numbers, description


def test_it_is_ready_when_messages_can_be_kept(tmp_path: Path) -> None:
    with served(tmp_path) as here:
        told = here.client().get("/readyz")
        assert told.status_code == 200
        assert told.json()["status"] == "degraded"
        assert "no connection" in told.json()["checks"]["destination"]
        assert here.client().get("/healthz").json() == {"status": "alive"}
    with served(tmp_path, free_bytes=1 << 62) as here:
        told = here.client().get("/readyz")
        assert (told.status_code, told.json()["checks"]["disk"]) == (503, "little space is left")


def test_metrics(tmp_path: Path, sink: Sink) -> None:
    with served(tmp_path, sink.url) as here:
        client = here.client("sender")
        client.post("/v1/messages", adt("M1"))
        client.post("/v1/messages", adt("M1"))
        client.post("/v1/messages", damaged())
        here.service.drain()
        with here.service.peer() as peer:
            assert peer.send(adt("M1")).code == "AA"
        numbers = here.client("metrics").get("/metrics").text
    for line in (
        'ketafhir_messages_total{outcome="received"} 4.0',
        'ketafhir_messages_total{outcome="duplicate"} 2.0',
        'ketafhir_messages_total{outcome="refused"} 1.0',
        'ketafhir_deliveries{destination="fhir",state="queued"} 0.0',
        'ketafhir_attempts_total{destination="fhir",state="done"} 1.0',
        'ketafhir_attempts_total{destination="fhir",state="dead"} 0.0',
        'ketafhir_oldest_open_seconds{destination="fhir"} 0.0',
        'ketafhir_ack_seconds_bucket{le="+Inf"} 4.0',
        "ketafhir_ack_seconds_count 4.0",
        "ketafhir_profile_broken_total 0.0",
        'ketafhir_connections_total{event="opened",listener="ehr"} 1.0',
        "ketafhir_store_failing 0.0",
    ):
        assert line in numbers.splitlines()
    assert 'ketafhir_findings_total{code="' in numbers


def test_the_document_is_openapi(here: Served) -> None:
    """By its published schema, and what that does not say: parameters of the path, names of operations, defaults."""
    validator = pytest.importorskip("openapi_spec_validator", reason="it is missing: make setup")
    found = here.client().get("/openapi.json").json()
    kind = validator.OpenAPIV31SpecValidator
    assert [str(one) for one in kind(found).iter_errors()] == []
    found["paths"]["/v1/queue/{id}"]["get"]["parameters"] = []
    found["info"].pop("title")
    assert len(list(kind(found).iter_errors())) == 2


def test_the_document_tells_all_that_there_is_and_nothing_else(here: Served) -> None:
    found = here.client().get("/openapi.json").json()
    routes = {(route.path, min(route.methods - {"HEAD"})) for route in application(None, __version__).routes}  # type: ignore[attr-defined, arg-type]
    told = {(path, method.upper()) for path, methods in found["paths"].items() for method in methods}
    assert told == routes
    assert found["openapi"] == "3.1.0"
    assert set(described()["paths"]) < set(found["paths"])
    for path, methods in found["paths"].items():
        for one in methods.values():
            in_path = {p["name"] for p in one["parameters"] if p["in"] == "path"}
            assert all(f"{{{name}}}" in path for name in in_path)
            assert path.count("{") == len(in_path)
            assert one["responses"]["200"]["content"]
    numbers = [one["operationId"] for methods in found["paths"].values() for one in methods.values()]
    assert len(numbers) == len(set(numbers))


def test_the_page_tells_every_operation_and_who_may() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rest.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `((?:GET|POST) [^`]+)` \| ([a-z, ]+) \|", page, re.MULTILINE))
    roles = {
        f"{one.method} {one.path}": {role for role, allowed in ROLES.items() if one.may in allowed} or {"everybody"}
        for one in OPERATIONS
    }
    assert {name: set(text.split(", ")) for name, text in told.items()} == {
        **roles, "GET /openapi.json": {"everybody"},
    }  # fmt: skip


def test_there_is_nothing_else(here: Served) -> None:
    assert here.client("operator").get("/v1/other").status_code == 404
    wrong = here.client("operator").post("/v1/queue")
    assert (wrong.status_code, {*wrong.headers["allow"].split(", ")}) == (405, {"GET", "HEAD"})
    assert here.client("operator").get("/healthz/").status_code == 404


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\n"])
def test_who_does_not_ask_in_time_holds_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(server, "_TO_ASK", 0.2)
    with served(tmp_path) as here:
        address = httpx.URL(here.url)
        with socket.create_connection((address.host, address.port or 0), timeout=10) as slow:
            ask = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
            slow.sendall(ask)
            said = b""
            while b'{"status":"alive"}' not in said:
                said += slow.recv(65536)
            slow.sendall(b"GET /healthz HTTP/1.1\r\nX: y")
            assert slow.recv(65536) == b""
        with socket.create_connection((address.host, address.port or 0), timeout=10) as silent:
            silent.sendall(begun)
            assert silent.recv(65536) == b""


def _code(answer: object) -> str:
    return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])  # type: ignore[attr-defined]


def test_tls_and_certificates_of_who_connects(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ours = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("engine.example")
    files = {name: tmp_path / name for name in ("cert", "key", "ca", "our-cert", "our-key")}
    certificate.cert_chain_pems[0].write_to_path(files["cert"])
    certificate.private_key_pem.write_to_path(files["key"])
    authority.cert_pem.write_to_path(files["ca"])
    ours.cert_chain_pems[0].write_to_path(files["our-cert"])
    ours.private_key_pem.write_to_path(files["our-key"])
    for key in (files["key"], files["our-key"]):
        key.chmod(0o600)
    tls = {"tls_cert": files["cert"], "tls_key": files["key"], "tls_client_ca": files["ca"]}
    with served(tmp_path, **tls) as here:
        assert here.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=files["ca"])
        with pytest.raises(httpx.TransportError), closing(Client(here.url, "sender", context)) as client:
            client.post("/v1/messages", adt("M1"))
        context.load_cert_chain(files["our-cert"], files["our-key"])
        with closing(Client(here.url, "sender", context)) as client:
            assert client.post("/v1/messages", adt("M1")).status_code == 200


def test_serve_tells_where_it_answers(tmp_path: Path) -> None:
    file = tmp_path / "ketafhir.toml"
    file.write_text(
        '[[listener]]\nport = 0\n[store]\npath = "messages.sqlite"\n[fhir]\nurl = "http://127.0.0.1:1/fhir"\n'
        f'[rest]\nenabled = true\nport = 0\ntokens = ["{LINES[0]}"]\n'
    )
    command = [sys.executable, "-m", "ketafhir", "serve", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        url = process.stdout.readline().removeprefix("listening on ").strip()
        with closing(Client(url, None)) as client:
            assert client.get("/healthz").json() == {"status": "alive"}
        process.terminate()
        log = process.stderr.read()
        assert process.wait(20) == 0
    assert "Traceback" not in log
    assert "uvicorn" not in log


def test_no_page_of_a_browser_may_read_an_answer(here: Served) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for answer in (
        httpx.get(f"{here.url}/healthz", headers=asked, trust_env=False),
        httpx.options(f"{here.url}/v1/queue", headers=asked, trust_env=False),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.status_code == 405
