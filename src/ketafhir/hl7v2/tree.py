"""What the group walker gives: each segment of a message in exactly one place (HL7 v2 chapters 3, 4A and 7).

A note is a pair (name of the segment it follows, NTE); a participation a pair (the segment it follows, PRT).
`others` holds what has no place of its own in that group, in message order: local (Z..) and unknown segments,
and known ones out of place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.hl7v2.er7 import Segment
from ketafhir.plain import Plain, field

if TYPE_CHECKING:
    from collections.abc import Iterator

Note = tuple[str, Segment]
Participation = tuple[Segment, Segment]


class Result(Plain):
    """An OBX with the NTE that follow it; PRT and the rest in `others`. Most have neither, and a message has many."""

    obx: Segment
    notes: tuple[Segment, ...] = ()
    others: tuple[Segment, ...] = ()

    def note(self, segment: Segment) -> None:
        """An NTE follows."""
        self.notes += (segment,)

    def other(self, segment: Segment) -> None:
        """Another segment follows."""
        self.others += (segment,)


class Administration(Plain):
    """An ADMINISTRATION group: each RXA is an administration of its own; all share the RXR."""

    rxas: list[Segment] = field(default_factory=list)
    rxrs: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    participations: list[Participation] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)


class Give(Plain):
    """A GIVE group of RGV^O15."""

    rxg: Segment
    timings: list[Segment] = field(default_factory=list)
    routes: list[Segment] = field(default_factory=list)
    components: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    participations: list[Participation] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)


class Infusion(Plain):
    """A PHARMACY_TREATMENT_INFUSION_ORDER group of RDE^O11 (2.8 and later)."""

    rxv: Segment
    timings: list[Segment] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    participations: list[Participation] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)


class Order(Plain):
    """An ORDER group of the pharmacy messages, or an ORDER_OBSERVATION group of ORU^R01.

    `timings`, `routes` and `components` are those of ORC, OBR and RXO; `encoding_...` those after RXE,
    `dispense_...` those after RXD.
    """

    orc: Segment | None = None
    obr: Segment | None = None
    timings: list[Segment] = field(default_factory=list)
    rxo: Segment | None = None
    routes: list[Segment] = field(default_factory=list)
    components: list[Segment] = field(default_factory=list)
    rxe: Segment | None = None
    encoding_timings: list[Segment] = field(default_factory=list)
    encoding_routes: list[Segment] = field(default_factory=list)
    encoding_components: list[Segment] = field(default_factory=list)
    infusions: list[Infusion] = field(default_factory=list)
    rxd: Segment | None = None
    dispense_routes: list[Segment] = field(default_factory=list)
    dispense_components: list[Segment] = field(default_factory=list)
    gives: list[Give] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    participations: list[Participation] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    administrations: list[Administration] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)

    @property
    def rxg(self) -> Segment | None:
        """The RXG of the first GIVE group."""
        return self.gives[0].rxg if self.gives else None

    @property
    def head(self) -> Segment:
        """The segment that the order began with: ORC, else OBR."""
        head = self.orc or self.obr
        assert head is not None
        return head


class Patient(Plain):
    """A PATIENT group with the orders that follow it. `pid` is None where orders came without one."""

    pid: Segment | None = None
    pd1: Segment | None = None
    mrg: Segment | None = None
    notes: list[Note] = field(default_factory=list)
    pv1: Segment | None = None
    pv2: Segment | None = None
    allergies: list[Segment] = field(default_factory=list)
    diagnoses: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)


class Walked(Plain):
    """A whole message. `software` holds SFT and UAC."""

    msh: Segment
    software: list[Segment] = field(default_factory=list)
    evn: Segment | None = None
    notes: list[Note] = field(default_factory=list)
    patients: list[Patient] = field(default_factory=list)
    others: list[Segment] = field(default_factory=list)

    def segments(self) -> Iterator[Segment]:
        """Every segment of the message, once."""
        return segments_of(self)


def segments_of(node: object) -> Iterator[Segment]:
    """The segments below a group, in the order of its fields."""
    if isinstance(node, Segment):
        yield node
    elif isinstance(node, (list, tuple)):
        for item in node:
            # A participation names the segment it follows, which is told in its own place.
            yield from segments_of(item[1] if isinstance(item, tuple) else item)
    elif node is not None:
        for name in type(node).__slots__:  # type: ignore[attr-defined]  # only our slotted groups come here
            yield from segments_of(getattr(node, name))
