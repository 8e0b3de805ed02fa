"""What the body makes of a dose: two compartments and an effect site, stepped in quarter minutes.

The numbers are of the order that a package insert and published adult data give (distribution within a quarter of an hour, a
half-life of two to three hours, some 200 ng/mL after 0.5 mg/kg in 40 minutes). They shape vital signs; they predict nobody.
docs/decisions/synthetic-clinic.md says why no library does it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ketafhir.simulate.person import Person

CENTRAL = 1.0
"""Volume of the central compartment, L/kg."""
PERIPHERAL = 1.9
"""Volume of the peripheral compartment, L/kg."""
CLEARANCE = 0.0175
"""L/min/kg."""
EXCHANGE = 0.045
"""Between the compartments, L/min/kg."""
DELAY = 0.35
"""Rate constant of the effect site, per minute."""
STEPS = 4


def effect_site(person: Person, given: Sequence[float]) -> list[float]:
    """The concentration where ketamine acts, in ng/mL at the end of each minute, for the mg `given` in each minute."""
    kilograms = float(person.weight)
    central, peripheral = CENTRAL * person.volume * kilograms, PERIPHERAL * person.volume * kilograms
    cleared, exchanged = CLEARANCE * person.clearance * kilograms, EXCHANGE * kilograms
    inside = outside = acting = 0.0
    found = []
    for dose in given:
        for _ in range(STEPS):
            here, there = inside / central, outside / peripheral
            across = exchanged * (here - there) / STEPS
            inside += dose / STEPS - cleared * here / STEPS - across
            outside += across
            acting += DELAY * (here - acting) / STEPS
        found.append(acting * 1000)
    return found


def saturating(concentration: float, half: float) -> float:
    """The share of the largest effect, from 0 to below 1; half of it at the concentration `half`."""
    return concentration / (concentration + half)
