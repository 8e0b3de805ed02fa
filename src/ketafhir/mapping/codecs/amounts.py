"""Amounts and concentrations: number and unit cells <-> Quantity, Ratio (chapter 4A; UCUM).

A unit that is a rate is never an amount, and an amount whose unit is not understood is refused, not copied: both would
reach a patient as a dose.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ketafhir.mapping import units
from ketafhir.mapping.codecs.base import Codec
from ketafhir.mapping.codecs.numbers import (
    number_text,
    quantity_json,
    read_amount,
    read_exact,
    read_quantity,
    read_unit,
    unit_unknown,
    write_unit,
)
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Quantity

UNKNOWN_AMOUNT = "999"  # HL7 v2 chapter 4A, RXA-6: "if the amount is not known, 999"


class Amount(Codec):
    """Number and unit cells <-> Quantity, for a dose or volume: an amount of drug, never a rate.

    `vocab` names the kinds of unit taken, separated by blanks (default: those a drug is given in). 0 needs no unit;
    999 without unit says that the amount is not known (chapter 4A, RXA-6) and is no number.
    """

    cells = 2
    fhir_type = "Quantity"

    def __init__(self, vocab: str, maps: Any) -> None:
        super().__init__(vocab, maps)
        self.kinds = frozenset(vocab.split()) if vocab else units.AMOUNTS

    def from_v2(self, c: Context, *cells: str) -> Any:
        number, unit = cells
        if not number:
            return None
        value = read_amount(number)
        if not unit:
            if number == UNKNOWN_AMOUNT:
                return None
            if not value:
                return Quantity(value)
            raise Unreadable(
                "unit-missing",
                "an amount without unit",
                number,
                f"send UCUM: {units.alternatives(self.kinds)}",
                "101",
            )
        found, display, sent = read_unit(unit)
        self._check(found, sent)
        assert found is not None
        return Quantity(value, found.ucum, display)

    def _check(self, found: units.Unit | None, sent: str) -> None:
        if found is None:
            raise unit_unknown(sent, self.kinds)
        if found.kind not in self.kinds:
            if found.kind == "rate":
                raise Unreadable(
                    "unit-is-rate", "the unit of an amount is a rate: it is not copied as a dose", sent,
                    f"send the amount ({found.amount}) with the time it goes over (a rate of {found.amount} per "
                    f"{found.per} is amount, unit {found.amount} and per-time {found.per[0].upper()}1)", "103",
                )  # fmt: skip
            raise Unreadable(
                "unit-wrong-kind", f"a unit of {found.kind}", sent,
                f"send one of {units.alternatives(self.kinds)}", "103",
            )  # fmt: skip

    def to_v2(self, c: Context, value: Any) -> tuple[str, ...]:
        return number_text(value.value), write_unit(value)

    def to_fhir(self, c: Context, value: Any) -> Any:
        return quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Any:
        value = read_exact(json)
        if value.unit:
            self._check(units.find(value.unit), value.unit)
        return value


class Concentration(Codec):
    """Number and unit cells (RXA-13/-14, RXE-25/-26: 1 mg/mL) <-> Ratio (1 mg in 1 mL)."""

    cells = 2
    fhir_type = "Ratio"
    _kinds = frozenset({"concentration"})

    def from_v2(self, c: Context, *cells: str) -> Quantity | None:
        number, unit = cells
        if not number:
            return None
        found, display, sent = read_unit(unit)
        if found is None or found.kind not in self._kinds:
            raise unit_unknown(sent, self._kinds)
        return Quantity(read_amount(number), found.ucum, display)

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        return number_text(value.value), write_unit(value)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        mass, _, volume = value.unit.partition("/")
        one = Decimal(1)
        return {
            "numerator": quantity_json(Quantity(value.value, mass)),
            "denominator": quantity_json(Quantity(one, volume)),
        }

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        top = read_quantity(json.get("numerator") if isinstance(json, dict) else None)
        bottom = read_quantity(json.get("denominator"))
        text = f"{top.unit}/{bottom.unit}"
        found = units.find(text)
        if bottom.value != 1 or found is None or found.kind not in self._kinds:
            raise unit_unknown(text, self._kinds)
        return Quantity(top.value, found.ucum)
