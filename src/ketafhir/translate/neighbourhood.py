"""What a Bundle renders or refers to: of all that was told, the records around what a message changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.plain import replace
from ketafhir.therapy.fold import WHOLE, dispense_group
from ketafhir.therapy.lifecycle import order_of
from ketafhir.therapy.records import Records
from ketafhir.therapy.settled import completed

if TYPE_CHECKING:
    from ketafhir.therapy.fold import History
    from ketafhir.therapy.infusion import Course


def neighbourhood(
    history: History, new: Records, after: dict[str, Course], orders_told: list[str], stays: dict[str, str]
) -> Records:
    """The settled records that this Bundle renders or refers to."""
    out = Records()
    wanted = {"patients": set(new.patients), "visits": set(new.visits), "orders": set(orders_told)}
    for found in after.values():
        for act in found.acts:
            wanted["patients"].add(act.told.patient)
            wanted["visits"].add(act.told.visit)
        for identity in {act.told.order for act in found.acts} | {found.first.order}:
            wanted["orders"].update(order.key for order in history.requests(identity))
    late = [key for one in orders_told for key in history.groups.get(dispense_group(order_of(one)), ())]
    for dispense in map(history.others.dispenses.__getitem__, (*new.dispenses, *late)):
        wanted["patients"].add(dispense.patient)
        wanted["visits"].add(dispense.visit)
        wanted["orders"].update(order.key for order in history.requests(dispense.order))
    for key in orders_told:
        wanted["orders"].update(order.key for order in history.requests(order_of(key)))
        order = history.order(key)
        for number in (order.parent, order.replaces):
            names = [f"{role}:{number.key}" for role in "PF"] if number else []
            for identity, _ in filter(None, map(history.numbers.get, names)):
                wanted["orders"].update(one.key for one in history.requests(identity))
    for key in wanted.pop("orders"):
        out.orders[key] = order = history.order(key)
        if key in orders_told:
            wanted["patients"].add(order.patient)
            wanted["visits"].add(order.visit)
    for kind, keys in wanted.items():
        versions = getattr(history, kind)
        told = getattr(new, kind)
        for key in keys:
            if key in versions:
                # A message that only mentions a patient speaks for itself: it never writes what others told.
                mention = told.get(key)
                alone = mention is not None and not getattr(mention, "owned", True)
                getattr(out, kind)[key] = mention if alone else completed(versions[key])
    for stay in {stays[key] for key in out.patients if key in stays} - out.patients.keys():
        out.patients[stay] = completed(history.patients[stay])
    for kind in WHOLE:
        told = getattr(new, kind)
        if told:
            known = getattr(history.others, kind)
            getattr(out, kind).update({key: known[key] for key in told})
    _add_siblings(history, out)
    # A device is written whole: what a message does not tell of its parts others have told.
    out.containers = history.others.containers
    return out


def _add_siblings(history: History, out: Records) -> None:
    """What other messages told under the same headings, of the same pressures and from the same forms."""
    known = history.others
    if known.responses:
        for one in out.observations.values():
            if one.response in known.responses:
                out.responses[one.response] = known.responses[one.response]
    headings = [*out.reports, *out.responses, *out.decisions]
    groups = dict.fromkeys([*headings, *[one.panel for one in out.observations.values() if one.panel]])
    told = len(out.observations)
    for name in groups:
        out.observations.update([(key, known.observations[key]) for key in history.groups.get(name, ())])
    further = len(out.observations) != told
    panels = {one.panel for one in out.observations.values() if one.panel} - groups.keys() if further else ()
    for panel in panels:
        out.observations.update([(key, known.observations[key]) for key in history.groups.get(panel, ())])
    if not out.responses:
        return
    for key, one in out.observations.items():
        if one.derived and one.response in out.responses and one.told != out.responses[one.response].told:
            # Made from a version of the form that does not stand any more: what replaces it is made anew, or not at all.
            out.observations[key] = replace(one, status="entered-in-error")
