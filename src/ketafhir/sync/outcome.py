"""What an answer of a FHIR server means for what was sent: one pure function over status, headers and body.

FHIR R4, http.html: transactions, managing resource contention. HAPI answers a stale If-Match, and the loser
of two racing conditional creates, with 409 and not with 412; both are read as a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from ketafhir.errors import Ambiguous, Permanent, Refused, TransferError, Transient
from ketafhir.fhir import json
from ketafhir.sync.scrub import operation_outcome_text

MAX_RETRY_AFTER = 900.0  # seconds; a server that asks for a day is asked again sooner


class Disposition(StrEnum):
    """What to do with the payload, and with the destination."""

    DONE = "done"
    UNSENT = "unsent"  # provably not sent
    AMBIGUOUS = "ambiguous"  # it may have been done
    TRANSIENT = "transient"  # the server failed on it; may be the payload, may be the server
    UNAVAILABLE = "unavailable"  # nobody behind the gateway
    THROTTLED = "throttled"
    CONFLICT = "conflict"  # somebody else wrote first: read again, send again
    GONE = "gone"  # something it rests on is not on the server
    REJECTED = "rejected"
    IDENTITY = "identity"  # several resources match one identity: only a person can tell
    TOO_LARGE = "too-large"
    UNAUTHORIZED = "unauthorized"
    FINAL = "final"  # turned down for good
    HELD = "held"  # a person is to look at it
    MISCONFIGURED = "misconfigured"  # no FHIR server answers at this address


_D = Disposition

REPLACED = "replaced"  # done in place of what somebody else had written: counted beside the states of deliveries

PAUSES_DESTINATION = frozenset({_D.UNSENT, _D.UNAVAILABLE, _D.THROTTLED, _D.UNAUTHORIZED, _D.MISCONFIGURED})
_PERMANENT = frozenset(
    {_D.REJECTED, _D.FINAL, _D.HELD, _D.IDENTITY, _D.TOO_LARGE, _D.GONE, _D.UNAUTHORIZED, _D.MISCONFIGURED}
)

# The code of the standard (issue-type), and what HAPI says for a conditional create and update.
_SEVERAL_MATCH = ("multiple-matches", "because this search matched", "Multiple resources match")

_BY_STATUS = {
    401: _D.UNAUTHORIZED,
    403: _D.UNAUTHORIZED,
    407: _D.UNAUTHORIZED,
    404: _D.GONE,
    410: _D.GONE,
    408: _D.TRANSIENT,
    425: _D.TRANSIENT,
    409: _D.CONFLICT,
    412: _D.CONFLICT,
    413: _D.TOO_LARGE,
    429: _D.THROTTLED,
    501: _D.REJECTED,
    502: _D.UNAVAILABLE,
    503: _D.UNAVAILABLE,
    504: _D.UNAVAILABLE,
}


@dataclass(slots=True, frozen=True)
class Outcome:
    """`text` carries nothing about a patient. `after` is the wait the server asked for, in seconds."""

    disposition: Disposition
    text: str = ""
    status: int | None = None
    after: float | None = None

    def error(self) -> TransferError:
        """The same as an exception, for callers that wanted a resource."""
        error: TransferError
        if self.disposition in _PERMANENT:
            error = Permanent(self.text)
        elif self.disposition is Disposition.AMBIGUOUS:
            error = Ambiguous(self.text)
        else:
            error = Transient(self.text, self.after)
        error.outcome = self
        return error


def classify(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Outcome:
    """The outcome of an answered request. `headers` have lower-case names; `now` dates a Retry-After."""
    resource = _resource(body)
    said = operation_outcome_text(resource)
    if 200 <= status < 300:
        return _of_success(status, headers, body, resource)
    if 300 <= status < 400:
        return Outcome(_D.MISCONFIGURED, f"{status}: redirects are not followed: set the final address", status)
    disposition = _of_failure(status, said, resource)
    after = retry_after(headers.get("retry-after"), now)
    if disposition is _D.UNAVAILABLE and after is not None:
        disposition = _D.THROTTLED
    return Outcome(disposition, f"{status}: {said or _unspoken(disposition, resource)}", status, after)


def refusal_within(status: int, resource: Any) -> Outcome | None:
    """Of a write that was answered 2xx with an OperationOutcome of an error: it is no success."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "OperationOutcome":
        return None
    issues = resource.get("issue")
    told = issues if isinstance(issues, list) else []
    if any(isinstance(one, dict) and one.get("severity") in ("error", "fatal") for one in told):
        return Outcome(_D.REJECTED, f"{status}: {operation_outcome_text(resource)}", status)
    return None


def without_version(outcome: Outcome) -> Outcome:
    """The outcome of a request that names no version: 412 can only say that several match one identity (http.html#ccreate)."""
    if outcome.status == 412 and outcome.disposition is _D.CONFLICT:
        return replace(outcome, disposition=_D.IDENTITY)
    return outcome


def _of_success(status: int, headers: Mapping[str, str], body: bytes, resource: Any) -> Outcome:
    if resource is not None or not body:
        return Outcome(_D.DONE, str(status), status)
    if "json" in headers.get("content-type", "json"):
        return Outcome(
            _D.AMBIGUOUS, f"{status}: the answer is cut off, or no JSON that is read (depth, digits)", status
        )
    return Outcome(_D.MISCONFIGURED, f"{status}: the answer is not FHIR JSON", status)


def _of_failure(status: int, said: str, resource: Any) -> Disposition:
    found = _BY_STATUS.get(status, _D.REJECTED if status < 500 else _D.TRANSIENT)
    if status == 404 and resource is None:
        return _D.MISCONFIGURED  # a FHIR server says what is missing; a web server has no such page
    if found is _D.CONFLICT and any(words in said for words in _SEVERAL_MATCH):
        return _D.IDENTITY
    if found is _D.CONFLICT and "Unable to delete" in said:
        return _D.REJECTED  # others refer to it, and will go on doing so
    return found


def _unspoken(disposition: Disposition, resource: Any) -> str:
    if disposition is _D.UNAUTHORIZED:
        return "the server does not let us in"
    return "no reason given" if resource is not None else "no reason given (the answer is not FHIR JSON)"


def _resource(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except Refused:
        return None
    return found if isinstance(found, dict) and "resourceType" in found else None


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), between 0 and 15 minutes; None for anything else."""
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
