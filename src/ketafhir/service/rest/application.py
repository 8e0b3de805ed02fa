"""The operations as an ASGI application: who asks, what comes, what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ketafhir.errors import Issue, Refused, StoreError
from ketafhir.service.rest import audit, health, many, messages, openapi, queue, translations
from ketafhir.service.rest.access import Holder
from ketafhir.service.rest.backend import Backend
from ketafhir.service.rest.operations import JSON, Answer, Ask, HttpRefused, Operation, as_json, outcome, refused

OPERATIONS: tuple[Operation, ...] = (
    *translations.OPERATIONS,
    *messages.OPERATIONS,
    *queue.OPERATIONS,
    *many.OPERATIONS,
    *audit.OPERATIONS,
    *health.OPERATIONS,
)
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_TOLD_AGAIN = 60.0  # seconds
_log = logging.getLogger("ketafhir.rest")


def application(backend: Backend, version: str) -> Starlette:
    """All operations, and `/openapi.json`, which tells them."""
    operations = (*OPERATIONS, _document(version))
    routes = [_route(one, backend) for one in operations]
    found = Starlette(routes=routes, exception_handlers={HTTPException: _not_there})
    found.router.redirect_slashes = False  # it would tell the host that the request named
    return found


def busy() -> Response:
    """The answer to one request too many, as an ASGI application; its connection is closed, to make room."""
    issue = Issue("error", "busy", "too many connections or requests at a time", hint="ask again later")
    return _response(outcome(503, [issue], {"Retry-After": "1", "Connection": "close"}))


def _document(version: str) -> Operation:
    async def tell(backend: Backend, ask: Ask) -> Answer:
        """The document, of which this is a part."""
        return as_json(openapi.document((*OPERATIONS, one), version))

    one = Operation("GET", "/openapi.json", "This document", None, tell, {200: (JSON,)})
    return one


def _route(one: Operation, backend: Backend) -> Route:
    async def endpoint(request: Request) -> Response:
        return _response(await _answered(one, backend, request))

    return Route(one.path, endpoint, methods=[one.method], name=f"{one.method} {one.path}")


def _tell_away(backend: Backend, error: StoreError) -> None:
    """Once a minute: while a database is away, whoever asks for metrics or readiness would fill the log."""
    news = time.monotonic() - backend.told_away >= _TOLD_AGAIN
    if news:
        backend.told_away = time.monotonic()
    _log.log(logging.ERROR if news else logging.DEBUG, "the store does not answer: %s", error)


async def _answered(one: Operation, backend: Backend, request: Request) -> Answer:
    try:
        ask = Ask(_holder(one, backend, request), _values(one, request))
        if one.takes:
            ask.media = _media(one, request)
            ask.body = await _body(request, backend.max_bytes, backend.body_seconds)
        ask.accept = request.headers.get("accept", "")
        return await one.handler(backend, ask)
    except HttpRefused as refusal:
        return outcome(refusal.status, refusal.issues, refusal.headers)
    except Refused as refusal:
        return outcome(400, refusal.issues)
    except StoreError as error:
        _tell_away(backend, error)
        issue = Issue("error", "not-stored", "the store does not answer", hint="ask again later")
        return outcome(503, [issue], {"Retry-After": "5"})
    except Exception as error:
        # Its text could quote the message: only its kind is logged, and nobody above is shown it.
        _log.error("a fault of ours: %s in %s %s", type(error).__name__, one.method, one.path)
        return outcome(500, [Issue("error", "internal-error", "a fault of ours", hint="report it")])


def _holder(one: Operation, backend: Backend, request: Request) -> Holder | None:
    """Who asks. The token is looked at before anything else of the request."""
    if one.may is None:
        return None
    holder = backend.access.holder(request.headers.get("authorization", ""))
    if holder is None:
        error = refused(401, "token-unknown", "no token that is known", "send Authorization: Bearer and the token")
        error.headers = {"WWW-Authenticate": "Bearer"}
        raise error
    if not holder.may(one.may):
        raise refused(403, "role", "the role of this token does not allow it")
    return holder


def _values(one: Operation, request: Request) -> dict[str, Any]:
    """The parameters, each known, told once and of its kind. Raises HttpRefused."""
    known = {parameter.name: parameter for parameter in one.parameters}
    told = [*request.path_params.items(), *request.query_params.multi_items()]
    found: dict[str, Any] = {}
    for name, value in told:
        if name not in known or name in found:
            hint = f"known are {', '.join(sorted(known))}" if known else ""
            raise refused(400, "parameter-unknown", "a parameter is not known, or told twice", hint)
        found[name] = known[name].read(str(value))
    for parameter in one.parameters:
        if parameter.required and parameter.name not in found:
            raise refused(400, "parameter-missing", "this parameter is needed", parameter.text, parameter.name)
    return found


def _media(one: Operation, request: Request) -> str:
    """The media type of the body. One that is not told is taken for the first; a form, as curl tells it, is none of them."""
    told = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if told and told not in one.takes:
        text = "XML is not read" if told.endswith(("/xml", "+xml")) else "this media type is not read"
        raise refused(415, "media-type", text, f"send {', '.join(one.takes)}", "Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(415, "media-type", "a packed body is not read", "send it as it is", "Content-Encoding")
    return told or one.takes[0]


async def _body(request: Request, most: int, seconds: float) -> bytes:
    """As it streams in, up to the cap; the rest of what is too long, or too slow, is not read."""
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:19]) > most:
        raise _too_long(most)
    found = bytearray()
    stream = request.stream().__aiter__()
    try:
        while True:
            async with asyncio.timeout(seconds):
                chunk = await anext(stream, None)
            if chunk is None:
                return bytes(found)
            found += chunk
            if len(found) > most:
                raise _too_long(most)
    except TimeoutError:
        raise _closing(refused(408, "timeout", "the body did not come in time", "send it at once")) from None
    except ClientDisconnect:
        raise _closing(refused(400, "broken-off", "the body broke off")) from None


def _too_long(most: int) -> HttpRefused:
    return _closing(refused(413, "too-long", "the body is too long", f"send at most {most} bytes"))


def _closing(error: HttpRefused) -> HttpRefused:
    """What is left of the body would be read as the next request."""
    error.headers = {"Connection": "close"}
    return error


def _response(answer: Answer) -> Response:
    then = BackgroundTask(answer.then) if answer.then else None
    return Response(answer.body, answer.status, {**_HEADERS, **answer.headers}, answer.media, then)


async def _not_there(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = "there is no such path" if status == 404 else "not with this method"
    issue = Issue("error", "not-found", text, hint="GET /openapi.json tells what there is")
    headers = error.headers if isinstance(error, HTTPException) else None  # RFC 9110, 15.5.6: 405 tells what is allowed
    return _response(outcome(status, [issue], headers or {}))
