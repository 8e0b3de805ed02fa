"""Messages folded one after another: each gives the Bundle of what it changed, rendered whole from the record."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING

from ketafhir.errors import Issue
from ketafhir.hl7v2.er7 import Message
from ketafhir.mapping.context import Context, no_reference
from ketafhir.mapping.paths import Json
from ketafhir.plain import Plain, field, replace
from ketafhir.therapy import merges
from ketafhir.therapy.fold import WHOLE, History, dispense_group, naming_group, waste_group
from ketafhir.therapy.lifecycle import order_of, standing
from ketafhir.therapy.records import Administration, Observation, Order, Records, Source
from ketafhir.therapy.settled import act as settled_act
from ketafhir.therapy.settled import completed
from ketafhir.therapy.slots import Timed
from ketafhir.translate import clock, incoming, patients, provenance, visits
from ketafhir.translate.kinds import weights_of
from ketafhir.translate.reading import Reading
from ketafhir.translate.settings import Settings
from ketafhir.translate.weighing import Weighing, nothing_depends
from ketafhir.translate.writing import Writing, sender_urn

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from typing import Any

    from ketafhir.therapy.infusion import Act, Course
    from ketafhir.translate.checking import Checking
    from ketafhir.translate.spill import Spill
    from ketafhir.translate.ties import Moved

_IN_MEMORY = 1000  # messages: most files are shorter, and never see a database


class Step(Plain):
    """What one message did: its Bundle (to be read only: its parts are shared), findings, records as told (under the keys they
    got), and how it was read."""

    bundle: Json
    issues: list[Issue]
    told: Records
    reading: Reading
    infusions: dict[str, Course] = field(default_factory=dict)


class Session:
    """A fold in progress. `history` may come from a store; a refused message leaves it as it was.

    One of its own leaves memory after `_IN_MEMORY` messages: a file may be of any length.
    """

    def __init__(self, settings: Settings, history: History | None = None) -> None:
        self.settings = settings
        self.history = history if history is not None else History()
        self._own = history is None
        self._taken = 0
        self._spill: Spill | None = None

    def take(self, message: Message) -> Step:
        """Fold one message in and render what it changed. Raises Refused, and OSError where the disk is full."""
        step = self._take(message)
        if self._own:
            self._make_room()
        return step

    def _make_room(self) -> None:
        self._taken += 1
        if self._spill is not None:
            self._spill.trim()
        elif self._taken >= _IN_MEMORY:
            from ketafhir.translate.spill import Spill

            self._spill = Spill(self.history)

    def trim(self) -> None:
        """What was not used lately leaves memory, where there is much. Raises OSError where the disk is full."""
        if self._spill is not None:
            self._spill.trim()

    def mapping(self, name: str) -> MutableMapping[str, Any]:
        """A new mapping that leaves memory as the history does."""
        return self._spill.mapping(name) if self._spill is not None else {}

    def by_person(self, rows: Iterable[tuple[int, str, str]]) -> Iterable[tuple[int, str, str]]:
        """Rows in the order of their numbers, each once: in memory while the history is. Raises OSError where the disk is full."""
        return self._spill.in_order(rows) if self._spill is not None else sorted(dict.fromkeys(rows), key=itemgetter(0))

    def _take(self, message: Message) -> Step:
        return self.fold_in(incoming.read(message, self.settings))

    def fold_in(self, reading: Reading) -> Step:
        """Fold in a message that is read already. Raises Refused, and OSError where the disk is full."""
        new, numbers, warnings = self.history.prepare(reading.records)
        reading.c.issues += warnings
        source = reading.source
        writing_from = sender_urn(source.application, source.facility)
        reading.c.segment = None
        bundle, after = self.fold(new, numbers, reading.c, writing_from, source)
        return Step(bundle, reading.c.issues, new, reading, after)

    def fold(
        self,
        new: Records,
        numbers: dict[str, tuple[str, str]],
        c: Context,
        sender: str,
        source: Source | None,
    ) -> tuple[Json, dict[str, Course]]:
        """Add prepared records and render what they changed; gives the Bundle and the infusions they touched."""
        stays = self.history.survivors(new)
        was = self.history.survivors() if stays else {}
        moved = merges.moved(was, stays) if stays else set()
        told = merges.with_records_of(self.history, new, moved) if moved else new
        checking = _checking(self.history, told, self.settings)
        affected = checking.infusions if checking else []
        before = self._courses(affected)
        identities = {act.order for found in before.values() for act in (found.first,)}
        identities |= {one for one in map(order_of, new.orders) if dispense_group(one) in self.history.groups}
        known = {identity: bool(self._orders(identity)) for identity in identities}
        stood = self._standings(new)
        if checking:
            checking.before(before)
        self.history.add(new, numbers)
        orders_told = self._orders_to_write(new, stood)
        timed: list[Timed] = [*new.observations.values(), *new.adverse_events.values()]
        self.history.senders.update(dict.fromkeys({one.told[1] for one in timed}, sender))
        if moved:
            orders_told = list(dict.fromkeys([*orders_told, *self._standings(told)]))
        after = self._courses(affected)
        gone = [found for key, found in before.items() if key not in after]
        shifted = checking.note(after, gone) if checking else []
        relinked = {identity for identity, had in known.items() if had is not bool(self._orders(identity))}
        records = self._neighbourhood(told, after, orders_told, stays)
        writing = Writing(records, self.settings.tables, c, sender, stays)
        writing.chart = cache(lambda patient: self.history.chart(patient, stays))
        writing.moved = _kept(after)
        self._render(writing, told, before, after, relinked, orders_told, moved)
        if moved:
            from ketafhir.translate import ties

            shifted += ties.joined(self.history, moved, was, stays)
        if shifted:
            self._tie_again(writing, shifted, told)
        if source is not None:
            provenance.render(writing, source, self.settings)
            c.issues += clock.check(new, source, self.settings)
        self._ended(c, new)
        for found in after.values():
            _findings(c, found, before.get(found.key))
        if checking:
            c.issues += checking.after(after)
        if any(act.delivery for act in new.administrations.values()):
            from ketafhir.translate import pump_checks

            c.issues += pump_checks.check(new, after, self._orders, self.settings.tables.limits)
        bundle = writing.entries.transaction()
        if self.settings.tables.z_tables:
            from ketafhir.mapping import zsegments

            zsegments.show(bundle.get("entry", ()), self.settings.tables, c)
        c.link = no_reference  # else context and writer would hold each other until the garbage collector comes
        return bundle, after

    def _tie_again(self, writing: Writing, moved: list[Moved], new: Records) -> None:
        """Write again what is part of an infusion now, or no longer, and the events it may be suspected of, as those that
        told them."""
        from ketafhir.translate import results, ties

        found = ties.changed(self.history, moved, new.observations)
        events = ties.changed_events(self.history, moved, new)
        records, sender = writing.records, writing.source
        timed: list[Timed] = [*found.values(), *events.values()]
        for one in timed:
            if one.visit in self.history.visits and one.visit not in records.visits:
                records.visits[one.visit] = completed(self.history.visits[one.visit])
        records.observations.update(found)
        results.expect(writing, found.values())
        listed: dict[str, list[Observation]] = {}
        leads = {one.panel or one.key: one for one in sorted(found.values(), key=lambda one: one.told)}
        for one in leads.values():
            listed.setdefault(self.history.senders.get(one.told[1], sender), []).append(one)
        for writing.source, told in listed.items():
            self._again(writing, told)
        for event in sorted(events.values(), key=lambda one: one.told):
            from ketafhir.translate import adverse

            writing.source = self.history.senders.get(event.told[1], sender)
            adverse.render(writing, event)
        writing.source = sender

    def _standings(self, new: Records) -> dict[str, Order]:
        """The orders that this message tells of, in all their parts, as they stand."""
        keys = dict.fromkeys(part for key in new.orders for part in self.history.parts(order_of(key)))
        return {key: self.history.order(key) for key in keys}

    def _ended(self, c: Context, new: Records) -> None:
        """Warn of what would have begun an order again that has ended."""
        for key, order in new.orders.items():
            told = [one for part in self.history.ordered[order_of(key)] for one in self.history.orders[part]]
            found = standing(one for one in told if one.owned)
            if order.state and any(one == order for one in found.idle):
                text = f"the order is {found.state}: {order.state.control} does not begin it again"
                issue = Issue("warning", "order-ended", text, where="ORC-1", value=order.state.control)
                c.issues += [] if issue in c.issues else [issue]

    def _orders_to_write(self, new: Records, before: dict[str, Order]) -> list[str]:
        """The orders this message writes: those it owns, those nobody told before, a filler order whose original it tells, and
        parts of an order whose standing it changes.

        A RAS may repeat an order; once the order feed has told it, that repetition writes nothing.
        """
        after = self._standings(new)
        found = [key for key in after if key in new.orders and (new.orders[key].owned or key not in before)]
        for key in after:
            identity, _, intent = key.rpartition("|")
            filler = f"{identity}|filler"
            if intent == "original" and key not in before and filler in before:
                found.append(filler)
            if intent in ("original", "filler") and key not in before:
                found += [part for part in before if part.startswith(f"{identity}|give-")]
            if key in before and after[key] != before[key] and key not in new.orders:
                found.append(key)
            if key not in before:
                numbers = [one.key for one in (after[key].placer, after[key].filler) if one]
                named = (one for number in numbers for one in self.history.groups.get(naming_group(number), ()))
                found += [one for one in named if one in self.history.orders and one not in found]
        return list(dict.fromkeys(found))

    def _orders(self, identity: str) -> list[Order]:
        """The orders known under an identity."""
        keys = (f"{identity}|{intent}" for intent in ("filler", "original"))
        return [self.history.order(key) for key in keys if key in self.history.orders]

    def _courses(self, infusions: list[str]) -> dict[str, Course]:
        """The courses of these infusions; one that only ends what nobody told to have begun has none yet."""
        found = {}
        for key in infusions:
            told = self._told(key)
            if any(act.delivery in ("", "start") for act in told):
                found[key] = self._course(key, told)
        return found

    def _told(self, infusion: str) -> list[Administration]:
        """What was told of an infusion; with what its pumps told without naming an order, or without its give sub-ID."""
        history = self.history
        told = self._acts(infusion)
        for other in history.courses.get(told[0].order, ()) if told else ():
            told += self._acts(other) if other != infusion else []
        channels = {act.channel for act in told if act.channel}
        if not channels:
            return [act for act in told if act.infusion == infusion]
        from ketafhir.therapy.pump import placed, with_strays

        told = placed(told, self.settings.tables.settings.match_seconds)
        known = {act.key for act in told}

        others = dict.fromkeys(one for channel in channels for one in history.channels.get(channel, ()))
        for other in others:
            told += [act for act in self._acts(other) if act.key not in known]
        return with_strays(told, infusion, history.survivors())

    def _acts(self, infusion: str) -> list[Administration]:
        history = self.history
        return [settled_act(history.administrations[key]) for key in history.infusions.get(infusion, ())]

    def _course(self, infusion: str, told: list[Administration]) -> Course:
        from ketafhir.therapy.infusion import course
        from ketafhir.translate.checking import dosing_weight

        found = self._orders(told[0].order)
        order = found[0] if found else None
        seconds = self.settings.tables.settings.match_seconds if any(act.delivery for act in told) else 0
        return course(infusion, told, order, dosing_weight(self.history, [one.key for one in found]), seconds)

    def _render(
        self,
        writing: Writing,
        new: Records,
        before: dict[str, Course],
        after: dict[str, Course],
        relinked: set[str],
        orders_told: list[str],
        moved: set[str],
    ) -> None:
        records = writing.records
        acts = [
            (found, act)
            for key, found in after.items()
            for act in found.acts
            if act.told.key in new.administrations or found.first.order in relinked or _changed(act, before.get(key))
        ]
        parents = [
            found
            for key, found in after.items()
            if found.first.order in relinked or key not in before or _summary(found) != _summary(before[key])
            or any(one is found for one, _ in acts)
        ]  # fmt: skip
        standing = {act.told.key for found in after.values() for act in found.acts}
        gone = [(found, act) for found in parents for act in _withdrawn(before.get(found.key), standing)]
        for key in (*(found.key for found in parents), *(act.told.key for _, act in (*acts, *gone))):
            writing.expect("MedicationAdministration", key)
        patients.render_all(writing, new, moved)
        for key in new.visits:
            visits.render(writing, records.visits[key])
        patients.render_mentioned(writing, new)
        # As with reading: what a message does not tell is not loaded for it.
        if orders_told:
            from ketafhir.translate import orders

            for key in orders_told:
                orders.expect(writing, records.orders[key])
            for key in orders_told:
                orders.render(writing, records.orders[key])
        known = self.history.others.wastes
        late = [key for order in sorted(relinked) for key in self.history.groups.get(waste_group(order), ())]
        wastes = dict.fromkeys([*new.wastes, *late])
        if parents or acts or wastes:
            from ketafhir.translate import courses

            for found in parents:
                writing.put(courses.render_parent(writing, found))
            for found, act in acts:
                writing.put(courses.render_act(writing, found, act))
            for found, act in gone:
                writing.put(courses.render_withdrawn(writing, found, act))
            for key in before.keys() - after.keys():
                writing.put(courses.render_joined(writing, before[key]))
            for key in wastes:
                courses.render_waste(writing, known[key])
        late = [key for order in sorted(relinked) for key in self.history.groups.get(dispense_group(order), ())]
        if new.dispenses or late:
            from ketafhir.translate import dispenses

            for key in dict.fromkeys([*new.dispenses, *late]):
                dispenses.render(writing, self.history.others.dispenses[key])
        if new.observations or new.reports or new.responses or new.decisions or new.adverse_events:
            from ketafhir.translate import observations

            observations.render(writing, new, records)
        beside = self._beside(new, before, after)
        if beside:
            self._again(writing, beside)

    def _again(self, writing: Writing, told: list[Observation]) -> None:
        """Write observations that earlier messages told, with the part of the device they come from."""
        from ketafhir.translate import results

        reports = self.history.others.reports
        if any(one.report in reports and reports[one.report].containers for one in told):
            from ketafhir.translate import devices

            devices.link(writing, reports, told)
        results.render(writing, told)

    def _beside(self, new: Records, before: dict[str, Course], after: dict[str, Course]) -> list[Observation]:
        """Observations told earlier of an act or event that is found under another key now."""
        known = self.history.others.observations
        was = _kept(before)
        moved = [key for key, name in _kept(after).items() if was.get(key, key) != name]
        keys = dict.fromkeys(key for group in moved for key in self.history.groups.get(group, ()))
        return [known[key] for key in keys if key in known and key not in new.observations]

    def _neighbourhood(
        self, new: Records, after: dict[str, Course], orders_told: list[str], stays: dict[str, str]
    ) -> Records:
        """The settled records that this Bundle renders or refers to."""
        history = self.history
        out = Records()
        wanted = {"patients": set(new.patients), "visits": set(new.visits), "orders": set(orders_told)}
        for found in after.values():
            for act in found.acts:
                wanted["patients"].add(act.told.patient)
                wanted["visits"].add(act.told.visit)
            for identity in {act.told.order for act in found.acts} | {found.first.order}:
                wanted["orders"].update(order.key for order in self._orders(identity))
        late = [key for one in orders_told for key in history.groups.get(dispense_group(order_of(one)), ())]
        for dispense in map(history.others.dispenses.__getitem__, (*new.dispenses, *late)):
            wanted["patients"].add(dispense.patient)
            wanted["visits"].add(dispense.visit)
            wanted["orders"].update(order.key for order in self._orders(dispense.order))
        for key in orders_told:
            wanted["orders"].update(order.key for order in self._orders(order_of(key)))
            order = history.order(key)
            for number in (order.parent, order.replaces):
                names = [f"{role}:{number.key}" for role in "PF"] if number else []
                for identity, _ in filter(None, map(history.numbers.get, names)):
                    wanted["orders"].update(one.key for one in self._orders(identity))
        for key in wanted.pop("orders"):
            out.orders[key] = order = history.order(key)
            if key in orders_told:
                wanted["patients"].add(order.patient)
                wanted["visits"].add(order.visit)
        for kind, keys in wanted.items():
            versions = getattr(history, kind)
            told = getattr(new, kind)
            for key in keys:
                if key in versions:
                    # A message that only mentions a patient speaks for itself: it never writes what others told.
                    mention = told.get(key)
                    alone = mention is not None and not getattr(mention, "owned", True)
                    getattr(out, kind)[key] = mention if alone else completed(versions[key])
        for stay in {stays[key] for key in out.patients if key in stays} - out.patients.keys():
            out.patients[stay] = completed(history.patients[stay])
        for kind in WHOLE:
            told = getattr(new, kind)
            if told:
                known = getattr(history.others, kind)
                getattr(out, kind).update({key: known[key] for key in told})
        self._add_siblings(out)
        # A device is written whole: what a message does not tell of its parts others have told.
        out.containers = history.others.containers
        return out

    def _add_siblings(self, out: Records) -> None:
        """What other messages told under the same headings, of the same pressures and from the same forms."""
        known = self.history.others
        if known.responses:
            for one in out.observations.values():
                if one.response in known.responses:
                    out.responses[one.response] = known.responses[one.response]
        headings = [*out.reports, *out.responses, *out.decisions]
        groups = dict.fromkeys([*headings, *[one.panel for one in out.observations.values() if one.panel]])
        told = len(out.observations)
        for name in groups:
            out.observations.update([(key, known.observations[key]) for key in self.history.groups.get(name, ())])
        further = len(out.observations) != told
        panels = {one.panel for one in out.observations.values() if one.panel} - groups.keys() if further else ()
        for panel in panels:
            out.observations.update([(key, known.observations[key]) for key in self.history.groups.get(panel, ())])
        if not out.responses:
            return
        for key, one in out.observations.items():
            if one.derived and one.response in out.responses and one.told != out.responses[one.response].told:
                # Made from a version of the form that does not stand any more: what replaces it is made anew, or not at all.
                out.observations[key] = replace(one, status="entered-in-error")


def _checking(history: History, new: Records, settings: Settings) -> Checking | Weighing | None:
    """The checks that new records call for: what tells only of a patient, or vital signs, has none."""
    told = new.orders or new.administrations or new.wastes
    weights = weights_of(new)
    if not told and not any(one.part_of or one.order for one in new.observations.values()):
        if not weights:
            return None
        if nothing_depends(history, weights):
            return Weighing(history, weights)
    from ketafhir.translate.checking import Checking

    return Checking(history, new, weights, settings.tables.limits)


def _kept(after: dict[str, Course]) -> dict[str, str]:
    """Under which key the acts and events of pumps are found now, by their own; "" where an event ended nothing."""
    kept: dict[str, str] = {}
    for found in after.values():
        kept |= {key: name for key, name in found.kept.items() if name or key not in kept}
    return kept


def _withdrawn(before: Course | None, standing: set[str]) -> list[Act]:
    """Acts that were children and are part of another now (an eMAR's that the pump tells too): entered in error."""
    gone = [act for act in before.acts if act.told.key not in standing] if before else []
    return [replace(act, state="deleted") for act in gone]


def _changed(act: Act, before: Course | None) -> bool:
    old = next((one for one in before.acts if one.told.key == act.told.key), None) if before else None
    return old is None or old != act


def _summary(found: Course) -> tuple[object, ...]:
    keys = [closer.key for closer in found.closers]
    acts = [act.told.key for act in found.acts] if found.kept else []
    return found.status, found.start, found.end, found.total, keys, found.first.route, acts


def _findings(c: Context, found: Course, before: Course | None) -> None:
    """What this message has brought about in the course of an infusion."""
    for finding in found.findings:
        if before is not None and finding in before.findings:
            continue
        issue = Issue("warning", finding.code, finding.text, where="RXA-20", value=finding.act)
        if issue not in c.issues:
            c.issues.append(issue)


def render_records(records: Records, settings: Settings, c: Context, sender: str) -> Json:
    """Records from elsewhere (another's FHIR) as our own Bundle. Raises Refused."""
    session = Session(settings)
    new, numbers, warnings = session.history.prepare(records)
    c.issues += warnings
    return session.fold(new, numbers, c, sender, None)[0]
