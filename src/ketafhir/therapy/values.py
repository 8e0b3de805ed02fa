"""The values a therapy record is made of. No wire format: HL7v2 and FHIR are both projections of these.

All are treated as immutable once made (they are shared between records and caches); they are not frozen because a frozen
dataclass costs three times as much to make, and a message makes hundreds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from ketafhir.plain import Plain


class Coding(Plain):
    """One code of one code system. `system` is a URI, or empty where the sender named none."""

    code: str
    system: str = ""
    display: str = ""
    version: str = ""


class Coded(Plain):
    """A concept: its codings in the order sent, and the text it was known by."""

    codings: tuple[Coding, ...] = ()
    text: str = ""

    def has(self, system: str, code: str) -> bool:
        """Whether one of the codings is `code` of `system`."""
        return any(coding.code == code and coding.system == system for coding in self.codings)

    @property
    def label(self) -> str:
        """What a person would call it."""
        return self.text or next((c.display or c.code for c in self.codings), "")


class Quantity(Plain):
    """A number with its UCUM `unit` (empty: none given). `display` is the unit as people write it, where that differs.

    `comparator` is one of `<`, `<=`, `>=`, `>` or empty. The value keeps the digits it came with (72.50 stays 72.50).
    """

    value: Decimal
    unit: str = ""
    display: str = ""
    comparator: str = ""


class Rate(Plain):
    """`amount` per `per`: 20 mL per 1 h. A rate whose unit is compound already (mg/kg/h) has no `per`."""

    amount: Quantity
    per: Quantity | None = None


class Event(Plain):
    """What an eMAR says was done: `action` is our word (new-bag, rate-change, rate-verify, paused, restarted, stopped, bolus,
    given, held), `told` the word of the eMAR."""

    action: str
    told: Coded | None = None


class Range(Plain):
    """From `low` to `high`; either may be open."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Plain):
    """`numerator` to `denominator` (a titre, a concentration)."""

    numerator: Quantity
    denominator: Quantity


class Time(Plain):
    """A point in time as a FHIR dateTime (`iso`, with offset and precision as they came).

    `sent` is the HL7v2 text where `iso` alone would not give it back: a time without offset, or to the minute or hour, which
    FHIR cannot say (FHIR R4 datatypes: a dateTime with a time has seconds and a zone).
    """

    iso: str
    sent: str = ""

    @property
    def at(self) -> Decimal:
        """Seconds since 1970-01-01T00:00Z, exactly; the start of the period for a date or month."""
        return instant(self.iso)

    @property
    def has_clock(self) -> bool:
        """Whether a time of day was told, and not only a date."""
        return len(self.iso) > 10


def is_before(one: Time, other: Time) -> bool:
    """Whether a time is before another, as far as both are told: a day is not before a time of that day."""
    if one.has_clock and other.has_clock:
        return one.at < other.at
    length = min(len(one.iso), len(other.iso), 10)
    return one.iso[:length] < other.iso[:length]


_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)


@lru_cache(maxsize=4096)  # of days and of times of day: a feed has few of either
def _seconds(iso: str) -> int:
    return (datetime.fromisoformat(iso) - _EPOCH) // _SECOND


@lru_cache(maxsize=4096)
def instant(iso: str) -> Decimal:
    """Seconds since the epoch of a FHIR date or dateTime; `2026`, `2026-03` and `2026-03-09` are their first instant, UTC."""
    if len(iso) == 25 and iso[10] == "T" and iso[19] in "+-":  # to the second with offset, as most are
        try:
            return Decimal(_seconds(f"{iso[:10]}T00:00:00{iso[19:]}") + _seconds(f"1970-01-01{iso[10:19]}+00:00"))
        except ValueError:
            pass  # what the standard library has no date for
    days = _days(int(iso[:4]), int(iso[5:7] or 1), int(iso[8:10] or 1))
    if len(iso) <= 10:
        return Decimal(days * 86400)
    clock = iso[11:]
    cut = len(clock) - 1 if clock.endswith("Z") else max(clock.rfind("+"), clock.rfind("-"))
    offset = 0
    if clock[cut] != "Z":
        offset = (int(clock[cut + 1 : cut + 3]) * 60 + int(clock[cut + 4 : cut + 6])) * 60
        offset = -offset if clock[cut] == "-" else offset
    hours, minutes, seconds = clock[:cut].split(":")
    whole = days * 86400 + int(hours) * 3600 + int(minutes) * 60 - offset
    return Decimal(whole + int(seconds)) if seconds.isdigit() else whole + Decimal(seconds)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


class Period(Plain):
    """From `start` to `end`; either may be open."""

    start: Time | None = None
    end: Time | None = None


class Identifier(Plain):
    """A number given by somebody: `system` is the authority as a URI, `type` the code of HL7 table 0203 (MR, PLAC, ...).

    `authority` is the name the sender called the authority by, kept where the URI comes from its OID or from settings.
    """

    value: str
    system: str = ""
    type: str = ""
    authority: str = ""

    @property
    def key(self) -> str:
        """`system|value`, the form of a FHIR token and of our identities."""
        return f"{self.system}|{self.value}"


class Name(Plain):
    """A person's name. `use` is the code of HL7 table 0200 (L legal, ...)."""

    family: str = ""
    given: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""
    degree: str = ""
    use: str = ""

    @property
    def label(self) -> str:
        """The name as one text, in speaking order."""
        return " ".join(part for part in (self.prefix, *self.given, self.family, self.suffix) if part)


class Address(Plain):
    """A postal address. `use` is the code of HL7 table 0190."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    use: str = ""


class Contact(Plain):
    """A telephone number or e-mail address. `use` is of table 0201, `equipment` of table 0202."""

    value: str
    use: str = ""
    equipment: str = ""


class Practitioner(Plain):
    """A person of the staff, by number, by name, or both."""

    identifier: Identifier | None = None
    name: Name | None = None


class Place(Plain):
    """A location as point of care, room and bed of a facility."""

    unit: str = ""
    room: str = ""
    bed: str = ""
    facility: str = ""
    description: str = ""


class Device(Plain):
    """A pump or monitor by the identifier it reports."""

    identifier: Identifier


class OrderState(Plain):
    """How an order stands: the codes of its order control (HL7 table 0119) and order status (table 0038, may be empty).

    `effect` is what the control does (`therapy.lifecycle`), `says` the state that the order status names; `standing` the state
    that follows from all that was told of the order ("" until the fold has worked it out).
    """

    control: str
    status: str = ""
    effect: str = ""
    says: str = ""
    standing: str = ""


Value = Quantity | Coded | Ratio | Range | Period | Time | str
