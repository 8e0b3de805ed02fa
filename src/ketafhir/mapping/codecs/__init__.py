"""The codecs by the name that the tables call them. About twenty serve every row (docs/tables.md lists them)."""

from __future__ import annotations

from ketafhir.mapping.codecs import coded, numbers, people, text, times, values
from ketafhir.mapping.codecs.base import Codec

CODECS: dict[str, type[Codec]] = {
    "address": people.PostalAddress,
    "amount": numbers.Amount,
    "code": coded.Code,
    "code-coding": coded.CodeCoding,
    "code-concept": coded.CodeConcept,
    "compound-rate": numbers.CompoundRate,
    "concentration": numbers.Concentration,
    "concept": coded.Concept,
    "const": text.Const,
    "cx": people.CheckedIdentifier,
    "date": times.Date,
    "datetime": times.DateTime,
    "device": people.DeviceIdentifier,
    "device-type": people.DeviceType,
    "drug": coded.Drug,
    "duration": numbers.Duration,
    "ei": people.EntityIdentifier,
    "instant": times.Instant,
    "interval": numbers.Interval,
    "location": people.Location,
    "name": people.PersonName,
    "number": numbers.Number,
    "observation-value": values.ObservationValue,
    "per-time": numbers.PerTime,
    "rate-period": numbers.RatePeriod,
    "soft-code": coded.SoftCode,
    "staff": people.Staff,
    "telecom": people.Telecom,
    "text": text.Text,
    "visit-number": people.VisitNumber,
}
