"""The FHIR server as tests see it, asked with nothing but the standard library."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, frozen=True)
class HapiServer:
    """The real FHIR server of this test run, shared by all its tests and never emptied.

    A test makes what it writes its own by `unique()` identifiers, and searches by these.
    """

    url: str
    timeout: float = 60
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def unique(self, prefix: str = "") -> str:
        """A text that no other test, and no other run on the same server, gets."""
        return f"{prefix}{self._run}-{next(self._numbers)}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send `body` as JSON to `path` below the base URL; status and parsed answer, whatever the status."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}".rstrip("/"),
            data=data,
            method=method,
            headers={"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"} | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())

    def every(self, search: str) -> list[Any]:
        """The resources of all pages of a search or a history."""
        found: list[Any] = []
        place = search
        while place:
            status, page = self.request("GET", place)
            assert status == 200, page
            found += [entry["resource"] for entry in page.get("entry", ())]
            links = {link["relation"]: link["url"] for link in page["link"]}
            assert links.get("next", self.url).startswith(self.url), "the next page is elsewhere"
            place = links.get("next", "").removeprefix(self.url).removeprefix("/")
        return found


def _parsed(body: bytes) -> Any:
    return json.loads(body) if body else None
