"""The records of patients between the store and the fold.

What is known of a patient (`therapy.fold.History`) is kept in several rows of the store's records, so that a
message costs the same however much was told before it:

    system|number               patient, visits, orders with what was observed and dispensed for them, order numbers
    system|number infusion KEY  the administrations of one infusion, and its waste
    system|number heading KEY   one report, form or decision, with the observations told under it; or
                                the observations of one blood pressure, or one observation, told under none

A merge (ADT^A40) stands in the first rows of both patients: who is met is read with all that were merged with it, and
rows stay where they were written.

The first is written by every message: its version is what two writers of one patient meet at. The fold looks
at no more of the others than the infusions and headings that a message tells of. Who sent a message is in the
message itself, and kept nowhere here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from ketafhir.errors import Issue, refused
from ketafhir.plain import names, replace
from ketafhir.store.protocol import Key, RecordChange, Store
from ketafhir.therapy import merges
from ketafhir.therapy.asjson import dump_history, load_history
from ketafhir.therapy.fold import (
    VERSIONED,
    History,
    dispense_group,
    named_orders,
    waste_group,
    weight,
)
from ketafhir.therapy.records import KINDS, Observation, Records
from ketafhir.therapy.slots import Timed, heading_of, seen_group, seen_groups
from ketafhir.translate.checking import infusions, is_drawn

HEADING = "heading"
"""The kind of key by which the store finds the patient of a report, form or decision that has a number."""

SEEN = "seen"
"""The kind of key by which the store finds the headings of what was observed of a patient in a slot of time."""

ORDER_NUMBER = "order-number"
"""The kind of key by which the store finds the patient of an order number."""

_PARTS = names(History)
_HEADED = ("reports", "responses", "decisions", "adverse_events")


@dataclass(slots=True)
class Known:
    """What is in memory of one patient: the first row, and those of the others that were needed.

    `versions` are the versions of the rows that are in `history`, 0 for one that is not in the store; `marks` the kinds of
    key that lead to the patient by its own name, as far as they are known to be in the store.
    """

    patient: str
    history: History
    versions: dict[str, int] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)

    def infusion_row(self, infusion: str) -> str:
        return f"{self.patient} infusion {infusion}"

    def heading_row(self, heading: str) -> str:
        return f"{self.patient} heading {heading}"

    def forget_headings(self) -> None:
        """Leave out what stands under headings: there is no end to it, and it is read again when needed."""
        history = self.history
        others = history.others
        history.others = Records(
            observations=_for_orders(history), wastes=others.wastes, dispenses=others.dispenses, merges=others.merges
        )
        history.groups, history.senders = {}, {}
        _index(history)
        headings = self.heading_row("")
        self.versions = {row: one for row, one in self.versions.items() if not row.startswith(headings)}


class Histories:
    """The histories of patients as the store has them; those of the last `size` patients are kept in memory.

    What is taken out is changed by the fold, and so given back (`put`) only when the store has taken the
    change too. That nothing else has written meanwhile is checked by the store, by version.
    """

    def __init__(self, store: Store, size: int = 1024) -> None:
        self._store = store
        self._size = size
        self._kept: OrderedDict[str, Known] = OrderedDict()

    def take(self, patient: str) -> Known:
        """What is known of a patient, with the first row."""
        if patient in self._kept:
            return self._kept.pop(patient)
        known = Known(patient, History())
        self._load(known, patient)
        return known

    def put(self, known: Known) -> None:
        """Keep what is now in the store."""
        known.forget_headings()
        self._kept[known.patient] = known
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """What was put is not in the store after all."""
        self._kept.clear()

    def complete(self, known: Known, told: Records) -> None:
        """Load the rows that these records of the patient meet."""
        met = dict.fromkeys(infusions(known.history, told))
        for beside in known.history.channels.values():  # what a pump told without an order falls to one of these
            if not met.keys().isdisjoint(beside):
                met |= dict.fromkeys(beside)
        for infusion in met:
            self._load(known, known.infusion_row(infusion))
        for heading in _headings(told):
            self._load(known, known.heading_row(heading))

    def complete_all(self, known: Known) -> None:
        """Load every row of a patient: what a merge moves."""
        for row in self._store.records_of(known.patient):
            self._load(known, row)

    def owners(self, number: str) -> list[str]:
        """The patients that an order number (`P:` placer, `F:` filler, with its system) belongs to."""
        return self._store.lookup(ORDER_NUMBER, number)

    def owners_of_heading(self, heading: str) -> list[str]:
        """The patients that a report, form or decision belongs to."""
        return self._store.lookup(HEADING, heading)

    def seen(self, known: Known, slot: int) -> bool:
        """Load what was observed of the patient in a slot of time; whether that is new."""
        had = len(known.versions)
        for row in self._store.lookup(SEEN, seen_group(known.patient, slot)):
            self._load(known, row)
        return len(known.versions) > had

    def _load(self, known: Known, row: str) -> None:
        if row in known.versions:
            return
        body, known.versions[row] = self._store.record(row)
        if body is not None:
            _join(known.history, load_history(orjson.loads(body)))
            _index(known.history)


class KnownHistory(History):
    """All that matters to one message of what is known of its patients, loaded once it is known who they are.

    The fold asks `prepare` first, with the records of the message; until then this history is empty.
    """

    def __init__(self, histories: Histories) -> None:
        super().__init__()
        self._histories = histories
        self._known: dict[str, Known] = {}
        self._numbers: dict[str, tuple[str, str]] = {}
        self._headed: dict[str, str] = {}

    def prepare(self, new: Records) -> tuple[Records, dict[str, tuple[str, str]], list[Issue]]:
        """As `History.prepare`; a number of an order or report that another patient has in the store is refused (204)."""
        self._known = {}
        self._take([*new.patients, *self._unnamed(new)], new)
        ready, _, _ = super().prepare(new)  # for the keys, by which the rest is found
        if len(self._known) > 1:
            self._complete_family(new, ready)
        else:
            for known in self._known.values():
                self._histories.complete(known, _of(ready, known.patient))
        self._become()
        ready, numbers, issues = super().prepare(new)
        self._numbers = {name: owner for name, owner in numbers.items() if name not in self.numbers}
        stays = self.survivors(new)
        self._headed = self._new_headings(ready, stays)
        for name, (_, patient) in self._numbers.items():
            if any(stays.get(owner, owner) != stays.get(patient, patient) for owner in self._histories.owners(name)):
                raise refused(
                    "order-of-other-patient", "the order number belongs to another patient", where="ORC-2",
                    value=name[2:], hl7="204", hint="check PID-3 and ORC-2/-3",
                )  # fmt: skip
        return ready, numbers, issues

    def _take(self, patients: Iterable[str], new: Records) -> None:
        """These patients, and all that were merged with them."""
        wanted = set(patients)
        while wanted - self._known.keys():
            for patient in sorted(wanted - self._known.keys()):
                self._known[patient] = self._histories.take(patient)
            self._become()
            wanted = merges.family(wanted, [*self.others.merges.values(), *new.merges.values()])

    def _complete_family(self, new: Records, ready: Records) -> None:
        """The rows that a message of several patients, or of one with several numbers, meets: under any of these."""
        moves = merges.moved(self.survivors(), self.survivors(new))
        for known in self._known.values():
            if known.patient in moves:
                self._histories.complete_all(known)
            else:
                self._histories.complete(known, merges.under(ready, known.patient, self._known))

    def _new_headings(self, new: Records, stays: dict[str, str]) -> dict[str, str]:
        """The numbered headings that are told first, with their patient; one that is another patient's is refused (204)."""
        found: dict[str, str] = {}
        for kind in _HEADED:
            for heading, one in getattr(new, kind).items():
                known = self._known.get(one.patient)
                if (one.filler or one.placer) and known and not known.versions.get(known.heading_row(heading)):
                    found[heading] = one.patient
        for heading, patient in found.items():
            owners = self._histories.owners_of_heading(heading)
            if any(stays.get(owner, owner) != stays.get(patient, patient) for owner in owners):
                raise refused(
                    "observation-of-other-patient", "this result is known as another patient's", where="OBR-3", hl7="204",
                    hint="check PID-3, and number each report (OBR-3) of a sender",
                )  # fmt: skip
        return found

    def _unnamed(self, new: Records) -> list[str]:
        """The patients of orders that an answer tells without PID, by their numbers."""
        orders = [one for one in new.orders.values() if not one.patient]
        names = [
            role + one.key for order in orders for role, one in (("P:", order.placer), ("F:", order.filler)) if one
        ]
        return [owner for name in names for owner in self._histories.owners(name)]

    @property
    def patients_known(self) -> tuple[str, ...]:
        """The partitions that the message is about."""
        return tuple(self._known)

    def seen_in(self, patient: str, slot: int) -> tuple[str, ...]:
        """As `History.seen_in`, of all that is in the store."""
        if patient in self._known:
            known = self._known[patient]
            new = self._histories.seen(known, slot)
            if new and known.history.groups is not self.groups:  # of several patients
                _join(self, known.history)
                _index(self)
        return super().seen_in(patient, slot)

    def keys(self, told: Records) -> list[Key]:
        """The order numbers that the message has told first, and when it observed something."""
        numbers = [Key(ORDER_NUMBER, name, patient) for name, (_, patient) in self._numbers.items() if patient]
        slots = [
            Key(SEEN, group, known.heading_row(heading))
            for known in self._known.values()
            for group, heading in seen_groups(_timed(_of(told, known.patient)))
        ]
        return [*numbers, *slots, *(Key(HEADING, heading, patient) for heading, patient in self._headed.items())]

    def mark(self, kind: str) -> list[Key]:
        """A key of this kind for each patient who is not known to have it."""
        new = [known for known in self._known.values() if kind not in known.marks]
        for known in new:
            known.marks.add(kind)
        return [Key(kind, known.patient, known.patient) for known in new]

    def changes(self, told: Records) -> list[RecordChange]:
        """The rows that the message changes. `told` are its records under the keys they got."""
        changed: list[RecordChange] = []
        for known in self._known.values():
            own = _of(told, known.patient)
            if len(self._known) > 1:
                numbers = {name: owner for name, owner in self._numbers.items() if owner[1] == known.patient}
                known.history.add(own, numbers)
                self._share_at_hand(known)
            for row, part in _rows(known, own):
                body = orjson.dumps(dump_history(part))
                changed.append(RecordChange(row, known.versions.get(row, 0), body))
                known.versions[row] = known.versions.get(row, 0) + 1
        return changed

    def _share_at_hand(self, known: Known) -> None:
        """What the session noted of one of several patients."""
        if known.patient in self.charts:
            known.history.charts[known.patient] = self.charts[known.patient]
        own = known.history.infusions
        known.history.senders.update(self.senders)
        known.history.counters.update({key: one for key, one in self.counters.items() if key in own})

    def stored(self) -> None:
        """The store has taken the changes."""
        for known in self._known.values():
            self._histories.put(known)

    def _become(self) -> None:
        """The one history, sharing its dictionaries, or the union of several."""
        histories = [known.history for known in self._known.values()]
        joined = histories[0] if len(histories) == 1 else History()
        if len(histories) != 1:
            for history in histories:
                _join(joined, history)
        for name in _PARTS:
            setattr(self, name, getattr(joined, name))


