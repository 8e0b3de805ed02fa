"""What the pump says it gave against rate times time (checks C6 and C7): told with both numbers and never mended."""

from __future__ import annotations

from fractions import Fraction

from ketafhir.errors import Issue
from ketafhir.mapping import codes
from ketafhir.therapy import measures, volumes
from ketafhir.therapy.checks import Limits
from ketafhir.therapy.infusion import GIVEN, Act, Course
from ketafhir.therapy.records import Observation, Records
from ketafhir.therapy.values import Quantity
from ketafhir.therapy.volumes import Reading, Segment


def check(told: Records, courses: dict[str, Course], limits: Limits) -> list[Issue]:
    """Warnings for the delivered volumes of a message: of a segment, or of the infusion so far."""
    found = []
    for one in told.observations.values():
        if one.part_of and isinstance(one.value, Quantity) and one.value.unit == "mL":
            compared = _compared(one, courses)
            mismatch = volumes.volume(*compared, limits) if compared else None
            if mismatch:
                found.append(mismatch.issue("OBX-5", str(one.value.value)))
    return found


def _compared(one: Observation, courses: dict[str, Course]) -> tuple[list[Segment], Reading] | None:
    """The segments that a volume is of, and the volume at its time; None where they are not known."""
    assert isinstance(one.value, Quantity)
    number = Fraction(one.value.value)
    if _is(one, "mdc.vol-fluid-deliv-total"):
        course = courses.get(one.part_of)
        segments = segments_of(course) if course else None
        return (segments, Reading(one.effective.at, number)) if segments and one.effective else None
    if _is(one, "keta.segment-volume"):
        found = [(course, act) for course in courses.values() for act in course.acts if act.told.key == one.part_of]
        segment = _segment(*found[0]) if found else None
        return ([segment], Reading(segment.end, number)) if segment and segment.end is not None else None
    return None


def segments_of(course: Course) -> list[Segment] | None:
    """The segments of what was given in mL/h; None where one of them cannot be told so."""
    acts = [act for act in course.acts if act.told.rate is not None and act.state in GIVEN]
    segments = [_segment(course, act) for act in acts]
    return [one for one in segments if one] if all(segments) else None


def _segment(course: Course, act: Act) -> Segment | None:
    told = act.told
    rate = measures.millilitres_per_hour(told.rate, course.weight, told.concentration or course.concentration)
    if rate is None or told.start is None or (act.end is None and act.state != "running"):
        return None
    return Segment(told.start.at, act.end.at if act.end else None, rate)


def _is(one: Observation, name: str) -> bool:
    code = codes.code(name)
    return one.code is not None and one.code.has(code.system, code.code)
