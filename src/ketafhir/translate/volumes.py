"""What the pump says it gave against rate times time: a difference is told with both numbers and never mended."""

from __future__ import annotations

from decimal import Decimal

from ketafhir.errors import Issue
from ketafhir.mapping import codes
from ketafhir.therapy.infusion import Course, volume_until
from ketafhir.therapy.records import Observation, Records
from ketafhir.therapy.values import Quantity

_SHARE, _LEAST = Decimal("0.02"), Decimal(2)  # 2 % or 2 mL, whichever is more


def check(told: Records, courses: dict[str, Course]) -> list[Issue]:
    """Warnings `volume-unreconciled` for the delivered volumes of a message: of a segment, or of the infusion so far."""
    found = []
    for one in told.observations.values():
        if one.part_of and isinstance(one.value, Quantity) and one.value.unit == "mL":
            computed = _computed(one, courses)
            if computed is not None and abs(one.value.value - computed) > max(_LEAST, computed * _SHARE):
                text = f"the pump tells {one.value.value} mL, rate and time give {computed} mL"
                found.append(Issue("warning", "volume-unreconciled", text, where="OBX-5", value=str(one.value.value)))
    return found


def _computed(one: Observation, courses: dict[str, Course]) -> Decimal | None:
    """What rate and time give for the segment, or for the infusion up to the time of the observation."""
    if _is(one, "mdc.vol-fluid-deliv-total"):
        course = courses.get(one.part_of)
        return volume_until(course.acts, one.effective) if course and one.effective else None
    if _is(one, "keta.segment-volume"):
        acts = [act for course in courses.values() for act in course.acts if act.told.key == one.part_of]
        return volume_until(acts, acts[0].end) if acts and acts[0].end else None
    return None


def _is(one: Observation, name: str) -> bool:
    code = codes.code(name)
    return one.code is not None and one.code.has(code.system, code.code)