def _rows(known: Known, told: Records) -> Iterator[tuple[str, History]]:
    """The rows that hold what was told, as they are now."""
    history = known.history
    kept = history.others
    others = Records(observations=_for_orders(history), dispenses=kept.dispenses, merges=kept.merges)
    yield known.patient, replace(history, administrations={}, others=others, groups={}, counters={}, senders={})
    for infusion in _infusions_of(told):
        if infusion not in history.infusions:
            continue
        acts = {key: history.administrations[key] for key in history.infusions.get(infusion, ())}
        wastes = {key: one for key, one in history.others.wastes.items() if one.infusion == infusion}
        counters = {key: one for key, one in history.counters.items() if key == infusion}
        row = History(administrations=acts, others=Records(wastes=wastes), counters=counters)
        yield known.infusion_row(infusion), row
    for heading in _headings(told, around=False):
        others = _under(heading, history.others)
        digests = dict.fromkeys(one.told[1] for one in _timed(others))
        senders = {digest: history.senders[digest] for digest in digests if digest in history.senders}
        yield known.heading_row(heading), History(others=others, senders=senders)


def _headings(told: Records, *, around: bool = True) -> list[str]:
    """The headings that records are told under, and (`around`) the forms that scores among them were made from."""
    found = dict.fromkeys(key for kind in _HEADED for key in getattr(told, kind))
    for one in told.observations.values():
        if not one.order:
            found[heading_of(one)] = None
        if one.response and around:
            found[one.response] = None
    return list(found)


