"""Whether a failure is of one message or of the whole destination, by what has become of others meanwhile.

A server that answers 500, or nothing, to everybody for days has nothing against a single message, and none of them
may die of it. One message that fails while others go does.
"""

from __future__ import annotations

from ketafhir.sync.outcome import PAUSES_DESTINATION, Disposition, Outcome

PERHAPS = frozenset({Disposition.TRANSIENT, Disposition.AMBIGUOUS, Disposition.CONFLICT})


class Outage:
    """One destination as one worker sees it. Ordered by count and not by time: a clock may jump.

    What it cannot know, right after a start, it takes as a failure of the message.
    """

    def __init__(self) -> None:
        self._answered = False  # whether anything ever had an answer of its own: done, or turned down for what it is
        self._count = 0
        self._failed: dict[int, int] = {}  # since that answer, by delivery, when it failed last; the newest at the end

    def tell(self, delivery_id: int, outcome: Outcome) -> bool:
        """One more attempt has ended so. True: since the one before of this delivery another has failed too, and none had an
        answer of its own."""
        if outcome.disposition in PAUSES_DESTINATION:
            return True
        if outcome.disposition not in PERHAPS:
            self._answered = True
            self._failed.clear()
            return False
        before = self._failed.pop(delivery_id, 0)
        newest = next(reversed(self._failed.values()), 0)
        self._count += 1
        self._failed[delivery_id] = self._count
        return newest > before and not (before == 0 and self._answered)
