"""How a delivery goes on after an attempt, as a pure function of the outcome and of what went before.

    done                                  done
    the destination's fault (unsent, 401) waits, not counted; the destination is left alone meanwhile
    transient, ambiguous, conflict        waits, longer each time; parked after `patience` attempts; then dead, but not as long as
                                          the destination takes nothing of anybody (`sync.outage`)
    rejected, gone, too large             parked and tried again, since others may mend it; then dead
    two resources match one identity, held  parked until an operator acts
    final (AR of a receiver)              dead

What waits or is parked holds its partition (its patient), never the destination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ketafhir.store.protocol import Settlement, dead, done, park, retry
from ketafhir.sync.outcome import PAUSES_DESTINATION, Disposition, Outcome


@dataclass(slots=True, frozen=True)
class RetryPolicy:
    """Times in seconds. Attempt n waits `first` * 2^(n-1), at most `longest`; half of it is chance."""

    first: float = 1.0
    longest: float = 60.0
    patience: int = 10  # counted attempts before a delivery is shown as parked
    parked: float = 900.0  # between the attempts of a parked one
    rejections: int = 3  # of the same payload before it is dead
    limit: int = 100  # counted attempts before it is dead; of those beyond `patience` none while the destination is out

    def wait(self, attempt: int, chance: float) -> float:
        """The wait after failure `attempt`, from 1; `chance` in [0, 1) spreads what failed together."""
        whole = min(self.longest, self.first * 2.0 ** min(attempt - 1, 32))
        return whole * (0.5 + 0.5 * chance)


def settlement(
    outcome: Outcome,
    *,
    attempts: int,
    rejections: int,
    versions: Mapping[str, str],
    policy: RetryPolicy,
    now: float,
    chance: Callable[[], float],
    out: bool = False,
) -> Settlement:
    """`attempts` and `rejections` are those before this one; `out`: the destination fails for others too, and takes nothing."""
    if outcome.disposition is Disposition.DONE:
        return done(versions, str(outcome.status or outcome.text.partition(";")[0]))
    ending = _failed(outcome, attempts, rejections, policy, now, chance, out)
    return replace(ending, versions=versions) if versions else ending  # part of it was written


def _failed(
    outcome: Outcome,
    attempts: int,
    rejections: int,
    policy: RetryPolicy,
    now: float,
    chance: Callable[[], float],
    out: bool,
) -> Settlement:
    kind, status = outcome.disposition.value, str(outcome.status or "")
    if outcome.disposition is Disposition.FINAL:
        return dead(outcome.text, kind=kind, status=status)
    if outcome.disposition in (Disposition.IDENTITY, Disposition.HELD):
        return park(outcome.text, None, kind=kind, status=status)
    if outcome.disposition in (Disposition.REJECTED, Disposition.GONE, Disposition.TOO_LARGE):
        if rejections + 1 >= policy.rejections:
            return dead(outcome.text, kind=kind, status=status)
        return park(outcome.text, now + policy.parked, kind=kind, status=status)
    if outcome.disposition in PAUSES_DESTINATION:
        wait = max(outcome.after or 0.0, policy.first)
        return retry(now + wait, outcome.text, kind=kind, status=status, counted=False)
    parked = park(outcome.text, now + policy.parked, kind=kind, status=status, rejected=False)
    if out and attempts + 1 >= min(policy.patience, policy.limit):
        return replace(parked, counted=False)
    if attempts + 1 >= policy.limit:
        return dead(f"given up after {attempts + 1} attempts: {outcome.text}", kind=kind, status=status)
    if attempts + 1 >= policy.patience:
        return parked
    wait = max(outcome.after or 0.0, policy.wait(attempts + 1, chance()))
    return retry(now + wait, outcome.text, kind=kind, status=status)
