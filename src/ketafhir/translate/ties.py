"""Vital signs during an infusion are part of it: Observation.partOf the parent, marked derived and never sent back.

The tie follows from the two records: the time of the observation lies in the period of an infusion of its patient, and
of its visit where both are told. So it is the same whichever came first, and moves when a correction moves the period;
only observations whose tie has changed are written again (docs/mapping.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ketafhir.mapping.paths import DERIVED, Json
from ketafhir.therapy.charts import Span
from ketafhir.therapy.fold import History
from ketafhir.therapy.records import AdverseEvent, Observation, Records
from ketafhir.therapy.slots import Timed
from ketafhir.translate.kinds import kind_of
from ketafhir.translate.writing import Writing

_CATEGORIES = ("vital-signs", "exam")
Moved = tuple[str, Span | None, Span | None]
"""A patient, and when one of the infusions ran: as it was known, and as it is."""


def can_be_tied(one: Observation) -> bool:
    """Whether an observation is one of those that are watched during an infusion, and told for nothing else."""
    if one.part_of or one.order or one.response:
        return False
    kind = kind_of(one.code)
    return kind is not None and kind.category.code in _CATEGORIES


def tied(writing: Writing, one: Observation, resource: Json) -> Json:
    """The resource of an observation, with the infusions it was made during."""
    chart = writing.chart(one.patient)
    time = one.effective or one.group_time
    if chart is None or time is None or not chart.spans or not can_be_tied(one):
        return resource
    at = time.at
    keys = sorted(key for key, span in chart.spans.items() if span.holds(at, one.visit))
    if not keys or not time.has_clock:
        return resource
    mark = [{"url": DERIVED, "valueBoolean": True}]
    parts = [{"extension": mark, **writing.to("MedicationAdministration", key)} for key in keys]
    return {**resource, "partOf": parts}


def is_tie(reference: Json) -> bool:
    """Whether a reference was derived, and so tells nothing."""
    return any(one.get("url") == DERIVED for one in reference.get("extension", ()))


def changed(history: History, moved: list[Moved], told: dict[str, Observation]) -> dict[str, Observation]:
    """Observations told before (not those of `told`) whose tie a moved infusion has changed, with all parts of their panels."""
    found: dict[str, Observation] = {}
    for patient, old, new in moved:
        for low, high in _ranges(old, new):
            for key in _seen(history, patient, low, high):
                one = history.others.observations.get(key)
                if one and key not in told and can_be_tied(one) and _holds(old, one) is not _holds(new, one):
                    found[key] = one
    again = {one.panel for one in told.values() if one.panel}  # written with what is told now
    found = {key: one for key, one in found.items() if one.panel not in again}
    for panel in {one.panel for one in found.values() if one.panel}:
        found |= {key: history.others.observations[key] for key in history.groups.get(panel, ())}
    return found


def changed_events(history: History, moved: list[Moved], told: Records) -> dict[str, AdverseEvent]:
    """Adverse events told before (not those of `told`) that a moved infusion may be suspected of now, or no longer."""
    found: dict[str, AdverseEvent] = {}
    for patient, old, new in moved:
        for low, high in _ranges(old, new):
            for key in _seen(history, patient, low, high):
                one = history.others.adverse_events.get(key)
                if one and key not in told.adverse_events and _holds(old, one) is not _holds(new, one):
                    found[key] = one
    return found


def _seen(history: History, patient: str, low: int, high: int | None) -> list[str]:
    return [key for number in history.numbers_of(patient) for key in history.seen(number, low, high)]


def joined(history: History, moved: Iterable[str], was: Mapping[str, str], stays: Mapping[str, str]) -> list[Moved]:
    """All infusions of the people whose numbers a merge has put together or apart: each may hold what the others tell."""
    people = dict.fromkeys(
        number for one in sorted(moved) for now in (was, stays) for number in history.numbers_of(one, now)
    )
    spans = [span for one in people if one in history.charts for span in history.charts[one].spans.values()]
    return [(one, None, span) for one in people for span in spans]


def _holds(span: Span | None, one: Timed) -> bool:
    time = (one.at or one.start) if isinstance(one, AdverseEvent) else one.effective or one.group_time
    return span is not None and time is not None and span.holds(time.at, one.visit)


def _ranges(old: Span | None, new: Span | None) -> list[tuple[int, int | None]]:
    """The seconds in which two spans may differ; an open end is None."""
    if old is None or new is None:
        span = old or new
        return [(int(span.start), _end(span))] if span else []
    ends = (_end(old), _end(new))
    known = [end for end in ends if end is not None]
    found: list[tuple[int, int | None]] = []
    if old.start != new.start:
        found.append((int(min(old.start, new.start)), int(max(old.start, new.start)) + 1))
    if ends[0] != ends[1]:
        found.append((min(known) - 1, max(known) if len(known) == 2 else None))
    return found


def _end(span: Span) -> int | None:
    return None if span.end is None else int(span.end) + 1
