"""Signing in to a FHIR server, against Authlib's authorization server; and what is kept from whom."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fhir_sink import FhirSink, bundle

from ketafhir.errors import ConfigError, Permanent, Transient
from ketafhir.sync.client import FhirClient
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.signin import Smart, SmartClient, basic
from ketafhir.sync.signing import read_keys

pytest.importorskip("authlib", reason="authlib is missing: make setup")
pytest.importorskip("cryptography", reason="cryptography is missing: make setup")

if TYPE_CHECKING:
    from smart_server import SmartWorld

D = Disposition


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmartWorld]:
    from smart_server import smart_server

    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with smart_server() as found:
        yield found


def new_key(algorithm: str, kid: str) -> Any:
    from joserfc.jwk import ECKey, RSAKey

    parameters = {"kid": kid, "alg": algorithm, "use": "sig"}
    if algorithm == "ES384":
        return ECKey.generate_key("P-384", parameters)
    return RSAKey.generate_key(2048, parameters)


def keep(file: Path, *keys: Any) -> Path:
    file.write_text(json.dumps({"keys": [key.as_dict(private=True) for key in keys]}))
    file.chmod(0o600)
    return file


def known(world: SmartWorld, *keys: Any) -> None:
    """The server knows these keys of ours, and no others."""
    from joserfc.jwk import KeySet

    world.public = KeySet.import_key_set({"keys": [key.as_dict(private=False) for key in keys]})


class Clock:
    forward = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.forward


def signed_in(world: SmartWorld, file: Path, clock: Clock | None = None, **more: Any) -> FhirClient:
    return FhirClient(world.base, auth=Smart(world.base, SmartClient("ketafhir", file, **more), clock or Clock()))


def ask(client: FhirClient, times: int = 1) -> dict[str, Any]:
    async def scenario() -> dict[str, Any]:
        try:
            for _ in range(times):
                found = await client.metadata()
            return found
        finally:
            await client.aclose()

    return asyncio.run(scenario())


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_key_opens_the_door_and_the_token_is_kept(world: SmartWorld, tmp_path: Path, algorithm: str) -> None:
    key = new_key(algorithm, "one")
    known(world, key)
    assert ask(signed_in(world, keep(tmp_path / "keys", key)), 3) == {"resourceType": "CapabilityStatement"}
    assert (len(world.tokens), world.discovered) == (1, 1)


def test_a_pem_key_of_a_name(world: SmartWorld, tmp_path: Path) -> None:
    key = new_key("ES384", "pem")
    known(world, key)
    file = tmp_path / "key.pem"
    file.write_bytes(key.as_pem(private=True))
    file.chmod(0o600)
    assert ask(signed_in(world, file, key_id="pem"))


def test_many_requests_at_once_ask_for_one_token(world: SmartWorld, tmp_path: Path) -> None:
    key = new_key("ES384", "one")
    known(world, key)
    client = signed_in(world, keep(tmp_path / "keys", key))

    async def scenario() -> None:
        results = await asyncio.gather(*(client.transaction(bundle("Observation/a")) for _ in range(8)))
        assert {one.outcome.disposition for one in results} == {D.DONE}
        await client.aclose()

    asyncio.run(scenario())
    assert (len(world.tokens), world.bundles) == (1, 8)


def test_a_token_is_renewed_before_it_ends(world: SmartWorld, tmp_path: Path) -> None:
    key = new_key("ES384", "one")
    known(world, key)
    world.life = 40
    clock = Clock()
    client = signed_in(world, keep(tmp_path / "keys", key), clock)

    async def scenario() -> None:
        await client.metadata()
        clock.forward = 0.79 * world.life
        await client.metadata()
        assert len(world.tokens) == 1
        clock.forward = 0.81 * world.life
        await client.metadata()
        assert len(world.tokens) == 2
        await client.aclose()

    asyncio.run(scenario())


def test_a_token_that_is_not_taken_any_more_is_replaced_once(world: SmartWorld, tmp_path: Path) -> None:
    key = new_key("ES384", "one")
    known(world, key)
    client = signed_in(world, keep(tmp_path / "keys", key))

    async def scenario() -> None:
        await client.metadata()
        world.revoked.add("token-1")
        assert (await client.transaction(bundle("Observation/a"))).outcome.disposition is D.DONE
        world.revoked |= {f"token-{number}" for number in range(100)}
        assert (await client.transaction(bundle("Observation/a"))).outcome.disposition is D.UNAUTHORIZED
        await client.aclose()

    asyncio.run(scenario())
    assert len(world.tokens) == 3
    assert len(set(world.jtis)) == len(world.jtis) == 3


def test_keys_are_changed_without_a_restart(world: SmartWorld, tmp_path: Path) -> None:
    """The new key beside the old one in the file, then at the server, then alone."""
    old, new = new_key("ES384", "old"), new_key("RS384", "new")
    known(world, old)
    file = keep(tmp_path / "keys", old)
    client = signed_in(world, file)

    async def scenario() -> None:
        await client.metadata()
        for ours, theirs in ((new, old), (old,)), ((new, old), (new, old)), ((new,), (new,)):
            keep(file, *ours)
            known(world, *theirs)
            world.revoked.add(world.tokens[-1])
            await client.metadata()
        await client.aclose()

    asyncio.run(scenario())
    assert len(world.tokens) == 4


def test_a_key_that_is_not_known_is_told_with_what_the_server_says(world: SmartWorld, tmp_path: Path) -> None:
    known(world, new_key("ES384", "one"))
    client = signed_in(world, keep(tmp_path / "keys", new_key("ES384", "one")))
    with pytest.raises(Permanent, match=r"40[01]: the authorization server gives no token: invalid_client"):
        ask(client)


class Signing(httpx.AsyncBaseTransport):
    """A server that tells its token endpoint, and there does what the test wants."""

    def __init__(self, token: Any) -> None:
        self._token = token
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path.endswith("/smart-configuration"):
            return httpx.Response(200, json={"token_endpoint": "http://127.0.0.1:9/token"})
        if isinstance(self._token, Exception):
            raise self._token
        if isinstance(self._token, bytes):
            return httpx.Response(200, content=self._token)
        return httpx.Response(200, json=self._token)


@pytest.mark.parametrize(
    ("token", "disposition"),
    [
        (httpx.ReadTimeout("slow"), D.UNSENT),
        (httpx.RemoteProtocolError("cut off"), D.UNSENT),
        (httpx.ConnectError("refused"), D.UNSENT),
        ({"token_type": "bearer", "access_token": "a\nb: c"}, D.UNAUTHORIZED),
        ({"token_type": "bearer", "access_token": "\u00e4"}, D.UNAUTHORIZED),
        ({"token_type": "bearer", "access_token": ""}, D.UNAUTHORIZED),
        (b"[" * 200_000, D.UNAUTHORIZED),
        (b'{"a":' * 200_000, D.UNAUTHORIZED),
        (b"<html>", D.UNAUTHORIZED),
    ],
)
def test_what_fails_before_there_is_a_token_was_never_sent(tmp_path: Path, token: Any, disposition: D) -> None:
    """It is the destination's fault, and counts for no message."""
    transport = Signing(token)
    smart = Smart("http://127.0.0.1:9/fhir", SmartClient("ketafhir", keep(tmp_path / "keys", new_key("ES384", "one"))))

    async def scenario() -> D:
        client = FhirClient("http://127.0.0.1:9/fhir", auth=smart, transport=transport)
        try:
            return (await client.transaction(bundle("Observation/a"))).outcome.disposition
        finally:
            await client.aclose()

    assert asyncio.run(scenario()) is disposition
    assert transport.asked == ["/fhir/.well-known/smart-configuration", "/token"]


