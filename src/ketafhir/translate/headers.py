"""What stands at the head of a message that is written: MSH, EVN, and the segments of an agreement of one's own beside them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from ketafhir.fhir.ids import digest
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.structures import structure_of
from ketafhir.mapping.codecs.identifiers import write_hd
from ketafhir.mapping.codecs.times import write_dtm
from ketafhir.mapping.engine import put_back
from ketafhir.plain import names
from ketafhir.therapy.records import Order, Records, Visit
from ketafhir.therapy.values import Coded, Device, Identifier, Place, Practitioner, Quantity, Time
from ketafhir.translate.composing import Composing
from ketafhir.translate.incoming import ADT

STRUCTURES = {
    **{f"ADT^{event}": structure_of("ADT", event, "2.5.1") for event in ADT},
    "OMP^O09": "OMP_O09",
    "RDE^O11": "RDE_O11",
    "RGV^O15": "RGV_O15",
    "RAS^O17": "RAS_O17",
    "RDS^O13": "RDS_O13",
    "ORU^R01": "ORU_R01",
    "ORU^R42": "ORU_R01",
    "ORU^R40": "ORU_R40",
}
"""The messages that are written, and their structures (MSH-9.3)."""
VERSION = "2.5.1"
PROFILES = {
    "ORU^R42": "IHE_PCD_010^IHE PCD^1.3.6.1.4.1.19376.1.6.4.10^ISO",
    "ORU^R40": "IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.4.1^ISO",
    "ORU^R01": "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO",
}
"""MSH-21 of what devices tell (IHE PCD TF-2, 3.1, 3.4 and 3.10), which are of HL7 2.6."""
_DEVICE_VERSION = "2.6"
_NO_EVENT = ("told", "expiry")
_TIMELESS = frozenset((str, type(None), bool, int, Decimal, Coded, Device, Identifier, Place, Practitioner, Quantity))
_PLANNED = ("told", "start", "end")  # of an order: when it is to happen, not when something did


def evn(records: Records, kind: str, visit: Visit | None) -> dict[int, str]:
    """EVN-1 is the trigger; EVN-2 and EVN-6 as the newest Provenance told them."""
    cells = {1: kind.partition("^")[2]}
    sources = [one for one in records.sources.values() if one.event.startswith("ADT^")]
    if sources:
        newest = max(sources, key=lambda one: one.sent.at if one.sent else 0)
        cells |= {2: write_dtm(newest.recorded_at)} if newest.recorded_at else {}
        cells |= {6: write_dtm(newest.occurred)} if newest.occurred else {}
        put_back(cells, "EVN", newest.preserved)
    if visit is not None and visit.left is not None and kind == "ADT^A03":
        cells[6] = write_dtm(visit.left)
    return cells


def beside_header(composing: Composing, kind: str) -> None:
    """The segments of our own agreement (Z..) that stood before the patient, of the newest message of this kind."""
    told = [one for one in composing.records.sources.values() if one.event.startswith(kind)]
    newest = max(told, key=lambda one: one.sent.at if one.sent else 0, default=None)
    if newest is not None:
        for name in dict.fromkeys(place[:3] for place, _ in newest.preserved):
            if name != "EVN":
                composing.add_preserved(name, newest.preserved)


def newest(parts: list[Any], shortest: int = 11) -> Time | None:
    """The newest time of day (or from `shortest` 8 on, date) among the records: MSH-7 is when the newest of them happened, not
    the clock."""
    best: Time | None = None
    stack = list(parts)
    while stack:
        one = stack.pop()
        kind: Any = type(one)
        if kind is Time:
            if len(one.iso) >= shortest and (best is None or one.at > best.at):
                best = one
        elif kind is list or kind is tuple:
            stack.extend(one)
        elif kind not in _TIMELESS:
            stack.extend([getattr(one, name) for name in _happening(kind)])
    return best


@cache
def _happening(kind: type) -> tuple[str, ...]:
    """The fields of a record in which a time may say when something happened."""
    skipped = _PLANNED if kind is Order else _NO_EVENT
    return tuple(name for name in names(kind) if name not in skipped)


def finished(lines: list[str], kind: str, newest: Time | None, sender: tuple[str, str], profile: str = "") -> str:
    """The message with its MSH: MSH-10 is made from the content, so that the same records give the same message."""
    body = "".join(line + "\r" for line in lines)
    application, facility = sender
    cells = {
        3: write_hd(application),
        4: write_hd(facility),
        7: write_dtm(Time(newest.iso)) if newest else "",
        9: f"{kind}^{STRUCTURES[kind]}",
        10: digest(f"{kind}\r{body}")[:20].upper(),
        11: "P",
        12: _DEVICE_VERSION if profile else VERSION,
        18: "UNICODE UTF-8",
        21: profile,
    }
    if profile and kind == "RGV^O15":
        cells |= {15: "AL", 16: "AL"}  # IHE PCD TF-2, 3.3.4.4.1: both are required
    return er7.encode_segment("MSH", cells) + "\r" + body
