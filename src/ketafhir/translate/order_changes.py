"""Which orders a message changes, and so writes: what it tells of them beside what was told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.errors import Issue
from ketafhir.therapy.fold import naming_group
from ketafhir.therapy.lifecycle import order_of, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ketafhir.therapy.fold import History
    from ketafhir.therapy.records import Order, Records


def standings(history: History, new: Records) -> dict[str, Order]:
    """The orders that this message tells of, in all their parts, as they stand."""
    keys = dict.fromkeys(part for key in new.orders for part in history.parts(order_of(key)))
    return {key: history.order(key) for key in keys}


def to_write(history: History, new: Records, before: dict[str, Order]) -> list[str]:
    """The orders this message writes: those it owns, those nobody told before, a filler order whose original it tells, and
    parts of an order whose standing it changes.

    A RAS may repeat an order; once the order feed has told it, that repetition writes nothing.
    """
    after = standings(history, new)
    found = [key for key in after if key in new.orders and (new.orders[key].owned or key not in before)]
    for key in after:
        identity, _, intent = key.rpartition("|")
        filler = f"{identity}|filler"
        if intent == "original" and key not in before and filler in before:
            found.append(filler)
        if intent in ("original", "filler") and key not in before:
            found += [part for part in before if part.startswith(f"{identity}|give-")]
        if key in before and after[key] != before[key] and key not in new.orders:
            found.append(key)
        if key not in before:
            numbers = [one.key for one in (after[key].placer, after[key].filler) if one]
            named = (one for number in numbers for one in history.groups.get(naming_group(number), ()))
            found += [one for one in named if one in history.orders and one not in found]
    return list(dict.fromkeys(found))


def begun_again(history: History, new: Records) -> Iterator[Issue]:
    """Warnings of what would have begun an order again that has ended."""
    for key, order in new.orders.items():
        told = [one for part in history.ordered[order_of(key)] for one in history.orders[part]]
        found = standing(one for one in told if one.owned)
        if order.state and any(one == order for one in found.idle):
            text = f"the order is {found.state}: {order.state.control} does not begin it again"
            yield Issue("warning", "order-ended", text, where="ORC-1", value=order.state.control)
