"""The course of a pump through one infusion: what was ordered, and what ran when, in whole minutes and exact decimals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ketafhir.simulate.chance import Chance
from ketafhir.simulate.person import Person

PAUSED, STOPPED = 10, 3
"""Percent of the infusions that are paused, and stopped early."""
STEP = Decimal("0.6")
"""mL/h: rates in steps of it give a hundredth of a mL each minute, so every sum is an exact decimal."""


@dataclass(slots=True, frozen=True)
class Segment:
    """`minutes` at one `rate` (mL/h) from minute `start` on; `action` is what an eMAR calls its beginning."""

    start: int
    minutes: int
    rate: Decimal
    action: str
    reason: str = ""

    @property
    def end(self) -> int:
        """The minute it ends at."""
        return self.start + self.minutes

    @property
    def volume(self) -> Decimal:
        """mL, exact."""
        return plain(self.rate * self.minutes / 60)


@dataclass(slots=True, frozen=True)
class Course:
    """Times are minutes from the start; `dose` is what is ordered by pump in mg, `bag` the mL in it, `prime` the mL in the line.

    `pause` is (minute, minute of resuming, reason); `bolus` is (minute, mg); `ending` why it ended; `cap` minutes of running.
    """

    concentration: Decimal
    segments: tuple[Segment, ...]
    dose: Decimal
    planned: int
    start_rate: Decimal
    step: Decimal
    max_rate: Decimal
    bag: Decimal
    prime: Decimal = Decimal(0)
    pause: tuple[int, int, str] | None = None
    bolus: tuple[int, Decimal] | None = None
    ending: str = "keta.reason-completed"

    @property
    def end(self) -> int:
        """The minute it ends at."""
        return self.segments[-1].end

    @property
    def volume(self) -> Decimal:
        """mL that the pump gave."""
        return plain(sum((one.volume for one in self.segments), Decimal(0)))

    @property
    def given(self) -> Decimal:
        """mg in all, the bolus with it."""
        return plain(self.volume * self.concentration + (self.bolus[1] if self.bolus else 0))

    @property
    def wasted(self) -> Decimal:
        """mg left of the bag and the line: what was drawn up less what was given (a bolus is drawn from the bag)."""
        return plain(self.bag * self.concentration - self.given)

    @property
    def completed(self) -> bool:
        """Whether all that was ordered was given."""
        return self.ending == "keta.reason-completed"

    def per_minute(self) -> list[float]:
        """mg in each minute, for the body."""
        found = [0.0] * (self.end + 1)
        for one in self.segments:
            for minute in range(one.start, one.end):
                found[minute] = float(one.rate * self.concentration / 60)
        if self.bolus:
            found[self.bolus[0]] += float(self.bolus[1])
        return found


def plain(value: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent."""
    found = value.normalize()
    return found if found.as_tuple().exponent <= 0 else found.quantize(Decimal(1))  # type: ignore[operator]


def course(chance: Chance, person: Person) -> Course:
    """The infusion of a person, as ordered by weight and as it went."""
    made = _mood(chance, person) if person.indication.protocol == "mood" else _pain(chance, person)
    if chance.happens(PAUSED):
        made = _paused(chance, made, person.indication.protocol)
    if chance.happens(STOPPED):
        made = _stopped(chance, made)
    return made


def _mood(chance: Chance, person: Person) -> Course:
    """0.5 mg/kg in 40 minutes at 1 mg/mL; where it is borne badly, half as fast from some minute on."""
    dose = plain(person.weight / 2)
    rate = plain(dose * 60 / 40)
    segments = [Segment(0, 40, rate, "new-bag")]
    if chance.happens(15):
        at = chance.whole(10, 30)
        segments = [
            Segment(0, at, rate, "new-bag"),
            Segment(at, 2 * (40 - at), plain(rate / 2), "rate-change", "keta.reason-side-effect"),
        ]
    bag = Decimal(50 if dose < 48 else 100)
    return Course(Decimal(1), tuple(segments), dose, 40, rate, Decimal(0), rate, bag)


