"""Whether a structure allows a row of segments (abstract message syntax, HL7 v2 chapter 2, 2.13).

A structure is a regular grammar over segment names; it is run as an automaton, which finds out what is out of
place and what is missing, and goes on behind it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# A segment is out of place when more than this would have to be put in before it.
_MOST_MISSING = 3


class Grammar:
    """The automaton of one structure, from the nested tuples of hl7apy: name, reference, (least, most), kind.

    Groups named in `atoms` are not looked into: they stand in a row as one name.
    """

    def __init__(self, reference: Sequence[Any], atoms: Collection[str] = ()) -> None:
        self.free: list[list[int]] = []
        self.named: list[list[tuple[str, int]]] = []
        self.atoms = atoms
        self.start = self._state()
        self.end = self._group(reference, self.start)

    def check(self, row: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
        """What is wrong: a place in the row and the names missing before it; no names if it is out of place.

        A place at the end of the row tells what is missing there.
        """
        faults: list[tuple[int, tuple[str, ...]]] = []
        states = {self.start}
        for at, name in enumerate(row):
            reached, missing = self._next(states, name)
            if reached:
                states = reached
            if missing or not reached:
                faults.append((at, missing))
        missing = self._to_end(states)
        if missing:
            faults.append((len(row), missing))
        return faults

    def _next(self, states: set[int], name: str) -> tuple[set[int], tuple[str, ...]]:
        """The states behind `name`, with as little as possible put in before it."""
        reached: set[int] = set()
        found: tuple[str, ...] = ()
        for state, missing in self._ways(states):
            if reached and len(missing) > len(found):
                break
            targets = {target for label, target in self.named[state] if label == name}
            if targets:
                found = found if reached else missing
                reached |= targets
        return reached, found

    def _to_end(self, states: set[int]) -> tuple[str, ...]:
        return next((missing for state, missing in self._ways(states, 1 << 16) if state == self.end), ())

    def _ways(self, states: set[int], most: int = _MOST_MISSING) -> list[tuple[int, tuple[str, ...]]]:
        """Each state that can be reached and the names to put in on the way, the fewest names first."""
        ways: list[tuple[int, tuple[str, ...]]] = []
        done: set[int] = set()
        queue: list[tuple[int, int, tuple[str, ...]]] = [(0, state, ()) for state in sorted(states)]
        while queue:
            cost, state, missing = heappop(queue)
            if state in done:
                continue
            done.add(state)
            ways.append((state, missing))
            for target in self.free[state]:
                heappush(queue, (cost, target, missing))
            if cost < most:
                for label, target in self.named[state]:
                    heappush(queue, (cost + 1, target, (*missing, label)))
        return ways

    def _state(self) -> int:
        self.free.append([])
        self.named.append([])
        return len(self.free) - 1

    def _group(self, reference: Sequence[Any], start: int) -> int:
        if reference[0] == "choice":
            end = self._state()
            for child in reference[1]:
                self.free[self._child(child, start)].append(end)
            return end
        for child in reference[1]:
            start = self._child(child, start)
        return start

    def _child(self, child: Sequence[Any], start: int) -> int:
        name, reference, (least, most), kind = child[:4]
        begin, end = self._state(), self._state()
        self.free[start].append(begin)
        if kind == "GRP" and name not in self.atoms:
            self.free[self._group(reference, begin)].append(end)
        else:
            self.named[begin].append((name, end))
        if most == -1:
            self.free[end].append(begin)
        if least == 0:
            self.free[begin].append(end)
        # A state of its own, so that what follows cannot run back into the repetition.
        out = self._state()
        self.free[end].append(out)
        return out
