"""What all messages of a file amount to in the end, as records or written back to HL7v2.

The history of a long file is not in memory (`translate.spill`), and neither is its last state: records are written one by
one, messages person by person.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ketafhir.fhir import json
from ketafhir.therapy import merges, settled
from ketafhir.therapy.asjson import dump
from ketafhir.therapy.fold import VERSIONED, digest_of
from ketafhir.therapy.records import KINDS, Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ketafhir.translate.session import Session

Sender = tuple[str, str]
Row = tuple[int, str, str]
"""The number of a person, a kind of record (or `_TOLD`), and a key (or the digest of a message)."""
_TOLD = "told"
_NOBODYS = ("sources", "containers")
_RESOURCES = {
    "patients": "Patient", "visits": "Patient", "orders": "MedicationRequest", "administrations": "MedicationAdministration",
    "wastes": "MedicationAdministration", "dispenses": "MedicationDispense", "reports": "DiagnosticReport",
    "responses": "QuestionnaireResponse", "decisions": "ClinicalImpression", "adverse_events": "AdverseEvent",
    "observations": "Observation",
}  # fmt: skip


def as_json(session: Session) -> Iterator[bytes]:
    """The records as the JSON that `dump` makes of all of them, in pieces. Raises OSError where the disk is full."""
    before = b"{\n"
    for kind in KINDS:
        opened = False
        for key, record in settled.entries(session.history, kind):
            text = json.dumps({key: dump(record)}, indent=True)
            yield (b",\n" if opened else before + f'  "{kind}": {{\n'.encode()) + _inner(text)
            opened, before = True, b"\n  },\n"
            session.trim()
    yield b"{}\n" if before == b"{\n" else b"\n  }\n}\n"


def _inner(text: bytes) -> bytes:
    """The one member of an object, a level further in."""
    return b"\n".join(b"  " + line for line in text.split(b"\n")[1:-1])


def persons(session: Session) -> Iterator[tuple[Records, dict[str, Sender]]]:
    """What is known of each person, and who told it, by resource type. Raises OSError where the disk is full."""
    history = session.history
    by_digest = session.mapping("source_keys")
    for key in history.others.sources:
        by_digest[key.rpartition("|")[2]] = key
        session.trim()
    for _, rows in groupby(session.by_person(_rows(session)), itemgetter(0)):
        records = Records(containers=history.others.containers)
        for _, kind, key in rows:
            if kind == _TOLD:
                source = by_digest.get(key, "")
                if source:
                    records.sources[source] = history.others.sources[source]
            else:
                getattr(records, kind)[key] = settled.one(history, kind, key)
        yield records, senders(records)
        session.trim()


def _rows(session: Session) -> Iterator[Row]:
    """All keys, and the messages that told of a person. Merged patients are one person, under the number of the first."""
    history = session.history
    names = merges.families(history.patients, history.others.merges)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names.values()))}
    of = {key: numbers[name] for key, name in names.items()}
    for kind in KINDS:
        if kind in _NOBODYS:
            continue
        versioned = kind in VERSIONED
        known: Mapping[str, Any] = getattr(history if versioned else history.others, kind)
        for key, held in known.items():
            told = held if versioned else (held,)
            number = of.get(key if kind == "patients" else told[-1].patient)
            if number is None:
                continue
            for one in told:
                yield number, _TOLD, digest_of(one)
            if settled.is_record(kind, key):
                yield number, kind, key
            session.trim()


def senders(records: Records) -> dict[str, Sender]:
    """Who told records of each resource type last; "" is whoever told anything. A pump is asked last: it is no eMAR."""
    by_digest = {key.rpartition("|")[2]: (one.application, one.facility) for key, one in records.sources.items()}
    found: dict[str, tuple[Any, Sender]] = {}
    for kind, name in _RESOURCES.items():
        for record in getattr(records, kind).values():
            sender = by_digest.get(digest_of(record))
            if sender is None:
                continue
            rank = (not getattr(record, "delivery", ""), getattr(record, "owned", True), record.told)
            for resource in (name, ""):
                if resource not in found or found[resource][0] < rank:
                    found[resource] = rank, sender
    return {name: sender for name, (_, sender) in found.items()}
