"""How we sign in to a FHIR server: with a password, a given token, or a signed one (SMART Backend Services).

SMART App Launch 2, client-confidential-asymmetric and backend-services: the token endpoint is in
`.well-known/smart-configuration`; we ask it with a token signed by our key, good for minutes and once; what it
gives is kept in memory until a fifth of its life is left, and asked for anew when the server answers 401.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from ketafhir.errors import ConfigError, Refused
from ketafhir.fhir import json
from ketafhir.sync import scopes
from ketafhir.sync.outcome import Disposition, Outcome, retry_after
from ketafhir.sync.signing import ALGORITHMS, SigningKey, read_keys

_LIFE = 240.0  # seconds of a signed token; the standard allows 300
_USUAL, _LONGEST = 300, 86400  # seconds that a token is taken to be good for: where it is not told, and at most
_SKEW = 60.0  # seconds between the clocks that nobody complains about
_TOKEN = re.compile(r"[\x21-\x7e]+")  # what a header can carry
_SAFE_CODE = re.compile(r"[a-z_]{1,40}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_log = logging.getLogger("ketafhir.sync")


class SignInFailed(Exception):
    """No token: `outcome` says whether that may pass by itself. Neither holds anything secret."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Header(httpx.Auth):
    """One header, the same for all requests."""

    def __init__(self, value: str) -> None:
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._value
        yield request


