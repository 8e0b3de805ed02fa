"""Orders sent through the module alone: HL7v2 to records to a Bundle and back, with what is known to be
lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ketafhir.fhir import json
from ketafhir.fhir.bundle import Index
from ketafhir.hl7v2.er7 import parse
from ketafhir.hl7v2.groups import walk
from ketafhir.mapping.context import Context
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.records import Order, Source
from ketafhir.therapy.values import Time
from ketafhir.translate import order_groups, order_segments, orders, patients, results, visits
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing, sender_urn

TABLES = Tables()
STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
SENDER = "urn:ketafhir:sender:WILLOW"
HEAD = (
    "MSH|^~\\&|EHR|WILLOW|KETAFHIR|WILLOW|20260309080420-0500||{kind}|M1|P|2.5.1",
    "PID|1||SYN-1^^^WILLOW^MR||Halloway^Wren^^^^^L",
    "PV1|1|O|||||||||||||||||V-1^^^WILLOW^VN",
)
DOSE = "RXE||6130^ketamine^RXNORM|36.0||mg^^UCUM"
TIME = "TQ1|1"
ORC = "ORC|NW|P-1^EHR|F-1^PHARM"


def message(*segments: str, kind: str = "RDE^O11^RDE_O11") -> str:
    """A message of one order."""
    return "\r".join((HEAD[0].format(kind=kind), *HEAD[1:], *segments)) + "\r"


def read(text: str) -> Reading:
    """The records of a message. Raises Refused."""
    parsed = parse(text)
    walked = walk(parsed)
    context = Context()
    context.local = SENDER
    reading = Reading(parsed, walked, TABLES, context, Source(sent=Time("2026-03-09T08:04:20-05:00")), "d")
    patients.read(reading, walked.patients[0], owned=False)
    order_segments.read(reading, walked.patients[0])
    return reading


def read_orders(*segments: str, kind: str = "RDE^O11^RDE_O11") -> list[Order]:
    """The order records of a message of one order."""
    return list(read(message(*segments, kind=kind)).records.orders.values())


def render(reading: Reading) -> dict[str, Any]:
    """The Bundle of what was read, as it comes out of its own JSON."""
    records = reading.records
    writing = Writing(records, TABLES, reading.c, sender_urn("EHR", "WILLOW"))
    patients.render(writing, records.patients[reading.patient])
    if reading.visit:
        visits.render(writing, records.visits[reading.visit])
    for order in records.orders.values():
        orders.expect(writing, order)
    for order in records.orders.values():
        orders.render(writing, order)
    results.render(writing, records.observations.values())
    bundle: dict[str, Any] = json.loads(json.dumps(writing.entries.transaction()))
    return bundle


def take(bundle: dict[str, Any]) -> Taking:
    """The records of a Bundle or resource. Raises Refused."""
    taking = Taking(Index(bundle), TABLES, Context())
    orders.take(taking)
    return taking


def compose(taking: Taking, kind: str = "RDE^O11") -> list[str]:
    """The segments below the PV1."""
    composing = Composing(taking.records, TABLES, taking.c)
    order_groups.compose(composing, taking.records.orders.values(), kind)
    return composing.lines


def back(*segments: str, kind: str = "RDE^O11") -> list[str]:
    """The segments of one order, after the way to FHIR and back."""
    structure = kind.replace("^", "_")
    return compose(take(render(read(message(*segments, kind=f"{kind}^{structure}")))), kind)


def of_type(bundle: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    """The resources of one type."""
    found = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in found if one["resourceType"] == resource_type]


def request_of(*segments: str, kind: str = "RDE^O11^RDE_O11") -> dict[str, Any]:
    """The first MedicationRequest of a message of one order."""
    return of_type(render(read(message(*segments, kind=kind))), "MedicationRequest")[0]
