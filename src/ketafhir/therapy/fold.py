"""The fold: everything told so far, and one more message -> everything told so far, in any order of arrival, any repeat.

A `History` keeps the versions that were told of a record; merging is the union of versions, so it is the same for every
order. Of what is kept whole the highest status and then the newest wins. `therapy.settled` makes one record of all versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from ketafhir.errors import Issue, refused
from ketafhir.plain import Plain, field, names
from ketafhir.therapy import merges
from ketafhir.therapy.boluses import joined
from ketafhir.therapy.charts import Chart, Counters, joined_charts
from ketafhir.therapy.identities import rekeyed, rename, same
from ketafhir.therapy.lifecycle import STATUS, check, order_of, owned_by, settled
from ketafhir.therapy.records import (
    KINDS,
    Administration,
    Order,
    Patient,
    Records,
    Response,
    Visit,
)
from ketafhir.therapy.settled import completed
from ketafhir.therapy.slots import SLOT, SLOTS_OF_A_DAY, Timed, seen_group, seen_groups, slot_of
from ketafhir.therapy.values import is_before

VERSIONED = ("patients", "visits", "orders", "administrations")
"""The kinds of record of which all versions are kept."""
WHOLE = tuple(kind for kind in KINDS if kind not in VERSIONED)
"""The kinds of record of which one version is kept, whole."""
_RANK = {
    "registered": 0, "pending": 0, "order-only": 0, "preliminary": 1, "unverified": 1, "partial": 1, "unknown": 1, "": 1,
    "final": 2, "verified": 2, "finalised": 2, "not-asked": 2, "amended": 3, "corrected": 3, "appended": 3, "cancelled": 4,
    "entered-in-error": 5, "deleted": 5,
}  # fmt: skip
_GIVEN = ("start", "end", "drug", "rate", "amount", "concentration", "lot")
"""What an administration says was given, and when."""
T = TypeVar("T")


class History(Plain):
    """Everything told so far: versions by kind and key.

    `numbers` finds the identity of an order, and its patient, by any of its numbers (P: placer, F: filler); `infusions`
    holds the keys of the acts of an infusion, `courses` the infusions of an order, `ordered` the keys of all that was told of
    an order, `groups` the keys of the observations of a report, form, decision, blood pressure or order, and of the wastes
    of an order (`waste_group`). All is found by key, so that a message costs the same however much was told before it.
    `charts` (by patient) and `counters` (by infusion) follow from the records. Headings of observations are in `groups` by
    patient and time as well (`seen_group`); `days` are those on which a patient was observed, `senders` who told the
    observations of a message, by its digest. `channels` are the infusions that a
    channel of a pump delivered.
    """

    patients: MutableMapping[str, tuple[Patient, ...]] = field(default_factory=dict)
    visits: MutableMapping[str, tuple[Visit, ...]] = field(default_factory=dict)
    orders: MutableMapping[str, tuple[Order, ...]] = field(default_factory=dict)
    administrations: MutableMapping[str, tuple[Administration, ...]] = field(default_factory=dict)
    others: Records = field(default_factory=Records)
    numbers: MutableMapping[str, tuple[str, str]] = field(default_factory=dict)
    infusions: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    courses: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    ordered: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    charts: MutableMapping[str, Chart] = field(default_factory=dict)
    counters: MutableMapping[str, Counters] = field(default_factory=dict)
    days: MutableMapping[str, tuple[int, ...]] = field(default_factory=dict)
    senders: MutableMapping[str, str] = field(default_factory=dict)
    channels: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)

    def prepare(self, new: Records) -> tuple[Records, dict[str, tuple[str, str]], list[Issue]]:
        """`new` under the keys it will get, the order numbers it adds, and warnings; nothing is changed yet.

        Raises Refused: order numbers that belong to two orders (205) or another patient (204), two starts under one
        number (205), a result that is another patient's (204), an act without visit where the order has infusions in several (204).
        """
        numbers: dict[str, tuple[str, str]] = {}
        stays = self.survivors(new)
        new = rekeyed(self, numbers, new, stays)
        if stays:
            aliases = merges.aliases(new, self.others, self.groups, stays)
            new = rename(new, aliases) if aliases else new
        new = joined(self, numbers, new)
        new.orders = owned_by(new.orders, numbers, stays)
        issues = check(new.orders, self.parts)
        for kind in ("observations", "reports", "responses", "decisions", "adverse_events"):
            older = _check_version(getattr(self.others, kind), getattr(new, kind), stays)
            issues += older if kind != "reports" else []  # its results say the same, each for itself
        for key, act in new.administrations.items():
            told = self.administrations.get(key, ())
            issues += [*_check(act, told), *_check_end(act, told)]
        return new, numbers, issues

    def add(self, new: Records, numbers: dict[str, tuple[str, str]]) -> None:
        """Take in what `prepare` made ready."""
        self.numbers.update(numbers)
        for kind in VERSIONED:
            told = getattr(new, kind)
            if told:
                known = getattr(self, kind)
                for key, record in told.items():
                    known[key] = _union(known.get(key, ()), record)
        acts = new.administrations.values()
        _list(self.infusions, [(act.infusion, act.key) for act in acts])
        _list(self.courses, [(act.order, act.infusion) for act in acts])
        _list(self.ordered, [(order_of(key), key) for key in new.orders])
        _list(self.channels, [(act.channel, act.infusion) for act in acts])
        seen = new.observations.values()
        held = [(one.key, (one.report, one.panel, one.order, one.part_of)) for one in seen]
        _list(self.groups, [(group, key) for key, groups in held for group in groups if group])
        _list(self.groups, [(waste_group(one.order), one.key) for one in new.wastes.values()])
        _list(self.groups, named_orders(new.orders.values()))
        timed: list[Timed] = [*seen, *new.adverse_events.values()]
        _list(self.groups, list(seen_groups(timed)))
        for patient, slot in {(one.patient, slot_of(one)) for one in timed}:
            if slot is not None and slot // SLOTS_OF_A_DAY not in self.days.get(patient, ()):
                self.days[patient] = (*self.days.get(patient, ()), slot // SLOTS_OF_A_DAY)
        _list(self.groups, [(dispense_group(one.order), one.key) for one in new.dispenses.values()])
        for kind in WHOLE:
            told = getattr(new, kind)
            if not told:
                continue
            known = getattr(self.others, kind)
            for key, record in told.items():
                if key not in known or weight(record) > weight(known[key]):
                    known[key] = record

    def parts(self, identity: str) -> list[str]:
        """The keys of what is known of an order: as encoded, as placed, as it is to be given; none that only tells its status."""
        return [key for key in self.ordered.get(identity, ()) if not key.endswith(f"|{STATUS}")]

    def order(self, key: str) -> Order:
        """One order as all that was told of it makes it."""
        told = [one for part in self.ordered[order_of(key)] for one in self.orders[part]]
        return settled(self.orders[key], told, completed)

    def requests(self, identity: str) -> list[Order]:
        """The orders known under an identity: as encoded, then as placed."""
        keys = (f"{identity}|{intent}" for intent in ("filler", "original"))
        return [self.order(key) for key in keys if key in self.orders]

    def survivors(self, new: Records | None = None) -> dict[str, str]:
        """The patients that were given up in merges, those of `new` among them, and who stays for each."""
        told = new.merges if new is not None else {}
        if not told and not self.others.merges:
            return {}
        both = dict(self.others.merges)
        both.update({key: one for key, one in told.items() if key not in both or weight(one) > weight(both[key])})
        return merges.survivors(both)

    def numbers_of(self, patient: str, stays: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """All that the person of a patient number is told under: the number itself, and those merged with it (`survivors`)."""
        stays = self.survivors() if stays is None else stays
        if not stays:
            return (patient,)
        end = stays.get(patient, patient)
        return (end, *sorted(number for number, stay in stays.items() if stay == end))

    def chart(self, patient: str, stays: Mapping[str, str] | None = None) -> Chart | None:
        """What is at hand of a person, under whichever of the merged numbers it was told."""
        found = [self.charts[number] for number in self.numbers_of(patient, stays) if number in self.charts]
        return joined_charts(found) if len(found) > 1 else next(iter(found), None)

    def seen(self, patient: str, low: int, high: int | None) -> list[str]:
        """The keys of observations and adverse events of a patient between two moments (seconds since the epoch), and somewhat
        around them."""
        first, last = low // SLOT, None if high is None else high // SLOT
        slots = [
            slot
            for day in sorted(self.days.get(patient, ()))
            for slot in range(day * SLOTS_OF_A_DAY, (day + 1) * SLOTS_OF_A_DAY)
        ]
        slots = [slot for slot in slots if first <= slot and (last is None or slot <= last)]
        headings = dict.fromkeys(name for slot in slots for name in self.seen_in(patient, slot))
        keys = (key for name in headings for key in (name, *self.groups.get(name, ())))
        known = (self.others.observations, self.others.adverse_events)
        return [key for key in dict.fromkeys(keys) if any(key in kind for kind in known)]

    def seen_in(self, patient: str, slot: int) -> tuple[str, ...]:
        """The headings of what was observed of a patient in one slot of time."""
        return self.groups.get(seen_group(patient, slot), ())

    def copy(self) -> History:
        """An independent history: the dictionaries are new, the records shared."""
        out = History()
        for name in names(self):
            if name != "others":
                setattr(out, name, dict(getattr(self, name)))
        out.others = Records(**{kind: dict(getattr(self.others, kind)) for kind in KINDS})
        return out


def fold(history: History, new: Records) -> History:
    """A history that also knows `new`; `history` itself stays as it is. Raises Refused as `History.prepare`."""
    out = history.copy()
    ready, numbers, _ = out.prepare(new)
    out.add(ready, numbers)
    return out


def waste_group(order: str) -> str:
    """The name in `History.groups` of the wastes of an order."""
    return f"{order}|waste"


def naming_group(number: str) -> str:
    """The name in `History.groups` of the orders that name another by this number: their parent, or what they replace."""
    return f"{number}|named"


def named_orders(orders: Iterable[Order]) -> list[tuple[str, str]]:
    """The orders that name another, each under the number it says."""
    return [(naming_group(one.key), order.key) for order in orders for one in (order.parent, order.replaces) if one]


def dispense_group(order: str) -> str:
    """The name in `History.groups` of what was dispensed for an order."""
    return f"{order}|dispense"


def _list(index: MutableMapping[str, tuple[str, ...]], told: list[tuple[str, str]]) -> None:
    """Add values to what an index lists under a name, each once; nothing stands under no name."""
    if not told:
        return
    found: dict[str, dict[str, None]] = {}
    for name, value in told:
        if name:
            found.setdefault(name, {})[value] = None
    for name, values in found.items():
        index[name] = tuple(dict.fromkeys((*index.get(name, ()), *values)))


def _union(known: tuple[T, ...], record: T) -> tuple[T, ...]:
    """The versions with one more, in the order told. Of those that only mention a record, the newest is enough."""
    if not known:
        return (record,)
    if record in known:
        return known
    versions = sorted((*known, record), key=_told)
    mentions = [one for one in versions if not getattr(one, "owned", True)]
    return tuple(one for one in versions if getattr(one, "owned", True) or one is mentions[-1])


def _told(record: Any) -> tuple[Any, str]:
    return record.told[0], record.told[1]


def digest_of(record: Any) -> str:
    """The digest of the message that told a record; other things that order its versions may stand before it."""
    told: str = record.told[1]
    return told.rpartition("|")[2]


def weight(record: Any) -> tuple[Any, ...]:
    """Which of two versions of a record that is kept whole counts: the heavier."""
    rank = _form_rank(record) if isinstance(record, Response) else _RANK.get(getattr(record, "status", ""), 1)
    at, digest = getattr(record, "told", (0, ""))
    said = getattr(record, "issued", None) or getattr(record, "analysed", None)
    return (rank, said.at if said else at, at, digest, repr(record))


def _form_rank(form: Response) -> int:
    """A form stands as low as its answers do; those that were withdrawn count only where all are."""
    ranks = [_RANK.get(item.status, 1) for item in form.items]
    return min([rank for rank in ranks if rank < _RANK["entered-in-error"]] or ranks, default=1)


def _check_version(known: Mapping[str, Any], new: dict[str, Any], stays: dict[str, str]) -> list[Issue]:
    """What was seen of one patient is never overwritten by what is told of another; an older version changes nothing."""
    older = []
    for key, record in new.items():
        other = known.get(key)
        if other is None:
            continue
        if not same(other.patient, record.patient, stays):
            raise refused(
                "observation-of-other-patient", "this result is known as another patient's", where="OBR-3", hl7="204",
                hint="check PID-3, and number each report (OBR-3) of a sender",
            )  # fmt: skip
        if other != record and weight(record) < weight(other):
            older.append(record)
    if not older:
        return []
    text = "known already in a newer version, or with a higher status: this one changes nothing"
    where = "OBX-11" if hasattr(older[0], "analysed") else "OBR-25"
    return [
        Issue(
            "warning", "version-older", text, where=where, value=f"{len(older)}", hint="check OBX-11, OBR-22 and MSH-7"
        )
    ]


def _check(record: Administration, known: tuple[Administration, ...]) -> list[Issue]:
    """Two acts told as new under one key must be one act; a correction of what is not known is kept, with a warning."""
    _check_start(record, known)
    _check_rate(record, known)
    if known and record.told < known[-1].told and _contradicts(record, known[-1]):
        text = "known already in a newer version: of what both tell, this one changes nothing"
        number = "/".join(record.counters)
        return [Issue("warning", "version-older", text, where="RXA-22", value=number, hint="check RXA-22 and MSH-7")]
    if record.action == "add" or any(other.action == "add" for other in known):
        return []
    word = "deletion" if record.action == "delete" else "correction"
    text = f"a {word} of an administration not told before: kept as told"
    return [Issue("warning", "target-unknown", text, where="RXA-21", value="/".join(record.counters))]


def _contradicts(older: Administration, newer: Administration) -> bool:
    """Whether an older version tells something otherwise, and not merely less."""
    if older.action == "delete" and newer.action != "delete":
        return True
    pairs = ((getattr(older, name), getattr(newer, name)) for name in _GIVEN)
    return any(one != other for one, other in pairs if one and other)


def _check_start(record: Administration, known: tuple[Administration, ...]) -> None:
    """Acts told as new under one number start at once, or where a correction has put the start."""
    mended = {one.start.at for one in (record, *known) if one.action == "update" and one.start}
    starts = {one.start.at: one.start for one in (record, *known) if one.action == "add" and one.start}
    told = sorted((start for at, start in starts.items() if at not in mended), key=lambda start: start.at)
    if record.action == "add" and len(told) > 1:
        raise refused(
            "identity-collision",
            f"two administrations with different starts ({told[0].iso}, {told[1].iso}) have one number",
            where="RXA-2", value="/".join(record.counters), hl7="205",
            hint="number each administration of an order (RXA-1, RXA-2), or send the correction as RXA-21 U",
        )  # fmt: skip


def _check_end(record: Administration, known: tuple[Administration, ...]) -> list[Issue]:
    """A correction that puts the start behind the end told before takes that end away (`therapy.settled`)."""
    end = next((one.end for one in reversed(known) if one.end), None)
    if not (
        end and record.start and record.end is None and record.told > known[-1].told and is_before(end, record.start)
    ):
        return []
    text = f"the correction puts the start behind the end that was told ({end.iso}): that end does not hold any more"
    hint, number = "send RXA-4 with the correction", "/".join(record.counters)
    return [Issue("warning", "end-before-start", text, where="RXA-3", value=number, hint=hint)]


def _check_rate(record: Administration, known: tuple[Administration, ...]) -> None:
    """A segment is ended by its own RXA with its own rate, or by rate 0 under another number: else it would be lost."""
    rates = {bool(one.rate.amount.value) for one in (record, *known) if one.rate and one.action != "delete"}
    if len(rates) > 1:
        raise refused(
            "rate-zero-of-segment",
            "rate 0 under the number of a segment: whether it ends the segment or says that nothing was given is not told",
            where="RXA-6", value="/".join(record.counters), hl7="207",
            hint="end a segment by its own rate with RXA-4 and RXA-20, or by rate 0 under a number of its own (RXA-2)",
        )  # fmt: skip
