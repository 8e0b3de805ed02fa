"""Infusion orders as ORDER groups of HL7v2: RDE^O11 (RXE), OMP^O09 (RXO) (chapter 4A).

`translate.order_segments` reads what this writes; the tables of both are its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ketafhir.mapping import codes
from ketafhir.mapping.codecs.coded import of_name, write_cwe
from ketafhir.mapping.engine import Preserved, put_back
from ketafhir.plain import replace
from ketafhir.therapy.lifecycle import order_identity
from ketafhir.therapy.records import Observation, Order
from ketafhir.therapy.values import Coded
from ketafhir.translate.composing import Composing
from ketafhir.translate.order_segments import FILLER, OBX, ORC, ORIGINAL, RXC, RXR, TQ1, tables_of
from ketafhir.translate.results import compose_results

T = TypeVar("T")
# Where preserved segments that no row maps have their place; others come back at the end of the order.
_PLACED = frozenset(("ORC", "RXO", "RXE", "RXG", "TQ1", "TQ2", "RXR", "RXC", "OBX", "PRT"))


def compose(composing: Composing, orders: Iterable[Order], kind: str) -> None:
    """ORDER groups of an `RDE^O11` (what the pharmacy has encoded) or `OMP^O09` (what is only placed), in
    2.5.1.

    Of the orders given, each number makes one group of one of the two: an original order goes with the filler
    order that is based on it. Raises Refused for what HL7v2 cannot say.
    """
    groups: dict[str, dict[str, Order]] = {}
    for one in orders:
        groups.setdefault(order_identity(one.placer, one.filler), {})[one.intent] = one
    for group in parents_first({key: tuple(group.values()) for key, group in groups.items()}, groups):
        original, filler = group.get(ORIGINAL), group.get(FILLER)
        last = filler or original
        if last is None or (kind == "RDE^O11") is not (filler is not None):
            continue
        _compose_orc(composing, original, last)
        _compose_detail(composing, original, filler)
        compose_beside(composing, last)


def parents_first(told: dict[str, tuple[Order, ...]], groups: dict[str, T]) -> list[T]:
    """Groups of orders (by their identity) with children behind all others, so that a receiver knows the parent (ORC-8)."""
    return [groups[key] for key in sorted(told, key=lambda key: any(one.parent is not None for one in told[key]))]


def _compose_orc(composing: Composing, original: Order | None, last: Order) -> None:
    """One ORC stands for both; where FHIR says otherwise of the original order, the filler order counts."""
    cells = composing.cells(shown(last), ORC)
    if original is not None and original is not last:
        other = composing.cells(shown(original), ORC)
        differing = [f"ORC-{field}" for field in sorted(other) if other[field] != cells.get(field, "")]
        if differing:
            composing.c.warn(
                "original-order-differs",
                f"original and filler order differ in {', '.join(differing)}: the filler order counts",
            )
    composing.add("ORC", cells)


def shown(order: Order) -> Order:
    """The order with the number that goes into ORC-8: of its parent, else of what a replacement order stands for."""
    control = order.state.control if order.state else ""
    if order.parent is None and order.replaces is not None and control == codes.code("v2-0119.RO").code:
        return replace(order, parent=order.replaces)
    return order


def _compose_detail(composing: Composing, original: Order | None, filler: Order | None) -> None:
    """What follows the ORC: [TQ1] RXO NTE RXR RXC, RXE NTE TQ1 RXR RXC."""
    if original is not None:
        compose_timing(composing, original)
        composing.add("RXO", composing.cells(original, *tables_of(ORIGINAL)))
        composing.notes(original.notes)
        compose_routes(composing, original)
    if filler is not None:
        composing.add("RXE", composing.cells(filler, *tables_of(FILLER)))
        composing.notes(filler.notes)
        compose_timing(composing, filler)
        compose_routes(composing, filler)


def compose_timing(composing: Composing, order: Order) -> None:
    """TQ1 after RXE is required in 2.5.1, also when nothing is told of the time."""
    cells = composing.cells(order, TQ1)
    if cells or order.intent != ORIGINAL:
        composing.add("TQ1", {**cells, 1: "1"})
    _add_further(composing, "TQ1", order.preserved, 2)
    _add_further(composing, "TQ2", order.preserved, 1)


def compose_routes(composing: Composing, order: Order, form: Callable[[dict[int, str]], dict[int, str]] = dict) -> None:
    """RXR, in the form that its receiver wants, and RXC."""
    cells = form(composing.cells(order, RXR))
    if cells:
        composing.add("RXR", cells)
    _add_further(composing, "RXR", order.preserved, 2)
    for one in order.ingredients:
        composing.add("RXC", composing.cells(one, RXC))


def _add_further(composing: Composing, name: str, preserved: Preserved, number: int) -> None:
    """Segments of a name that were preserved as a whole, from the given number on."""
    while True:
        cells: dict[int, str] = {}
        put_back(cells, name, preserved, number)
        if not cells:
            return
        composing.add(name, cells)
        number += 1


def beside(composing: Composing, order: Order) -> list[Observation]:
    """The observations of an order."""
    told = composing.records.observations.values()
    return [one for one in told if one.order == order.key or one.key in order.observations]


def compose_beside(composing: Composing, order: Order, observations: list[Observation] | None = None) -> None:
    """What stands below an order: PRT, RXV, its observations (or those given) and highest rate, and what no table maps."""
    _add_further(composing, "PRT", order.preserved, 1)
    _add_further(composing, "RXV", order.preserved, 1)
    found = beside(composing, order) if observations is None else observations
    number = 1
    if found:
        number = compose_results(composing, found)
    if order.max_rate is not None:
        selector = write_cwe(Coded((of_name("keta.rate-max"),)))
        cells = {1: str(number), 2: "NM", 3: selector, 11: "F"}
        composing.add("OBX", cells | composing.cells(order, OBX))
    names = dict.fromkeys(place.partition("-")[0].partition("[")[0] for place, _ in order.preserved)
    for name in names:
        if name not in _PLACED and name != "RXV":
            _add_further(composing, name, order.preserved, 1)
