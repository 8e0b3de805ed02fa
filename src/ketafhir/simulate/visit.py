"""All that happens to one patient: screening, decision, the infusion with what went wrong, and how it was a week later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from ketafhir.simulate.chance import Chance
from ketafhir.simulate.course import Course, course
from ketafhir.simulate.person import Person, person
from ketafhir.simulate.vitals import Effects, effects

LATE, CORRECTED = 4, 4
"""Percent of the infusions with a message that comes late, and with one that is corrected."""
NURSES = (("RN-1", "Moss", "Ada"), ("RN-3", "Bjørk", "Zoë"), ("RN-5", "Tran", "Lan"), ("RN-7", "Okoro", "Chidi"))
WITNESSES = (("RN-2", "Fern", "Liam"), ("RN-4", "Reed", "Hana"))
DOCTOR = ("DR-1", "Example", "Rowan")
_FIRST = datetime(2026, 4, 6, 8, 0, tzinfo=timezone(timedelta(hours=-5)))
_DAYS = 150
"""Days of the clinic, all within daylight time, so that one offset holds."""


@dataclass(slots=True, frozen=True)
class Rescue:
    """A medicine beside the infusion: minute, names of its code and of its reason, mg."""

    minute: int
    drug: str
    amount: Decimal
    reason: str


@dataclass(slots=True, frozen=True)
class Adverse:
    """An adverse event: minutes from the start, name of its code, CTCAE grade; `rescue` counts the rescue medicines from 0."""

    minute: int
    end: int
    effect: str
    grade: int
    transient: bool
    rescue: int | None = None


@dataclass(slots=True, frozen=True)
class Answers:
    """A questionnaire: minutes before (negative) or after the start, the name of the form, what was answered to each item."""

    when: datetime
    form: str
    items: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Visit:
    """One patient of the clinic. `course` and `effects` are None of one who was refused, for the reason `rule`."""

    person: Person
    screened: datetime
    start: datetime
    chair: int
    nurse: tuple[str, str, str]
    witness: tuple[str, str, str]
    answers: tuple[Answers, ...]
    pain: tuple[tuple[datetime, int], ...]
    rule: str = ""
    course: Course | None = None
    effects: Effects | None = None
    rescues: tuple[Rescue, ...] = ()
    adverse: tuple[Adverse, ...] = ()
    late: bool = False
    corrected: bool = False

    def at(self, minute: int, seconds: int = 0) -> datetime:
        """The clock at a minute from the start."""
        return self.start + timedelta(minutes=minute, seconds=seconds)


def visit(seed: int, number: int) -> Visit:
    """The patient of this number: the same for the same seed, whatever the others are."""
    chance = Chance(seed, number)
    who = person(chance, number)
    start = _FIRST + timedelta(days=chance.whole(14, _DAYS), minutes=5 * chance.whole(12, 72))
    screened = start - timedelta(days=chance.whole(4, 13), minutes=chance.whole(0, 11) * 5)
    before = _answers(chance, who, screened + timedelta(minutes=15), 1.0)
    pain: tuple[tuple[datetime, int], ...] = ()
    if who.indication.protocol == "pain":
        pain = ((screened + timedelta(minutes=15), _pain(who, 0.0)),)
    chair, nurse, witness = chance.whole(1, 8), chance.one_of(NURSES), chance.one_of(WITNESSES)
    if who.refused:
        rule = chance.one_of(("keta.K3", "keta.K13", "keta.K15", "keta.K28"))
        if rule == "keta.K15" and who.sex == "M":
            rule = "keta.K3"
        return Visit(who, screened, start, chair, nurse, witness, before, pain, rule)
    went = course(chance, who)
    shown = effects(chance, who, went)
    rescues, adverse = _troubles(chance, who, went, shown)
    later = start + timedelta(days=chance.whole(7, 10))
    after = _answers(chance, who, later, 1.0 - who.response)
    if pain:
        pain = (*pain, (later, _pain(who, who.response)))
    late = chance.happens(LATE)
    corrected = not late and chance.happens(CORRECTED * 100 / (100 - LATE))
    return Visit(
        who,
        screened,
        start,
        chair,
        nurse,
        witness,
        (*before, *after),
        pain,
        "",
        went,
        shown,
        rescues,
        adverse,
        late,
        corrected,
    )


def _pain(who: Person, relief: float) -> int:
    return max(0, min(10, round((4 + 6 * who.severity) * (1 - 0.8 * relief))))


def _answers(chance: Chance, who: Person, when: datetime, share: float) -> tuple[Answers, ...]:
    """The forms of the indication, answered as severely as `share` of the severity at first."""
    if who.indication.protocol == "pain":
        return ()
    if who.indication.instrument == "pcl5":
        return (Answers(when, "pcl5", tuple(_item(chance, who, share, 4) for _ in range(20))),)
    depression = [_item(chance, who, share, 3) for _ in range(8)]
    dark = _item(chance, who, share * 0.4, 3)
    anxiety = tuple(_item(chance, who, share * 0.8, 3) for _ in range(7))
    return (
        Answers(when, "phq9", (*depression, dark)),
        Answers(when + timedelta(minutes=5), "gad7", anxiety),
    )


def _item(chance: Chance, who: Person, share: float, most: int) -> int:
    return max(0, min(most, round(most * who.severity * share + 0.7 * chance.normal())))


def _troubles(
    chance: Chance, who: Person, went: Course, shown: Effects
) -> tuple[tuple[Rescue, ...], tuple[Adverse, ...]]:
    """Adverse events that follow from what the body shows, and what was given for them."""
    rescues: list[Rescue] = []
    found: list[Adverse] = []
    if went.pause and went.pause[2] == "keta.reason-vital-sign":
        at, again, _ = went.pause
        rescues.append(Rescue(at + 5, "drug.labetalol", Decimal(10), "keta.reason-vital-sign"))
        found.append(Adverse(at, again, "adverse-effect.raised-bp", 3, True, 0))
    middle = max(4, went.end * 2 // 3)
    if who.nausea > 0.82:
        rescues.append(Rescue(middle + 2, "drug.ondansetron", Decimal(4), "keta.reason-adverse-event"))
        found.append(Adverse(middle, middle + 25, "adverse-effect.nausea", 2, False, len(rescues) - 1))
    elif who.nausea > 0.7:
        found.append(Adverse(middle, middle + 20, "adverse-effect.dizziness", 1, False))
    if shown.dissociation > 40:
        rescues.append(Rescue(middle + 6, "drug.midazolam", Decimal(1), "keta.reason-adverse-event"))
        found.append(Adverse(middle + 3, middle + 40, "keta.dissociation", 2, True, len(rescues) - 1))
    elif chance.happens(6):
        found.append(Adverse(went.end + 20, went.end + 60, "adverse-effect.headache", 1, False))
    return tuple(rescues), tuple(found)
