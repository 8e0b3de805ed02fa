"""Pictures of a few patients of the clinic."""

from __future__ import annotations

from pathlib import Path

from ketafhir.simulate.visit import Visit, visit


def draw(seed: int, place: Path) -> None:
    """Three patients side by side: a mood infusion, a pain infusion with steps, one that was paused."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    picked = _picked(seed)
    figure, axes = plt.subplots(2, len(picked), figsize=(4.2 * len(picked), 5.4), sharex="col", layout="constrained")
    for column, one in enumerate(picked):
        course, effects = one.course, one.effects
        assert course is not None
        assert effects is not None
        above, below = axes[0][column], axes[1][column]
        for part in course.segments:
            above.fill_between([part.start, part.end], float(part.rate), color="#9bb8d3", step="pre", linewidth=0)
        above.set_ylim(bottom=0)
        drug = above.twinx()
        drug.plot(range(len(effects.concentrations)), effects.concentrations, color="#7a3b8f")
        drug.set_ylim(bottom=0)
        minutes = [reading.minute for reading in effects.readings]
        marks = (("systolic", "systolic, mm[Hg]", "o-", "#b03a2e"), ("heart", "heart rate, /min", "s-", "#2c6e49"))
        for name, label, style, colour in marks:
            values = [getattr(reading, name) for reading in effects.readings]
            below.plot(minutes, values, style, markersize=3, color=colour, label=label)
        below.set_xlabel("minutes from the start")
        what = "paused" if course.pause else one.person.indication.protocol
        above.set_title(f"patient {one.person.number}: {what}, {one.person.weight} kg, {course.given} mg", fontsize=9)
        if column == 0:
            above.set_ylabel("rate, mL/h")
            below.legend(fontsize=7, loc="upper right")
        if column == len(picked) - 1:
            drug.set_ylabel("effect site, ng/mL")
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _picked(seed: int) -> list[Visit]:
    found: dict[str, Visit] = {}
    number = 0
    while len(found) < 3:
        number += 1
        one = visit(seed, number)
        if one.course is None or one.late or one.corrected:
            continue
        vital = one.course.pause is not None and one.course.pause[2] == "keta.reason-vital-sign"
        kind = "paused" if vital and one.person.indication.protocol == "pain" else one.person.indication.protocol
        if kind == "paused" or not one.course.pause:
            found.setdefault(kind, one)
    return [found[kind] for kind in ("mood", "pain", "paused")]
