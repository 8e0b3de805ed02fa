"""CPU time of contenders that take turns: whatever slows the machine down slows all of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

ROUNDS = 11
BATCH_SECONDS = 0.02


def interleaved(
    contenders: Mapping[str, tuple[Callable[[Any], object], Sequence[Any]]], rounds: int = ROUNDS
) -> dict[str, float]:
    """The median CPU microseconds of one call of each contender (a function, and what it is called with in turn).

    In each round every contender has one batch of calls, of about 20 ms of CPU time or of one call, whichever
    is longer. The garbage collector runs as it always does, but what stood before is not looked through by it,
    else the big libraries of some would be paid for by all.
    """
    calls = {}
    for name, (function, inputs) in contenders.items():
        for one in inputs[:2]:
            function(one)
        calls[name] = max(1, int(BATCH_SECONDS / max(_batch(function, inputs[:1]), 1e-7)))
    gc.collect()
    gc.freeze()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    try:
        for turn in range(rounds):
            for name, (function, inputs) in contenders.items():
                start = turn * calls[name]
                some = [inputs[(start + at) % len(inputs)] for at in range(calls[name])]
                taken[name].append(_batch(function, some) / len(some))
    finally:
        gc.unfreeze()
    return {name: median(times) * 1e6 for name, times in taken.items()}


def apart(measure: Callable[[int], dict[str, float]], number: int) -> dict[str, float]:
    """What `measure` gives of one row, in a process of its own: no row is slowed by what another left in memory."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measure, (number,))


def _batch(function: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    start = time.process_time()
    for one in inputs:
        function(one)
    return time.process_time() - start


def processes(commands: Mapping[str, Sequence[str]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median CPU microseconds (user and system) of a fresh process for each command, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    # With it every child would compile its modules again, as no installed program does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            before = _children()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
            if turn:  # the first one reads files that the others find in memory
                taken[name].append(_children() - before)
    return {name: median(times) * 1e6 for name, times in taken.items()}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