@pytest.mark.parametrize("life", [b"-1", b'"300"', b"null", b"[]"])
def test_a_token_whose_life_is_no_number_of_seconds_is_kept_for_minutes(tmp_path: Path, life: bytes) -> None:
    """With -1 it was asked for with each request."""
    now = [1000.0]
    told = b'{"token_type": "bearer", "access_token": "a", "expires_in": ' + life + b"}"
    transport = Signing(told)
    client = SmartClient("ketafhir", keep(tmp_path / "keys", new_key("ES384", "one")))
    smart = Smart("http://127.0.0.1:9/fhir", client, lambda: now[0])

    async def scenario() -> None:
        fhir = FhirClient("http://127.0.0.1:9/fhir", auth=smart, transport=transport)
        try:
            for at in (1000.0, 1100.0, 1300.0):
                now[0] = at
                await fhir.transaction(bundle("Observation/a"))
        finally:
            await fhir.aclose()

    asyncio.run(scenario())
    assert transport.asked.count("/token") == 2


def test_an_authorization_server_that_is_away_is_waited_for(world: SmartWorld, tmp_path: Path) -> None:
    key = new_key("ES384", "one")
    known(world, key)
    world.token_fault = 503
    with pytest.raises(Transient, match="503: the authorization server gives no token"):
        ask(signed_in(world, keep(tmp_path / "keys", key)))


