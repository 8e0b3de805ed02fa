"""A synthetic person: who it is, what for, and how the body answers to ketamine."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ketafhir.simulate.chance import Chance

REFUSED = 5
"""Percent of the patients that are refused at screening."""

GIVEN = {
    "F": (
        "Ada", "Berit", "Chiara", "Dilnoza", "Elin", "Farah", "Greta", "Hana", "Imani", "June", "Katya", "Lena", "Mirela",
        "Noor", "Olive", "Priya", "Rosa", "Sanna", "Tove", "Wren",
    ),
    "M": (
        "Aldo", "Bram", "Casper", "Dorian", "Emil", "Felix", "Goran", "Hugo", "Idris", "Jonas", "Kofi", "Liam", "Milo",
        "Nils", "Omar", "Pavel", "Rui", "Stellan", "Tariq", "Zoltán",
    ),
}  # fmt: skip
FAMILY = (
    "Alder", "Birch", "Cedar", "Dogwood", "Elmquist", "Fernandez-Reed", "Gorse", "Hawthorne", "Ivy", "Juniperson",
    "Kirsebær", "Larch", "Maplewood", "Nettle", "Oakes", "Pinewood", "Quince", "Rowan", "Sedge", "Tamarack", "Underwood",
    "Viburnum", "Willows", "Yarrow", "Zelkova", "Aspenholm", "Brookes", "Clover", "Damson", "Ebony",
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class Indication:
    """`code` names a row of mappings/codes.csv; `protocol` is mood or pain; `instrument` what is scored before and after."""

    code: str
    protocol: str
    instrument: str


INDICATIONS = (
    Indication("indication.icd10.mdd-recurrent-severe", "mood", "phq9"),
    Indication("indication.icd10.mdd-recurrent-moderate", "mood", "phq9"),
    Indication("indication.icd10.mdd-single-severe", "mood", "phq9"),
    Indication("indication.icd10.bipolar-depressed", "mood", "phq9"),
    Indication("indication.icd10.ptsd-chronic", "mood", "pcl5"),
    Indication("indication.icd10.gad", "mood", "phq9"),
    Indication("indication.icd10.ocd", "mood", "phq9"),
    Indication("indication.icd10.crps-i-right-lower-limb", "pain", "nrs"),
    Indication("indication.icd10.crps-i-right-upper-limb", "pain", "nrs"),
    Indication("indication.icd10.fibromyalgia", "pain", "nrs"),
    Indication("indication.icd10.phn-other", "pain", "nrs"),
    Indication("indication.icd10.phantom-limb-with-pain", "pain", "nrs"),
    Indication("indication.icd10.chronic-migraine-intractable", "pain", "nrs"),
    Indication("indication.icd10.chronic-pain-syndrome", "pain", "nrs"),
    Indication("indication.icd10.chronic-postprocedural-pain", "pain", "nrs"),
    Indication("indication.icd10.trigeminal-neuralgia", "pain", "nrs"),
    Indication("indication.icd10.neoplasm-pain", "pain", "nrs"),
)


@dataclass(slots=True, frozen=True)
class Person:
    """`weight` in kg (the scale shows steps of 0.4), `height` in cm; blood pressure in mm[Hg], rates per minute, SpO2 in %.

    `clearance`, `volume`, `pressor`, `dissociation` and `nausea` are factors of the mean person; `severity` from 0 to 1.
    """

    number: int
    mrn: str
    given: str
    family: str
    sex: str
    birth: str
    weight: Decimal
    height: int
    indication: Indication
    refused: bool
    severity: float
    response: float
    systolic: int
    diastolic: int
    heart: int
    breaths: int
    oxygen: int
    warmth: Decimal
    clearance: float
    volume: float
    pressor: float
    dissociation: float
    nausea: float


def person(chance: Chance, number: int) -> Person:
    """The person of this number."""
    sex = chance.one_of(("F", "M"))
    height = round(chance.normal() * 6.5 + (165 if sex == "F" else 178))
    heavy = max(42.0, min(148.0, height * height * 0.0001 * (26 + chance.normal() * 4.2)))
    indication = chance.one_of(INDICATIONS)
    refused = chance.happens(REFUSED)
    systolic = round(122 + chance.normal() * 8)
    diastolic = round(systolic * 0.61 + chance.normal() * 4)
    return Person(
        number=number,
        mrn=f"SYN-{700000 + number}",
        given=chance.one_of(GIVEN[sex]),
        family=chance.one_of(FAMILY),
        sex=sex,
        birth=f"{chance.whole(1946, 2004)}{chance.whole(1, 12):02}{chance.whole(1, 28):02}",
        weight=Decimal(round(heavy * 2.5)) * 4 / 10,
        height=height,
        indication=indication,
        refused=refused,
        severity=chance.between(0.45, 1.0),
        response=chance.between(0.0, 0.85),
        systolic=min(systolic, 139),
        diastolic=min(diastolic, 88),
        heart=round(72 + chance.normal() * 7),
        breaths=chance.whole(12, 16),
        oxygen=chance.whole(96, 99),
        warmth=Decimal(chance.whole(362, 372)) / 10,
        clearance=chance.between(0.75, 1.3),
        volume=chance.between(0.8, 1.25),
        pressor=chance.between(0.3, 1.7),
        dissociation=chance.between(0.3, 1.8),
        nausea=chance.share(),
    )
