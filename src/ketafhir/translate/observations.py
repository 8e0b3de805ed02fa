"""ORU^R01 <-> reports, filled forms, decisions, adverse events and their observations: which OBR is which."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ketafhir.fhir.ids import uuid5
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.mapping.codecs.coded import of_name
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import AdverseEvent, Decision, Observation, Records, Report, Response
from ketafhir.therapy.values import Coded, Period
from ketafhir.translate import adverse_segments, decisions, reports, results, screening
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading
from ketafhir.translate.results import compose_results, read_results, references, take_one
from ketafhir.translate.taking import Taking
from ketafhir.translate.ties import is_tie
from ketafhir.translate.writing import Writing

__all__ = [
    "compose",
    "compose_results",
    "has_reports",
    "read",
    "read_results",
    "references",
    "render",
    "take",
    "take_one",
]

Headed = Report | Response | Decision | AdverseEvent
Below = Mapping[str, list[Observation]]
"""Observations by the key of their heading (`results.by_heading`)."""
_ADMINISTRATION = "MedicationAdministration"


def read(reading: Reading, group: PatientGroup) -> None:
    """All OBR of one patient group. Raises Refused."""
    for order in group.orders:
        if order.obr is None:
            continue
        told = "|".join([one.obx.fields[3] for one in order.results if len(one.obx.fields) > 3])
        if decisions.may_tell(told) and decisions.is_decision(reading, order):
            decisions.read(reading, order)
            continue
        if adverse_segments.may_tell(told) and adverse_segments.tells_events(reading, order):
            adverse_segments.read(reading, order)
            continue
        form = screening.form_of(reading, order)
        if form is not None:
            screening.read(reading, order, form)
        else:
            reports.read(reading, order)


def render(writing: Writing, new: Records, records: Records) -> None:
    """The entries of all that `new` tells, as it stands in `records`."""
    told = [records.observations[key] for key in new.observations if key in records.observations]
    if records.responses:
        told += [one for one in records.observations.values() if _is_outdated(one) and one.key not in new.observations]
    for key in new.responses:
        writing.expect(screening.TYPE, key)
    _render_metrics(writing, [records.reports[key] for key in new.reports], told)
    results.render(writing, told)
    headed: list[Headed] = [records.reports[key] for key in new.reports]
    headed += [records.responses[key] for key in new.responses]
    headed += [records.decisions[key] for key in new.decisions]
    headed += [records.adverse_events[key] for key in new.adverse_events]
    below = results.by_heading(records)
    for one in sorted(headed, key=_place):
        if isinstance(one, Report):
            reports.render(writing, one, below.get(one.key, []))
        elif isinstance(one, Response):
            standing = [score for score in below.get(one.key, []) if not _is_outdated(score)]
            screening.render(writing, one, standing)
        elif isinstance(one, AdverseEvent):
            from ketafhir.translate import adverse

            adverse.render(writing, one)
        else:
            decisions.render(writing, one, below.get(one.key, []))


def _render_metrics(writing: Writing, reports: list[Report], told: list[Observation]) -> None:
    """The DeviceMetrics of reports of devices: one that several tell is written as the newest has it."""
    made: dict[str, Json] = {}
    for report in sorted((one for one in reports if one.containers), key=lambda one: one.told, reverse=True):
        from ketafhir.translate import devices

        own = [one for one in told if one.report == report.key]
        writing.metrics |= devices.metrics(writing, report, own, made)


def _is_outdated(one: Observation) -> bool:
    """Whether a score was made by us from a form that was told otherwise since."""
    return one.derived and one.status == "entered-in-error"


def _place(one: Headed) -> int:
    return one.place


def take(taking: Taking) -> None:
    """All that a Bundle tells of results, after orders and administrations were taken. Raises Refused."""
    from ketafhir.translate import adverse, screening_taken

    taken: dict[str, Callable[[Taking, Json], Headed | None]] = {
        decisions.TYPE: decisions.take,
        adverse.TYPE: adverse.take,
        screening.TYPE: screening_taken.take,
        reports.TYPE: reports.take,
    }
    for place, (_, resource) in enumerate(taking.index.entries, 1):
        if resource["resourceType"] in taken:
            one = taken[resource["resourceType"]](taking, resource)
            if one is not None:
                one.place = place
    for resource in taking.index.of_type("Observation"):
        if id(resource) not in taking.taken and not _is_waste(resource):
            _take_alone(taking, resource)


def _is_waste(resource: Json) -> bool:
    waste = of_name("keta.waste")
    tags = resource.get("meta", {}).get("tag", ())
    return any((one.get("system"), one.get("code")) == (waste.system, waste.code) for one in tags)


def _take_alone(taking: Taking, resource: Json) -> None:
    """An Observation of an administration, or one that stands for itself."""
    for reference in resource.get("partOf", ()):
        if is_tie(reference):
            continue
        found = taking.resolve(reference, resource)
        if found is not None and found.get("resourceType") == _ADMINISTRATION:
            part_of, scope = _administration(taking, found)
            if part_of:
                take_one(taking, resource, part_of=part_of, scope_key=scope)
                return
    take_one(taking, resource)


def _administration(taking: Taking, resource: Json) -> tuple[str, str]:
    """The key of the act or infusion that a resource became, and what identities below it are made under."""
    known = taking.acts.get(id(resource)) or taking.infusions.get(id(resource), "")
    for act in taking.records.administrations.values():
        for key, scope in ((act.key, act.key), (act.infusion, act.order)):
            if key == known or uuid5(f"{_ADMINISTRATION}|{key}") == resource.get("id"):
                return key, scope
    return "", ""


def has_reports(records: Records, patient: str, visit: str) -> bool:
    """Whether there is something that an ORU^R01 of this patient and visit tells."""
    return bool(_headed(records, patient, visit) or _alone(records, patient, visit))


def _headed(records: Records, patient: str, visit: str) -> list[Headed]:
    """What has an OBR of its own, in the order told."""
    reports = [one for one in records.reports.values() if not one.event]
    kinds = (reports, records.responses.values(), records.decisions.values(), records.adverse_events.values())
    found: list[Headed] = [one for kind in kinds for one in kind if (one.patient, one.visit) == (patient, visit)]
    return sorted(found, key=_place)


def events(records: Records, patient: str, visit: str) -> list[Report]:
    """The reports that make messages of their own, events of pumps and alarms, in order of time."""
    told = [one for one in records.reports.values() if one.event and (one.patient, one.visit) == (patient, visit)]
    return sorted(told, key=lambda one: (one.period.start.at if one.period and one.period.start else 0, one.place))


def compose_event(composing: Composing, report: Report, below: Below) -> None:
    """The ORDER_OBSERVATION group of one event."""
    reports.compose(composing, 1, report, below.get(report.key, []))


def _alone(records: Records, patient: str, visit: str) -> list[Observation]:
    return [
        one
        for one in records.observations.values()
        if (one.patient, one.visit) == (patient, visit) and not (one.report or one.order or one.part_of or one.derived)
    ]


def compose(composing: Composing, patient: str, visit: str, below: Below) -> None:
    """The ORDER_OBSERVATION groups of one patient and visit; observations without a report share an OBR of vital signs."""
    number = 0
    headed = _headed(composing.records, patient, visit)
    events = [one for one in headed if isinstance(one, AdverseEvent)]
    for one in headed:
        if isinstance(one, AdverseEvent):
            together = adverse_segments.under_one_heading(one, events)
            if together[0] is one:
                number += 1
                adverse_segments.compose(composing, number, together)
            continue
        number += 1
        if isinstance(one, Report):
            reports.compose(composing, number, one, below.get(one.key, []))
        elif isinstance(one, Response):
            screening.compose(composing, number, one, below.get(one.key, []))
        else:
            decisions.compose(composing, number, one, below.get(one.key, []))
    alone = _alone(composing.records, patient, visit)
    if alone:
        reports.compose(composing, number + 1, _collected(alone), alone)


def _collected(alone: list[Observation]) -> Report:
    """A report for observations that have none."""
    times = [one.effective for one in alone if one.effective]
    start = min(times, key=lambda one: one.at, default=None)
    return Report(
        code=Coded((of_name("vitals.panel"),)),
        period=Period(start) if start else None,
        status="final" if all(one.status == "final" for one in alone) else "",
    )
