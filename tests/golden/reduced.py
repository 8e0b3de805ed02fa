"""What a feed says of its infusions, whatever way it tells them: segments, rates, times, status and totals.

Two feeds of one therapy (an eMAR event by event, the same eMAR at the end, a pump) give different ids and different texts;
`reduced` leaves those out, so that they can be compared: `reduced(bundles_of(one)) == reduced(bundles_of(other))`.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

from golden.cases import last_state
from ketafhir.fhir.bundle import Index
from ketafhir.translate.translation import iter_fhir

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Segment(NamedTuple):
    """One child: instants as POSIX seconds, the rate in amount per hour (or the dose of a bolus), its unit, its status."""

    kind: str
    start: float
    end: float | None
    amount: Fraction | None
    unit: str
    status: str


class Infusion(NamedTuple):
    """One whole infusion: its status, its total in mg where it is known, and its segments in order of start."""

    status: str
    start: float
    end: float | None
    total: Fraction | None
    segments: tuple[Segment, ...]


def bundles_of(told: bytes | list[bytes], site: str | None = None) -> list[dict[str, Any]]:
    """The Bundles of a feed in order of arrival; a refused message fails the test."""
    found = []
    for one in iter_fhir(told if isinstance(told, list) else [told], site=site):
        assert not isinstance(one, Exception), [issue.text for issue in one.issues]
        assert one.bundle is not None
        found.append(one.bundle)
    return found


def reduced(bundles: list[dict[str, Any]]) -> list[Infusion]:
    """The infusions that a server would hold after these Bundles, in order of start."""
    index = Index(last_state(bundles))
    told = index.of_type("MedicationAdministration")
    children: dict[int, list[Segment]] = {}
    for one in told:
        for reference in one.get("partOf", ()):
            children.setdefault(id(index.resolve(reference, one)), []).append(_segment(one))
    wholes = [one for one in told if "infusion" in _tags(one)]
    found = [_infusion(one, children.get(id(one), [])) for one in wholes]
    return sorted(found, key=lambda one: (one.start, one.status))


def _tags(resource: dict[str, Any]) -> set[str]:
    return {str(tag["code"]) for tag in resource["meta"].get("tag", ())}


def _infusion(resource: dict[str, Any], segments: list[Segment]) -> Infusion:
    start, end = _times(resource)
    total = resource.get("dosage", {}).get("dose", {}).get("value")
    ordered = tuple(sorted(segments, key=lambda one: (one.start, one.kind, one.status)))
    return Infusion(resource["status"], start, end, None if total is None else Fraction(total), ordered)


def _segment(resource: dict[str, Any]) -> Segment:
    start, end = _times(resource)
    dosage = resource.get("dosage", {})
    amount, unit = None, ""
    if "rateRatio" in dosage:
        over = dosage["rateRatio"]["denominator"]
        amount = Fraction(dosage["rateRatio"]["numerator"]["value"]) * 3600
        amount /= Fraction(over["value"]) * _SECONDS[over["code"]]
        unit = dosage["rateRatio"]["numerator"]["code"] + "/h"
    elif "rateQuantity" in dosage:
        amount, unit = Fraction(dosage["rateQuantity"]["value"]), dosage["rateQuantity"]["code"]
    elif "dose" in dosage:
        amount, unit = Fraction(dosage["dose"]["value"]), dosage["dose"]["code"]
    kind = "bolus" if "bolus" in _tags(resource) else "segment"
    return Segment(kind, start, end, amount, unit, resource["status"])


def _times(resource: dict[str, Any]) -> tuple[float, float | None]:
    period = resource.get("effectivePeriod", {"start": resource.get("effectiveDateTime")})
    start, end = (
        datetime.fromisoformat(period[key]).timestamp() if key in period else None for key in ("start", "end")
    )
    assert start is not None
    return start, end