def _pain(chance: Chance, person: Person) -> Course:
    """Titrated from a start rate to the highest allowed, two to four hours, often with a loading dose by hand."""
    concentration = Decimal(chance.one_of((1, 2)))
    planned = chance.one_of((120, 180, 240))
    start = _stepped(person.weight * Decimal(chance.whole(20, 30)) / 100 / concentration)
    step = _stepped(person.weight * Decimal(chance.whole(8, 13)) / 100 / concentration)
    steps, every = chance.whole(1, 3), chance.one_of((20, 30))
    segments = [Segment(0, every if steps else planned, start, "new-bag")]
    for number in range(1, steps + 1):
        minutes = every if number < steps else planned - every * steps
        rate = plain(start + step * number)
        segments.append(Segment(every * number, minutes, rate, "rate-change", "keta.reason-titration"))
    bolus = None
    if chance.happens(30):
        bolus = (chance.whole(3, every - 3), plain(Decimal(round(float(person.weight) * chance.between(0.2, 0.6))) / 2))
    made = Course(
        concentration,
        tuple(segments),
        Decimal(0),
        planned,
        start,
        step,
        segments[-1].rate,
        Decimal(0),
        Decimal(15),
        bolus=bolus,
    )
    needed = made.given / concentration + made.prime
    return replace(made, dose=plain(made.volume * concentration), bag=Decimal(100 if needed <= 95 else 250))


def _stepped(rate: Decimal) -> Decimal:
    return plain(max(1, round(rate / STEP)) * STEP)


def _paused(chance: Chance, made: Course, protocol: str) -> Course:
    """Held for some minutes; a pain infusion goes on slower and ends by its running time, any other gives all of the dose."""
    at = chance.whole(made.segments[0].start + 8, made.end - 4)
    number, held = next((n, one) for n, one in enumerate(made.segments) if one.start < at <= one.end)
    if at == held.end:
        at -= 1
    reason = chance.one_of(
        ("keta.reason-vital-sign", "keta.reason-iv-access", "keta.reason-patient-request", "keta.reason-adverse-event")
    )
    away = chance.whole(20, 35) if reason == "keta.reason-vital-sign" else chance.whole(4, 20)
    left = held.end - at
    bolus = made.bolus
    if bolus and bolus[0] >= at:
        bolus = (max(1, at - 2), bolus[1])
    before = (*made.segments[:number], replace(held, minutes=at - held.start))
    if protocol == "pain" and reason in ("keta.reason-vital-sign", "keta.reason-adverse-event"):
        slower = max(STEP, _stepped(held.rate * 6 / 10))
        total = made.segments[-1].end - at
        after = [Segment(at + away, total, slower, "restarted", "keta.reason-condition-cleared")]
        ending = "keta.reason-running-time-cap"
    else:
        after = [Segment(at + away, left, held.rate, "restarted", "keta.reason-condition-cleared")]
        after += [replace(one, start=one.start + away) for one in made.segments[number + 1 :]]
        ending = made.ending
    pause = (at, at + away, reason)
    return replace(made, segments=(*before, *after), pause=pause, ending=ending, bolus=bolus)


def _stopped(chance: Chance, made: Course) -> Course:
    """Ended in the middle of its last segment."""
    last = made.segments[-1]
    if last.minutes < 3:
        return made
    reason = chance.one_of(("keta.reason-patient-request", "keta.reason-adverse-event", "keta.reason-iv-access"))
    short = replace(last, minutes=chance.whole(1, last.minutes - 2))
    bolus = made.bolus
    if bolus and bolus[0] >= short.end:
        bolus = (1, bolus[1])
    return replace(made, segments=(*made.segments[:-1], short), ending=reason, bolus=bolus)
