"""The clocks of who tells and of what is told: check C13 (docs/errors.md)."""

from __future__ import annotations

from ketafhir.errors import Issue
from ketafhir.therapy.records import Records, Source
from ketafhir.translate.settings import Settings


def check(new: Records, source: Source, settings: Settings) -> list[Issue]:
    """C13: what a message tells cannot have happened after it was sent (MSH-7). An MSH-7 without minutes says too little."""
    sent = source.sent
    if sent is None or not sent.has_clock or 0 < len(sent.sent.partition("+")[0].partition("-")[0]) < 12:
        return []
    times = [one.effective for one in new.observations.values() if not one.response]
    for act in new.administrations.values():
        times += [act.start, act.end]
    at = sent.at
    late = [one for one in {one.iso: one for one in times if one is not None}.values() if one.at > at]
    if not late:
        return []
    last = max(late, key=lambda one: one.at)
    from ketafhir.therapy import checks

    skew = checks.clock(last, sent, settings.tables.limits)
    return [skew.issue("MSH-7", last.iso)] if skew else []
