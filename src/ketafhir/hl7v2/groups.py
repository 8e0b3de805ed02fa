"""The group walker: what belongs to which order, administration and result (HL7 v2 chapters 3, 4A and 7).

One walker serves all messages and versions; 2.3 has the same segments without the group names. A new order
begins at ORC, or at an OBR that has no ORC of its own. A new administration begins at an RXA that follows an
RXR or an OBX: several RXA before one RXR share it, whatever notes and participations stand between them.
Nothing is moved and nothing is dropped. What would tie data to the wrong order or patient is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.errors import Issue, Refused, refused
from ketafhir.hl7v2.tree import (
    Administration,
    Give,
    Infusion,
    Note,
    Order,
    Participation,
    Patient,
    Result,
    Walked,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ketafhir.hl7v2.er7 import Message, Segment

__all__ = ["Administration", "Give", "Infusion", "Order", "Patient", "Result", "Walked", "walk"]

# Of the general order messages only those of drugs come here.
_PHARMACY = frozenset(("RAS", "RDE", "RDS", "RGV", "OMP", "ORM", "ORR", "ORP", "RRE", "RRG"))
# What each order of a message must have for its data to have an owner.
_REQUIRED: dict[str, tuple[str, Callable[[Order], object]]] = {
    "RAS": ("RXA", lambda order: order.administrations),
    "RDE": ("RXE", lambda order: order.rxe),
    "RDS": ("RXD", lambda order: order.rxd),
    "RGV": ("RXG", lambda order: order.gives),
    "OMP": ("RXO", lambda order: order.rxo),
    "ORM": ("RXO", lambda order: order.rxo or order.rxe),
    "ORU": ("OBR", lambda order: order.obr),
}
# Here an ORC alone tells the status of an order that was told before.
_STATUS_ALONE = frozenset(("RDE", "OMP", "ORM", "RGV"))
# How far an order has come: each of its segments may only follow an earlier one.
_ORDER, _DETAIL, _ENCODING, _INFUSION, _DISPENSE, _GIVE, _ADMINISTRATION = range(7)
# Segments of the order as a whole, also when they follow an OBX or an RXR.
_OF_ORDER = frozenset(("FT1", "BLG", "CTI", "CTD", "CDO", "SPM", "TXA"))


def walk(message: Message) -> Walked:
    """The groups of a message.

    Raises `Refused` (100) where data would be tied to the wrong order, patient or administration, and where
    the segment is missing that an order of this message is about.
    """
    walker = _Walker(message)
    for segment in message.segments[1:]:
        place = _PLACES.get(segment.name)
        if place is not None:
            place(walker, segment)
        else:
            walker.place_other(segment)
    walker.check()
    return walker.walked


class _Walker:
    def __init__(self, message: Message) -> None:
        self.message = message
        self.code = message.code
        self.version = message.version
        self.walked = Walked(message.msh)
        self.patient: Patient | None = None
        self.order: Order | None = None
        self.group: Administration | Give | Infusion | None = None
        self.result: Result | None = None
        self.results: list[Result] | None = None
        self.stage = _ORDER
        # What takes the NTE and the PRT that follow: the owner is the last segment that is neither (None: the open result).
        self.take_note: Callable[[Segment], None] | None = _naming(self.walked.notes, message.msh)
        self.take_participation: Callable[[Segment], None] | None = self.walked.others.append

    def place_other(self, segment: Segment) -> None:
        """A segment that stands in no list of places."""
        if segment.name in _OF_ORDER and self.order is not None:
            self.result = None
            self._other(segment, self.order.others.append)
        elif segment.name == "DSC":
            self._other(segment, self.walked.others.append)
        else:
            self._misplaced(segment)

    def check(self) -> None:
        """What only the end of the message can tell."""
        walked, message = self.walked, self.message
        if self.code == "ADT" and not any(patient.pid for patient in walked.patients):
            raise refused("segment-missing", "the message has no PID", where="PID", hl7="100", hint="send the patient")
        if self.code not in _REQUIRED:
            return
        name, found = _REQUIRED[self.code]
        orders = [order for patient in walked.patients for order in patient.orders]
        alone = self.code in _STATUS_ALONE
        missing = [
            message.where(order.head) for order in orders if not found(order) and not (alone and _is_bare(order))
        ]
        if not orders:
            missing = [name]
        if missing:
            text = f"{self.code} needs an {name} in each order"
            raise Refused(*(Issue("error", "segment-missing", text, where=where, hl7="100") for where in missing))

    # Message and patient

    def _header(self, segment: Segment) -> None:
        walked = self.walked
        if self.patient is not None or (segment.name == "EVN" and walked.evn is not None):
            return self._misplaced(segment)
        if segment.name == "EVN":
            walked.evn = segment
        else:
            walked.software.append(segment)
        self.take_note = _naming(walked.notes, segment)
        self.take_participation = walked.others.append
        return None

    def _pid(self, segment: Segment) -> None:
        patient = self.patient
        if patient is not None and patient.pid is None:
            raise self._sequence(segment, "the patient comes after data that belongs to a patient")
        if patient is not None and (self.code in _PHARMACY or self._of_one_patient()):
            raise self._sequence(segment, f"{self.message.structure} is about one patient, and this is the second")
        self._new_patient(Patient(segment))
        self._of_patient(segment)

    def _of_one_patient(self) -> bool:
        """Of the ADT, only merges (A40 and its like) and swaps have several patient groups."""
        return self.code == "ADT" and self.message.structure not in ("ADT_A39", "ADT_A17", "ADT_A24", "ADT_A37")

    def _patient_slot(self, segment: Segment) -> None:
        """PD1, MRG, PV1 and PV2: one each."""
        patient = self._the_patient()
        slot = segment.name.lower()
        if self.order is not None or getattr(patient, slot) is not None:
            return self._misplaced(segment)
        setattr(patient, slot, segment)
        return self._of_patient(segment)

    def _patient_list(self, segment: Segment) -> None:
        """AL1 and DG1: any number."""
        if self.order is not None:
            return self._misplaced(segment)
        patient = self._the_patient()
        (patient.allergies if segment.name == "AL1" else patient.diagnoses).append(segment)
        return self._of_patient(segment)

    # Orders

    def _orc(self, segment: Segment) -> None:
        self._new_order(Order(orc=segment))
        self._of_order(segment, _ORDER)

    def _obr(self, segment: Segment) -> None:
        if self.code in _PHARMACY:
            raise self._sequence(segment, f"{self.code} has no OBR: what follows it would have no owner")
        order = self.order
        if order is None or order.obr is not None or self.stage != _ORDER or order.results:
            order = Order()
            self._new_order(order)
        order.obr = segment
        self._of_order(segment, _ORDER)

    def _rxo(self, segment: Segment) -> None:
        self._next(segment, _ORDER).rxo = segment
        self._of_order(segment, _DETAIL)

    def _rxe(self, segment: Segment) -> None:
        self._next(segment, _DETAIL).rxe = segment
        self._of_order(segment, _ENCODING)

    def _rxd(self, segment: Segment) -> None:
        self._next(segment, _INFUSION).rxd = segment
        self._of_order(segment, _DISPENSE)

    def _rxv(self, segment: Segment) -> None:
        order = self._next(segment, _INFUSION)
        if order.rxe is None:
            raise self._sequence(segment, "RXV needs the RXE that it is about before it")
        infusion = Infusion(segment)
        order.infusions.append(infusion)
        self._of_group(segment, infusion, _INFUSION)

    def _rxg(self, segment: Segment) -> None:
        give = Give(segment)
        self._next(segment, _GIVE).gives.append(give)
        self._of_group(segment, give, _GIVE)

    def _rxa(self, segment: Segment) -> None:
        order = self._next(segment, _ADMINISTRATION)
        group = self.group
        if not isinstance(group, Administration) or group.rxrs or group.results:
            group = Administration()
            order.administrations.append(group)
        group.rxas.append(segment)
        self._of_group(segment, group, _ADMINISTRATION)

    def _timing(self, segment: Segment) -> None:
        order, group = self.order, self.group
        if order is None or self.result is not None:
            return self._misplaced(segment)
        if isinstance(group, Give | Infusion):
            group.timings.append(segment)
            return self._of_group(segment, group, self.stage)
        if self.stage > _ENCODING:
            return self._misplaced(segment)
        (order.encoding_timings if self.stage == _ENCODING else order.timings).append(segment)
        return self._of_order(segment, self.stage)

    def _rxr(self, segment: Segment) -> None:
        order, group = self._detailed(segment), self.group
        if isinstance(group, Administration):
            group.rxrs.append(segment)
            return self._of_group(segment, group, self.stage)
        if isinstance(group, Give):
            group.routes.append(segment)
            return self._of_group(segment, group, self.stage)
        _by_stage(self.stage, order.routes, order.encoding_routes, order.dispense_routes).append(segment)
        return self._of_order(segment, self.stage)

    def _rxc(self, segment: Segment) -> None:
        order, group = self._detailed(segment), self.group
        if isinstance(group, Administration):
            return self._misplaced(segment)
        if isinstance(group, Give):
            group.components.append(segment)
            return self._of_group(segment, group, self.stage)
        _by_stage(self.stage, order.components, order.encoding_components, order.dispense_components).append(segment)
        return self._of_order(segment, self.stage)

    # Results and what follows a segment

    def _obx(self, segment: Segment) -> None:
        # While a result is open the next OBX belongs where that one does.
        results = self.results if self.result is not None else self._results(segment)
        if results is None:
            assert self.order is not None
            return self._other(segment, self.order.others.append)
        self.result = result = Result(segment)
        self.results = results
        results.append(result)
        self.take_note = self.take_participation = None
        return None

    def _results(self, segment: Segment) -> list[Result] | None:
        """The list that an OBX belongs to; None for the document of an order (2.8: before its OBR)."""
        order, group = self.order, self.group
        if group is not None and not isinstance(group, Infusion):
            return group.results
        if order is None:
            if self.code == "RAS" or (self.code == "ORU" and not self._at_least("2.7")):
                raise self._sequence(segment, "there is no order before it that it could belong to")
            return self._the_patient().results
        if self.code == "RAS":
            raise self._sequence(segment, "there is no RXA before it in this order")
        if self.code == "ORU" and order.obr is None:
            if self._at_least("2.8"):
                return None
            raise self._sequence(segment, "there is no OBR before it in this order")
        return order.results

    def _note(self, segment: Segment) -> None:
        take = self.take_note
        if take is None:
            assert self.result is not None
            take = self.result.note
        take(segment)

    def _participation(self, segment: Segment) -> None:
        take = self.take_participation
        if take is None:
            assert self.result is not None
            take = self.result.other
        take(segment)

    # Where we are

    def _the_patient(self) -> Patient:
        if self.patient is None:
            self._new_patient(Patient())
        assert self.patient is not None
        return self.patient

    def _new_patient(self, patient: Patient) -> None:
        self.patient = patient
        self.walked.patients.append(patient)
        self.order = self.group = self.result = None

    def _new_order(self, order: Order) -> None:
        self._the_patient().orders.append(order)
        self.order = order

    def _next(self, segment: Segment, latest: int) -> Order:
        """The order that a segment goes into, when it has come no further than `latest`."""
        order = self.order
        if order is None or order.orc is None:
            raise self._sequence(segment, "there is no ORC before it")
        if self.stage > latest:
            raise self._sequence(segment, "this order is past it: a further order needs its own ORC")
        return order

    def _detailed(self, segment: Segment) -> Order:
        """The order that an RXR or RXC goes into."""
        order = self._next(segment, _ADMINISTRATION)
        if self.stage == _ORDER:
            raise self._sequence(segment, "there is no RXO, RXE, RXD, RXG or RXA before it in this order")
        return order

    def _sequence(self, segment: Segment, why: str) -> Refused:
        where = self.message.where(segment)
        text = f"{segment.name} is out of its place: {why}"
        return refused("segment-sequence", text, where=where, hl7="100", hint="send the segments in their order")

    def _at_least(self, version: str) -> bool:
        return self.version >= version

    # Who owns the NTE and PRT that follow

    def _of_patient(self, segment: Segment) -> None:
        patient = self._the_patient()
        self.result = None
        self.take_note = _naming(patient.notes, segment)
        self.take_participation = patient.others.append

    def _of_order(self, segment: Segment, stage: int) -> None:
        order = self.order
        assert order is not None
        self.stage, self.group, self.result = stage, None, None
        self.take_note = _naming(order.notes, segment)
        self.take_participation = _following(order.participations, segment)

    def _of_group(self, segment: Segment, group: Administration | Give | Infusion, stage: int) -> None:
        self.stage, self.group, self.result = stage, group, None
        self.take_note = _naming(group.notes, segment)
        self.take_participation = _following(group.participations, segment)

    def _other(self, segment: Segment, take: Callable[[Segment], None]) -> None:
        take(segment)
        self.take_note = self.take_participation = take

    def _misplaced(self, segment: Segment) -> None:
        """Into the innermost open group."""
        home = self.group or self.order or self.patient or self.walked
        self._other(segment, self.result.other if self.result is not None else home.others.append)


def _is_bare(order: Order) -> bool:
    """Whether an order is its ORC, with nothing below it but notes and timing."""
    return not (
        order.rxo or order.rxe or order.rxd or order.gives or order.administrations or order.results or order.obr
    )


def _naming(notes: list[Note], segment: Segment) -> Callable[[Segment], None]:
    return lambda nte: notes.append((segment.name, nte))


def _following(participations: list[Participation], segment: Segment) -> Callable[[Segment], None]:
    return lambda prt: participations.append((segment, prt))


def _by_stage(stage: int, detail: list[Segment], encoding: list[Segment], dispense: list[Segment]) -> list[Segment]:
    if stage == _DETAIL:
        return detail
    return dispense if stage == _DISPENSE else encoding


_PLACES: dict[str, Callable[[_Walker, Segment], None]] = {
    "SFT": _Walker._header,
    "UAC": _Walker._header,
    "EVN": _Walker._header,
    "PID": _Walker._pid,
    "PD1": _Walker._patient_slot,
    "MRG": _Walker._patient_slot,
    "PV1": _Walker._patient_slot,
    "PV2": _Walker._patient_slot,
    "AL1": _Walker._patient_list,
    "DG1": _Walker._patient_list,
    "ORC": _Walker._orc,
    "OBR": _Walker._obr,
    "TQ1": _Walker._timing,
    "TQ2": _Walker._timing,
    "RXO": _Walker._rxo,
    "RXE": _Walker._rxe,
    "RXV": _Walker._rxv,
    "RXD": _Walker._rxd,
    "RXG": _Walker._rxg,
    "RXA": _Walker._rxa,
    "RXR": _Walker._rxr,
    "RXC": _Walker._rxc,
    "OBX": _Walker._obx,
    "NTE": _Walker._note,
    "PRT": _Walker._participation,
}
