"""What only orders have: control and status as one, a dose or a range, what is dispensed, what is in the bag.

(HL7 v2 chapters 4 and 4A; FHIR R4 MedicationRequest, Dosage and Medication.)
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ketafhir.mapping import codemaps, units
from ketafhir.mapping.codecs.amounts import Amount, Concentration
from ketafhir.mapping.codecs.base import Codec, unescape
from ketafhir.mapping.codecs.coded import SoftCode
from ketafhir.mapping.codecs.identifiers import EntityIdentifier
from ketafhir.mapping.codecs.numbers import (
    number_text,
    quantity_json,
    read_amount,
    read_exact,
    read_quantity,
    read_unit,
    write_unit,
)
from ketafhir.mapping.codecs.values import soft_quantity
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.mapping.paths import EXTENSION
from ketafhir.therapy.values import Identifier, OrderState, Quantity, Range, Ratio

_CONTROL, _STATUS = EXTENSION + "order-control", EXTENSION + "order-status"


def keep_cell(c: Context, number: int, text: str) -> None:
    """Preserve one of the cells of the row at work, as sent."""
    if text and c.row is not None and c.segment is not None:
        cell = c.row.cells[number]
        c.preserved.append((f"{cell.segment}-{cell.text}", text))


class RequestStatus(Codec):
    """ORC-1 and ORC-5 <-> MedicationRequest.status; the codes stand beside it where it does not say them.

    `vocab` names two code maps: of the control (table 0119: what it does, and the status that this leads to) and
    of the status (table 0038, which goes before it). What was told before is folded in by `therapy.lifecycle`;
    where the two codes do not say how the order stands, ORC-5 does. The codes beside the status count on the way
    back as long as they mean that status: who changes the status changes ORC-1 and ORC-5.
    """

    cells = 2
    fhir_type = "code"
    companion = True

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        control, status = vocab.split()
        self.controls, self.statuses = maps(control), maps(status)

    def from_v2(self, c: Context, *cells: str) -> OrderState:
        control, status = (unescape(cell.partition("^")[0]) for cell in cells)
        self._known(control)
        if status and status not in self.statuses.v2_to_domain:
            keep_cell(c, 1, cells[1])
            c.warn("code-unmapped", f"not a code of {self.statuses.file}: preserved", cells[1])
            status = ""
        value = self._state(control, status)
        leads = self.controls.domain_to_fhir[value.effect]
        if value.says and leads not in ("active", value.says):
            c.warn(
                "status-contradiction",
                f"order control {control} and order status {status} disagree: the status counts",
                cells[1],
                "send the order status that the control leads to",
            )
        return value

    def _known(self, control: str) -> None:
        if control not in self.controls.v2_to_domain:
            known = ", ".join(self.controls.v2_to_domain)
            raise Unreadable(
                "order-control-unknown", "not an order control that is understood", control,
                f"expected one of {known}", "103" if control else "101",
            )  # fmt: skip

    def _state(self, control: str, status: str) -> OrderState:
        says = self.statuses.domain_to_fhir[self.statuses.v2_to_domain[status]] if status else ""
        return OrderState(control, status, self.controls.v2_to_domain[control], says)

    def to_v2(self, c: Context, value: OrderState) -> tuple[str, ...]:
        shown = self._shown(value)
        return shown.control, shown.status

    def to_fhir(self, c: Context, value: OrderState) -> str:
        return value.standing or self._alone(value)

    def _alone(self, value: OrderState) -> str:
        """The status that the two codes say without what was told before."""
        return value.says or self.controls.domain_to_fhir[value.effect]

    def _shown(self, value: OrderState) -> OrderState:
        """The two codes, with the ORC-5 that says how the order stands where they do not."""
        if not value.standing or value.standing == self._alone(value):
            return value
        return self._state(value.control, self._status_code(value.standing))

    def _status_code(self, status: str) -> str:
        return self.statuses.domain_to_v2.get(self.statuses.fhir_to_domain.get(status, ""), "")

    def beside(self, value: OrderState) -> dict[str, Any] | None:
        """The two codes, where the status would come back as others."""
        shown = self._shown(value)
        usual = self._usual(value.standing or self._alone(value))
        if (shown.control, shown.status) == (usual.control, usual.status):
            return None
        codes = [(_CONTROL, shown.control), (_STATUS, shown.status)]
        return {"extension": [{"url": url, "valueCode": code} for url, code in codes if code]}

    def _usual(self, status: str) -> OrderState:
        """What is sent for a status that came without codes: SC (status changed) where no control says it."""
        effect = self.controls.fhir_to_domain.get(status, "")
        return self._state(self.controls.domain_to_v2.get(effect, "SC"), self._status_code(status))

    def from_fhir(self, c: Context, json: Any) -> OrderState:
        status, beside = json
        if status not in self.statuses.fhir_to_domain:
            raise Unreadable(
                "status-unknown", "an order of this status is not sent", str(status),
                f"expected one of {', '.join(self.statuses.fhir_to_domain)}",
            )  # fmt: skip
        told = {
            one.get("url"): str(one.get("valueCode", ""))
            for one in (beside.get("extension", ()) if isinstance(beside, dict) else ())
        }
        if told.get(_CONTROL):
            self._known(told[_CONTROL])
            code = told.get(_STATUS, "")
            value = self._state(told[_CONTROL], code if code in self.statuses.v2_to_domain else "")
            if self._alone(value) == status:
                return value
        return self._usual(status)


class Dose(Amount):
    """Minimum, maximum, unit (RXE-3 RXE-4 RXE-5) <-> dose[x]: a Quantity, or a Range where there is a
    maximum."""

    cells = 3
    fhir_type = "dose[x]"

    def from_v2(self, c: Context, *cells: str) -> Any:
        low, high, unit = cells
        if not low and not high:
            keep_cell(c, 2, unit)
            return None
        if not high:
            return self._amount(low, unit)
        least, most = self._amount(low, unit) if low else None, self._amount(high, unit)
        if least is not None and least.value > most.value:
            why = "the most is less than the least"
            raise Unreadable("dose-unreadable", why, f"{low} to {high}", "send the minimum first (RXE-3, RXE-4)")
        return Range(least, most)

    def _amount(self, number: str, unit: str) -> Quantity:
        value = read_amount(number)
        if not unit and value:
            raise Unreadable(
                "unit-missing", "a dose without unit", number,
                f"send UCUM: {units.alternatives(self.kinds)}", "101",
            )  # fmt: skip
        if not unit:
            return Quantity(value)
        found, display, sent = read_unit(unit)
        self._check(found, sent)
        assert found is not None
        return Quantity(value, found.ucum, display)

    def to_v2(self, c: Context, value: Quantity | Range) -> tuple[str, ...]:
        if isinstance(value, Quantity):
            return number_text(value.value), "", write_unit(value)
        low, high = value.low, value.high
        if low and high and low.unit != high.unit:
            raise Unreadable("dose-unwritable", "the ends of the dose have two units", f"{low.unit} {high.unit}")
        unit = low or high
        ends = [number_text(end.value) if end else "" for end in (low, high)]
        return ends[0], ends[1], write_unit(unit) if unit else ""

    def to_fhir(self, c: Context, value: Quantity | Range) -> Any:
        if isinstance(value, Quantity):
            return "Quantity", quantity_json(value)
        ends = (("low", value.low), ("high", value.high))
        return "Range", {name: quantity_json(end) for name, end in ends if end}

    def from_fhir(self, c: Context, json: Any) -> Any:
        kind, body = json
        if kind == "Quantity":
            return self._read(c, body)
        if kind != "Range" or not isinstance(body, dict):
            raise Unreadable("dose-unreadable", f"a dose of type {kind} is not read")
        ends = [self._read(c, body[end]) if end in body else None for end in ("low", "high")]
        if ends[1] is None:
            raise Unreadable("dose-unreadable", "a dose without upper end", "", "send doseRange.high")
        return Range(*ends)

    def _read(self, c: Context, json: Any) -> Quantity:
        value: Quantity = super().from_fhir(c, json)
        if value.comparator or (value.value and not value.unit):
            raise Unreadable(
                "dose-unreadable",
                "a dose must be a number with a UCUM unit",
                str(value.comparator or value.value),
            )
        return value


class Supply(Codec):
    """Number and unit (RXE-10 RXE-11: what is dispensed) <-> Quantity.

    It is no dose: what is not understood is kept as sent, with a warning.
    """

    cells = 2
    fhir_type = "Quantity"

    def from_v2(self, c: Context, *cells: str) -> Quantity | None:
        number, unit = cells
        found = read_unit(unit)[0] if number and unit else None
        try:
            if found is None or found.kind != "rate":
                return soft_quantity(number, unit, c)
            c.warn(
                "unit-is-rate", "the unit of what is dispensed is a rate: preserved, and no amount", unit,
                f"send the amount in {found.amount}; a rate has fields of its own (RXE-23 -24, RXO-21 -22)",
            )  # fmt: skip
        except Unreadable as error:
            if number:
                c.warn(error.code, f"{error.why}: preserved", number)
        keep_cell(c, 0, number)
        keep_cell(c, 1, unit)
        return None

    def to_v2(self, c: Context, value: Quantity) -> tuple[str, ...]:
        return number_text(value.value), write_unit(value)

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        return quantity_json(value)

    def from_fhir(self, c: Context, json: Any) -> Quantity:
        return read_quantity(json, strict=False)


class Strength(Concentration):
    """Number and unit (RXE-25 RXE-26) <-> Ratio. A strength that is no concentration (250 mg) is
    preserved."""

    def from_v2(self, c: Context, *cells: str) -> Quantity | None:
        number, unit = cells
        found = read_unit(unit)[0] if unit else None
        try:
            if number and found is not None and found.kind in self._kinds:
                return super().from_v2(c, number, unit)
        except Unreadable as error:
            c.warn(error.code, f"{error.why}: preserved", number)
        if number and unit and (found is None or found.kind not in units.AMOUNTS | self._kinds):
            hint = f"send UCUM: {units.alternatives(frozenset((*self._kinds, 'mass')))}"
            code = "unit-unknown" if found is None else "unit-wrong-kind"
            c.warn(code, "the unit is that of no strength: preserved", unit, hint)
        keep_cell(c, 0, number)
        keep_cell(c, 1, unit)
        return None


class StrengthVolume(Codec):
    """Amount and unit of the drug, and of the volume it is in (RXG-17 -18 -23 -24: 250 mg in 250 mL) <-> Ratio.

    Without a volume the unit is a concentration (1 mg/mL). What is none of the two is preserved.
    """

    cells = 4
    fhir_type = "Ratio"

    def __init__(self, vocab: str, maps: Any) -> None:
        super().__init__(vocab, maps)
        self._whole, self._drug, self._fluid = Concentration("", maps), Amount("", maps), Amount("volume", maps)

    def from_v2(self, c: Context, *cells: str) -> Ratio | None:
        try:
            return self._ratio(cells)
        except Unreadable as error:
            c.warn(error.code, f"{error.why}: preserved", cells[0])
        for number, text in enumerate(cells):
            keep_cell(c, number, text)
        return None

    def _ratio(self, cells: tuple[str, ...]) -> Ratio | None:
        amount, unit, volume, volume_unit = cells
        if not amount:
            if volume:
                raise Unreadable("strength-unread", "a volume without the amount of drug in it", volume)
            return None
        if not volume:
            whole = self._whole.from_v2(Context(None), amount, unit)
            assert whole is not None
            mass, _, per = whole.unit.partition("/")
            return Ratio(Quantity(whole.value, mass), Quantity(Decimal(1), per))
        top = self._drug.from_v2(Context(None), amount, unit)
        below = self._fluid.from_v2(Context(None), volume, volume_unit)
        if below is None or top is None or not below.value or not top.unit:
            raise Unreadable("strength-unread", "a strength needs its amount and volume with units", amount)
        return Ratio(top, below)

    def to_v2(self, c: Context, value: Ratio) -> tuple[str, ...]:
        top, below = value.numerator, value.denominator
        whole = f"{top.unit}/{below.unit}"
        if below.value == 1 and units.find(whole) is not None:
            return number_text(top.value), write_unit(Quantity(top.value, whole)), "", ""
        return number_text(top.value), write_unit(top), number_text(below.value), write_unit(below)

    def to_fhir(self, c: Context, value: Ratio) -> dict[str, Any]:
        return {"numerator": quantity_json(value.numerator), "denominator": quantity_json(value.denominator)}

    def from_fhir(self, c: Context, json: Any) -> Ratio:
        top, below = (read_exact(json.get(end)) for end in ("numerator", "denominator"))
        if not below.value:
            raise Unreadable("strength-unread", "a strength in no volume", number_text(below.value))
        return Ratio(top, below)


class Parent(Codec):
    """ORC-8 (EIP: two EI with `&` between their parts) -> the number of an order, typed placer's or filler's."""

    cells = 1
    fhir_type = "Reference"

    def __init__(self, vocab: str, maps: Any) -> None:
        super().__init__(vocab, maps)
        self._number = EntityIdentifier("", maps)

    def from_v2(self, c: Context, *cells: str) -> Identifier | None:
        found: Identifier | None = None
        for number, (part, role) in enumerate(zip(cells[0].split("^"), ("PLAC", "FILL"), strict=False), 1):
            one = self._number.from_v2(c, part.replace("&", "^")) if part else None
            if one is not None and found is None:
                found = Identifier(one.value, one.system, role, one.authority)
            elif one is not None:
                c.keep(f".{number}", part)
        return found

    def to_v2(self, c: Context, value: Identifier) -> tuple[str, ...]:
        text = self._number.to_v2(c, value)[0].replace("^", "&")
        return (f"^{text}" if value.type == "FILL" else text,)


class PartAmount(Amount):
    """Number and unit (RXC-3 RXC-4: how much of a component is in the mixture) <-> Ratio to one mixture."""

    fhir_type = "Ratio"
    _ONE = Quantity(Decimal(1), "1")
    _MIXTURE = (
        "",
        "1",
        "bag",
        "bottle",
        "cassette",
        "syringe",
        "vial",
    )  # one of these is the mixture itself; `milliliter` is not

    def to_fhir(self, c: Context, value: Quantity) -> dict[str, Any]:
        return {"numerator": quantity_json(value), "denominator": quantity_json(self._ONE)}

    def from_fhir(self, c: Context, json: Any) -> Any:
        below = read_quantity(json.get("denominator"), strict=False)
        unit = below.unit or below.display
        if below.value != 1 or unit.lower() not in self._MIXTURE or below.comparator:
            c.warn(
                "strength-unread", "a strength is no amount of a component: left out", unit,
                "send the amount in one mixture: denominator 1",
            )  # fmt: skip
            return None
        return super().from_fhir(c, json.get("numerator"))


class Active(SoftCode):
    """RXC-1 (table 0166) <-> Medication.ingredient.isActive."""

    fhir_type = "boolean"

    def to_fhir(self, c: Context, value: str) -> Any:
        found = self.map.domain_to_fhir.get(value)
        return found == "true" if found else None

    def from_fhir(self, c: Context, json: Any) -> str:
        return super().from_fhir(c, "true" if json is True else "false" if json is False else json)
