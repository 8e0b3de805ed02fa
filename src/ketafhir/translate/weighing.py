"""Body weights: kept at hand for the checks of what comes later (`translate.checking`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ketafhir.errors import Issue
from ketafhir.plain import replace
from ketafhir.therapy.charts import Chart, Weight
from ketafhir.therapy.fold import History
from ketafhir.therapy.records import Observation
from ketafhir.therapy.values import Quantity

if TYPE_CHECKING:
    from ketafhir.therapy.infusion import Course
    from ketafhir.translate.ties import Moved

WITHDRAWN = ("entered-in-error", "deleted")


class Weighing:
    """As `Checking` of a message that tells nothing but weights to check, of patients without order and infusion: there is
    nothing they could disagree with.
    """

    def __init__(self, history: History, weights: list[Observation]) -> None:
        self.history, self.weights = history, weights
        self.infusions: list[str] = []

    def before(self, courses: dict[str, Course]) -> None:
        """Nothing was wrong before."""

    def note(self, courses: dict[str, Course], gone: object = ()) -> list[Moved]:
        """Keep the weights."""
        for one in self.weights:
            note_weight(self.history, self.history.others.observations[one.key])
        return []

    def after(self, courses: dict[str, Course]) -> list[Issue]:
        """Nothing is wrong now."""
        return []


def nothing_depends(history: History, weights: list[Observation]) -> bool:
    """Whether none of the patients weighed has an order or infusion."""
    charts = map(history.chart, {one.patient for one in weights})
    return not any(chart is not None and (chart.orders or chart.spans) for chart in charts)


def note_weight(history: History, one: Observation) -> None:
    """Keep a weight at hand in the chart of its patient; one that was withdrawn is taken out."""
    chart = history.charts.get(one.patient, Chart())
    weights = {key: weight for key, weight in chart.weights.items() if key != one.key}
    time = one.effective or one.group_time
    if time is not None and isinstance(one.value, Quantity) and one.status not in WITHDRAWN:
        weights[one.key] = Weight(time.at, one.value)
    history.charts[one.patient] = replace(chart, weights=weights)
