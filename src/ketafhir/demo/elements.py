"""Small readings of FHIR elements, for `demo.server_*`: codings, identifiers, quantities, times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ketafhir.errors import Permanent
from ketafhir.mapping import codes

Resource = dict[str, Any]
Record = dict[str, Resource]


def of_type(record: Record, kind: str) -> list[Resource]:
    """The resources of one type."""
    return [one for one in record.values() if one["resourceType"] == kind]


def in_error(resource: Resource) -> bool:
    """Whether the resource was withdrawn: it counts nowhere."""
    return bool(resource.get("status") == "entered-in-error")


def target(record: Record, reference: Any) -> Resource | None:
    """What a Reference points to, where it was read."""
    return record.get(key_of(str((reference or {}).get("reference", ""))))


def key_of(reference: str) -> str:
    """`Type/id` of a literal reference, whatever version of it is meant."""
    return reference.partition("/_history/")[0]


def has(concept: Any, name: str) -> bool:
    """Whether a CodeableConcept holds the code of that name in the catalogue."""
    one = codes.code(name)
    codings = (concept or {}).get("coding", ())
    return any((coding.get("system"), coding.get("code")) == (one.system, one.code) for coding in codings)


def named(concept: Any, names: Iterable[str]) -> str:
    """The first of these names whose code a CodeableConcept holds, or ""."""
    return next((name for name in names if has(concept, name)), "")


def tagged(resource: Resource, name: str) -> bool:
    """Whether meta.tag holds the code of that name."""
    return has({"coding": resource.get("meta", {}).get("tag", ())}, name)


def number_of(resource: Resource, name: str) -> str:
    """The value of the identifier whose type is the code of that name, or ""."""
    listed = resource.get("identifier", ())
    found = [str(one.get("value", "")) for one in listed if has(one.get("type"), name)]
    return found[0] if found else ""


def staff_number(record: Record, reference: Any) -> str | None:
    """The number of the person a Reference points to."""
    person = target(record, reference) or {}
    return next((str(one.get("value")) for one in person.get("identifier", ())), None)


def quantity(value: Any, unit: str) -> Decimal | None:
    """The value of a Quantity in this UCUM unit, None where there is none. Raises Permanent for another."""
    if not value or value.get("value") is None:
        return None
    if value.get("code") != unit:
        raise Permanent(f"a quantity in {value.get('code')!r} where {unit} is expected")
    return Decimal(value["value"])


def per_hour(rate: Any) -> Decimal | None:
    """A rateRatio in mL per hour."""
    if not rate:
        return None
    volume, time = quantity(rate.get("numerator"), "mL"), rate.get("denominator") or {}
    hours = {"h": Fraction(1), "min": Fraction(1, 60), "s": Fraction(1, 3600)}.get(str(time.get("code")))
    if volume is None or hours is None:
        raise Permanent(f"a rate per {time.get('code')!r}, which is no time")
    return rounded(Fraction(volume) / (Fraction(Decimal(time.get("value", 1))) * hours))


def minutes(start: str, end: str) -> Fraction:
    """The time between two instants."""
    return Fraction((moment(end) - moment(start)).total_seconds()) / 60


def moment(text: str) -> datetime:
    """A FHIR instant or dateTime with its offset."""
    return datetime.fromisoformat(text)


def rounded(value: Fraction) -> Decimal:
    """To 0.001 of its unit, half to even, as totals are written."""
    exact = round(value, 3)
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.001"))
