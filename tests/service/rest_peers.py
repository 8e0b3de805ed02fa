"""The service with HTTP under test: tokens for each role, a client that holds every answer to the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from service_peers import NOWHERE, Running, config, running

from ketafhir.config import Config, RestSettings
from ketafhir.service.rest import openapi
from ketafhir.service.rest.application import OPERATIONS

TOKENS = {role: f"token-of-{role}-0123456789abcdef" for role in ("sender", "viewer", "operator", "metrics", "auditor")}
HL7V2 = "x-application/hl7-v2+er7"


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


LINES = tuple(f"{role}-1 {role} {digest(token)}" for role, token in TOKENS.items())


@cache
def described() -> dict[str, Any]:
    return openapi.document(OPERATIONS, "0")


class Client:
    """Asks with the token of a role. What the document does not tell of an answer fails the test."""

    def __init__(self, url: str, role: str | None, verify: Any = True) -> None:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
        self._http = httpx.Client(base_url=url, headers=headers, trust_env=False, verify=verify, timeout=20)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self._held(self._http.get(path, **more))

    def post(self, path: str, body: bytes = b"", kind: str = HL7V2, **more: Any) -> httpx.Response:
        headers = {"Content-Type": kind, **more.pop("headers", {})}
        return self._held(self._http.post(path, content=body, headers=headers, **more))

    def close(self) -> None:
        self._http.close()

    def _held(self, answer: httpx.Response) -> httpx.Response:
        path, method = answer.request.url.path, answer.request.method.lower()
        for template, operations in described()["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method in operations:
                told = operations[method]["responses"]
                assert str(answer.status_code) in told, f"{method} {path} is not told to answer {answer.status_code}"
                media = answer.headers["content-type"].partition(";")[0]
                assert media in {one.partition(";")[0] for one in told[str(answer.status_code)]["content"]}
        assert answer.headers["cache-control"] == "no-store"
        return answer


class Served:
    def __init__(self, service: Running) -> None:
        assert service.app.http is not None
        self.service, self.url = service, service.app.http.url
        self._clients: dict[str | None, Client] = {}

    def client(self, role: str | None = None) -> Client:
        if role not in self._clients:
            self._clients[role] = Client(self.url, role)
        return self._clients[role]

    def close(self) -> None:
        for one in self._clients.values():
            one.close()


def settings(folder: Path, fhir: str = NOWHERE, **more: Any) -> Config:
    rest = {name: more.pop(name) for name in list(more) if name in RestSettings.__dataclass_fields__}
    found = config(folder / "messages.sqlite", fhir, **more)
    return replace(found, rest=RestSettings(**{"enabled": True, "port": 0, "tokens": LINES, **rest}))


@contextmanager
def served(folder: Path, fhir: str = NOWHERE, **more: Any) -> Iterator[Served]:
    with running(settings(folder, fhir, **more)) as service:
        found = Served(service)
        try:
            yield found
        finally:
            found.close()