@pytest.mark.parametrize(
    ("smart", "why"),
    [
        ({"token_endpoint": "http://127.0.0.1.evil.test/token"}, "on another origin"),
        ({"token_endpoint": "http://localhost/token"}, "on another origin"),
        ({"token_endpoint": None}, "tells no token endpoint"),
        ({"token_endpoint_auth_signing_alg_values_supported": ["HS256"]}, "takes none of our keys"),
        ({"token_endpoint_auth_signing_alg_values_supported": [["ES384"], {}, 1]}, "takes none of our keys"),
    ],
)
def test_where_the_signature_does_not_go(world: SmartWorld, tmp_path: Path, smart: dict[str, Any], why: str) -> None:
    world.smart = smart
    with pytest.raises(Permanent, match=why):
        ask(signed_in(world, keep(tmp_path / "keys", new_key("ES384", "one"))))
    assert world.jtis == []


def test_another_origin_that_is_listed_needs_https(world: SmartWorld, tmp_path: Path) -> None:
    world.smart = {"token_endpoint": "http://login.example/token"}
    client = signed_in(world, keep(tmp_path / "keys", new_key("ES384", "one")), origins=["http://login.example"])
    with pytest.raises(Permanent, match="not behind https"):
        ask(client)


def test_the_token_is_fresh_short_and_for_this_endpoint(tmp_path: Path) -> None:
    (key,) = read_keys(keep(tmp_path / "keys", new_key("ES384", "one")))
    smart = Smart("https://fhir.test/fhir", SmartClient("me", tmp_path / "keys"), lambda: 1000.0)
    requests = [smart._request("https://fhir.test/token", key) for _ in range(2)]
    forms = [dict(httpx.QueryParams(one.content.decode())) for one in requests]
    claims = [json.loads(_decoded(form["client_assertion"].split(".")[1])) for form in forms]
    assert (claims[0]["iss"], claims[0]["sub"], claims[0]["aud"]) == ("me", "me", "https://fhir.test/token")
    assert 0 < claims[0]["exp"] - 1000 <= 300
    assert claims[0]["jti"] != claims[1]["jti"]
    assert json.loads(_decoded(forms[0]["client_assertion"].split(".")[0])) == {
        "alg": "ES384",
        "typ": "JWT",
        "kid": "one",
    }


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


