"""Messages that have come while others were being stored are stored together, with one commit.

One sender alone waits for a commit of its own; the more there are, the more share one. Nobody waits for others
to come: what is there when the last commit has ended goes into the next. Where nothing waits, what was stored and not translated is
translated.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from ketafhir.errors import StoreError
from ketafhir.service.arrivals import Answered, Arrival, Channel
from ketafhir.service.intake import Intake
from ketafhir.store.away import Away

_log = logging.getLogger("ketafhir.service")
MOST = 64  # messages of one commit
_FEW = 16  # messages at most that are translated while nobody waits: who comes then waits for them
_MOST_BYTES = 4 * 1024 * 1024  # the worker waits while they are translated


class _Waiting(NamedTuple):
    arrival: Arrival
    answered: asyncio.Future[Answered]


class Together:
    """Hands messages to the intake's thread, and answers to whom they are for."""

    def __init__(self, intake: Intake, executor: Executor, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called when something was translated that nobody waits for."""
        self._intake = intake
        self._executor = executor
        self._wake = wake
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None
        self._closing = False
        self._away = Away(_log, "messages that wait are translated")

    async def take(self, channel: Channel, raw: bytes, peer: str) -> Answered:
        """The acknowledgments of one message, once it is stored."""
        came = time.perf_counter()
        answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Arrival(channel, raw, peer), answered))
        self._begin()
        found = await answered
        self._intake.measures.answered(time.perf_counter() - came)
        return found

    def look(self) -> None:
        """There may be something to translate: an operator has asked for it, or it is from before a restart."""
        self._intake.behind = max(1, self._intake.behind)
        self._begin()

    async def close(self) -> None:
        """Answers what has come; what is not translated then is left for the next start."""
        self._closing = True
        if self._working is not None:
            await asyncio.wait([self._working])

    def _begin(self) -> None:
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            few = 1
            while self._waiting or (self._intake.behind and not self._closing):
                if not self._waiting:
                    await self._translate(few)
                    few = min(2 * few, _FEW)
                    continue
                few = 1  # while others come, each has waited for one at most
                some = self._some()
                arrivals = [one.arrival for one in some]
                try:
                    answers = await loop.run_in_executor(self._executor, self._intake.take_together, arrivals)
                except Exception as error:
                    for one in some:
                        if not one.answered.done():
                            one.answered.set_exception(error)
                    continue
                for one, answered in zip(some, answers, strict=True):
                    if not one.answered.done():  # its listener is closing
                        one.answered.set_result(answered)
        finally:
            self._working = None

    async def _translate(self, most: int) -> None:
        """The oldest that nobody waits for."""
        loop = asyncio.get_running_loop()
        try:
            if await loop.run_in_executor(self._executor, self._intake.finish_together, most):
                self._wake()
            self._away.answered()
        except StoreError as error:
            self._away.failed("nothing is translated, the store does not answer: %s", error)
            self._intake.behind = 0  # `look` comes again

    def _some(self) -> list[_Waiting]:
        some, size = [self._waiting.popleft()], 0
        while self._waiting and len(some) < MOST:
            size += len(self._waiting[0].arrival.raw)
            if size > _MOST_BYTES:
                break
            some.append(self._waiting.popleft())
        return some
