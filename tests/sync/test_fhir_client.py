"""The client against mocked HTTP: what is sent, what each fault becomes, and how far it follows a server."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import respx
from fhir_sink import BASE, FhirSink, bundle, outcome

from http_peer import Answering, serving_http
from ketafhir.errors import Ambiguous, ConfigError, Permanent, Refused, Transient
from ketafhir.fhir import json as fhir_json
from ketafhir.sync.bundle import Outgoing
from ketafhir.sync.client import _HTTPX_ERRORS, FhirClient, Timeouts, outcome_of
from ketafhir.sync.opening import Access, open_client
from ketafhir.sync.outcome import Disposition
from ketafhir.sync.token import read_token

T = TypeVar("T")
ONE = "Observation/0b6f3c7e-1111-5222-8333-444455556666"
TWO = "Observation/0b6f3c7e-1111-5222-8333-777788889999"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@asynccontextmanager
async def client(**more: Any) -> AsyncIterator[FhirClient]:
    opened = FhirClient(BASE, **more)
    try:
        yield opened
    finally:
        await opened.aclose()


async def post(payload: bytes, versions: dict[str, str] | None = None, **more: Any) -> Any:
    async with client(**more) as opened:
        return await opened.transaction(payload, versions)


def answer(*responses: dict[str, Any]) -> httpx.Response:
    entries = [{"response": response} for response in responses]
    return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


# --- transactions


def test_a_transaction_teaches_the_versions() -> None:
    sink = FhirSink()
    result = run(post(bundle(ONE, TWO), transport=sink.transport))
    assert result.outcome.disposition is Disposition.DONE
    assert result.versions == {ONE: 'W/"1"', TWO: 'W/"1"'}
    assert [entry.status for entry in result.entries] == [200, 200]


def test_what_is_sent() -> None:
    sink = FhirSink()
    sink.write(ONE, {"resourceType": "Observation"})
    run(post(bundle(ONE, TWO), {ONE: 'W/"1"'}, transport=sink.transport, token="a.b-c~d"))
    (request,) = sink.requests
    assert (request.method, str(request.url)) == ("POST", BASE)
    assert request.headers["content-type"] == request.headers["accept"] == "application/fhir+json"
    assert request.headers["prefer"] == "return=minimal"
    assert request.headers["authorization"] == "Bearer a.b-c~d"
    sent = json.loads(request.content)["entry"]
    assert [entry["request"].get("ifMatch") for entry in sent] == ['W/"1"', None]


def test_decimals_are_sent_as_they_were_stored() -> None:
    payload = bundle(ONE).replace(b'"x"', b"72.50")
    outgoing = Outgoing(payload)
    assert b"72.50" in outgoing.render({ONE: 'W/"1"'})
    again = fhir_json.loads(outgoing.render({}))
    assert again["entry"][0]["resource"]["note"] == Decimal("72.50")
    assert "ifMatch" not in again["entry"][0]["request"]


def test_if_match_is_for_what_is_written_under_its_id_alone() -> None:
    requests = [
        {"method": "POST", "url": "Observation"},
        {"method": "PUT", "url": "Patient?identifier=a|b"},
        {"method": "DELETE", "url": ONE},
        {"method": "PUT", "url": TWO},
    ]
    entries = [{"request": request} for request in requests]
    outgoing = Outgoing(json.dumps({"resourceType": "Bundle", "entry": entries}).encode())
    assert outgoing.targets == [None, None, None, TWO]
    assert outgoing.references == [TWO]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","entry":[{}]}']
)
def test_what_is_no_transaction_is_refused(payload: bytes) -> None:
    with pytest.raises(Refused):
        Outgoing(payload)


@pytest.mark.parametrize(
    ("reply", "disposition", "words"),
    [
        (answer({"status": "200 OK"}), Disposition.AMBIGUOUS, "1 answers to 2 entries"),
        (answer({"status": "200 OK"}, {}), Disposition.AMBIGUOUS, "Bundle.entry[1]: answered without"),
        (answer({"status": "200 OK"}, {"status": "409"}), Disposition.CONFLICT, "Bundle.entry[1]: 409"),
        (
            answer({"status": "200"}, {"status": "422", "outcome": json.loads(outcome(422, "odd").content)}),
            Disposition.REJECTED,
            "Bundle.entry[1]: 422: processing odd",
        ),
        (
            answer({"status": "200"}, {"status": "201", "location": "Observation/9/_history/1"}),
            Disposition.REJECTED,
            "was written as Observation/9",
        ),
        (httpx.Response(200, json={"resourceType": "Patient"}), Disposition.MISCONFIGURED, "no Bundle"),
        (httpx.Response(200), Disposition.MISCONFIGURED, "no Bundle"),
        (httpx.Response(200, json={"resourceType": "Bundle", "entry": 5}), Disposition.AMBIGUOUS, "0 answers to 2"),
        (httpx.Response(200, json={"resourceType": "Bundle", "entry": {"a": 1}}), Disposition.AMBIGUOUS, "0 answers"),
    ],
)
def test_a_200_is_believed_entry_by_entry(reply: httpx.Response, disposition: Disposition, words: str) -> None:
    with respx.mock:
        respx.post(BASE).mock(return_value=reply)
        result = run(post(bundle(ONE, TWO)))
    assert result.outcome.disposition is disposition
    assert words in result.outcome.text
    assert (result.entries, result.versions) == ([], {})


def test_locations_may_be_absolute_or_missing() -> None:
    absolute = {"status": "201 Created", "location": f"{BASE}/{ONE}/_history/1", "etag": 'W/"1"'}
    with respx.mock:
        respx.post(BASE).mock(return_value=answer(absolute, {"status": "200"}))
        result = run(post(bundle(ONE, TWO)))
    assert result.outcome.disposition is Disposition.DONE
    assert result.versions == {ONE: 'W/"1"'}


# --- faults


@pytest.mark.parametrize(
    ("reply", "disposition"),
    [
        (httpx.Response(502, html="<html>"), Disposition.UNAVAILABLE),
        (httpx.Response(200, html="<html>log in"), Disposition.MISCONFIGURED),
        (httpx.Response(429, headers={"Retry-After": "3"}), Disposition.THROTTLED),
        (httpx.Response(302, headers={"Location": "http://evil.test/"}), Disposition.MISCONFIGURED),
        (outcome(422, "no"), Disposition.REJECTED),
        (httpx.ConnectError("refused"), Disposition.UNSENT),
        (httpx.ReadTimeout("slow"), Disposition.AMBIGUOUS),
        (httpx.RemoteProtocolError("cut off"), Disposition.AMBIGUOUS),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"), Disposition.AMBIGUOUS),
    ],
)
def test_faults_become_outcomes(reply: httpx.Response | Exception, disposition: Disposition) -> None:
    with respx.mock:
        route = respx.post(BASE)
        if isinstance(reply, Exception):
            route.mock(side_effect=reply)
        else:
            route.mock(return_value=reply)
        result = run(post(bundle(ONE)))
        assert result.outcome.disposition is disposition
        assert len(respx.calls) == 1


@pytest.mark.parametrize(
    ("versions", "disposition"), [({}, Disposition.IDENTITY), ({ONE: 'W/"1"'}, Disposition.CONFLICT)]
)
def test_412_to_what_names_no_version_is_about_identity(versions: dict[str, str], disposition: Disposition) -> None:
    with respx.mock:
        respx.post(BASE).mock(return_value=outcome(412, "precondition failed"))
        assert run(post(bundle(ONE), versions)).outcome.disposition is disposition


def exceptions_of_httpx() -> list[type[Exception]]:
    found = (getattr(httpx, name) for name in httpx.__all__)
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", exceptions_of_httpx())
def test_every_exception_of_httpx_is_mapped(kind: type[Exception]) -> None:
    assert issubclass(kind, _HTTPX_ERRORS)
    found = outcome_of(kind.__new__(kind))
    assert found.disposition in (Disposition.UNSENT, Disposition.AMBIGUOUS, Disposition.MISCONFIGURED)
    assert kind.__name__ in found.text


def test_only_what_never_left_counts_as_unsent() -> None:
    unsent = {
        kind for kind in exceptions_of_httpx() if outcome_of(kind.__new__(kind)).disposition is Disposition.UNSENT
    }
    assert unsent == {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError}


def test_the_text_of_an_exception_is_not_passed_on() -> None:
    assert "CANARY" not in outcome_of(httpx.ReadError("http://x/Patient?identifier=CANARY")).text


def test_a_real_socket_that_nobody_serves() -> None:
    async def scenario() -> Any:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        opened = FhirClient(f"http://127.0.0.1:{port}/fhir")
        try:
            return await opened.transaction(bundle(ONE))
        finally:
            await opened.aclose()

    assert run(scenario()).outcome.disposition is Disposition.UNSENT


@pytest.mark.parametrize("sent", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"resourceType"'])
def test_a_real_answer_that_breaks_off(sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scenario() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            opened = FhirClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fhir")
            try:
                return await opened.transaction(bundle(ONE))
            finally:
                await opened.aclose()

    assert run(scenario()).outcome.disposition is Disposition.AMBIGUOUS


def test_the_total_time_ends_a_server_that_never_does() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    transport = httpx.MockTransport(never)
    result = run(post(bundle(ONE), transport=transport, timeouts=Timeouts(total=0.01)))
    assert result.outcome.disposition is Disposition.AMBIGUOUS
    assert "total" in result.outcome.text


# --- reading


def test_read_and_version() -> None:
    sink = FhirSink()
    sink.write(ONE, {"resourceType": "Observation", "value": 1.50})

    async def scenario() -> tuple[object, ...]:
        async with client(transport=sink.transport) as opened:
            return (
                await opened.read(ONE),
                await opened.current(ONE),
                await opened.read(TWO),
                await opened.current(TWO),
            )

    found, current, absent, nothing = run(scenario())
    assert found == {"resourceType": "Observation", "value": Decimal("1.5")}
    assert (current, absent, nothing) == (('W/"1"', found), None, (None, None))


def test_what_was_deleted_is_gone_also_where_nothing_is_said() -> None:
    async def scenario() -> object:
        async with client() as opened:
            return await opened.read(ONE)

    with respx.mock:
        respx.get(f"{BASE}/{ONE}").mock(return_value=httpx.Response(410))
        assert run(scenario()) is None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (outcome(401, "who"), Permanent),
        (httpx.Response(503), Transient),
        (httpx.Response(404, html="<html>"), Permanent),
        (httpx.Response(200), Permanent),
        (httpx.ReadTimeout("slow"), Ambiguous),
    ],
)
def test_metadata_raises_what_is_wrong(reply: httpx.Response | Exception, kind: type[Exception]) -> None:
    async def scenario() -> None:
        async with client() as opened:
            await opened.metadata()

    with respx.mock:
        effect = {"side_effect": reply} if isinstance(reply, Exception) else {"return_value": reply}
        respx.get(f"{BASE}/metadata").mock(**effect)
        with pytest.raises(kind):
            run(scenario())


def page(*ids: str, following: str | None = None) -> httpx.Response:
    entries: list[dict[str, Any]] = [{"resource": {"resourceType": "Patient", "id": one}} for one in ids]
    entries.append({"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}})
    links = [{"relation": "self", "url": "x"}]
    if following:
        links.append({"relation": "next", "url": following})
    return httpx.Response(200, json={"resourceType": "Bundle", "link": links, "entry": entries})


async def ids(kind: str, *parameters: tuple[str, str]) -> list[str]:
    async with client() as opened:
        return [found["id"] async for found in opened.search(kind, parameters)]


def test_search_follows_the_pages() -> None:
    with respx.mock:
        respx.get(f"{BASE}/Patient?active=true").mock(return_value=page("1", "2", following=f"{BASE}?p=2"))
        respx.get(f"{BASE}?p=2").mock(return_value=page("3"))
        assert run(ids("Patient", ("active", "true"))) == ["1", "2", "3"]


@pytest.mark.parametrize("parameter", [("identifier", "urn:x|4711"), ("patient.identifier", "4711"), ("code", "s|1")])
def test_identifiers_are_searched_by_post(parameter: tuple[str, str]) -> None:
    with respx.mock:
        route = respx.post(f"{BASE}/Patient/_search").mock(return_value=page("1"))
        assert run(ids("Patient", parameter)) == ["1"]
        request = route.calls.last.request
    assert b"4711" in request.content or b"s%7C1" in request.content
    assert "?" not in str(request.url)


@pytest.mark.parametrize(
    "following",
    ["http://evil.test/fhir?p=2", "http://fhir.test.evil.test/fhir?p=2", "https://fhir.test/fhir?p=2",
     "http://fhir.test:8080/fhir?p=2", "//evil.test/fhir"],
)  # fmt: skip
def test_a_page_of_another_origin_is_not_fetched(following: str) -> None:
    with respx.mock:
        respx.get(f"{BASE}/Patient?active=true").mock(return_value=page("1", following=following))
        with pytest.raises(Permanent, match="another origin"):
            run(ids("Patient", ("active", "true")))


def test_a_page_that_comes_again_ends_the_search() -> None:
    with respx.mock:
        respx.get(f"{BASE}/Patient?active=true").mock(return_value=page("1", following="/fhir?p=2"))
        respx.get(f"{BASE}?p=2").mock(return_value=page("2", following="/fhir?p=2"))
        with pytest.raises(Permanent, match="same page"):
            run(ids("Patient", ("active", "true")))


@pytest.mark.parametrize(
    "odd",
    [
        {"entry": 5},
        {"entry": [None, 7, {"resource": "x"}, {"resource": {"resourceType": "Patient"}}]},
        {"link": 5},
        {"link": [7]},
    ],
)
def test_a_page_of_another_shape_has_nothing_to_read(odd: dict[str, Any]) -> None:
    with respx.mock:
        respx.get(f"{BASE}/Patient?active=true").mock(
            return_value=httpx.Response(200, json={"resourceType": "Bundle", **odd})
        )
        assert run(ids("Patient", ("active", "true"))) == []


def test_a_link_that_cannot_be_read_ends_the_search() -> None:
    with respx.mock:
        respx.get(f"{BASE}/Patient?active=true").mock(return_value=page("1", following="http://fhir.test:port/"))
        with pytest.raises(Permanent, match="cannot be read"):
            run(ids("Patient", ("active", "true")))


# --- configuration


@pytest.mark.parametrize(
    "address",
    [
        "",
        "fhir.test",
        "ftp://fhir.test",
        "http://",
        "ftp://user:secret@fhir.test/",
        "http://user:secret@fhir.test/",
        "http://fhir.test/?a=b",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FhirClient(address)
    assert "secret" not in str(caught.value)


def test_a_token_that_would_break_the_header_is_refused_unseen() -> None:
    with pytest.raises(ConfigError) as caught:
        FhirClient(BASE, token="secret\r\nX: y")
    assert "secret" not in str(caught.value)


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    file.chmod(0o600)
    monkeypatch.setenv("FHIR_TOKEN", " from-variable ")
    assert read_token() is None
    assert read_token(variable="FHIR_TOKEN") == "from-variable"
    assert read_token(variable="FHIR_TOKEN", file=file) == "from-file"


def test_tokens_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FHIR_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="FHIR_TOKEN holds no token"):
        read_token(variable="FHIR_TOKEN")
    file = tmp_path / "token"
    with pytest.raises(ConfigError, match="No such file"):
        read_token(file=file)
    for content, mode, words in (
        (b"x", 0o644, "chmod 600"),
        (b"\n", 0o600, "empty"),
        (b"\xff", 0o600, "no token"),
    ):
        file.write_bytes(content)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=words):
            read_token(file=file)


def test_a_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    through: list[str] = []

    class Proxy(Answering):
        def do_GET(self) -> None:
            through.append(self.path)
            self.answer(200, {"resourceType": "CapabilityStatement"})

    class Server(Answering):
        def do_GET(self) -> None:
            self.answer(200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})

    async def asked(port: int) -> dict[str, Any]:
        opened = open_client(Access(f"http://127.0.0.1:{port}/fhir"))
        try:
            return await opened.metadata()
        finally:
            await opened.aclose()

    with serving_http(Proxy) as proxy, serving_http(Server) as port:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert run(asked(port))["fhirVersion"] == "4.0.1"
    assert through == []
