"""The numbers of an administration that others made: of which order it is (ORC-2, ORC-3), and its counters (RXA-1, RXA-2)."""

from __future__ import annotations

from typing import Any, NamedTuple

from ketafhir.mapping import codes
from ketafhir.mapping.codecs.identifiers import SENDER, read_identifier
from ketafhir.mapping.paths import Json
from ketafhir.plain import replace
from ketafhir.therapy.records import Administration
from ketafhir.therapy.values import Identifier
from ketafhir.translate.courses import PUMP_SEGMENTS
from ketafhir.translate.taking import Taking

Numbers = tuple[Identifier | None, Identifier | None]


class Numbered(NamedTuple):
    """An act with its resource, and that of the infusion it is part of."""

    act: Administration
    resource: Json
    whole: Json | None


def order_numbers(taking: Taking, resource: Json, whole: Json | None, values: dict[str, Any]) -> Numbers:
    """Placer and filler number of the order: the administration's own, those of the order it refers to, those of the infusion
    it is part of; else the number of the infusion, or its own, stands for the filler's."""
    if values.get("placer") or values.get("filler"):
        return values.get("placer"), values.get("filler")
    for one in (resource, whole):
        found = _of_request(taking, one) if one is not None else None
        if found is not None:
            return found
    named = whole if whole is not None else resource
    if named is whole:
        told = taking.take(named, "ORC_to_MedicationAdministration")
        if told.get("placer") or told.get("filler"):
            return told.get("placer"), told.get("filler")
    if any(str(one.get("system", "")) == PUMP_SEGMENTS for one in resource.get("identifier", ())):
        return None, None
    own = taking.identifiers(named)
    number = own[0] if own else Identifier(taking.local_key(named), SENDER + "fhir")
    taking.c.warn(
        "order-unknown", "an administration of no known order: its own number stands for that of the order", number.value,
        "send request, with the MedicationRequest or its identifier",
    )  # fmt: skip
    return None, replace(number, type="")


def _of_request(taking: Taking, resource: Json) -> Numbers | None:
    request = resource.get("request")
    if not isinstance(request, dict):
        return None
    found = taking.resolve(request, resource)
    if found is not None and id(found) in taking.orders:
        order = taking.records.orders[taking.orders[id(found)]]
        return order.placer, order.filler
    number = read_identifier(request.get("identifier"))
    if number is not None:
        plain = replace(number, type="")
        return (plain, None) if number.type == "PLAC" else (None, plain)
    reference = str(request.get("reference", ""))
    if not reference:
        return None
    key = reference.rstrip("/").rpartition("/")[2]
    taking.c.warn(
        "order-missing", "the order is not in the Bundle: the id it is referred to by stands for its number", reference,
        "add the MedicationRequest to the Bundle, or request.identifier",
    )  # fmt: skip
    return None, Identifier(key)


def number(taking: Taking, told: list[Numbered]) -> None:
    """Counters for the acts that have none: RXA-1 counts the infusions of an order, RXA-2 the acts of one, each by time."""
    bare = [one for one in told if one.act.counters == ("", "") and not one.act.delivery]
    if not bare:
        return
    used = {(one.act.order, *one.act.counters) for one in told}
    infusions: dict[str, dict[int, list[Numbered]]] = {}
    for one in sorted(bare, key=_place):
        infusions.setdefault(one.act.order, {}).setdefault(id(one.whole) if one.whole is not None else 0, []).append(
            one
        )
    for order, groups in infusions.items():
        for give, group in enumerate(groups.values()):
            count = 0
            for one in group:
                count += 1
                while (order, str(give), str(count)) in used:
                    count += 1
                one.act.counters = (str(give), str(count))
    taking.c.where = taking.name(bare[0].resource)
    taking.c.warn(
        "counters-made", "administrations without counters (RXA-1, RXA-2) are numbered by time within this Bundle",
        hint="always send all administrations of an order together",
    )  # fmt: skip


def _place(one: Numbered) -> tuple[Any, ...]:
    """Time first; the number of the resource where two start at once, so that the order of the Bundle does not count."""
    start = one.act.start
    return start.at if start else 0, str(one.resource.get("id", "")), str(one.resource.get("identifier", ""))


def numbered(resource: Json, name: str) -> str:
    """The value of the identifier of one of our types, or ""."""
    one = codes.code(name)
    for identifier in resource.get("identifier", ()):
        for coding in identifier.get("type", {}).get("coding", ()):
            if (coding.get("system"), coding.get("code")) == (one.system, one.code):
                return str(identifier.get("value", ""))
    return ""
