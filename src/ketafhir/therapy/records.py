"""The records of ketamine infusion therapy: who, what was ordered, what was given, what was seen, what was answered.

A record is the finest of the three worlds (HL7v2, therapy, FHIR): one record per RXA, per OBX, per order and intent. The
parent of an infusion and the ends of its segments are not stored but derived (`therapy.infusion`), so that a late message
can change them. `key` is the identity of a record and never changes; `told` orders competing versions of one record.
`sender` (as meta.source) is who told it, where another's message may have it written again.
"""

from __future__ import annotations

from decimal import Decimal

from ketafhir.plain import Plain, field, names
from ketafhir.therapy.values import (
    Address,
    Coded,
    Contact,
    Device,
    Event,
    Identifier,
    Name,
    OrderState,
    Period,
    Place,
    Practitioner,
    Quantity,
    Range,
    Rate,
    Ratio,
    Time,
    Value,
)

Preserved = tuple[tuple[str, str], ...]
"""Fields that no table row maps: (place such as `RXA-14` or `OBX-5.10`, text as sent)."""


class Source(Plain):
    """The message (or Bundle) a record was told by: one Provenance on the FHIR side, the MSH on the HL7v2 side."""

    key: str = ""
    application: str = ""
    facility: str = ""
    control_id: str = ""
    event: str = ""
    sent: Time | None = None
    occurred: Time | None = None
    recorded_at: Time | None = None
    preserved: Preserved = ()


class Allergy(Plain):
    """One entry of a patient's list of allergies: `kind` is that of the allergen, `identified` when it was found.

    `former`: it stood on an older list and does not stand on the newest (`therapy.listed`).
    """

    key: str = ""
    kind: Coded | None = None
    substance: Coded | None = None
    severity: str = ""
    reactions: tuple[Coded, ...] = ()
    identified: Time | None = None
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    action: str = ""
    former: bool = False


class Diagnosis(Plain):
    """One diagnosis of a visit (or of a patient, where there is no visit): `role` is admitting, working or final.

    `action` is add, update or delete where the entry changes the list; without any the entries are the whole list.
    """

    key: str = ""
    number: Identifier | None = None
    code: Coded | None = None
    onset: Time | None = None
    role: Coded | None = None
    rank: str = ""
    asserter: Practitioner | None = None
    recorded: Time | None = None
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    action: str = ""
    former: bool = False