def basic(user: str, password: str) -> Header:
    """HTTP Basic (RFC 7617, in UTF-8). Raises ConfigError for a user name with a colon."""
    if ":" in user:
        raise ConfigError("[fhir] username has a colon, which HTTP Basic cannot carry")
    return Header("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


@dataclass(slots=True, frozen=True)
class SmartClient:
    """What a server knows us by. `token_url` where it is not to be discovered; `origins` are those beside the
    server's own that a token endpoint may be on."""

    client_id: str
    key_file: Path
    scope: str = scopes.USUAL
    key_id: str = ""
    token_url: str = ""
    origins: Collection[str] = ()


class Smart(httpx.Auth):
    """SMART Backend Services at the server of `base_url`."""

    requires_response_body = True

    def __init__(self, base_url: str, client: SmartClient, clock: Callable[[], float] = time.time) -> None:
        self._base = base_url.rstrip("/")
        self._client = client
        self._clock = clock
        self._lock: asyncio.Lock | None = None
        self._token = ""
        self._until = 0.0
        self._granted = client.scope
        read_keys(client.key_file, client.key_id)  # a key that is none is told at the start

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("the FHIR client is asynchronous")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request with a token; once more with a new one where the server does not take it."""
        for _ in range(2):
            if self._lock is None:
                self._lock = asyncio.Lock()
            async with self._lock:
                if self._clock() >= self._until:
                    asking = self._ask()
                    step = await anext(asking)
                    while True:
                        answer = yield step
                        await answer.aread()
                        try:
                            step = await asking.asend(answer)
                        except StopAsyncIteration:
                            break
                token = self._token
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code != 401:
                return
            if self._token == token:
                self._until = 0.0

    async def _ask(self) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The requests that lead to a token."""
        endpoint, algorithms = self._client.token_url, set(ALGORITHMS)
        if not endpoint:
            found = yield httpx.Request("GET", f"{self._base}/.well-known/smart-configuration", headers=_json())
            endpoint, algorithms = self._discovered(found)
        self._check(endpoint)
        keys = [key for key in self._keys() if key.algorithm in algorithms]
        if not keys:
            raise _failed(f"the server takes none of our keys, but {', '.join(sorted(algorithms)) or 'nothing'}")
        for number, key in enumerate(keys):
            answer = yield self._request(endpoint, key)
            if answer.status_code not in (400, 401) or number == len(keys) - 1:
                self._take(answer)
                return

    def _keys(self) -> list[SigningKey]:
        try:
            return read_keys(self._client.key_file, self._client.key_id)
        except ConfigError as error:
            raise _failed(str(error)) from error

    def _discovered(self, answer: httpx.Response) -> tuple[str, set[str]]:
        told = _object(answer)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._away(answer, "no smart-configuration")
        endpoint = told.get("token_endpoint")
        if answer.status_code != 200 or not isinstance(endpoint, str):
            raise _failed(
                "the server tells no token endpoint (.well-known/smart-configuration)", Disposition.MISCONFIGURED
            )
        named = told.get("token_endpoint_auth_signing_alg_values_supported")
        return endpoint, {one for one in ALGORITHMS if one in named} if isinstance(named, list) else set(ALGORITHMS)

    def _check(self, endpoint: str) -> None:
        """Our signature goes to the server's own origin and to those listed, compared as origins."""
        known = {_origin(one) for one in (self._base, *self._client.origins, self._client.token_url) if one}
        origin = _origin(endpoint)
        if origin not in known:
            raise _failed(
                "the token endpoint is on another origin: list it in [fhir] origins", Disposition.MISCONFIGURED
            )
        if origin[0] != "https" and origin[1] not in _LOOPBACK:
            raise _failed("the token endpoint is not behind https", Disposition.MISCONFIGURED)

    def _request(self, endpoint: str, key: SigningKey) -> httpx.Request:
        now = self._clock()
        claims: dict[str, Any] = {"iss": self._client.client_id, "sub": self._client.client_id, "aud": endpoint}
        claims |= {"exp": int(now + _LIFE), "iat": int(now), "jti": secrets.token_urlsafe(24)}
        form = {
            "grant_type": "client_credentials",
            "scope": self._client.scope,
            "client_assertion_type": _ASSERTION,
            "client_assertion": key.token(claims),
        }
        headers = _json() | {"Content-Type": "application/x-www-form-urlencoded"}
        return httpx.Request("POST", endpoint, content=urlencode(form).encode(), headers=headers)

    def _take(self, answer: httpx.Response) -> None:
        told = _object(answer)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._away(answer, "the authorization server gives no token")
        token, kind = told.get("access_token"), str(told.get("token_type", "")).lower()
        if answer.status_code != 200 or not isinstance(token, str) or not _TOKEN.fullmatch(token) or kind != "bearer":
            code = str(told.get("error", ""))
            why = code if _SAFE_CODE.fullmatch(code) else "without a reason"
            why += ": name what it has registered in [fhir] scope" if code == "invalid_scope" else ""
            raise _failed(f"{answer.status_code}: the authorization server gives no token: {why}{self._clocks(answer)}")
        life = told.get("expires_in")
        self._token = token
        if not isinstance(life, (int, Decimal)) or life < 0:
            life = _USUAL
        self._until = self._clock() + 0.8 * float(min(life, _LONGEST))
        self._warn(str(told.get("scope", self._client.scope)))

    def _away(self, answer: httpx.Response, text: str) -> SignInFailed:
        after = retry_after(answer.headers.get("retry-after"), self._clock())
        return SignInFailed(Outcome(Disposition.UNAVAILABLE, f"{answer.status_code}: {text}", None, after))

    def _clocks(self, answer: httpx.Response) -> str:
        try:
            theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except ValueError:
            return ""
        apart = abs(self._clock() - theirs)
        return f"; its clock and ours are {apart:.0f} s apart" if apart > _SKEW else ""

    def _warn(self, granted: str) -> None:
        """Once, and again where it has changed: a token is asked for every few minutes."""
        if granted == self._granted:
            return
        self._granted = granted
        if missing := scopes.missing(self._client.scope, granted):
            _log.warning("the authorization server has not granted %s", " ".join(missing))
        if excess := scopes.excess(self._client.scope, granted):
            _log.warning("the authorization server has granted more than was asked for: %s", " ".join(excess))


def _json() -> dict[str, str]:
    return {"Accept": "application/json"}


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(answer.content)
    except Refused:  # also for what is nested without end
        return {}
    return found if isinstance(found, dict) else {}


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return ("", "", None)
    return parsed.scheme, parsed.host, parsed.port


def _failed(text: str, disposition: Disposition = Disposition.UNAUTHORIZED) -> SignInFailed:
    return SignInFailed(Outcome(disposition, text))
