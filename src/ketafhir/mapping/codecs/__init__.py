"""The codecs by the name that the tables call them. About twenty serve every row (docs/tables.md lists them)."""

from __future__ import annotations

from ketafhir.mapping.codecs import coded, numbers, orders, people, statuses, text, times, values
from ketafhir.mapping.codecs.base import Codec

CODECS: dict[str, type[Codec]] = {
    "active": orders.Active,
    "answer": values.Answer,
    "address": people.PostalAddress,
    "amount": numbers.Amount,
    "code": coded.Code,
    "code-coding": coded.CodeCoding,
    "compound-rate": numbers.CompoundRate,
    "concentration": numbers.Concentration,
    "concept": coded.Concept,
    "counters": people.Counters,
    "cx": people.CheckedIdentifier,
    "date": times.Date,
    "datetime": times.DateTime,
    "dose": orders.Dose,
    "device": people.DeviceIdentifier,
    "drug": coded.Drug,
    "duration": numbers.Duration,
    "ei": people.EntityIdentifier,
    "exact-code": statuses.ExactCode,
    "instant": times.Instant,
    "flag": coded.Flag,
    "interval": numbers.Interval,
    "location": people.Location,
    "logical": people.Logical,
    "name": people.PersonName,
    "observation-value": values.ObservationValue,
    "per-time": numbers.PerTime,
    "part-amount": orders.PartAmount,
    "rate-period": numbers.RatePeriod,
    "request-status": orders.RequestStatus,
    "soft-code": coded.SoftCode,
    "soft-exact-code": statuses.SoftExactCode,
    "span": times.Span,
    "staff": people.Staff,
    "strength": orders.Strength,
    "supply": orders.Supply,
    "telecom": people.Telecom,
    "text": text.Text,
    "visit-number": people.VisitNumber,
}
