"""The picture of one patient: rate steps with the pause, events, blood pressure, heart rate and saturation.

Only what the FHIR server holds is drawn. Matplotlib is imported here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ketafhir.demo.elements import moment
from ketafhir.demo.events import Event, arrange, events
from ketafhir.demo.numbers import one_decimal, plain
from ketafhir.demo.summary import headline, screening_lines
from ketafhir.demo.view import Infusion, View

BEFORE, AFTER = timedelta(minutes=45), timedelta(minutes=75)
_MARGIN = timedelta(minutes=6)
# Colours that people with colour blindness tell apart (Okabe and Ito).
BLUE, SKY, GREEN, ORANGE, RED, BLACK, GREY = (
    "#0072B2", "#9CCBEA", "#009E73", "#E69F00", "#D55E00", "#222222", "#999999",
)  # fmt: skip
_EVENT_COLOURS = {"bolus": GREEN, "waste": ORANGE, "pause": RED, "end": BLACK, "start": BLACK}
_INCHES, _DPI = (12.0, 8.4), 120


def draw(name: str, view: View, folder: Path) -> Path | None:
    """Write `<name>-timeline.png` into the folder and give its path; None where there is nothing to draw."""
    window = _window(view)
    if window is None:
        return None
    first, last = window
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(headline(name, view), fontsize=14, fontweight="bold", x=0.01, ha="left")
    ratios = (2.4, 1.1, 2.3, 1.2, 1.1)
    rate, strip, pressure, heart, oxygen = figure.subplots(5, 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    shown = [one for one in events(view) if first <= moment(one.time) <= last]
    if view.infusion is None:
        _text(rate, screening_lines(view))
    else:
        _rates(rate, view.infusion)
    _events(strip, shown, first, last)
    _pressures(pressure, view, first, last)
    _line(heart, view, "heart-rate", "Heart rate\n(/min)", BLUE, first, last)
    _line(oxygen, view, "oxygen-saturation", "SpO₂\n(%)", GREEN, first, last)
    oxygen.set_ylim(min(88, oxygen.get_ylim()[0]), 100.9)
    _common((rate, strip, pressure, heart, oxygen), shown, first, last)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name.lower()}-timeline.png"
    figure.savefig(place)
    return place


def _window(view: View) -> tuple[datetime, datetime] | None:
    """From a little before the infusion to its recovery; without infusion, the hour around the readings."""
    if view.infusion is not None:
        start, end = moment(view.infusion.start), moment(view.infusion.end or view.infusion.start)
        near = [one for one in _times(view) if start - BEFORE <= one <= end + AFTER]
    else:
        near = _times(view)
    return (min(near) - _MARGIN, max(near) + _MARGIN) if near else None


def _times(view: View) -> list[datetime]:
    drawn = ("blood-pressure", "heart-rate", "oxygen-saturation")
    told = [moment(one.time) for one in view.readings if one.kind in drawn]
    return told + [moment(one.time) for one in events(view)]


def _rates(axes: Any, infusion: Infusion) -> None:
    """A step for each segment, hatched where it stood still."""
    highest = max((float(one.rate_ml_per_h or 0) for one in infusion.segments), default=1.0)
    for number, one in enumerate(infusion.segments):
        if one.end is None or one.rate_ml_per_h is None:
            continue
        start, end, rate = moment(one.start), moment(one.end), float(one.rate_ml_per_h)
        label = "running" if number == 0 else None
        axes.fill_between([start, end], [rate, rate], color=SKY, edgecolor=BLUE, linewidth=1.4, label=label)
        text = f"{plain(one.rate_ml_per_h)} mL/h\n{plain(one.minutes)} min\n{one_decimal(one.volume_ml)} mL"
        axes.text(start + (end - start) / 2, rate / 2, text, ha="center", va="center", fontsize=9.5, color=BLACK)
    for number, pause in enumerate(infusion.pauses):
        start, end = moment(pause.start), moment(pause.end)
        axes.axvspan(
            start,
            end,
            facecolor="white",
            edgecolor=RED,
            hatch="////",
            alpha=0.55,
            label="" if number else "paused",
        )
        text = f"paused\n{plain(pause.minutes)} min"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(
            start + (end - start) / 2,
            highest / 2,
            text,
            ha="center",
            va="center",
            fontsize=9.5,
            color=RED,
            bbox=box,
        )
    axes.set_ylim(0, highest * 1.12)
    axes.set_ylabel("Rate (mL/h)")
    _legend(axes)


def _text(axes: Any, lines: Iterable[str]) -> None:
    axes.set_yticks([])
    axes.text(0.015, 0.92, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=10.5, linespacing=1.5)


def _events(axes: Any, shown: list[Event], first: datetime, last: datetime) -> None:
    """One line of text for each event."""
    placed = arrange(shown, first, last)
    levels = max([one.level for one in placed], default=0) + 1
    levels = max(levels, 3)
    for one in placed:
        at, height = moment(one.event.time), levels - one.level - 0.5
        colour = _EVENT_COLOURS.get(one.event.kind, BLUE)
        axes.plot([at], [height], marker="o", markersize=5, color=colour)
        axes.annotate(
            one.text, (at, height), xytext=(-6 if one.left else 6, 0), textcoords="offset points", va="center",
            ha="right" if one.left else "left", fontsize=9, color=colour,
        )  # fmt: skip
    axes.set_ylim(0, levels)
    axes.set_yticks([])
    axes.set_ylabel("Events")
    if not shown:
        axes.text(0.015, 0.5, "no drug was given", transform=axes.transAxes, va="center", fontsize=10)


def _pressures(axes: Any, view: View, first: datetime, last: datetime) -> None:
    """Systolic and diastolic joined by a bar, the mean where it was told."""
    told = [
        (moment(one.time), one.values)
        for one in view.readings
        if one.kind == "blood-pressure" and first <= moment(one.time) <= last
    ]
    for at, values in told:
        if "systolic" in values and "diastolic" in values:
            axes.vlines(at, float(values["diastolic"]), float(values["systolic"]), color=GREY, linewidth=1.2)
    for kind, marker, colour, line in (
        ("systolic", "v", RED, "-"),
        ("mean", "D", ORANGE, "none"),
        ("diastolic", "^", BLUE, "-"),
    ):
        points = [(at, float(values[kind])) for at, values in told if kind in values]
        if points:
            axes.plot(*zip(*points, strict=True), marker=marker, markersize=5, color=colour, linestyle=line,
                      linewidth=1, label=kind)  # fmt: skip
    axes.margins(y=0.12)
    axes.set_ylabel("Blood pressure\n(mmHg)")
    _legend(axes)


def _line(axes: Any, view: View, kind: str, label: str, colour: str, first: datetime, last: datetime) -> None:
    points = [
        (moment(one.time), float(one.values["value"]))
        for one in view.readings
        if one.kind == kind and first <= moment(one.time) <= last
    ]
    if points:
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, linewidth=1.2)
    axes.margins(y=0.2)
    axes.set_ylabel(label)


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.02), frameon=False, fontsize=9.5)


def _common(all_axes: tuple[Any, ...], shown: list[Event], first: datetime, last: datetime) -> None:
    """One time axis for all, with the events as thin lines through it."""
    from matplotlib import dates

    ticks: Any = dates  # its classes have no types
    for axes in all_axes:
        axes.set_xlim(first, last)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for one in shown:
            axes.axvline(moment(one.time), color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
        axes.set_axisbelow(True)
    bottom = all_axes[-1]
    zone = first.tzinfo
    bottom.xaxis.set_major_locator(ticks.AutoDateLocator(tz=zone, minticks=6, maxticks=14))
    bottom.xaxis.set_major_formatter(ticks.DateFormatter("%H:%M", tz=zone))
    bottom.set_xlabel(f"Time on {first:%Y-%m-%d} ({first.tzname()})")