class Patient(Plain):
    """A person treated. `identifier` is the one that others find the patient by; `identifiers` holds all of them.

    `diagnoses` are those told without a visit.
    """

    key: str = ""
    identifier: Identifier | None = None
    identifiers: tuple[Identifier, ...] = ()
    account: Identifier | None = None
    names: tuple[Name, ...] = ()
    birth: Time | None = None
    sex: str = ""
    addresses: tuple[Address, ...] = ()
    phones: tuple[Contact, ...] = ()
    language: Coded | None = None
    marital_status: Coded | None = None
    deceased: Time | bool | None = None
    allergies: tuple[Allergy, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    nulls: tuple[str, ...] = ()
    owned: bool = False
    told: tuple[Decimal, str] = (Decimal(0), "")


class Merge(Plain):
    """Two numbers were one person's: `key` is the patient that was given up, `patient` the one that stays."""

    key: str = ""
    patient: str = ""
    told: tuple[Decimal, str] = (Decimal(0), "")


class Visit(Plain):
    """One visit to the clinic. `owned` where the ADT feed told it, and not merely a message that mentions it.

    `status` is what the event said of it: planned, in-progress, finished, cancelled or (A08, A12) nothing. `prior_place` is
    where the patient came from. `left` is when the patient left, where PV1-45 does not say it (EVN-6 of A03).
    """

    key: str = ""
    patient: str = ""
    number: Identifier | None = None
    patient_class: str = ""
    place: Place | None = None
    prior_place: Place | None = None
    attending: Practitioner | None = None
    referring: Practitioner | None = None
    admitting: Practitioner | None = None
    service: Coded | None = None
    start: Time | None = None
    end: Time | None = None
    left: Time | None = None
    admit_source: Coded | None = None
    disposition: Coded | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    status: str = ""
    preserved: Preserved = ()
    nulls: tuple[str, ...] = ()
    owned: bool = False
    told: tuple[Decimal, str] = (Decimal(0), "")


class Ingredient(Plain):
    """One component of a mixture: `kind` is base or additive."""

    kind: str = ""
    drug: Coded | None = None
    amount: Quantity | None = None
    preserved: Preserved = ()


class Order(Plain):
    """An infusion order as placed (`intent` original), as the pharmacy encoded it (filler), or one instruction to give (give).

    `dose` is the total (mg, or mg/kg with the weight among the order's observations), `over` the time it is to go in,
    `rate` the ordered start rate, `max_rate` the titration limit, `concentration` of the final bag, `volume` what is
    dispensed (of a mixture its final volume). `duration` is that of the whole service, `occurrence_duration` that of one
    infusion. `observations` are the keys of those told with it. `status_reason` is why it stands as it does. `owned` is False
    for the order details inside an administration message, which only fill what is missing. Of the `intent` status it tells
    how an order stands and nothing else (`therapy.lifecycle`). `parent` is the number of the order it is a child of, `replaces`
    of the one it stands for. `counters` are those of a give instruction (RXG-1, RXG-2), `strength` the drug in its bag.
    """

    key: str = ""
    patient: str = ""
    visit: str = ""
    intent: str = "filler"
    placer: Identifier | None = None
    filler: Identifier | None = None
    group: Identifier | None = None
    state: OrderState | None = None
    status_reason: Coded | None = None
    parent: Identifier | None = None
    replaces: Identifier | None = None
    counters: tuple[str, str] = ("", "")
    placed: Time | None = None
    requester: Practitioner | None = None
    enterer: Practitioner | None = None
    category: Coded | None = None
    priority: str = ""
    start: Time | None = None
    end: Time | None = None
    duration: Quantity | None = None
    occurrence_duration: Quantity | None = None
    directions: str = ""
    drug: Coded | None = None
    form: Coded | None = None
    dose: Quantity | Range | None = None
    over: Quantity | None = None
    rate: Quantity | None = None
    max_rate: Quantity | None = None
    concentration: Quantity | None = None
    strength: Ratio | None = None
    volume: Quantity | None = None
    lot: str = ""
    expiry: Time | None = None
    manufacturer: Coded | None = None
    ingredients: tuple[Ingredient, ...] = ()
    instructions: tuple[Coded, ...] = ()
    indications: tuple[Coded, ...] = ()
    route: Coded | None = None
    site: Coded | None = None
    method: Coded | None = None
    observations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    nulls: tuple[str, ...] = ()
    owned: bool = True
    told: tuple[Decimal, str] = (Decimal(0), "")


class Administration(Plain):
    """One act of giving (or not giving): a segment of constant rate, a bolus, or the event that ends what runs.

    `rate` opens a segment, rate 0 ends one; an `amount` without rate is a bolus. `end` is only what was told, never derived.
    `counters` are the give and administration sub-IDs (RXA-1, RXA-2). `state` is the outcome as told: completed, stopped,
    refused, not-given, deleted, or empty while it runs; `therapy.infusion` derives running, superseded and unknown.
    `order_status` is what the order said beside it: running, held, discontinued, completed, or empty. `event` is what the
    eMAR called it. `ingredients` are the further components of a mixture.

    An event of an infusion pump has a `pump`, the `channel` of it that delivers (its identity), the `source` that does (primary,
    secondary, clinician, ...), the volume on its `counter`, and its `delivery`: start, stop, complete, clear (the program or the
    patient was taken off the pump) or reset (of the counter). `therapy.pump` makes segments of these.
    """

    key: str = ""
    infusion: str = ""
    order: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    counters: tuple[str, str] = ("", "")
    start: Time | None = None
    end: Time | None = None
    drug: Coded | None = None
    form: Coded | None = None
    amount: Quantity | None = None
    rate: Rate | None = None
    reasons: tuple[Coded, ...] = ()
    performers: tuple[Practitioner, ...] = ()
    concentration: Quantity | None = None
    lot: str = ""
    expiry: Time | None = None
    manufacturer: Coded | None = None
    ingredients: tuple[Ingredient, ...] = ()
    refusal: tuple[Coded, ...] = ()
    indications: tuple[Coded, ...] = ()
    state: str = ""
    action: str = ""
    order_control: str = ""
    order_status: str = ""
    parent: Identifier | None = None
    event: Event | None = None
    recorded: Time | None = None
    route: Coded | None = None
    site: Coded | None = None
    device: Coded | None = None
    method: Coded | None = None
    pump: Device | None = None
    channel: str = ""
    delivery: str = ""
    source: str = ""
    counter: Quantity | None = None
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    sender: str = ""
    told: tuple[Decimal, str] = (Decimal(0), "")


class Dispense(Plain):
    """What the pharmacy handed out for an order: a bag, with its lot and concentration. Never part of any sum of what was given.

    `number` is the dispense sub-ID (RXD-1), which with the order identifies it.
    """

    key: str = ""
    order: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    number: str = ""
    order_control: str = ""
    status: str = ""
    at: Time | None = None
    drug: Coded | None = None
    form: Coded | None = None
    amount: Quantity | None = None
    performers: tuple[Practitioner, ...] = ()
    instructions: tuple[Coded, ...] = ()
    kind: Coded | None = None
    concentration: Quantity | None = None
    lot: str = ""
    expiry: Time | None = None
    manufacturer: Coded | None = None
    ingredients: tuple[Ingredient, ...] = ()
    route: Coded | None = None
    site: Coded | None = None
    method: Coded | None = None
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()
    sender: str = ""
    told: tuple[Decimal, str] = (Decimal(0), "")


class Waste(Plain):
    """Drug drawn and not given, with who saw it destroyed. Never part of any sum of what was given.

    `preserved` has the places `OBX[1]-7` of the amount, `OBX[2]-7` of the volume and `OBX[3]-7` of the witness.
    """

    key: str = ""
    infusion: str = ""
    order: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    counters: tuple[str, str] = ("", "")
    drug: Coded | None = None
    sub_id: str = ""
    amount: Quantity | None = None
    volume: Quantity | None = None
    at: Time | None = None
    performers: tuple[Practitioner, ...] = ()
    witnesses: tuple[Practitioner, ...] = ()
    notes: tuple[str, ...] = ()
    deleted: bool = False
    preserved: Preserved = ()
    sender: str = ""
    told: tuple[Decimal, str] = (Decimal(0), "")


class Report(Plain):
    """A set of observations told under one heading (an OBR): those whose `report` is its key.

    `place` is that of the heading among all of its message, here as in a filled form and a decision. `event` names the
    message it makes where that is no ORU^R01: an event of a pump (R42) or an alarm (R40), whose `sender` is that of the message.
    `containers` are the keys of the
    parts of the device it tells of, in the order told.
    """

    key: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    code: Coded | None = None
    period: Period | None = None
    issued: Time | None = None
    status: str = ""
    notes: tuple[str, ...] = ()
    place: int = 0
    event: str = ""
    sender: str = ""
    containers: tuple[str, ...] = ()
    preserved: Preserved = ()
    told: tuple[Decimal, str] = (Decimal(0), "")


class Observation(Plain):
    """One thing measured or judged. `report`, `order` or `part_of` says what it was told under (keys).

    `effective` is its own time as told; where it has none, `group_time` (of what it was told under) holds. `panel` is the
    key shared by the parts of one blood pressure, `response` that of the filled form a score was made from. `place` orders
    what is told under one heading. `derived`: by us, never sent back. `issued` is when the heading says that its results were
    reported (OBR-22): it tells the newer of two versions.
    """

    key: str = ""
    patient: str = ""
    visit: str = ""
    report: str = ""
    order: str = ""
    part_of: str = ""
    response: str = ""
    panel: str = ""
    identifier: Identifier | None = None
    code: Coded | None = None
    sub_id: str = ""
    value: Value | None = None
    interpretation: tuple[Coded, ...] = ()
    reference_range: str = ""
    status: str = ""
    effective: Time | None = None
    group_time: Time | None = None
    analysed: Time | None = None
    issued: Time | None = None
    performers: tuple[Practitioner, ...] = ()
    method: Coded | None = None
    device: Device | None = None
    site: Coded | None = None
    notes: tuple[str, ...] = ()
    place: int = 0
    preserved: Preserved = ()
    derived: bool = False
    told: tuple[Decimal, str] = (Decimal(0), "")


class Container(Plain):
    """A part of a device that holds others (ISO/IEEE 11073: MDS, VMD, channel): `path` is its place (OBX-4), `parent` the key
    of the part it is in. `identifier` is its own; that of the MDS is the identity of the device.
    """

    key: str = ""
    parent: str = ""
    device: str = ""
    code: Coded | None = None
    path: str = ""
    identifier: Identifier | None = None
    preserved: Preserved = ()
    told: tuple[Decimal, str] = (Decimal(0), "")


class Item(Plain):
    """One question of a form and its answer; or one candidacy rule (the answer) and what it rests on (the notes)."""

    code: Coded | None = None
    answer: Value | None = None
    sub_id: str = ""
    status: str = ""
    effective: Time | None = None
    notes: tuple[str, ...] = ()
    preserved: Preserved = ()


class Response(Plain):
    """One filled form: PHQ-9, GAD-7, C-SSRS screener, pain NRS. `instrument` is our name of it."""

    key: str = ""
    patient: str = ""
    visit: str = ""
    instrument: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    code: Coded | None = None
    start: Time | None = None
    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()
    place: int = 0
    preserved: Preserved = ()
    told: tuple[Decimal, str] = (Decimal(0), "")


class Decision(Plain):
    """Whether a person may be treated: accepted, review or refused, by which rules, and who decided.

    `heading_notes` speak of the whole report, `notes` of the decision. Conditions for evaluating again are observations.
    """

    key: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    code: Coded | None = None
    start: Time | None = None
    decision: Coded | None = None
    rules: tuple[Item, ...] = ()
    at: Time | None = None
    status: str = ""
    decider: Practitioner | None = None
    notes: tuple[str, ...] = ()
    heading_notes: tuple[str, ...] = ()
    place: int = 0
    preserved: Preserved = ()
    told: tuple[Decimal, str] = (Decimal(0), "")


class AdverseEvent(Plain):
    """One adverse event: term, CTCAE grade (`1` to `5`), times, what it came of and what was given for it.

    `heading` and `start` are those of its OBR (OBR-4, OBR-7), `sub_id` is the OBX-4 that its OBX share, `rank` its place under
    the OBR. `infusion` is the order number of the infusion that is suspected, `rescue_order` that of the rescue medicine.
    """

    key: str = ""
    patient: str = ""
    visit: str = ""
    placer: Identifier | None = None
    filler: Identifier | None = None
    heading: Coded | None = None
    start: Time | None = None
    identifier: Identifier | None = None
    sub_id: str = ""
    event: Coded | None = None
    grade: str = ""
    transient: str = ""
    at: Time | None = None
    end: Time | None = None
    detected: Time | None = None
    severity: str = ""
    seriousness: Coded | None = None
    outcome: str = ""
    infusion: Identifier | None = None
    causality: Coded | None = None
    rescue: Coded | None = None
    rescue_order: Identifier | None = None
    status: str = ""
    recorder: Practitioner | None = None
    notes: tuple[str, ...] = ()
    heading_notes: tuple[str, ...] = ()
    place: int = 0
    rank: int = 0
    preserved: Preserved = ()
    told: tuple[Decimal, str] = (Decimal(0), "")


class Records(Plain):
    """Everything told so far, each kind by key. `therapy.fold` merges two of them."""

    sources: dict[str, Source] = field(default_factory=dict)
    patients: dict[str, Patient] = field(default_factory=dict)
    merges: dict[str, Merge] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    administrations: dict[str, Administration] = field(default_factory=dict)
    wastes: dict[str, Waste] = field(default_factory=dict)
    dispenses: dict[str, Dispense] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    observations: dict[str, Observation] = field(default_factory=dict)
    responses: dict[str, Response] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    adverse_events: dict[str, AdverseEvent] = field(default_factory=dict)


KINDS: tuple[str, ...] = names(Records)
__all__ = [name for name in dir() if not name.startswith("_") and name[0].isupper()]
