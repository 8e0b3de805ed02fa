"""A patient in lines of text, as the server tells it."""

from __future__ import annotations

from collections.abc import Iterator

from ketafhir.demo.elements import moment
from ketafhir.demo.numbers import one_decimal, plain
from ketafhir.demo.view import Infusion, Order, View

WIDTH = 11


def headline(name: str, view: View) -> str:
    """Who it is, and what was given in all."""
    who = f"{name}  {view.patient.given} {view.patient.family}, {view.patient.mrn}"
    infusion = view.infusion
    if infusion is None:
        decision = f" (candidacy: {view.decision.decision})" if view.decision else ""
        return f"{who}: no infusion{decision}"
    paused = f", {plain(infusion.pause_minutes)} min paused" if infusion.pauses else ""
    return (
        f"{who}: {one_decimal(infusion.delivered_mg)} mg, {one_decimal(infusion.delivered_ml)} mL "
        f"in {plain(infusion.running_minutes)} min running{paused}"
    )


def lines(view: View) -> Iterator[str]:
    """The table of one patient, a heading before each line or group of lines."""
    yield from _row("order", _order(view.order))
    yield from _row("infusion", *(_infusion(view.infusion) if view.infusion else ["none"]))
    if view.infusion:
        yield from _row("delivered", _delivered(view.infusion))
    if view.waste:
        waste = view.waste
        yield from _row(
            "waste",
            f"{one_decimal(waste.mg)} mg, {one_decimal(waste.ml)} mL at {_clock(waste.time)} "
            f"by {waste.by}, witness {waste.witness}",
        )
    if view.boluses:
        told = [f"{_clock(one.time)} {one.drug.display} {plain(one.mg)} mg" for one in view.boluses]
        yield from _row("boluses", "; ".join(told))
    yield from screening_rows(view)


def screening_rows(view: View) -> Iterator[str]:
    """Vital signs by count, scales, scores, risk and candidacy."""
    kinds = ", ".join(f"{count} {kind.replace('-', ' ')}" for kind, count in view.vitals.readings.items())
    yield from _row("vitals", f"{view.vitals.sets} sets: {kinds}")
    scales: dict[str, list[str]] = {}
    for one in view.assessments:
        scales.setdefault(one.what, []).append(plain(one.value))
    if scales:
        yield from _row("scales", "; ".join(f"{what} {', '.join(values)}" for what, values in scales.items()))
    if view.scores:
        yield from _row(
            "scores",
            "; ".join(f"{one.instrument} {plain(one.total)} ({one.time[:10]})" for one in view.scores),
        )
    if view.risk:
        yes = ", ".join(map(str, view.risk.positive)) or "none"
        yield from _row("risk", f"{view.risk.instrument} {view.risk.level}, yes to question {yes}")
    if view.decision:
        rules = f" by rules {', '.join(view.decision.rules)}" if view.decision.rules else ""
        yield from _row("candidacy", f"{view.decision.decision}{rules}, decided by {view.decision.by}")


def screening_lines(view: View) -> list[str]:
    """The same as sentences: for the picture of who got no infusion."""
    return [f"{line[:WIDTH].strip().capitalize()}: {line[WIDTH:]}" for line in screening_rows(view)]


def _row(heading: str, *texts: str) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f"{'' if number else heading:<{WIDTH}}{text}"


def _order(order: Order | None) -> str:
    if order is None:
        return "none"
    parts = [f"{order.drug.display} {plain(order.dose_mg)} mg", f"{plain(order.rate_ml_per_h)} mL/h"]
    if order.max_rate_ml_per_h is not None:
        parts.append(f"at most {plain(order.max_rate_ml_per_h)} mL/h")
    parts.append(f"bag {plain(order.bag_mg)} mg in {plain(order.bag_ml)} mL")
    parts.append(f"{plain(order.weight_kg)} kg")
    return f"{', '.join(parts)} ({order.placer} / {order.filler})"


def _infusion(infusion: Infusion) -> list[str]:
    """One line for the whole, then segments and pauses in order of time."""
    found = [f"{infusion.status}, {infusion.start[:10]} {_clock(infusion.start)} to {_clock(infusion.end)}"]
    parts = [
        (
            moment(one.start),
            f"{_clock(one.start)} to {_clock(one.end)} {plain(one.minutes):>4} min"
            f" {plain(one.rate_ml_per_h):>4} mL/h {one_decimal(one.volume_ml):>6} mL",
        )
        for one in infusion.segments
    ]
    parts += [
        (moment(one.start), f"{_clock(one.start)} to {_clock(one.end)} {plain(one.minutes):>4} min paused")
        for one in infusion.pauses
    ]
    return found + [text for _, text in sorted(parts)]


def _delivered(infusion: Infusion) -> str:
    paused = f" and {plain(infusion.pause_minutes)} min paused" if infusion.pauses else ""
    return (
        f"{one_decimal(infusion.delivered_mg)} mg, {one_decimal(infusion.delivered_ml)} mL over "
        f"{plain(infusion.running_minutes)} min running{paused}; "
        f"the parent states {one_decimal(infusion.parent_mg)} mg, "
        f"the pump {one_decimal(infusion.pump_volume_ml)} mL"
    )


def _clock(text: str | None) -> str:
    return text[11:16] if text else "..."
