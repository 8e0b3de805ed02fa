"""The three example sites, and what each of them sends of a patient."""

from __future__ import annotations

from collections.abc import Callable

from ketafhir.simulate.cedar_ridge import CedarRidge
from ketafhir.simulate.juniper_bay import JuniperBay
from ketafhir.simulate.slate_river import SlateRiver
from ketafhir.simulate.visit import Visit

SITES: dict[str, Callable[[Visit], CedarRidge | JuniperBay | SlateRiver]] = {
    "episode-at-end": SlateRiver,
    "event-per-message": CedarRidge,
    "pump-first": JuniperBay,
}
"""By the name of its overlay under mappings/sites."""


def feed(visit: Visit, site: str) -> list[str]:
    """The messages of a patient at a site, in order of sending, each ending in CR."""
    return [one.text for one in SITES[site](visit).feed()]


def home(visit: Visit) -> str:
    """The site whose record of the patient is written as FHIR: each in turn."""
    return list(SITES)[visit.person.number % len(SITES)]
