"""A stored transaction Bundle on its way out, and the answer to it, entry by entry.

FHIR R4, http.html#transaction. The stored Bundle names no versions: they are put in right before it is
sent, and may have to be put in anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from ketafhir.errors import refused
from ketafhir.fhir import json
from ketafhir.sync.outcome import Disposition, Outcome, classify, without_version
from ketafhir.sync.scrub import operation_outcome_text

_BY_ID = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_BARS, _ESCAPED = re.compile(r"(?<!\\)\|"), re.compile(r"\\(.)")
_LOCATION = re.compile(r"(?:^|/)([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")


@dataclass(slots=True, frozen=True)
class EntryResult:
    """What the server answered to one entry."""

    status: int
    location: str
    etag: str

    @property
    def reference(self) -> str:
        """`Type/id` of where it was written; empty where the server does not say."""
        found = _LOCATION.search(self.location)
        return found.group(1) if found else ""


class Outgoing:
    """A transaction Bundle. Raises Refused where the bytes are none."""

    def __init__(self, payload: bytes) -> None:
        self._bundle = json.loads(payload)
        if not isinstance(self._bundle, dict) or self._bundle.get("resourceType") != "Bundle":
            raise refused("not-a-bundle", "what was queued is no Bundle")
        self._requests = [_request(entry) for entry in self._bundle.get("entry") or ()]
        self.targets: list[str | None] = [_target(request) for request in self._requests]

    @property
    def references(self) -> list[str]:
        """Each `Type/id` that is written under its own id, in the order of the entries."""
        return [target for target in self.targets if target is not None]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """As stored."""
        entries: list[dict[str, Any]] = list(self._bundle.get("entry") or ())
        return entries

    def render(self, versions: Mapping[str, str]) -> bytes:
        """The Bundle with If-Match wherever a version is known, and nowhere else."""
        for request, target in zip(self._requests, self.targets, strict=True):
            etag = versions.get(target) if target is not None else None
            if etag is not None:
                request["ifMatch"] = etag
            else:
                request.pop("ifMatch", None)
        return json.dumps(self._bundle)


def _request(entry: Any) -> dict[str, Any]:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise refused("not-a-transaction", "an entry of the Bundle has no request")
    return request


def _target(request: dict[str, Any]) -> str | None:
    url = request.get("url")
    if request.get("method") == "PUT" and isinstance(url, str) and _BY_ID.fullmatch(url):
        return url
    return None


def check_entries(outgoing: Outgoing, body: bytes, *, now: float) -> tuple[Outcome, list[EntryResult]]:
    """Whether a 200 means what it says: one answer an entry, each with success, each where it was sent to."""
    answer = json.loads(body) if body else None
    if not isinstance(answer, dict) or answer.get("resourceType") != "Bundle":
        return Outcome(Disposition.MISCONFIGURED, "200: the answer to a transaction is no Bundle", 200), []
    responses = [_response(entry) for entry in entries_of(answer)]
    if len(responses) != len(outgoing.targets):
        text = f"200: {len(responses)} answers to {len(outgoing.targets)} entries"
        return Outcome(Disposition.AMBIGUOUS, text, 200), []
    results: list[EntryResult] = []
    for number, (response, target) in enumerate(zip(responses, outgoing.targets, strict=True)):
        location, etag = str(response.get("location", "")), str(response.get("etag", ""))
        result = EntryResult(_status(response), location, _etag(etag))
        failure = _entry_failure(result, response, target, now)
        if failure is not None:
            text = f"Bundle.entry[{number}]: {failure.text}"
            return Outcome(failure.disposition, text, result.status, failure.after), []
        results.append(result)
    return Outcome(Disposition.DONE, "200", 200), results


def check_batch(targets: Sequence[str | None], body: bytes, *, now: float) -> tuple[Outcome, list[EntryResult | None]]:
    """The answer to a batch: each entry stands alone. None for one that failed, the outcome that of the first."""
    answer = json.loads(body) if body else None
    if not isinstance(answer, dict) or answer.get("resourceType") != "Bundle":
        return Outcome(Disposition.MISCONFIGURED, "200: the answer to a batch is no Bundle", 200), []
    responses = [_response(entry) for entry in entries_of(answer)]
    if len(responses) != len(targets):
        return Outcome(Disposition.AMBIGUOUS, f"200: {len(responses)} answers to {len(targets)} entries", 200), []
    first: Outcome | None = None
    results: list[EntryResult | None] = []
    for number, (response, target) in enumerate(zip(responses, targets, strict=True)):
        result = EntryResult(_status(response), str(response.get("location", "")), _etag(str(response.get("etag", ""))))
        failure = _entry_failure(result, response, target, now)
        results.append(None if failure else result)
        if failure and first is None:
            text = f"entry {number} of a batch: {failure.text}"
            first = Outcome(failure.disposition, text, result.status, failure.after)
    return first or Outcome(Disposition.DONE, "200", 200), results


def entries_of(answer: Mapping[str, Any]) -> list[Any]:
    """The entries of a Bundle that a server has written, whatever else stands there."""
    found = answer.get("entry")
    return found if isinstance(found, list) else []


def _response(entry: Any) -> dict[str, Any]:
    response = entry.get("response") if isinstance(entry, dict) else None
    return response if isinstance(response, dict) else {}


def _status(response: Mapping[str, Any]) -> int:
    text = str(response.get("status", ""))[:3]
    return int(text) if text.isdecimal() else 0


def _entry_failure(result: EntryResult, response: dict[str, Any], target: str | None, now: float) -> Outcome | None:
    if result.status == 0:
        return Outcome(Disposition.AMBIGUOUS, "answered without a status")
    if not 200 <= result.status < 300:
        return _of_one(result.status, response.get("outcome"), target, now)
    written = _LOCATION.search(result.location)
    if target is not None and written is not None and written.group(1) != target:
        return Outcome(Disposition.REJECTED, f"{target} was written as {written.group(1)}", result.status)
    return None


def _of_one(status: int, said: Any, target: str | None, now: float) -> Outcome:
    """Nothing that a server says of one entry tells that it is no server: a missing OperationOutcome, or a 304."""
    spoken = said if operation_outcome_text(said) else {"resourceType": "OperationOutcome"}
    failure = classify(status, {}, json.dumps(spoken), now=now)
    if failure.disposition is Disposition.MISCONFIGURED:
        return Outcome(Disposition.REJECTED, f"{status}: no answer to a write", status)
    if failure.disposition is Disposition.UNAUTHORIZED:  # the others go: it is about this resource, or its type
        return Outcome(Disposition.REJECTED, failure.text, status)
    return without_version(failure) if target is None else failure  # only what has an id of its own names a version


def matching(resources: Sequence[dict[str, Any]], query: str) -> list[dict[str, Any]] | None:
    """Those that a search by `identifier=system|value` found; None where one has not that identifier: a server that does not
    know a parameter may pass it by (FHIR R4, search.html#errors) and answer with whom it likes.
    """
    for name, token in parse_qsl(query):
        if name == "identifier":
            system, value = _token(token)
            if not all(_has(one, system, value) for one in resources):
                return None
    return list(resources)


def _token(text: str) -> tuple[str | None, str]:
    """System and value of a search token; each may hold what is escaped by a backslash (FHIR R4, search.html#escaping)."""
    parts = [_ESCAPED.sub(r"\1", part) for part in _BARS.split(text, maxsplit=1)]
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def _has(resource: Mapping[str, Any], system: str | None, value: str) -> bool:
    told = resource.get("identifier")
    found = [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, dict)]
    return any(one.get("value") == value and (system is None or one.get("system", "") == system) for one in found)


def learned(outgoing: Outgoing, results: list[EntryResult]) -> dict[str, str]:
    """The new ETag of each resource that was put: under its own id, or under the one that the server says it has."""
    pairs = zip(outgoing.entries, results, strict=True)
    places = ((written(entry["request"], result), result.etag) for entry, result in pairs)
    return {place: etag for place, etag in places if place and etag}


def written(request: Mapping[str, Any], result: EntryResult) -> str:
    """`Type/id` of what was put; "" of what was only created where it was missing, which others may write too."""
    return (_target(dict(request)) or result.reference) if request.get("method") == "PUT" else ""


def _etag(text: str) -> str:
    """An ETag as If-Match takes it; HAPI answers a transaction with the bare version."""
    return text if not text or text.endswith('"') else f'W/"{text}"'
