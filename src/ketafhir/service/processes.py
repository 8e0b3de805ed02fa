"""Worker processes beside the one that listens: started, woken, started again when they die, ended with it.

Each is told by its standard input: a byte wakes it, the end of it ends it. So none outlives the process that
started it, whatever kills that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence

_PAUSE = 1.0  # seconds before a process that died is started again
_GRACE = 40.0  # seconds that deliveries under way may take

_log = logging.getLogger("ketafhir.service")


class Processes:
    """`count` processes that run `ketafhir ARGUMENTS --worker NUMBER`."""

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self._arguments = list(arguments)
        self._count = count
        self._stopping = False
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []

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
        self._stopping = True
        for process in self._running.values():
            if process.stdin is not None:
                process.stdin.close()
        _, late = await asyncio.wait(self._tasks, timeout=_GRACE) if self._tasks else ((), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        while not self._stopping:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ketafhir", *self._arguments, "--worker", str(number)),
                stdin=asyncio.subprocess.PIPE,
            )
            self._running[number] = process
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
            finally:
                del self._running[number]
            if not self._stopping:
                _log.error("worker %d has ended with %d and is started again", number, code)
                await asyncio.sleep(_PAUSE)
