"""What kind of thing an observation is, by its code: `mappings/observation-kinds.csv`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from ketafhir.mapping import codemaps, codes, sheet
from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.plain import replace
from ketafhir.therapy.records import Observation, Records
from ketafhir.therapy.values import Coded, Coding, Quantity

_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
OBSERVATION = EXTENSION + "infusion-observation"
"""The profile of what is of no kind that is known, or is not told as its kind wants it."""


class Kind(NamedTuple):
    """One kind: its name in the catalogue, the profiles claimed (ours, and that of R4 where it is a vital sign of R4), its
    category, the units expected (UCUM)."""

    name: str
    profiles: tuple[str, ...]
    category: Coding
    units: frozenset[str]

    @property
    def category_json(self) -> list[Json]:
        """Observation.category."""
        return [{"coding": [coding_json(self.category)]}]


def kind_of(code: Coded | None) -> Kind | None:
    """The kind of a code by any of its codings, or by what its first coding implies (an MDC term its LOINC); None if unknown."""
    for coding in code.codings if code is not None else ():
        found = _of_coding(coding.system, coding.code)
        if found is not None:
            return found
    return _of_refid(code) if code is not None else None


def _of_refid(code: Coded) -> Kind | None:
    """The kind of a term of devices that is known by its name, whatever number it came with."""
    from ketafhir.translate.pump_terms import MDC, meaning

    for coding in code.codings:
        if coding.system == MDC and meaning(coding.display):
            return Kind(coding.display, (OBSERVATION,), of_name("category.therapy"), frozenset())
    return None


@lru_cache(maxsize=1024)
def _of_coding(system: str, code: str) -> Kind | None:
    known = codes.find(system, code)
    if known is None:
        return None
    found = _kinds().get(known.name)
    if found is None:
        found = next((_kinds()[name] for name in codemaps.implied(system, code) if name in _kinds()), None)
    return found


@cache
def _kinds() -> dict[str, Kind]:
    found = {}
    for row in sheet.ours("observation-kinds.csv", "code profile ours category units comment"):
        profiles: tuple[str, ...] = (EXTENSION + row["ours"],) if row["ours"] else (OBSERVATION,)
        if row["profile"]:
            profiles += (_PROFILE + row["profile"],)
        found[row["code"]] = Kind(row["code"], profiles, of_name(row["category"]), frozenset(row["units"].split()))
    return found


_OF_DEVICES = "mdc.attr-pt-weight"
_WEIGHTS = frozenset(("vitals.weight", _OF_DEVICES, "keta.dosing-weight"))


def is_weight(one: Observation) -> bool:
    """Whether an observation is a body weight."""
    kind = kind_of(one.code)
    return kind is not None and kind.name in _WEIGHTS


def weights_of(new: Records) -> list[Observation]:
    """The body weights measured, and not told for an order."""
    return [one for one in new.observations.values() if not (one.order or one.part_of) and is_weight(one)]


def weight_for_device(one: Observation) -> Observation:
    """A body weight under the code that devices know it by (its own beside that), its unit with a name, as IHE PCD-03 wants
    both; any other observation as it is."""
    own = of_name(_OF_DEVICES)
    if one.code is None or not is_weight(one) or one.code.codings[0].system == own.system:
        return one
    others = tuple(coding for coding in one.code.codings if (coding.system, coding.code) != (own.system, own.code))
    value = one.value
    if isinstance(value, Quantity) and not value.display:
        value = replace(value, display=value.unit)
    return replace(one, code=replace(one.code, codings=(own, *others)), value=value)
