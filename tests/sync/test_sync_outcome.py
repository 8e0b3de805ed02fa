"""The table of outcomes, row by row, and what is kept of a server's words."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from ketafhir.errors import Ambiguous, Permanent, Transient
from ketafhir.sync.outcome import MAX_RETRY_AFTER, Disposition, Outcome, classify
from ketafhir.sync.scrub import MAX_LENGTH, operation_outcome_text, scrub, without_sent

D = Disposition
NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
FHIR = {"content-type": "application/fhir+json;charset=utf-8"}
HTML = {"content-type": "text/html"}


def said(text: str, code: str = "processing", severity: str = "error") -> bytes:
    issue = {"severity": severity, "code": code, "diagnostics": text}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


@pytest.fixture(autouse=True)
def _zone_as_it_was() -> Iterator[None]:
    yield
    time.tzset()


OO = said("HAPI-9999: because")

ROWS = [
    ("done", 200, FHIR, b'{"resourceType":"Bundle"}', D.DONE),
    ("created without a body", 201, {}, b"", D.DONE),
    ("cut off", 200, FHIR, b'{"resourceType":"Bun', D.AMBIGUOUS),
    ("html for fhir", 200, HTML, b"<html>login</html>", D.MISCONFIGURED),
    ("redirect", 302, {"location": "http://elsewhere.test/"}, b"", D.MISCONFIGURED),
    ("permanent redirect", 308, {"location": "/fhir/"}, b"", D.MISCONFIGURED),
    ("bad request", 400, FHIR, OO, D.REJECTED),
    ("unauthorized", 401, {}, b"", D.UNAUTHORIZED),
    ("forbidden", 403, FHIR, OO, D.UNAUTHORIZED),
    ("proxy wants a password", 407, HTML, b"<html>", D.UNAUTHORIZED),
    ("no such resource", 404, FHIR, said("HAPI-2001: not known"), D.GONE),
    ("no such page", 404, HTML, b"<html>", D.MISCONFIGURED),
    ("method", 405, FHIR, OO, D.REJECTED),
    ("not acceptable", 406, FHIR, OO, D.REJECTED),
    ("request timeout", 408, {}, b"", D.TRANSIENT),
    ("stale If-Match", 409, FHIR, said("HAPI-0550: HAPI-0989: Trying to update"), D.CONFLICT),
    ("still referred to", 409, FHIR, said("HAPI-0550: HAPI-0515: Unable to delete it"), D.REJECTED),
    ("deleted, without a word", 410, {}, b"", D.GONE),
    ("no such page", 404, {}, b"", D.MISCONFIGURED),
    ("deleted", 410, FHIR, said("HAPI-0448: Resource was deleted"), D.GONE),
    ("precondition", 412, FHIR, OO, D.CONFLICT),
    ("two match a create", 412, FHIR, said("because this search matched 2 resources"), D.IDENTITY),
    ("two match an update", 412, FHIR, said("Multiple resources match this search"), D.IDENTITY),
    ("two match, as coded", 412, FHIR, said("sorry", "multiple-matches"), D.IDENTITY),
    ("too large", 413, HTML, b"<html>", D.TOO_LARGE),
    ("media type", 415, FHIR, OO, D.REJECTED),
    ("unprocessable", 422, FHIR, OO, D.REJECTED),
    ("throttled", 429, {}, b"", D.THROTTLED),
    ("server failure", 500, FHIR, OO, D.TRANSIENT),
    ("not implemented", 501, FHIR, OO, D.REJECTED),
    ("bad gateway", 502, HTML, b"<html>", D.UNAVAILABLE),
    ("unavailable", 503, HTML, b"<html>", D.UNAVAILABLE),
    ("unavailable until", 503, {"retry-after": "5"}, b"", D.THROTTLED),
    ("gateway timeout", 504, HTML, b"<html>", D.UNAVAILABLE),
    ("insufficient storage", 507, FHIR, OO, D.TRANSIENT),
]


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_row(status: int, headers: dict[str, str], body: bytes, expected: Disposition) -> None:
    outcome = classify(status, headers, body, now=NOW)
    assert outcome.disposition is expected
    assert outcome.status == status
    assert outcome.text.startswith(str(status))


def test_every_disposition_of_an_answer_has_a_row() -> None:
    assert {row[4] for row in ROWS} == set(Disposition) - {D.UNSENT, D.FINAL, D.HELD}


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri Jan 15 08:02:00 2027", 120.0),
        ("Fri, 15 Jan 2027 25:61:00 GMT", None),
        ("86400", MAX_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("²", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_retry_after_in_seconds_or_as_a_date(
    value: str | None, after: float | None, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date in the old form of RFC 9110, 5.6.7, names no zone and is UTC, wherever we are."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    headers = {} if value is None else {"retry-after": value}
    for status in (429, 503):
        outcome = classify(status, headers, b"", now=NOW)
        assert outcome.after == after
        assert (outcome.disposition is D.THROTTLED) == (status == 429 or after is not None)


@pytest.mark.parametrize(
    ("disposition", "kind"),
    [(D.REJECTED, Permanent), (D.MISCONFIGURED, Permanent), (D.AMBIGUOUS, Ambiguous), (D.UNSENT, Transient)],
)
def test_as_an_exception(disposition: Disposition, kind: type[Exception]) -> None:
    error = Outcome(disposition, "why", after=7.0).error()
    assert type(error) is kind
    assert str(error) == "why"
    if isinstance(error, Transient):
        assert error.after == 7.0


@pytest.mark.parametrize(
    "kept",
    [
        "HAPI-1094: Resource not found, specified in path: Observation.subject",
        "HAPI-0989: Trying to update Patient/3f2b7a10-0000-4000-8000-24767f8ffcb0",
        'HAPI-1821: [element="gender"] Invalid attribute value',
        "Profile http://hl7.org/fhir/StructureDefinition/bp, Element matches 0 times",
        'Element "Bundle.entry[3].resource" is odd',
        "Constraint failed: mad-1",
    ],
)
def test_what_helps_is_kept(kept: str) -> None:
    assert scrub(kept) == kept


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (
            'Invalid match URL "Patient?identifier=urn:x|CANARY" - Multiple resources match',
            "Invalid match URL *** - Multiple resources match",
        ),
        ("at Patient?identifier=CANARY&name=CANARY2 x", "at Patient?identifier=*** x"),
        ('at "Patient?_profile=http://hl7.org/fhir/a CANARY" x', "at *** x"),
        ("(HAPI-0989: MRN(4711042), x|CANARY)", "(HAPI-0989: MRN(***), ***)"),
        ("Invalid value 'CANARY' here", "Invalid value *** here"),
        ("found urn:oid:1.2|CANARY twice", "found *** twice"),
        ("born 1961-02-03, number 4711042", "born ***, number ***"),
        ("the server's name is 'CANARY SMITH", "the server's name is ***"),
        ('"' + "CANARY " * 9000, "***"),
        ("a\n\tb", "a b"),
    ],
)
def test_what_may_be_about_a_patient_goes(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


def test_words_are_shortened() -> None:
    assert len(scrub("word " * 1000)) == MAX_LENGTH


def test_errors_come_before_warnings() -> None:
    issues = [
        {"severity": "warning", "code": "informational", "diagnostics": "harmless"},
        {"severity": "error", "code": "invalid", "details": {"text": "bad"}, "expression": ["Patient.name"]},
    ]
    body = {"resourceType": "OperationOutcome", "issue": issues}
    assert operation_outcome_text(body) == "invalid bad Patient.name"
    assert operation_outcome_text({"resourceType": "Patient"}) == ""
    assert operation_outcome_text({"resourceType": "OperationOutcome", "issue": [None]}) == ""


def test_what_a_server_repeats_without_quotes_is_known_by_what_was_sent() -> None:
    payload = (
        b'{"entry": [{"resource": {"resourceType": "Patient", "name": [{"family": "Doe", "given": ["Jane Ann"]}],'
        b'"identifier": [{"system": "urn:x", "value": "ABC"}], "text": {"div": "<div>Zoe</div>"}}, "request":'
        b'{"ifNoneExist": "identifier=urn:x|QRS"}}, {"resource": {"code": {"text": "Ketamine", "coding": [{"code": "k",'
        b'"display": "Ketamine"}]}, "note": [{"text": "afraid"}]}}]}'
    )
    said = "422: value Jane DOE of Patient.name, ABC QRS zoe afraid, Ketamine unknown"
    assert without_sent(said, payload) == ("422: value *** *** of Patient.name, *** *** *** ***, Ketamine unknown")
    for sent, told in (("M\u00fcller", "Mu\u0308ller"), ("Mu\u0308ller", "M\u00fcller")):
        assert without_sent(f"422: {told}", json.dumps({"family": sent}).encode()) == "422: ***"
    assert without_sent("500: about Jan…", payload) == "500: about ***…"
    assert without_sent("500: no reason", b"not JSON") == "500: no reason"
