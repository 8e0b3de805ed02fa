"""What was acknowledged as written, beside what the FHIR server holds: a server that forgets, a restored backup, another writer.

Of each resource the last delivery that is done tells what the server should hold. It is read by its id, or searched (by
POST) by the business identifier it was addressed by. What a delivery only created where it was missing (`ifNoneExist`)
belongs to others too: it must be there, whatever it holds now.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from ketafhir.errors import Permanent
from ketafhir.fhir.elements import inside
from ketafhir.store.protocol import Store
from ketafhir.store.rows import Written
from ketafhir.sync.bundle import Outgoing, matching
from ketafhir.sync.client import FhirClient

_NUMBER = re.compile(r'(?:W/)?"(\d+)"')
_OF_THE_SERVER = ("id", "text")
_SUBSETS = ("profile", "tag", "security")
_URN = "urn:uuid:"
MENDED = ("missing", "older")


@dataclass(slots=True, frozen=True)
class Difference:
    """One resource: `what` is missing, older, changed or several (that match one identity). `delivery` wrote it last.

    `where` is `Type/id`, or `Type` of what is addressed by an identifier, which is about a patient and stands nowhere here.
    `elements` are the names of those that differ.
    """

    what: str
    where: str
    message_id: int
    delivery_id: int
    known: str = ""
    found: str = ""
    elements: tuple[str, ...] = ()


@dataclass(slots=True)
class _Expected:
    """The last delivery of each resource, by `Type/id` or `Type?query`; True: it must exist, and no more."""

    last: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def add(self, delivery_id: int, outgoing: Outgoing) -> None:
        for key, create in _keys(outgoing):
            if not create or key not in self.last or self.last[key][1]:
                self.last[key] = (delivery_id, create)


def _keys(outgoing: Outgoing) -> Iterator[tuple[str, bool]]:
    for entry, target in zip(outgoing.entries, outgoing.targets, strict=True):
        request = entry["request"]
        kind = entry.get("resource", {}).get("resourceType", "")
        if target is not None:
            yield target, False
        elif request.get("method") == "POST":
            query = str(request.get("ifNoneExist", ""))
            yield (f"{kind}?{query.partition('?')[2] or query}" if query else ""), True
        else:
            yield str(request.get("url", "")), False


class Reconciler:
    """Compares one destination of a store with its server. `parallel` requests are under way at a time."""

    def __init__(self, store: Store, client: FhirClient, destination: str, parallel: int = 4) -> None:
        self._store = store
        self._client = client
        self._destination = destination
        self._room = asyncio.Semaphore(parallel)
        self._places: dict[str, list[dict[str, Any]]] = {}
        self.compared = 0

    async def differences(self) -> AsyncIterator[Difference]:
        """Each difference, in the order of writing. Raises StoreError, and Permanent, Transient or Ambiguous of the server."""
        expected = _Expected()
        async for one in self._written():
            expected.add(one.delivery_id, Outgoing(one.payload))
        async for one in self._written():
            outgoing = Outgoing(one.payload)
            asked = [
                (number, key, create)
                for number, (key, create) in enumerate(_keys(outgoing))
                if key and expected.last.get(key) == (one.delivery_id, create)
            ]
            if not asked:
                continue
            self.compared += len(asked)
            found = await asyncio.gather(*(self._compared(one, outgoing, *entry) for entry in asked))
            for difference in found:
                if difference is not None:
                    yield difference

    async def _written(self) -> AsyncIterator[Written]:
        after = 0
        while rows := await asyncio.to_thread(self._store.written, self._destination, after):
            for row in rows:
                yield row
            after = rows[-1].delivery_id

    async def _compared(
        self, row: Written, outgoing: Outgoing, number: int, key: str, create: bool
    ) -> Difference | None:
        resource = outgoing.entries[number]["resource"]
        where = key.partition("?")[0]
        known = ""
        if "?" in key:
            matches = await self._matches(key)
            if len(matches) > 1:
                return Difference("several", where, row.message_id, row.delivery_id)
            server = matches[0] if matches else None
            known = await self._known(f"{server['resourceType']}/{server['id']}") if server else ""
        else:
            known = await self._known(key)
            async with self._room:
                server = await self._client.read(key)
        if server is None:
            return await self._still(Difference("missing", where, row.message_id, row.delivery_id, known), key)
        if create:
            return None
        elements = differing(resource, server, await self._resolved(outgoing, resource))
        if not elements:
            return None
        found = _etag(server)
        what = "older" if _older(found, known) else "changed"
        return await self._still(Difference(what, where, row.message_id, row.delivery_id, known, found, elements), key)

    async def _known(self, key: str) -> str:
        return (await asyncio.to_thread(self._store.versions_of, self._destination, [key])).get(key, "")

    async def _still(self, found: Difference, key: str) -> Difference | None:
        """None where it was written meanwhile by the service that runs."""
        return None if "?" not in key and await self._known(key) != found.known else found

    async def _matches(self, key: str) -> list[dict[str, Any]]:
        if key not in self._places:
            kind, _, query = key.partition("?")
            async with self._room:
                found = [one async for one in self._client.search(kind, parse_qsl(query))]
            of_kind = matching([one for one in found if one.get("resourceType") == kind], query)
            if of_kind is None:
                raise Permanent(f"the server's search found a {kind} without the identifier that was asked for")
            self._places[key] = of_kind
        return self._places[key]

    async def _resolved(self, outgoing: Outgoing, resource: Mapping[str, Any]) -> dict[str, str]:
        """Where what the resource refers to by `urn:uuid:` is on the server; "" where that is not to be told."""
        named = {one["reference"] for one in inside(resource) if str(one.get("reference", "")).startswith(_URN)}
        places: dict[str, str] = {}
        for entry, (key, _) in zip(outgoing.entries, _keys(outgoing), strict=True):
            full_url = entry.get("fullUrl", "")
            if full_url not in named:
                continue
            if "?" not in key:
                places[full_url] = key
                continue
            matches = await self._matches(key)
            places[full_url] = f"{matches[0]['resourceType']}/{matches[0]['id']}" if len(matches) == 1 else ""
        return places


def differing(expected: Mapping[str, Any], found: Mapping[str, Any], places: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the elements that differ. What a server adds by itself (versions, times, tags, narrative) does not count."""
    names = [*expected, *(name for name in found if name not in expected)]
    wrong: list[str] = []
    for name in names:
        mine, theirs = expected.get(name), found.get(name)
        if name == "meta":
            same = _within(mine or {}, theirs or {})
        elif name in _OF_THE_SERVER and (name == "id" or mine is None):
            same = True
        else:
            same = _same(mine, theirs, places)
        if not same:
            wrong.append(name)
    return tuple(wrong)


