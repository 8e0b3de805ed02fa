"""One patient as a FHIR server tells it, in plain words: the shape of a story's `expect.json`.

Numbers are Decimal, times the texts that the server holds (with their offset).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Number = Decimal | None


@dataclass(slots=True)
class Patient:
    """Patient: MRN without its authority; the phone is the first one told."""

    mrn: str
    family: str
    given: str
    gender: str
    birth_date: str
    phone: str | None


@dataclass(slots=True)
class Visit:
    """Encounter."""

    number: str
    start: str
    end: str | None


@dataclass(slots=True)
class Drug:
    """The RxNorm coding of a medication."""

    code: str
    display: str


@dataclass(slots=True)
class Order:
    """MedicationRequest with its Medication and the weight told with it."""

    placer: str
    filler: str
    drug: Drug
    dose_mg: Number
    rate_ml_per_h: Number
    max_rate_ml_per_h: Number
    concentration_mg_per_ml: Number
    bag_mg: Number
    bag_ml: Number
    weight_kg: Number


@dataclass(slots=True)
class Segment:
    """A child MedicationAdministration of constant rate; the volume is rate times time."""

    start: str
    end: str | None
    minutes: Number
    rate_ml_per_h: Number
    volume_ml: Number


@dataclass(slots=True)
class Pause:
    """The gap between two segments."""

    start: str
    end: str
    minutes: Decimal


@dataclass(slots=True)
class Infusion:
    """A parent MedicationAdministration and its segments; sums are made from the segments.

    `parent_mg` is the total that the parent itself states.
    """

    status: str
    start: str
    end: str | None
    segments: list[Segment]
    pauses: list[Pause]
    running_minutes: Number
    pause_minutes: Decimal
    delivered_ml: Number
    delivered_mg: Number
    pump_volume_ml: Number
    parent_mg: Number


@dataclass(slots=True)
class Waste:
    """A MedicationAdministration that is not-done, with its amounts."""

    mg: Number
    ml: Number
    time: str | None
    by: str | None
    witness: str | None


@dataclass(slots=True)
class Bolus:
    """A child MedicationAdministration with a dose and no rate."""

    drug: Drug
    mg: Number
    time: str


@dataclass(slots=True)
class Vitals:
    """How many sets (reports) of vital signs, and how many readings of each kind."""

    sets: int
    readings: dict[str, int]


@dataclass(slots=True)
class Assessment:
    """A single scale told among vital signs."""

    what: str
    value: Number
    time: str


@dataclass(slots=True)
class Score:
    """An instrument of its own, with its items in order where they were told."""

    instrument: str
    total: Number
    items: list[Decimal] | None
    time: str


@dataclass(slots=True)
class Risk:
    """The suicide risk screener: a level and the questions answered yes. Never a sum."""

    instrument: str
    level: str
    positive: list[int]
    time: str


@dataclass(slots=True)
class Decision:
    """ClinicalImpression: whether the patient is a candidate, and the rules named."""

    decision: str
    rules: list[str]
    time: str
    by: str | None


@dataclass(slots=True)
class Reading:
    """One vital sign at one time, for the picture; a blood pressure has all three values it was told with."""

    kind: str
    time: str
    values: dict[str, Decimal]


@dataclass(slots=True)
class View:
    """All of one patient. Of what should be there once `extra` names the kinds of which there are more."""

    patient: Patient
    messages: dict[str, Any]
    visits: list[Visit]
    order: Order | None
    infusion: Infusion | None
    waste: Waste | None
    boluses: list[Bolus]
    vitals: Vitals
    assessments: list[Assessment]
    scores: list[Score]
    risk: Risk | None
    decision: Decision | None
    readings: list[Reading] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
