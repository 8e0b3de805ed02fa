"""Messages that have come while others were being stored are stored together, with one commit.

One sender alone waits for a commit of its own; the more there are, the more share one. Nobody waits for others
to come: what is there when the last commit has ended goes into the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import Executor
from typing import NamedTuple

from ketafhir.service.arrivals import Answered, Arrival, Channel
from ketafhir.service.intake import Intake

MOST = 64  # messages of one commit
_MOST_BYTES = 4 * 1024 * 1024  # the worker waits while they are translated


class _Waiting(NamedTuple):
    arrival: Arrival
    answered: asyncio.Future[Answered]


class Together:
    """Hands messages to the intake's thread, and answers to whom they are for."""

    def __init__(self, intake: Intake, executor: Executor) -> None:
        self._intake = intake
        self._executor = executor
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def take(self, channel: Channel, raw: bytes, peer: str) -> Answered:
        """The acknowledgments of one message, once it is stored."""
        came = time.perf_counter()
        answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Arrival(channel, raw, peer), answered))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        found = await answered
        self._intake.measures.answered(time.perf_counter() - came)
        return found

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
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

    def _some(self) -> list[_Waiting]:
        some, size = [self._waiting.popleft()], 0
        while self._waiting and len(some) < MOST:
            size += len(self._waiting[0].arrival.raw)
            if size > _MOST_BYTES:
                break
            some.append(self._waiting.popleft())
        return some
