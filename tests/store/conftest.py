"""What the contract needs of a store, whichever it is: a module names its `store`, and the `place` where that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract import Clock

from ketafhir.store.protocol import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def beside(store: Store, place: Any, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Opens the store once more."""
    opened: list[Store] = []

    def again() -> Store:
        opened.append(type(store)(place, clock=clock))  # type: ignore[call-arg]
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def reopen(store: Store, beside: Callable[[], Store]) -> Callable[[], Store]:
    """Closes the store and opens it again."""

    def again() -> Store:
        store.close()
        return beside()

    return again
