"""Consistency checks C9 and C10: drug drawn up, given, wasted (docs/errors.md). Pure and exact, as `therapy.checks`."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ketafhir.plain import Plain
from ketafhir.therapy import measures
from ketafhir.therapy.checks import Limits, Mismatch
from ketafhir.therapy.measures import rounded
from ketafhir.therapy.values import Quantity


class Draw(Plain):
    """One line of the vial ledger: `taken` out of a vial of `lot` that held `held`, both mg; a vial is known by its number."""

    vial: str
    lot: str
    held: Fraction
    taken: Fraction


def waste(
    drawn: Quantity | None, given: Quantity | None, wasted: Quantity | None, returned: Quantity | None, limits: Limits
) -> Mismatch | None:
    """C9: drawn is given, wasted and (where told) returned, all in mg."""
    out = measures.milligrams(drawn)
    parts = [measures.milligrams(given), measures.milligrams(wasted)]
    if returned is not None:
        parts.append(measures.milligrams(returned))
    if out is None or any(one is None for one in parts):
        return None
    told = sum((one for one in parts if one is not None), Fraction(0))
    if abs(out - told) <= Fraction(limits.waste_margin):
        return None
    names = zip(("given", "wasted", "returned"), parts, strict=False)
    shown = ", ".join(f"{rounded(one)} mg {name}" for name, one in names if one is not None)
    text = f"{rounded(out)} mg drawn, and {shown}: {rounded(out - told)} mg not accounted for"
    return Mismatch("C9", "waste-unreconciled", "stop", text)


def ledger(draws: Iterable[Draw]) -> list[Mismatch]:
    """C10: no vial gives more than it held, and one vial is of one lot. Draws of a vial in order."""
    held: dict[str, Fraction] = {}
    lots: dict[str, str] = {}
    found = []
    for one in draws:
        lot = lots.setdefault(one.vial, one.lot)
        if one.lot and lot and one.lot != lot:
            text = f"vial {one.vial} is of lot {lot}, this draw tells lot {one.lot}"
            found.append(Mismatch("C10", "ledger-negative", "stop", text))
        before = held.get(one.vial, one.held)
        held[one.vial] = before - one.taken
        if held[one.vial] < 0:
            text = (
                f"{rounded(one.taken)} mg drawn of vial {one.vial} that held {rounded(before)} mg: "
                f"a balance of {rounded(held[one.vial])} mg"
            )
            found.append(Mismatch("C10", "ledger-negative", "stop", text))
    return found
