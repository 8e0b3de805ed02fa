"""Worker processes beside the one that listens: started, woken, started again when they die, ended with it.

Each is told by its standard input: a byte wakes it, the end of it ends it. So none outlives the process that
started it, whatever kills that. Its standard output tells how its attempts ended, a line each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Attempts: TypeAlias = Mapping[tuple[str, str], int]
"""How many attempts were settled since the start, by destination and the state they left their delivery in; beside the states
those that replaced what somebody else had written."""

_PAUSE = (
    1.0  # seconds before a process that died is started again; twice as long each time that it ends by itself at once,
)
_LONGEST = 60.0  # at most, as beside a database that is away
_GRACE = 40.0  # seconds that deliveries under way may take

_log = logging.getLogger("ketafhir.service")


def line_of(attempts: Attempts) -> bytes:
    """As a process tells them."""
    return json.dumps([[*key, count] for key, count in attempts.items()]).encode() + b"\n"


def _read(line: bytes) -> Counter[tuple[str, str]]:
    return Counter({(destination, state): count for destination, state, count in json.loads(line)})


class Processes:
    """`count` processes that run `ketafhir ARGUMENTS --worker NUMBER`."""

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self._arguments = list(arguments)
        self._count = count
        self._stopping = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._told: dict[int, Counter[tuple[str, str]]] = {}  # by those that run
        self._ended: Counter[tuple[str, str]] = Counter()  # of those that ran before

    def attempts(self) -> Attempts:
        """Of all of them, also of those that died; of these what they had told."""
        return sum(self._told.values(), self._ended)

    def start(self) -> None:
        """They run from now on."""
        self._tasks = [asyncio.create_task(self._keep(number)) for number in range(1, self._count + 1)]

    def wake(self) -> None:
        """There is something to be delivered."""
        for process in self._running.values():
            pipe = process.stdin
            # One that is not read is full of wakes already.
            if pipe is not None and not pipe.is_closing() and pipe.transport.get_write_buffer_size() == 0:
                pipe.write(b"\n")

    async def stop(self) -> None:
        """Lets deliveries under way end."""
        self._stopping.set()
        for process in self._running.values():
            if process.stdin is not None:
                process.stdin.close()
        _, late = await asyncio.wait(self._tasks, timeout=_GRACE) if self._tasks else ((), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        clock, pause = asyncio.get_running_loop().time, _PAUSE
        while not self._stopping.is_set():
            started = clock()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ketafhir", *self._arguments, "--worker", str(number)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self._running[number] = process
            try:
                await self._listen(number, process)
                code = await process.wait()
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
            finally:
                del self._running[number]
                self._ended += self._told.pop(number, Counter())
            if not self._stopping.is_set():
                at_once = code > 0 and clock() - started < _LONGEST
                pause = min(2 * pause, _LONGEST) if at_once else _PAUSE
                _log.error("worker %d has ended with %d and is started again in %.0f s", number, code, pause)
                await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _listen(self, number: int, process: asyncio.subprocess.Process) -> None:
        """Until it ends. One that was killed may leave half a line."""
        assert process.stdout is not None
        while (line := await process.stdout.readline()).endswith(b"\n"):
            self._told[number] = _read(line)