def _under(heading: str, others: Records) -> Records:
    """What is told under one heading."""
    found = Records(
        **{kind: {heading: records[heading]} for kind in _HEADED if heading in (records := getattr(others, kind))}
    )
    found.observations = {
        key: one for key, one in others.observations.items() if not one.order and heading_of(one) == heading
    }
    parts = [key for report in found.reports.values() for key in report.containers]
    found.containers = {key: others.containers[key] for key in parts if key in others.containers}
    return found


def _for_orders(history: History) -> dict[str, Observation]:
    """What was observed for an order, such as the dosing weight, and the drug drawn: infusions are judged by these."""
    return {key: one for key, one in history.others.observations.items() if one.order or is_drawn(one)}


def _index(history: History) -> None:
    """The groups of observations and wastes, which follow from them."""
    told = [
        (name, one.key)
        for one in history.others.observations.values()
        for name in (one.report, one.panel, one.order, one.part_of)
    ]
    told += seen_groups(_timed(history.others))
    told += [(waste_group(one.order), one.key) for one in history.others.wastes.values()]
    told += named_orders(order for versions in history.orders.values() for order in versions)
    told += [(dispense_group(one.order), one.key) for one in history.others.dispenses.values()]
    for name, key in told:
        if name and key not in history.groups.get(name, ()):
            history.groups[name] = (*history.groups.get(name, ()), key)


