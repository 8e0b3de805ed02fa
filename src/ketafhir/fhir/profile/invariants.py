"""The invariants of R4 that the checked types have, in Python: FHIRPath is not interpreted.

Each is true for an element that keeps it. A definition with an invariant that is not here does not compile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ketafhir.fhir.elements import references

Json = dict[str, Any]
Invariant = Callable[[Json], bool]
_UCUM = "http://unitsofmeasure.org"
_MEALS = {"C", "CM", "CD", "CV"}


def _chosen(value: Json, name: str) -> Any:
    """The value of a choice element such as value[x], or None."""
    for key, found in value.items():
        if key.startswith(name) and key[len(name) : len(name) + 1].isupper():
            return found
    return None


def _codings(concept: Any) -> set[tuple[str, str]]:
    listed = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return {(str(one.get("system", "")), str(one.get("code", ""))) for one in listed if isinstance(one, dict)}


def _listed(value: Json, name: str) -> Iterator[Json]:
    found = value.get(name)
    if isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict))


def _in_order(value: Json, first: str, last: str) -> bool:
    try:
        return datetime.fromisoformat(value[first]) <= datetime.fromisoformat(value[last])
    except (KeyError, TypeError, ValueError):
        return True  # one is missing, or of another precision


def _low_to_high(value: Json) -> bool:
    try:
        return bool(value["low"]["value"] <= value["high"]["value"])
    except (KeyError, TypeError):
        return True


def _ratio(value: Json) -> bool:
    both = ("numerator" in value) is ("denominator" in value)
    return both and ("numerator" in value or "extension" in value)


def _ucum(value: Json, *, positive: bool = False) -> bool:
    if "value" in value and ("code" not in value or (positive and value["value"] <= 0)):
        return False
    return bool(value.get("system", _UCUM) == _UCUM)


def _count(value: Json) -> bool:
    number = value.get("value")
    return _ucum(value) and value.get("code", "1") == "1" and bool(number is None or number == int(number))


def _component_repeats_code(value: Json) -> bool:
    own = _codings(value.get("code"))
    return not any(own & _codings(one.get("code")) for one in _listed(value, "component"))


def _valued(value: Json) -> bool:
    return _chosen(value, "value") is not None


def _said(value: Json) -> bool:
    return "dataAbsentReason" in value or _valued(value)


def _timed(value: Json) -> bool:
    when = value.get("effectiveDateTime", "")
    return not isinstance(when, str) or not when or len(when) >= 8


def _status(concept: Any, codes: tuple[str, ...]) -> bool:
    return any(code in codes for _, code in _codings(concept))


def _offset(value: Json) -> bool:
    when = value.get("when", ())
    return "offset" not in value or (bool(when) and not set(when) & _MEALS)


def _absent_or(name: str, needed: str) -> Invariant:
    return lambda value: name not in value or needed in value


def _always(value: Json) -> bool:
    return True


def _referenced(value: Json) -> bool:
    """dom-3: whatever is contained is referred to from within the resource."""
    if "contained" not in value:
        return True
    wanted = {"#" + str(one.get("id", "")) for one in _listed(value, "contained")}
    return wanted <= set(references(value))


def _bundle(*kinds: str) -> Callable[[Json], bool]:
    return lambda value: value.get("type") in kinds


def _entries_have(name: str, *kinds: str) -> Invariant:
    def check(value: Json) -> bool:
        wanted = value.get("type") in kinds
        return all((name in one) is wanted for one in _listed(value, "entry"))

    return check


def _distinct(value: Json) -> bool:
    if value.get("type") == "history":
        return True
    urls = [
        (one["fullUrl"], one.get("resource", {}).get("meta", {}).get("versionId"))
        for one in _listed(value, "entry")
        if "fullUrl" in one
    ]
    return len(set(urls)) == len(urls)


INVARIANTS: dict[str, Invariant] = {
    "age-1": lambda value: _ucum(value, positive=True),
    "ait-1": lambda value: "clinicalStatus" in value or _status(value.get("verificationStatus"), ("entered-in-error",)),
    "ait-2": lambda value: (
        "clinicalStatus" not in value or not _status(value.get("verificationStatus"), ("entered-in-error",))
    ),
    "att-1": _absent_or("data", "contentType"),
    "bdl-1": lambda value: "total" not in value or value.get("type") in ("searchset", "history"),
    "bdl-2": lambda value: value.get("type") == "searchset" or not any("search" in x for x in _listed(value, "entry")),
    "bdl-3": _entries_have("request", "batch", "transaction", "history"),
    "bdl-4": _entries_have("response", "batch-response", "transaction-response", "history"),
    "bdl-5": lambda value: "resource" in value or "request" in value or "response" in value,
    "bdl-7": _distinct,
    "bdl-8": lambda value: "/_history/" not in str(value.get("fullUrl", "")),
    "bdl-9": lambda value: value.get("type") != "document" or "identifier" in value,
    "bdl-10": lambda value: value.get("type") != "document" or "timestamp" in value,
    "bdl-11": lambda value: value.get("type") != "document" or _first_is(value, "Composition"),
    "bdl-12": lambda value: value.get("type") != "message" or _first_is(value, "MessageHeader"),
    "cnt-3": _count,
    "con-1": lambda value: "summary" in value or "assessment" in value,
    "con-2": lambda value: "code" in value or "detail" in value,
    "con-4": lambda value: (
        _chosen(value, "abatement") is None
        or _status(value.get("clinicalStatus"), ("resolved", "remission", "inactive"))
    ),
    "con-5": lambda value: (
        "clinicalStatus" not in value or not _status(value.get("verificationStatus"), ("entered-in-error",))
    ),
    "cpt-2": _absent_or("value", "system"),
    "dis-1": _ucum,
    "dom-2": lambda value: (
        "contained" not in value or not any("contained" in one for one in _listed(value, "contained"))
    ),
    "dom-3": _referenced,
    "dom-4": lambda value: (
        "contained" not in value
        or not any({"versionId", "lastUpdated"} & set(one.get("meta", ())) for one in _listed(value, "contained"))
    ),
    "dom-5": lambda value: (
        "contained" not in value or not any("security" in one.get("meta", ()) for one in _listed(value, "contained"))
    ),
    "drt-1": lambda value: "code" not in value or (value.get("system") == _UCUM and "value" in value),
    "exp-1": lambda value: "expression" in value or "reference" in value,
    "ext-1": lambda value: ("extension" in value) is not _valued(value),
    "mad-1": lambda value: "dose" in value or _chosen(value, "rate") is not None,
    "mdd-1": lambda value: _in_order(value, "whenPrepared", "whenHandedOver"),
    "obs-3": lambda value: "low" in value or "high" in value or "text" in value,
    "obs-6": lambda value: "dataAbsentReason" not in value or not _valued(value),
    "obs-7": lambda value: "component" not in value or not _valued(value) or _component_repeats_code(value),
    "org-1": lambda value: "identifier" in value or "name" in value,
    "org-2": lambda value: value.get("use") != "home",
    "org-3": lambda value: value.get("use") != "home",
    "pat-1": lambda value: any(name in value for name in ("name", "telecom", "address", "organization")),
    "per-1": lambda value: _in_order(value, "start", "end"),
    "qrs-1": lambda value: "answer" not in value or "item" not in value,
    "qty-3": _absent_or("code", "system"),
    "rat-1": _ratio,
    "rng-2": _low_to_high,
    "sqty-1": lambda value: "comparator" not in value,
    "tim-1": _absent_or("duration", "durationUnit"),
    "tim-2": _absent_or("period", "periodUnit"),
    "tim-4": lambda value: value.get("duration", 0) >= 0,
    "tim-5": lambda value: value.get("period", 0) >= 0,
    "tim-6": _absent_or("periodMax", "period"),
    "tim-7": _absent_or("durationMax", "duration"),
    "tim-8": _absent_or("countMax", "count"),
    "tim-9": _offset,
    "tim-10": lambda value: "timeOfDay" not in value or "when" not in value,
    "vs-1": _timed,
    "vs-2": lambda value: "component" in value or "hasMember" in value or _said(value),
    "vs-3": _said,
    # Held by the structure of the check itself, or about types that nobody here writes.
    **dict.fromkeys(
        ("ele-1", "ref-1", "txt-1", "txt-2", "drq-1", "drq-2", "sev-1", "trd-1", "trd-2", "trd-3"), _always
    ),
}


def _first_is(value: Json, kind: str) -> bool:
    first = next(_listed(value, "entry"), {})
    return bool(first.get("resource", {}).get("resourceType") == kind)
