"""How a stored Bundle is written: as a transaction, in batches or one by one, as the server can take it.

What the server can is in its CapabilityStatement (`rest.interaction`, FHIR R4); one that says nothing gets
transactions. A transaction that is too large (413) is written in parts, each half the size until they fit; so is one
of more entries than the server does in time (`sync.size`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

from ketafhir.errors import TransferError
from ketafhir.sync.bundle import EntryResult, Outgoing, check_batch, matching, written
from ketafhir.sync.client import FhirClient, TransactionResult
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.parts import Parts, batch
from ketafhir.sync.several import named
from ketafhir.sync.size import MOST, Size

Mode: TypeAlias = Literal["transaction", "batch", "single"]
GoingOn: TypeAlias = Callable[[], Awaitable[None]]

_ASKED_AGAIN = 3600.0  # seconds; a server may be upgraded
_ASKED_SOON = 60.0
_MOST_OF_BATCH = 100


class Writer:
    """Writes to one server. `mode` "auto" asks it what it can; `most`: entries of one transaction."""

    def __init__(
        self,
        client: FhirClient,
        mode: str = "auto",
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        self._client = client
        self._mode = mode
        self._clock = clock
        self._size = Size(most, clock)
        self._found: Mode = "transaction"
        self._until = 0.0

    async def write(
        self, outgoing: Outgoing, versions: Mapping[str, str], going_on: GoingOn | None = None
    ) -> TransactionResult:
        """As `FhirClient.transaction`; `versions` of the result are those of what was written, whatever the outcome.

        `going_on` is awaited before each part of what goes in parts: together they take longer than one request may.
        """
        mode = await self._how()
        going_on = going_on or _at_once
        entries, most = len(outgoing.targets), self._size.most
        if mode != "transaction" or entries > most:
            most = most if mode == "transaction" else min(most, _MOST_OF_BATCH)
            return await self._in_parts(outgoing, versions, mode, most, going_on)
        result = await self._client.transaction(outgoing, versions)
        self._size.tell(entries, result.outcome)
        if result.outcome.disposition is not Disposition.TOO_LARGE or entries < 2:
            return replace(result, outcome=await named(self._client, outgoing.entries, result.outcome))
        return await self._in_parts(outgoing, versions, mode, (entries + 1) // 2, going_on)

    async def _how(self) -> Mode:
        if self._mode != "auto":
            return _MODES[self._mode]
        if self._clock() >= self._until:
            try:
                self._found = mode_of(await self._client.metadata())
                self._until = self._clock() + _ASKED_AGAIN
            except TransferError:
                self._until = self._clock() + _ASKED_SOON  # the write itself will tell what is wrong
        return self._found

    async def _in_parts(
        self, outgoing: Outgoing, versions: Mapping[str, str], mode: Mode, most: int, going_on: GoingOn
    ) -> TransactionResult:
        """Each part checked entry by entry; the first that fails ends it, with what was learned until then."""
        parts = Parts(outgoing)
        learned: dict[str, str] = {}
        results: dict[int, EntryResult] = {}
        while parts:
            numbers = parts.next(1 if mode == "single" else most)
            unknown = next((number for number in numbers if parts.unresolved(number)), None)
            if not numbers or unknown is not None:
                text = "entries refer to each other, or to what the server has written without telling where"
                return TransactionResult(Outcome(Disposition.REJECTED, text), [], learned)
            entries = [parts.entry(number, versions) for number in numbers]
            targets = [parts.target(number) for number in numbers]
            await going_on()
            if mode == "single":
                outcome, answered = await self._one(entries[0])
            else:
                outcome, answered = await self._several(entries, targets, mode)
            for number, result in zip(numbers, answered, strict=False):
                if result is None:
                    continue
                target = parts.target(number)
                results[number] = result
                parts.written(number, target or result.reference)
                place = written(outgoing.entries[number]["request"], result)
                if place and result.etag:
                    learned[place] = result.etag
            if outcome.disposition is Disposition.TOO_LARGE and len(numbers) > 1:
                most = (len(numbers) + 1) // 2
                continue
            if outcome.disposition is not Disposition.DONE:
                return TransactionResult(outcome, [], learned)
        done = Outcome(Disposition.DONE, "200", 200)
        return TransactionResult(done, [results[number] for number in sorted(results)], learned)

    async def _several(
        self, entries: list[dict[str, Any]], targets: Sequence[str | None], mode: Mode
    ) -> tuple[Outcome, list[EntryResult | None]]:
        outcome, body = await self._client.bundle(batch(entries, mode))
        self._size.tell(len(entries), outcome)
        if outcome.disposition is not Disposition.DONE:
            return outcome, []
        return check_batch(targets, body, now=time.time())

    async def _one(self, entry: Mapping[str, Any]) -> tuple[Outcome, list[EntryResult | None]]:
        """A request of its own. What is addressed by a business identifier is searched for by POST and then
        written under its id, or created: no identifier stands in a URL."""
        request, resource = entry["request"], entry["resource"]
        kind = resource["resourceType"]
        headers = {"If-Match": request["ifMatch"]} if "ifMatch" in request else {}
        path, _, query = str(request["url"]).partition("?")
        query = query or str(request.get("ifNoneExist", ""))
        if not query:
            outcome, result = await self._client.write(request["method"], path, resource, headers)
            return _checked(path, outcome, result)
        try:
            found = [
                one async for one in self._client.search(kind, parse_qsl(query)) if one.get("resourceType") == kind
            ]
        except TransferError as error:
            return _of_search(error), []
        if matching(found, query) is None:
            return Outcome(
                Disposition.IDENTITY, f"the search found a {kind} without the identifier that was asked for"
            ), []
        if len(found) > 1:
            return Outcome(Disposition.IDENTITY, f"{len(found)} {kind} match one identity"), []
        if found and request["method"] == "POST":
            return Outcome(Disposition.DONE, "200", 200), [EntryResult(200, f"{kind}/{found[0]['id']}", "")]
        if found:
            own, meta = found[0]["id"], found[0].get("meta")
            version = meta.get("versionId") if isinstance(meta, dict) else None
            headers = {"If-Match": f'W/"{version}"'} if version else {}
            outcome, result = await self._client.write("PUT", f"{kind}/{own}", {**resource, "id": own}, headers)
            return _checked(f"{kind}/{own}", outcome, result)
        outcome, result = await self._client.write("POST", kind, resource, {"If-None-Exist": query})
        return outcome, [result if outcome.disposition is Disposition.DONE else None]


def _checked(place: str, outcome: Outcome, result: EntryResult) -> tuple[Outcome, list[EntryResult | None]]:
    """Success only where it was written under the id that was asked for: others refer to it by that."""
    if outcome.disposition is not Disposition.DONE:
        return outcome, [None]
    if result.reference not in ("", place):
        return Outcome(Disposition.REJECTED, f"{place} was written as {result.reference}", result.status), [None]
    return outcome, [result]


def _of_search(error: TransferError) -> Outcome:
    """Nothing is written by a search: what is ambiguous, or a conflict, of a write is a failure that may pass."""
    told = error.outcome
    if isinstance(told, Outcome) and told.disposition not in (Disposition.AMBIGUOUS, Disposition.CONFLICT):
        return told
    return Outcome(Disposition.TRANSIENT, str(error))


_MODES: dict[str, Mode] = {"transaction": "transaction", "batch": "batch", "single": "single"}


async def _at_once() -> None:
    """For who holds nothing that could run out."""


def mode_of(statement: Mapping[str, Any]) -> Mode:
    """The best that a CapabilityStatement offers to a client of the whole system."""
    rests = [one for one in _objects(statement.get("rest")) if one.get("mode", "server") == "server"]
    codes = [one.get("code") for rest in rests for one in _objects(rest.get("interaction"))]
    if "transaction" in codes or not rests:
        return "transaction"
    if "batch" in codes:
        return "batch"
    told = any(rest.get("interaction") for rest in rests) or any(rest.get("resource") for rest in rests)
    return "single" if told else "transaction"


def _objects(value: Any) -> list[dict[str, Any]]:
    """Those of a list that a server has written, whatever else stands there."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
