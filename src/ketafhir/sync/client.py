"""A FHIR R4 server over HTTP: transaction, read, search, metadata. The only module that speaks httpx.

Redirects are never followed and proxies of the environment are not used: patients' data and the token go to
the configured origin alone. Identifiers are searched by POST, since URLs end in the logs of others (FHIR R4,
http.html#search).
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from ketafhir.errors import ConfigError
from ketafhir.fhir import json
from ketafhir.sync.answers import Bounded, TooLong
from ketafhir.sync.bundle import EntryResult, Outgoing, check_entries, entries_of, learned
from ketafhir.sync.outcome import Disposition, Outcome, classify, refusal_within, without_version
from ketafhir.sync.signin import SignInFailed

if importlib.util.find_spec("sniffio") is None:
    # httpcore imports it, if it is there, with each lock that it makes: a search through every folder of the path, ten times
    # for each request. None says at once that it is not.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

_FHIR_JSON = "application/fhir+json"
_NAMED_BY = ("resourceType", "id")
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, 2.1

_BY_EXCEPTION: dict[type[Exception], tuple[Disposition, str]] = {
    httpx.ConnectError: (Disposition.UNSENT, "no connection"),
    httpx.ConnectTimeout: (Disposition.UNSENT, "no connection in time"),
    httpx.PoolTimeout: (Disposition.UNSENT, "all connections are in use"),
    httpx.ProxyError: (Disposition.UNSENT, "the proxy makes no connection"),
    httpx.ReadTimeout: (Disposition.AMBIGUOUS, "no answer in time"),
    httpx.WriteTimeout: (Disposition.AMBIGUOUS, "not taken in time"),
    httpx.NetworkError: (Disposition.AMBIGUOUS, "the connection broke"),
    httpx.RemoteProtocolError: (Disposition.AMBIGUOUS, "the answer broke off"),
    httpx.DecodingError: (Disposition.AMBIGUOUS, "the answer cannot be unpacked"),
    TooLong: (Disposition.AMBIGUOUS, "the answer is too long"),
    httpx.UnsupportedProtocol: (Disposition.MISCONFIGURED, "the address is not http or https"),
    httpx.LocalProtocolError: (Disposition.MISCONFIGURED, "the request cannot be written as HTTP"),
    httpx.InvalidURL: (Disposition.MISCONFIGURED, "the address cannot be read"),
    httpx.TooManyRedirects: (Disposition.MISCONFIGURED, "redirects are not followed"),
    httpx.HTTPError: (Disposition.AMBIGUOUS, "the request failed"),
    httpx.StreamError: (Disposition.AMBIGUOUS, "the answer cannot be read"),
    httpx.CookieConflict: (Disposition.AMBIGUOUS, "the answer cannot be read"),
    # TLS 1.3 refuses our certificate only after the handshake: httpx lets this one through as it comes.
    OSError: (Disposition.AMBIGUOUS, "the connection broke"),
}
_HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, OSError)


@dataclass(slots=True, frozen=True)
class Timeouts:
    """Seconds. `total` is the budget of one request, whatever its parts still allow."""

    connect: float = 5.0
    read: float = 60.0
    write: float = 30.0
    pool: float = 10.0
    total: float = 90.0


@dataclass(slots=True, frozen=True)
class TransactionResult:
    """`entries` and `versions` (`Type/id` -> ETag) only where the outcome is done."""

    outcome: Outcome
    entries: list[EntryResult]
    versions: dict[str, str]


def outcome_of(error: Exception) -> Outcome:
    """What an exception of httpx means; its own text may quote the URL and is not passed on."""
    kind = next(kind for kind in type(error).__mro__ if kind in _BY_EXCEPTION)
    disposition, text = _BY_EXCEPTION[kind]
    return Outcome(disposition, f"{text} ({type(error).__name__})")


class FhirClient:
    """A client for one base URL. `token` is sent as a bearer token, or `auth` signs in (`sync.signin`); neither
    stands in a text or `repr`. `tls` has our own certificate, or authorities beside the system's.

    Raises ConfigError for a base URL or token that cannot be one. `transport` is for tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        auth: httpx.Auth | None = None,
        tls: ssl.SSLContext | None = None,
        connections: int = 16,
        timeouts: Timeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        before_each: Callable[[httpx.Request], Awaitable[None]] | None = None,
    ) -> None:
        """`before_each` is awaited before every request, those that sign in included."""
        self.base_url = base_url.rstrip("/")
        self._base = _checked(self.base_url)
        self._total = (timeouts or Timeouts()).total
        self._clock = clock
        headers = {"Accept": _FHIR_JSON, "Accept-Charset": "utf-8", "Cache-Control": "no-cache"}
        if token is not None:
            if not _TOKEN.fullmatch(token):
                raise ConfigError("the bearer token has characters that no bearer token has")
            headers["Authorization"] = f"Bearer {token}"
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._http = httpx.AsyncClient(
            headers=headers,
            auth=auth,
            timeout=_httpx_timeouts(timeouts or Timeouts()),
            follow_redirects=False,
            trust_env=False,
            transport=Bounded(
                transport or httpx.AsyncHTTPTransport(verify=tls or True, limits=limits, trust_env=False)
            ),
            event_hooks={"request": [before_each] if before_each else []},
        )

    async def transaction(
        self, bundle: bytes | Outgoing, versions: Mapping[str, str] | None = None
    ) -> TransactionResult:
        """POSTs the Bundle, with If-Match where `versions` (`Type/id` -> ETag) knows one.

        A transfer that fails is told by the outcome. Raises Refused only for bytes that are no Bundle.
        """
        outgoing = bundle if isinstance(bundle, Outgoing) else Outgoing(bundle)
        headers = {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
        outcome, response = await self._send(
            "POST", self.base_url, content=outgoing.render(versions or {}), headers=headers
        )
        if outcome.disposition is not Disposition.DONE or response is None:
            versioned = any(target in (versions or {}) for target in outgoing.references)
            return TransactionResult(outcome if versioned else without_version(outcome), [], {})
        outcome, entries = check_entries(outgoing, response.content, now=self._clock())
        return TransactionResult(outcome, entries, learned(outgoing, entries) if entries else {})

    async def bundle(self, bundle: Mapping[str, Any]) -> tuple[Outcome, bytes]:
        """POSTs any Bundle: the outcome of the whole, and the answer, whose entries are not looked at."""
        headers = {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
        outcome, response = await self._send("POST", self.base_url, content=json.dumps(bundle), headers=headers)
        return outcome, response.content if response is not None else b""

    async def write(
        self, method: str, path: str, resource: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[Outcome, EntryResult]:
        """POST or PUT of one resource at `path` below the base. Where it was written is read from the answer."""
        sent = {"Content-Type": _FHIR_JSON, "Prefer": "return=representation", **headers}
        url = f"{self.base_url}/{path}"
        outcome, response = await self._send(method, url, content=json.dumps(resource), headers=sent)
        if outcome.disposition is not Disposition.DONE or response is None:
            return outcome if "If-Match" in headers else without_version(outcome), EntryResult(0, "", "")
        body = json.loads(response.content) if response.content else {}
        if refusal := refusal_within(response.status_code, body):
            return refusal, EntryResult(0, "", "")
        place = response.headers.get("location") or response.headers.get("content-location") or ""
        if isinstance(body, dict) and body.get("resourceType") == path.split("/")[0] and body.get("id"):
            place = f"{body['resourceType']}/{body['id']}"
        return outcome, EntryResult(response.status_code, place, response.headers.get("etag", ""))

    async def read(self, reference: str) -> dict[str, Any] | None:
        """The resource `Type/id` with decimals as they stand; None where it is not or no longer there.

        Raises Permanent, Transient or Ambiguous.
        """
        response = await self._get(reference)
        return None if response is None else _loaded(response)

    async def current(self, reference: str) -> tuple[str | None, dict[str, Any] | None]:
        """The ETag of `Type/id`, opaque, and the resource; None where it is not there. Raises as `read`."""
        response = await self._get(reference)
        return (None, None) if response is None else (response.headers.get("etag"), _loaded(response))

    async def validate(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The OperationOutcome of `Type/$validate` (FHIR R4, resource-operation-validate.html). Raises as `read`.

        A server may answer what it cannot read at all with an error status and an OperationOutcome: that is an answer too.
        """
        url = f"{self.base_url}/{resource['resourceType']}/$validate"
        outcome, response = await self._send(
            "POST", url, content=json.dumps(resource), headers={"Content-Type": _FHIR_JSON}
        )
        if response is not None and response.status_code in (200, 400, 412, 422):
            found = _loaded(response)
            if found.get("resourceType") == "OperationOutcome":
                return found
        raise outcome.error()

    async def metadata(self) -> dict[str, Any]:
        """The CapabilityStatement. Raises as `read`."""
        return await self._resource("GET", f"{self.base_url}/metadata")

    async def search(self, kind: str, parameters: Sequence[tuple[str, str]]) -> AsyncIterator[dict[str, Any]]:
        """The matches and included resources of all pages. Raises as `read`.

        Pages of another origin, and a page that was there before, end the search with Permanent.
        """
        page = await self._first_page(kind, parameters)
        visited: set[str] = set()
        while True:
            for resource in _resources(page):
                yield resource
            following = _next_link(page)
            if following is None:
                return
            url = self._same_origin(following)
            if url in visited:
                raise Outcome(Disposition.MISCONFIGURED, "the server gives the same page again").error()
            visited.add(url)
            page = await self._resource("GET", url)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _first_page(self, kind: str, parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
        form = urlencode(parameters)
        if any("identifier" in name or "|" in value for name, value in parameters):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return await self._resource(
                "POST", f"{self.base_url}/{kind}/_search", content=form.encode(), headers=headers
            )
        return await self._resource("GET", f"{self.base_url}/{kind}?{form}")

    def _same_origin(self, link: str) -> str:
        """The link, made absolute; compared as origins, since a prefix of text proves nothing."""
        try:
            url = self._base.join(link)
        except httpx.InvalidURL:
            raise Outcome(Disposition.MISCONFIGURED, "the link to the next page cannot be read").error() from None
        if (url.scheme, url.host, url.port) != (self._base.scheme, self._base.host, self._base.port):
            raise Outcome(Disposition.MISCONFIGURED, "the next page is on another origin").error()
        return str(url)

    async def _get(self, reference: str) -> httpx.Response | None:
        outcome, response = await self._send("GET", f"{self.base_url}/{reference}")
        if outcome.disposition is Disposition.GONE or outcome.status == 410:  # which may come without a word
            return None
        if outcome.disposition is not Disposition.DONE or response is None:
            raise outcome.error()
        return response

    async def _resource(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        outcome, response = await self._send(method, url, **more)
        if outcome.disposition is not Disposition.DONE or response is None:
            raise outcome.error()
        return _loaded(response)

    async def _send(self, method: str, url: str, **more: Any) -> tuple[Outcome, httpx.Response | None]:
        try:
            async with asyncio.timeout(self._total):
                response = await self._http.request(method, url, **more)
        except TimeoutError:
            return Outcome(Disposition.AMBIGUOUS, "no answer within the total time"), None
        except _HTTPX_ERRORS as error:
            return _of_another(error, url) or outcome_of(error), None
        except SignInFailed as error:
            return error.outcome, None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return classify(response.status_code, headers, response.content, now=self._clock()), response


def _of_another(error: Exception, url: str) -> Outcome | None:
    """The outcome where it was signing in that failed: what was asked for was not sent yet."""
    request = getattr(error, "_request", None)
    if request is None or request.url == httpx.URL(url):
        return None
    found = outcome_of(error)
    unsent = Outcome(Disposition.UNSENT, f"signing in: {found.text}")
    return unsent if found.disposition is Disposition.AMBIGUOUS else found


def _checked(base_url: str) -> httpx.URL:
    if "@" in base_url:  # before any text that would quote it
        raise ConfigError("the FHIR server's address holds no user name and no password")
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the FHIR server's address cannot be read: {base_url!r}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"the FHIR server's address is http:// or https:// and a host, not {base_url!r}")
    if url.query or url.fragment:
        raise ConfigError("the FHIR server's address holds no query and no fragment")
    return url


def _httpx_timeouts(timeouts: Timeouts) -> httpx.Timeout:
    return httpx.Timeout(connect=timeouts.connect, read=timeouts.read, write=timeouts.write, pool=timeouts.pool)


def _loaded(response: httpx.Response) -> dict[str, Any]:
    """`classify` has read it once and found a resource, or an empty body."""
    if not response.content:
        raise Outcome(Disposition.MISCONFIGURED, f"{response.status_code}: an empty answer").error()
    resource: dict[str, Any] = json.loads(response.content)
    return resource


def _resources(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What was found, and nothing that has no type or no id."""
    for entry in entries_of(page):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or not all(isinstance(resource.get(key), str) for key in _NAMED_BY):
            continue
        search = entry.get("search")
        if not (isinstance(search, dict) and search.get("mode") == "outcome"):
            yield resource


def _next_link(page: dict[str, Any]) -> str | None:
    links = page.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and "url" in link:
            return str(link["url"])
    return None
