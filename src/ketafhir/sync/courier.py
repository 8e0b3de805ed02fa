"""What a worker carries deliveries by: one class for each kind of destination."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from ketafhir.errors import TransferError
from ketafhir.store.protocol import Delivery, Store
from ketafhir.sync.bundle import Outgoing
from ketafhir.sync.client import FhirClient, TransactionResult
from ketafhir.sync.foreign import look, told
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.scrub import without_sent
from ketafhir.sync.size import MOST
from ketafhir.sync.writing import Writer

MAX_RACES = 5
_RACE_WAIT = 0.05  # seconds, doubled each time

Begin: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(slots=True, frozen=True)
class Carried:
    """How an attempt ended; `versions` are those of the resources that were written, whatever the outcome.

    `replaced` tells of what somebody else had written, in whose place something was done.
    """

    outcome: Outcome
    versions: Mapping[str, str] = field(default_factory=dict)
    replaced: str = ""


class Courier(Protocol):
    """Carries payloads to one destination."""

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        """One attempt. `begin` is awaited right before anything is sent, each time: from then on it may have been done, and
        the delivery is held for the time of one more request.

        Raises Refused for a payload that can never be sent.
        """


class FhirCourier:
    """To a FHIR server. `mode` and `most` are those of `sync.writing`; `on_conflict` "park": what somebody else has changed is
    not replaced before an operator has seen it.

    Nothing is retried here but a lost race for a version, at most five times.
    """

    def __init__(
        self,
        store: Store,
        client: FhirClient,
        destination: str,
        mode: str = "transaction",
        most: int = MOST,
        on_conflict: str = "replace",
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._client = client
        self._writer = Writer(client, mode, most=most)
        self._destination = destination
        self._on_conflict = on_conflict
        self._chance = chance

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        """Writes it, and again with the versions read anew for as long as others write first."""
        outgoing = Outgoing(delivery.payload)
        store, destination = self._store, self._destination
        versions = await asyncio.to_thread(store.versions_of, destination, outgoing.references)
        result = TransactionResult(Outcome(Disposition.UNSENT), [], {})
        changed: list[str] = []
        for race in range(MAX_RACES + 1):
            await begin()
            result = await self._writer.write(outgoing, versions, begin)
            if not _lost_a_race(result.outcome, versions) or race == MAX_RACES:
                break
            await asyncio.sleep(_RACE_WAIT * 2**race * (0.5 + 0.5 * self._chance()))
            try:
                found = await look(self._client, outgoing, versions)
            except TransferError as error:
                # Whether the server is there is for the next attempt to find out.
                return Carried(_scrubbed(Outcome(Disposition.TRANSIENT, str(error)), delivery.payload))
            await asyncio.to_thread(store.learn_versions, destination, found.versions)
            changed += found.changed
            if changed and self._on_conflict == "park":
                text = f"changed by somebody else, and replaced when it is retried: {told(changed)}"
                return Carried(Outcome(Disposition.HELD, text))
            versions = {reference: etag for reference, etag in found.versions.items() if etag is not None}
        outcome = _scrubbed(result.outcome, delivery.payload)
        if outcome.disposition is Disposition.CONFLICT and changed:
            outcome = replace(outcome, text=f"{outcome.text}; somebody else writes {told(changed)}")
        return Carried(outcome, result.versions, told(changed))


def _scrubbed(outcome: Outcome, payload: bytes) -> Outcome:
    """A server may repeat without any quotes what was sent to it."""
    if outcome.disposition is Disposition.DONE:
        return outcome
    return replace(outcome, text=without_sent(outcome.text, payload))


def _lost_a_race(outcome: Outcome, versions: Mapping[str, str]) -> bool:
    """A conflict; or something is gone whose version we thought we knew."""
    if outcome.disposition is Disposition.CONFLICT:
        return True
    return outcome.disposition is Disposition.GONE and bool(versions)
