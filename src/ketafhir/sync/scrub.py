"""What a server said, short enough for a table row and without anything about a patient.

The text of an OperationOutcome may quote what was sent: a match URL with an identifier, a name, a date of
birth. Everything quoted goes, and every longer number, but not what is plainly a FHIR path, a resource under
an id of ours, or the address of a profile. What a server repeats without quotes is known by what was sent (`without_sent`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

from ketafhir.errors import Refused
from ketafhir.fhir import json

MAX_LENGTH = 300
_MAX_ISSUES = 3
_READ = 4000  # characters; a server may answer with megabytes

_PATH = r"[A-Z][A-Za-z]+(?:\.[a-z][A-Za-z]*|\[\d+\])+"
_WORD = r"""[^\s()\[\],"']*"""
_PROFILE = (
    r"https?://(?:[a-z0-9.\-]*\.)?(?:hl7\.org|loinc\.org|snomed\.info|unitsofmeasure\.org|ketafhir\.org)[^\s?|\"']*"
)
_PIECE = re.compile(
    rf"""(?P<kept>
        HAPI-\d+                                   # the server's own error number
      | (?P<quote>["'])(?:{_PATH}|{_PROFILE})(?P=quote)
      | {_PROFILE}
      | \[element="[A-Za-z.]+"\]
      | \b[A-Z][A-Za-z]+/[0-9a-fA-F]{{8}}-[0-9a-fA-F-]{{27}}
    )
    | (?P<head>[?&][\w.:\-]+=)[^\s"'\])]*         # the values in a match URL
    | "[^"]*(?:"|$) | (?<!\w)'[^']*(?:'|$)        # to the end where the quote is not closed
    | \[[^\]]*[=|?][^\]]*\]
    | {_WORD}[|]{_WORD}                            # system|value
    | {_WORD}\d[\d\-/:.]{{3,}}{_WORD}              # a date, a number of a patient or a visit
    """,
    re.VERBOSE,
)


def scrub(text: str) -> str:
    """`text` on one line, at most 300 characters, with `***` for whatever could be about a patient."""
    scrubbed = _PIECE.sub(_hide, " ".join(text[:_READ].split()))
    return scrubbed if len(scrubbed) <= MAX_LENGTH else scrubbed[: MAX_LENGTH - 1] + "…"


def _hide(found: re.Match[str]) -> str:
    return found.group("kept") or (found.group("head") or "") + "***"


def operation_outcome_text(resource: Any) -> str:
    """The errors of an OperationOutcome (FHIR R4), scrubbed: code, diagnostics or details, expression."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "OperationOutcome":
        return ""
    issues = [issue for issue in resource.get("issue") or () if isinstance(issue, dict)]
    errors = [issue for issue in issues if issue.get("severity") in ("fatal", "error")]
    return scrub("; ".join(" ".join(_parts(issue)) for issue in (errors or issues)[:_MAX_ISSUES]))


def _parts(issue: dict[str, Any]) -> Iterator[str]:
    yield str(issue.get("code", ""))
    details = issue.get("details")
    text = issue.get("diagnostics") or (details.get("text") if isinstance(details, dict) else None)
    if text:
        yield str(text)
    yield from (str(path) for path in issue.get("expression") or ())


# Where a resource holds words of a person; `text` and `display` too, unless they stand beside a code.
_PERSONAL = frozenset(
    {"family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "birthDate", "value"}
    | {"valueString", "comment", "div", "text", "display", "description", "ifNoneExist"}
)
_OF_A_CODE = ("coding", "code")
_WORDS = re.compile(r"[^\W_]{2,}")
_TAG = re.compile(r"<[^>]*>")


def without_sent(text: str, payload: bytes) -> str:
    """`text` without any word that the Bundle `payload` holds as a name, number, address or free text of a person."""
    try:
        sent = json.loads(payload)
    except Refused:
        return text
    text = normalize("NFC", text)  # a letter and its accent are one, however they were sent
    words = {
        word.casefold() for leaf in _leaves(sent) for word in _WORDS.findall(_TAG.sub(" ", normalize("NFC", leaf)))
    }
    end = _cut_word(text)
    hidden = _WORDS.sub(lambda found: "***" if found[0].casefold() in words else found[0], text)
    cut = end and any(word.startswith(end) for word in words)
    return f"{hidden[: len(hidden) - 1 - len(end)]}***…" if cut else hidden


def _leaves(element: Any, key: str = "", beside_code: bool = False) -> Iterator[str]:
    if isinstance(element, dict):
        coded = any(name in element for name in _OF_A_CODE)
        for name, part in element.items():
            yield from _leaves(part, name, coded)
    elif isinstance(element, list):
        for part in element:
            yield from _leaves(part, key, beside_code)
    elif isinstance(element, str) and key in _PERSONAL and not (beside_code and key in ("text", "display")):
        yield element


def _cut_word(text: str) -> str:
    """The beginning of a word that was cut off at the end."""
    if not text.endswith("…"):
        return ""
    found = re.search(r"([^\W_]+)…$", text)
    return found[1].casefold() if found else ""
