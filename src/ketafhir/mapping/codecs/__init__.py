"""The codecs by the name that the tables call them (docs/tables.md lists them), each with its module and class.

A module is imported with the first row that needs it: most messages need few.
"""

from __future__ import annotations

from importlib import import_module

from ketafhir.mapping.codecs.base import Codec

CODECS: dict[str, tuple[str, str]] = {
    "active": ("orders", "Active"),
    "address": ("people", "PostalAddress"),
    "amount": ("amounts", "Amount"),
    "answer": ("values", "Answer"),
    "code": ("coded", "Code"),
    "code-coding": ("coded", "CodeCoding"),
    "compound-rate": ("rates", "CompoundRate"),
    "concentration": ("amounts", "Concentration"),
    "concept": ("coded", "Concept"),
    "counters": ("identifiers", "Counters"),
    "cx": ("identifiers", "CheckedIdentifier"),
    "date": ("times", "Date"),
    "datetime": ("times", "DateTime"),
    "described-concept": ("lists", "DescribedConcept"),
    "device": ("identifiers", "DeviceIdentifier"),
    "dose": ("orders", "Dose"),
    "drug": ("coded", "Drug"),
    "duration": ("intervals", "Duration"),
    "ei": ("identifiers", "EntityIdentifier"),
    "exact-code": ("statuses", "ExactCode"),
    "flag": ("coded", "Flag"),
    "instant": ("times", "Instant"),
    "interval": ("intervals", "Interval"),
    "location": ("people", "Location"),
    "logical": ("identifiers", "Logical"),
    "mar-word": ("mar", "MarAction"),
    "name": ("people", "PersonName"),
    "observation-value": ("values", "ObservationValue"),
    "parent": ("orders", "Parent"),
    "part-amount": ("orders", "PartAmount"),
    "per-time": ("rates", "PerTime"),
    "positive": ("lists", "Positive"),
    "rate-pair": ("rate_dialects", "RatePair"),
    "rate-period": ("rates", "RatePeriod"),
    "rate-text": ("rate_dialects", "RateText"),
    "request-status": ("orders", "RequestStatus"),
    "soft-code": ("coded", "SoftCode"),
    "soft-exact-code": ("statuses", "SoftExactCode"),
    "span": ("times", "Span"),
    "staff": ("people", "Staff"),
    "strength": ("orders", "Strength"),
    "strength-volume": ("orders", "StrengthVolume"),
    "supply": ("orders", "Supply"),
    "telecom": ("people", "Telecom"),
    "text": ("text", "Text"),
    "text-concept": ("lists", "TextConcept"),
    "visit-number": ("identifiers", "VisitNumber"),
}


def codec(name: str) -> type[Codec]:
    """The class of a codec. Raises KeyError for a name that is none."""
    module, kind = CODECS[name]
    found: type[Codec] = getattr(import_module(f"ketafhir.mapping.codecs.{module}"), kind)
    return found
