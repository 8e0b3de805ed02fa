"""What an act does to its infusion: it opens a segment, ends what runs, only looks at it, or is a dose by itself."""

from __future__ import annotations

from ketafhir.therapy.records import Administration

HOLDING = {"HD", "OH", "HR"}
"""Table 0119: hold, held, on hold as requested."""
OPENING = frozenset({"new-bag", "rate-change", "restarted"})
"""What an eMAR calls the events that open a segment."""
_ENDING = frozenset({"paused", "stopped"})


def is_closer(act: Administration) -> bool:
    """Whether an act only ends what runs: rate 0 under counters of its own, or an event that is called so and has no end."""
    if act.rate is not None and not act.rate.amount.value:
        return True
    return act.event is not None and act.event.action in _ENDING and act.end is None


def is_event(act: Administration) -> bool:
    """Whether an act is no child: it only ends what runs, or somebody only looked at the rate."""
    return is_closer(act) or is_check(act)


def is_check(act: Administration) -> bool:
    """Whether somebody only looked at the rate."""
    return act.event is not None and act.event.action == "rate-verify"


def steers(act: Administration) -> bool:
    """Whether an act opens or ends a segment."""
    return (act.rate is not None or is_closer(act) or act.delivery != "") and not is_check(act) and act.parent is None
