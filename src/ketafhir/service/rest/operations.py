"""An operation of the service over HTTP: its path, who may ask for it, what it takes and what it answers.

The application and its OpenAPI document are both made from these, so that neither can say what the other does not.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ketafhir.errors import Issue
from ketafhir.fhir import json
from ketafhir.fhir.outcome import operation_outcome
from ketafhir.service.rest.access import Holder, May
from ketafhir.store.queue import DIGITS

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

FHIR_JSON = "application/fhir+json"
FHIR_NDJSON = "application/fhir+ndjson"
HL7V2 = "x-application/hl7-v2+er7"
JSON = "application/json"
TEXT = "text/plain"
_AS_JSON = (JSON, "application/*", "*/*")
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


class HttpRefused(Exception):
    """A request that is not carried out; becomes an OperationOutcome of its findings."""

    def __init__(self, status: int, *issues: Issue, headers: Mapping[str, str] = {}) -> None:
        super().__init__(status)
        self.status = status
        self.issues = list(issues)
        self.headers = headers


def refused(status: int, code: str, text: str, hint: str = "", where: str = "") -> HttpRefused:
    """One of a single finding, which repeats nothing of the request."""
    return HttpRefused(status, Issue("error", code, text, where=where, hint=hint))


@dataclass(slots=True, frozen=True)
class Parameter:
    """One of the query or the path. Nothing about a patient is ever one: addresses end in logs."""

    name: str
    text: str
    kind: Literal["string", "integer", "boolean"] = "string"
    among: tuple[str, ...] = ()
    required: bool = False
    least: int = 0

    def read(self, text: str) -> str | int | bool:
        """Its value. Raises HttpRefused, 400."""
        if (
            self.kind == "integer"
            and text.isascii()
            and text.isdigit()
            and len(text) <= DIGITS
            and self.least <= int(text)
        ):
            return int(text)
        if self.kind == "boolean" and text in ("", "true", "false"):
            return text != "false"
        if self.kind == "string" and (not self.among or text in self.among):
            return text
        allowed = {"integer": f"a whole number from {self.least}", "boolean": "true or false"}.get(self.kind, "")
        hint = allowed or f"one of {', '.join(self.among)}"
        raise refused(400, "parameter-value", "this parameter has a value that it cannot have", hint, self.name)


@dataclass(slots=True)
class Ask:
    """One request, checked: `values` are its parameters, those of the path among them."""

    holder: Holder | None
    values: dict[str, Any]
    body: bytes = field(default=b"", repr=False)
    media: str = ""
    accept: str = ""

    @property
    def who(self) -> str:
        """The name of who asks."""
        return self.holder.name if self.holder else ""

    def prefers(self, media: str) -> bool:
        """Whether `media` is named by Accept, and JSON not before it (RFC 9110, 12.5.1)."""
        told = [_weighed(one) for one in self.accept.split(",")]
        wanted = max((weight for name, weight in told if name == media), default=0.0)
        return wanted > 0 and wanted >= max((weight for name, weight in told if name in _AS_JSON), default=0.0)

    def json(self, known: Mapping[str, type]) -> dict[str, Any]:
        """The JSON object of the body, with no other members than `known`; empty for no body. Raises Refused, HttpRefused."""
        if not self.body.strip():
            return {}
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise refused(400, "json-object", "the body is no JSON object")
        for name, value in found.items():
            if name not in known:
                hint = f"known are {', '.join(sorted(known))}" if known else "send no body"
                raise refused(400, "parameter-unknown", "a member of the body is not known", hint)
            if type(value) is not known[name]:
                kind = {bool: "true or false", int: "a whole number", str: "a text"}.get(known[name], "a list")
                raise refused(400, "parameter-value", f"this member is {kind}", where=name)
        return found


def _weighed(text: str) -> tuple[str, float]:
    """A media range in lower case, and its weight: 1 where none can be read."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    found = next((_WEIGHT.fullmatch(one) for one in parameters if one.startswith("q=")), None)
    return name, float(found[1]) if found else 1.0


@dataclass(slots=True)
class Answer:
    """What goes back. `then` is done when it has left."""

    status: int
    body: bytes = field(default=b"", repr=False)
    media: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], None] | None = None


Handler: TypeAlias = "Callable[[Backend, Ask], Awaitable[Answer]]"


@dataclass(slots=True, frozen=True)
class Operation:
    """`may` None: for everybody. `takes` are the media types of the body, `answers` those of each status."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    may: May | None
    handler: Handler
    answers: Mapping[int, tuple[str, ...]]
    parameters: tuple[Parameter, ...] = ()
    takes: tuple[str, ...] = ()
    members: Mapping[str, type] = field(default_factory=dict)

    @property
    def statuses(self) -> dict[int, tuple[str, ...]]:
        """With those that every operation of its kind has."""
        more: dict[int, tuple[str, ...]] = {400: (FHIR_JSON,), 500: (FHIR_JSON,), 503: (FHIR_JSON,)}
        if self.may is not None:
            more |= {401: (FHIR_JSON,), 403: (FHIR_JSON,)}
        if self.takes:
            more |= {408: (FHIR_JSON,), 413: (FHIR_JSON,), 415: (FHIR_JSON,)}
        both = more.keys() & self.answers.keys()
        return {**more, **self.answers, **{status: _united(more[status], self.answers[status]) for status in both}}


def _united(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*other, *one)))


def outcome(status: int, issues: list[Issue], headers: Mapping[str, str] = {}) -> Answer:
    """An OperationOutcome (FHIR R4) as the answer."""
    return Answer(status, json.dumps(operation_outcome(issues)), FHIR_JSON, dict(headers))


def as_json(value: Any, status: int = 200) -> Answer:
    """Plain JSON as the answer."""
    return Answer(status, json.dumps(value), JSON)