def _timed(told: Records) -> list[Timed]:
    """What is tied to an infusion by its time."""
    return [*told.observations.values(), *told.adverse_events.values()]


def _infusions_of(told: Records) -> list[str]:
    """The infusions that records tell of, by what was given, wasted or counted."""
    given = [act.infusion for act in told.administrations.values()]
    seen = [one.part_of for one in told.observations.values() if one.part_of]
    return list(dict.fromkeys([*given, *(waste.infusion for waste in told.wastes.values()), *seen]))


def _join(into: History, other: History) -> None:
    """Take in another history: a row, or another patient's. One order may stand in those of two that were merged."""
    for name in _PARTS:
        held = getattr(into, name)
        if name == "others":
            continue
        for key, found in getattr(other, name).items():
            known = held.get(key)
            if name in ("infusions", "courses", "groups", "days") and known:
                held[key] = tuple(dict.fromkeys((*known, *found)))
            elif name == "counters" and known:
                held[key] = {**known, **found}
            elif name not in VERSIONED or not known:
                held[key] = found
            elif known != found:
                held[key] = tuple(sorted((*known, *(one for one in found if one not in known)), key=_told))
    for kind in KINDS:
        held = getattr(into.others, kind)
        for key, one in getattr(other.others, kind).items():
            if key not in held or weight(one) > weight(held[key]):
                held[key] = one


def _told(record: Any) -> tuple[Any, str]:
    return record.told[0], record.told[1]


def _of(told: Records, patient: str) -> Records:
    """The records of one patient, and those that are nobody's (the source)."""
    out = Records()
    for kind in KINDS:
        records = getattr(told, kind)
        if not records:
            continue
        own = getattr(out, kind)
        for key, record in records.items():
            owner = key if kind == "patients" else getattr(record, "patient", patient)
            if owner == patient or (kind == "merges" and key == patient):
                own[key] = record
    return out