def _within(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(one in (theirs.get(name) or []) for name in _SUBSETS for one in mine.get(name) or [])


def _same(mine: Any, theirs: Any, places: Mapping[str, str]) -> bool:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(
            _same_reference(value, theirs[name], places) if name == "reference" else _same(value, theirs[name], places)
            for name, value in mine.items()
        )
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(
            _same(one, other, places) for one, other in zip(mine, theirs, strict=True)
        )
    return bool(mine == theirs)


def _same_reference(mine: Any, theirs: Any, places: Mapping[str, str]) -> bool:
    place = places.get(mine, mine) if isinstance(mine, str) else mine
    return place == "" or place == theirs


def _etag(resource: Mapping[str, Any]) -> str:
    version = resource.get("meta", {}).get("versionId")
    return f'W/"{version}"' if version else ""


def _older(found: str, known: str) -> bool:
    one, other = _NUMBER.fullmatch(found), _NUMBER.fullmatch(known)
    return bool(one and other and int(one.group(1)) < int(other.group(1)))


async def to_replay(store: Store, destination: str, damaged: set[int]) -> list[int]:
    """The messages to be sent again, oldest first: those deliveries, and all later ones of their patients, so that none is
    left with an older state."""
    after, dirty = 0, set[str]()
    found: list[int] = []
    while rows := await asyncio.to_thread(store.written, destination, after):
        for row in rows:
            if row.delivery_id in damaged or dirty & set(row.partitions):
                dirty.update(row.partitions)
                found.append(row.message_id)
        after = rows[-1].delivery_id
    return list(dict.fromkeys(found))
