"""Messages folded one after another: each gives the Bundle of what it changed, rendered whole from the record."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING

from ketafhir.errors import Issue
from ketafhir.hl7v2.er7 import Message
from ketafhir.mapping.context import Context, no_reference
from ketafhir.mapping.paths import Json
from ketafhir.plain import Plain, field
from ketafhir.therapy import merges
from ketafhir.therapy.fold import History, dispense_group, waste_group
from ketafhir.therapy.lifecycle import order_of
from ketafhir.therapy.records import Observation, Records, Source
from ketafhir.therapy.settled import completed
from ketafhir.therapy.slots import Timed
from ketafhir.translate import clock, incoming, order_changes, patients, provenance, visits
from ketafhir.translate.kinds import weights_of
from ketafhir.translate.neighbourhood import neighbourhood
from ketafhir.translate.reading import Reading
from ketafhir.translate.settings import Settings
from ketafhir.translate.weighing import Weighing, nothing_depends
from ketafhir.translate.writing import Known, Writing, sender_urn

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from typing import Any

    from ketafhir.therapy.infusion import Course
    from ketafhir.translate.checking import Checking
    from ketafhir.translate.spill import Spill
    from ketafhir.translate.ties import Moved
    from ketafhir.translate.told_courses import Changes

_IN_MEMORY = 1000  # messages: most files are shorter, and never see a database


class Step(Plain):
    """What one message did: its Bundle (to be read only: its parts are shared), findings, records as told (under the keys they
    got), how it was read, and `like` as of `Writing`."""

    bundle: Json
    issues: list[Issue]
    told: Records
    reading: Reading
    infusions: dict[str, Course] = field(default_factory=dict)
    like: dict[str, Known] = field(default_factory=dict)


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
        bundle, after, like = self.fold(new, numbers, reading.c, writing_from, source)
        return Step(bundle, reading.c.issues, new, reading, after, like)

    def fold(
        self,
        new: Records,
        numbers: dict[str, tuple[str, str]],
        c: Context,
        sender: str,
        source: Source | None,
    ) -> tuple[Json, dict[str, Course], dict[str, Known]]:
        """Add prepared records and render what they changed; gives the Bundle, the infusions they touched, and `Writing.like`."""
        stays = self.history.survivors(new)
        was = self.history.survivors() if stays else {}
        moved = merges.moved(was, stays) if stays else set()
        told = merges.with_records_of(self.history, new, moved) if moved else new
        checking = _checking(self.history, told, self.settings)
        affected = checking.infusions if checking else []
        before = self._courses(affected)
        identities = {act.order for found in before.values() for act in (found.first,)}
        identities |= {one for one in map(order_of, new.orders) if dispense_group(one) in self.history.groups}
        known = {identity: bool(self.history.requests(identity)) for identity in identities}
        stood = order_changes.standings(self.history, new)
        if checking:
            checking.before(before)
        self.history.add(new, numbers)
        orders_told = order_changes.to_write(self.history, new, stood)
        timed: list[Timed] = [*new.observations.values(), *new.adverse_events.values()]
        self.history.senders.update(dict.fromkeys({one.told[1] for one in timed}, sender))
        if moved:
            orders_told = list(dict.fromkeys([*orders_told, *order_changes.standings(self.history, told)]))
        after = self._courses(affected)
        gone = [found for key, found in before.items() if key not in after]
        shifted = checking.note(after, gone) if checking else []
        relinked = {identity for identity, had in known.items() if had is not bool(self.history.requests(identity))}
        records = neighbourhood(self.history, told, after, orders_told, stays)
        writing = Writing(records, self.settings.tables, c, sender, stays)
        writing.chart = cache(lambda patient: self.history.chart(patient, stays))
        changes = None
        if before or after:
            from ketafhir.translate.told_courses import changes_of

            changes = changes_of(before, after, told, relinked)
            writing.moved = changes.kept
        self._render(writing, told, changes, relinked, orders_told, moved)
        if moved:
            from ketafhir.translate import ties

            shifted += ties.joined(self.history, moved, was, stays)
        if shifted:
            self._tie_again(writing, shifted, told)
        if source is not None:
            provenance.render(writing, source, self.settings)
            c.issues += clock.check(new, source, self.settings)
        for issue in order_changes.begun_again(self.history, new):
            c.issues += [] if issue in c.issues else [issue]
        for found in after.values():
            _findings(c, found, before.get(found.key))
        if checking:
            c.issues += checking.after(after)
        if any(act.delivery for act in new.administrations.values()):
            from ketafhir.translate import pump_checks

            c.issues += pump_checks.check(new, after, self.history.requests, self.settings.tables.limits)
        bundle = writing.entries.transaction()
        if self.settings.tables.z_tables:
            from ketafhir.mapping import zsegments

            zsegments.show(bundle.get("entry", ()), self.settings.tables, c)
            writing.like.clear()  # what it writes is in none of them
        c.link = no_reference  # else context and writer would hold each other until the garbage collector comes
        return bundle, after, writing.like

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

    def _courses(self, infusions: list[str]) -> dict[str, Course]:
        if not infusions:
            return {}
        from ketafhir.translate.told_courses import courses_of

        return courses_of(self.history, infusions, self.settings.tables)

    def _render(
        self,
        writing: Writing,
        new: Records,
        changes: Changes | None,
        relinked: set[str],
        orders_told: list[str],
        moved: set[str],
    ) -> None:
        records = writing.records
        for key in changes.keys() if changes else ():
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
        if wastes or (changes and (changes.parents or changes.acts)):
            from ketafhir.translate import courses

            if changes:
                courses.render(writing, changes)
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
        if changes:
            beside = self._beside(new, changes)
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

    def _beside(self, new: Records, changes: Changes) -> list[Observation]:
        """Observations told earlier of an act or event that is found under another key now."""
        known = self.history.others.observations
        keys = dict.fromkeys(key for group in changes.moved for key in self.history.groups.get(group, ()))
        return [known[key] for key in keys if key in known and key not in new.observations]


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
