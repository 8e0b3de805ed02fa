"""The ORDER groups of the answers to order messages: RRE^O12, ORP^O10, ORR^O02, RRG^O16 and their forms of 2.3 (chapter 4A).

Each ORC comes back with its numbers. Accepted is OK and no more: that an order was discontinued, held or changed as requested
only its filler can say, and this software fills none. Refused is the refusal of what was asked (UA, UC, UD, UH, UX, ...).
"""

from __future__ import annotations

from ketafhir.hl7v2.er7 import Message, Segment
from ketafhir.mapping import codes
from ketafhir.mapping.tables import Tables

_ANSWERED = frozenset(("RDE", "OMP", "ORM", "RGV"))
_DETAILED = "ORM"  # ORR^O02 has no ORC without the order detail
_REFUSALS = {
    "hold": "not-held",
    "release": "not-released",
    "discontinue": "not-discontinued",
    "cancel": "not-cancelled",
    "replace": "not-replaced",
    "change": "not-changed",
}


def echo(message: Message, code: str, tables: Tables) -> list[Segment]:
    """The ORC (for ORM with its RXO) of the answer to a message; `code` is MSA-1. None of other messages."""
    if message.code not in _ANSWERED:
        return []
    found: list[Segment] = []
    for at, segment in enumerate(message.segments):
        if segment.name != "ORC":
            continue
        # Before 2.5 the timing (ORC-7) is required, of an answer too; from 2.7 on it is withdrawn.
        timing = segment.get(7) if message.version < "2.5" else ""
        same = [segment.get(2), segment.get(3), *(["", "", "", timing] if timing else [])]
        answer = Segment("ORC", ["ORC", _control(segment.get(1), code, tables), *same], 0, 0)
        detail = _detail(message.segments[at + 1 :])
        if message.code != _DETAILED:
            found.append(answer)
        elif detail is not None:
            found += [answer, detail]
    return found


def _control(sent: str, code: str, tables: Tables) -> str:
    """ORC-1 of the answer (table 0119)."""
    controls = tables.code_map("request-control")
    if code == "AA":
        return codes.code("v2-0119.OK").code
    refusal = _REFUSALS.get(controls.v2_to_domain.get(sent, ""), "not-accepted")
    return controls.domain_to_v2[refusal]


def _detail(behind: list[Segment]) -> Segment | None:
    """The RXO of the same order."""
    for segment in behind:
        if segment.name == "ORC":
            return None
        if segment.name == "RXO":
            return segment
    return None