@pytest.mark.parametrize(
    "content", ["", "{}", "no key", '{"kty":"EC","crv":"P-256","d":"AA","x":"AA","y":"AA"}', '{"keys":[1]}']
)
def test_a_file_without_a_key(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no private key"):
        read_keys(file)


def test_a_key_open_to_others(tmp_path: Path) -> None:
    file = keep(tmp_path / "keys", new_key("ES384", "one"))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(file)


def test_basic() -> None:
    sink = FhirSink()
    client = FhirClient("http://fhir.test/fhir", auth=basic("ketafhir", "s\u00e9cret"), transport=sink.transport)

    async def scenario() -> None:
        await client.transaction(bundle("Observation/a"))
        await client.read("Observation/a")
        await client.aclose()

    asyncio.run(scenario())
    expected = "Basic " + base64.b64encode("ketafhir:s\u00e9cret".encode()).decode()
    assert [one.headers["authorization"] for one in sink.requests] == [expected] * 2
    assert "cret" not in repr(client)
    with pytest.raises(ConfigError, match="colon"):
        basic("a:b", "x")


@pytest.mark.parametrize(
    ("named", "token", "disposition"),
    [
        ([{"alg": "ES384"}, ["RS384"], 5], {}, D.UNAUTHORIZED),
        (["ES384", {}], {"token_type": "bearer", "access_token": "a", "expires_in": 10**390}, D.DONE),
        (["ES384"], {"token_type": "bearer", "access_token": "a", "expires_in": "3600"}, D.DONE),
        (["HS256", "none"], {}, D.UNAUTHORIZED),
    ],
)
def test_what_a_server_says_in_another_shape_is_no_fault_of_ours(
    tmp_path: Path, named: list[Any], token: Any, disposition: D
) -> None:
    assert _asked(tmp_path, named, httpx.Response(200, json=token)).disposition is disposition


@pytest.mark.parametrize(
    ("answer", "disposition", "after"),
    [
        (httpx.Response(503, headers={"Retry-After": "120"}), D.UNAVAILABLE, 120.0),
        (httpx.Response(429, headers={"Retry-After": "soon"}), D.UNAVAILABLE, None),
        (httpx.Response(200, content=b"[" * 100_000), D.UNAUTHORIZED, None),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/token"}), D.UNAUTHORIZED, None),
    ],
)
def test_an_authorization_server_is_asked_again_when_it_says(
    tmp_path: Path, answer: httpx.Response, disposition: D, after: float | None
) -> None:
    found = _asked(tmp_path, ["ES384"], answer)
    assert (found.disposition, found.after) == (disposition, after)


def _asked(tmp_path: Path, named: list[Any], token: httpx.Response) -> Outcome:
    """The outcome of a transaction at a server that names these algorithms and answers so for a token."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/smart-configuration"):
            told = {
                "token_endpoint": "http://127.0.0.1:9/token",
                "token_endpoint_auth_signing_alg_values_supported": named,
            }
            return httpx.Response(200, json=told)
        if request.url.path == "/token":
            return token
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response", "entry": [_WRITTEN]})

    smart = Smart("http://127.0.0.1:9/fhir", SmartClient("ketafhir", keep(tmp_path / "keys", new_key("ES384", "one"))))

    async def scenario() -> Outcome:
        client = FhirClient("http://127.0.0.1:9/fhir", auth=smart, transport=httpx.MockTransport(answer))
        try:
            return (await client.transaction(bundle("Observation/a"))).outcome
        finally:
            await client.aclose()

    return asyncio.run(scenario())


_WRITTEN = {"response": {"status": "200", "location": "Observation/a"}}


# --- scopes


def test_what_is_asked_for_is_what_is_written_and_searched(world: SmartWorld, tmp_path: Path) -> None:
    from golden.cases import ROOT

    key = new_key("ES384", "one")
    known(world, key)
    ask(signed_in(world, keep(tmp_path / "keys", key)))
    found = re.findall(r"system/(\w+)\.(\w+)", world.asked[0])
    assert len(found) == len(world.asked[0].split())
    rights = dict(found)
    used: dict[str, set[str]] = {}
    for file in ROOT.rglob("bundle.json"):
        text = file.read_text("utf-8")
        for bundle_ in [json.loads(text)] if text.startswith("{\n") else map(json.loads, text.splitlines()):
            for entry in bundle_["entry"]:
                searched = "ifNoneExist" in entry["request"] or "?" in entry["request"]["url"]
                used.setdefault(entry["resource"]["resourceType"], set()).update("crus" if searched else "cru")
    assert {kind: set(letters) for kind, letters in rights.items()} == used


@pytest.mark.parametrize(
    ("scope", "granted", "told"),
    [
        ("system/Patient.crus", "system/Patient.crus", []),
        ("system/Patient.crus system/Device.cru", "system/Device.cru system/Patient.crus", []),
        ("system/Patient.crus", "system/Patient.rs", ["not granted system/Patient.cu"]),
        ("system/Patient.crus", "", ["not granted system/Patient.crus"]),
        ("system/Patient.crus", "system/*.cruds", ["more than was asked for: system/*.cruds"]),
        ("system/Patient.crus", "system/Patient.cruds", ["more than was asked for: system/Patient.d"]),
        (
            "system/Patient.crus",
            "system/Patient.crus system/Observation.r openid ZZ/Z.z",
            ["for: system/Observation.r"],
        ),
        ("system/Patient.rs", "system/Patient.read", []),
        ("system/*.read system/*.write", "system/*.cruds", []),
        ("system/*.cruds", "system/*.*", []),
        ("system/*.read system/*.write", "system/*.read", ["not granted system/*.cud"]),
        ("custom", "other", ["not granted custom"]),
        ("system/Patient.crus", "system/Device.cruds", ["not granted system/Patient.crus", "for: system/Device.cruds"]),
    ],
)
def test_what_is_granted_beyond_or_below_is_told_once(
    world: SmartWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture, scope: str, granted: str, told: list[str]
) -> None:
    key = new_key("ES384", "one")
    known(world, key)
    world.granted, world.life, clock = granted, 10, Clock()
    client = signed_in(world, keep(tmp_path / "keys", key), clock, scope=scope)

    async def scenario() -> None:
        for step in range(3):
            clock.forward = step * 9
            await client.metadata()
        await client.aclose()

    asyncio.run(scenario())
    assert world.asked == [scope] * 3
    said = [one.getMessage() for one in caplog.records if "granted" in one.getMessage()]
    assert len(said) == len(told)
    assert all(one.endswith(end) for one, end in zip(said, told, strict=True)), said
    assert "ZZ" not in caplog.text


def test_a_scope_that_is_not_registered_leads_to_the_setting(tmp_path: Path) -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/smart-configuration"):
                return httpx.Response(200, json={"token_endpoint": "http://127.0.0.1:9/token"})
            return httpx.Response(400, json={"error": "invalid_scope"})

    smart = Smart("http://127.0.0.1:9/fhir", SmartClient("ketafhir", keep(tmp_path / "keys", new_key("ES384", "one"))))
    client = FhirClient("http://127.0.0.1:9/fhir", auth=smart, transport=Refusing())
    with pytest.raises(Permanent, match=r"invalid_scope: name what it has registered in \[fhir\] scope"):
        ask(client)
