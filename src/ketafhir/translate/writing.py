"""The way out to FHIR: records rendered whole into the entries of one transaction Bundle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir.ids import urn, uuid5
from ketafhir.fhir.transaction import Entries, conditional_full_url
from ketafhir.fhir.writer import Written
from ketafhir.mapping.codecs.identifiers import SENDER, authority_system, identifier_json
from ketafhir.mapping.codecs.people import name_json
from ketafhir.mapping.context import Context
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.charts import Chart
from ketafhir.therapy.records import Records
from ketafhir.therapy.values import Device, Identifier, Place, Practitioner


def no_chart(patient: str) -> Chart | None:
    """Where nothing was told before."""
    return None


def resource_id(resource_type: str, key: str) -> str:
    """The id of a resource that is ours alone: derived from its identity, the same on every machine and run."""
    return uuid5(f"{resource_type}|{key}")


class Known:
    """A resource, or a part of one, that was made before; what it refers to, and the objects it was made from. `wording` is its
    text with gaps (`wording.Wording`), None until it is wanted, False where it has none. `good`: one like it was checked.
    """

    __slots__ = ("good", "json", "links", "objects", "wording")

    def __init__(self, json: Json, links: list[tuple[str, Any]], objects: Sequence[Any]) -> None:
        self.json, self.links, self.objects = json, links, objects
        self.wording: Any = None
        self.good = False


class Writing:
    """One Bundle being written. `source` is the sender, for meta.source, `survivors` who stays for patients given up;
    `chart` says which infusions a patient had, and when.

    Resources are made by `start`, filled by tables (`fill`) and put once. References go through `patient`, `visit` and `to`,
    which know whether the target is in this Bundle (urn:uuid) or already on the server (Type/id). `moved` is under which key
    the act of a pump is found now ("": nowhere), by the key it was told under; `metrics` the DeviceMetric of an observation,
    `templates` as of `Reading`, `like` by fullUrl what an entry is like, but for its id, time, patient, visit and numbers.
    `as_text`: the Bundle is wanted for its JSON, so that an entry like a known one comes as text.
    """

    def __init__(
        self, records: Records, tables: Tables, c: Context, source: str, survivors: dict[str, str] | None = None
    ) -> None:
        self.records, self.tables, self.c, self.source = records, tables, c, source
        self.survivors = survivors or {}
        self.entries = Entries()
        self.targets: dict[str, None] = {}
        self.included: set[str] = set()
        self._linked: dict[int, tuple[Any, Json]] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._patients: dict[str, Json] = {}
        self._visits: dict[str, Json | None] = {}
        self.chart: Callable[[str], Chart | None] = no_chart
        self.moved: dict[str, str] = {}
        self.metrics: dict[str, Json] = {}
        self.templates: dict[str, Any] = {}
        self.like: dict[str, Known] = {}
        self.as_text = False
        c.link = self.link

    def begin(self, entries: dict[str, Written], targets: dict[str, None], included: set[str]) -> None:
        """Take what a Bundle began with before."""
        for full_url, entry in entries.items():
            self.entries.put_written(entry, full_url)
        self.targets.update(targets)
        self.included |= included

    def expect(self, resource_type: str, *keys: str) -> list[str]:
        """Say that these resources will be in the Bundle, so that references to them are urn:uuid from the start; gives their
        ids."""
        known, found = self._ids, []
        for key in keys:
            own = known.get((resource_type, key))
            if own is None:
                own = known[resource_type, key] = uuid5(f"{resource_type}|{key}")
            found.append(own)
        self.included.update(found)
        return found

    def id_of(self, resource_type: str, key: str) -> str:
        """`resource_id`, told for a key in this Bundle again and again."""
        found = self._ids.get((resource_type, key))
        if found is None:
            found = self._ids[resource_type, key] = resource_id(resource_type, key)
        return found

    def start(
        self, resource_type: str, key: str, *profiles: str, tags: tuple[Json, ...] = (), sender: str = ""
    ) -> Json:
        """A new resource of ours, with its derived id, its sender (that of the message, where the record has none) and the
        profiles it claims."""
        meta = self.meta(*profiles)
        if sender:
            meta["source"] = sender
        if tags:
            meta["tag"] = list(tags)
        return {"resourceType": resource_type, "id": self.id_of(resource_type, key), "meta": meta}

    def meta(self, *profiles: str) -> Json:
        """Resource.meta: the sender, and the profiles claimed."""
        return {"source": self.source, "profile": list(profiles)}

    def fill(self, resource: Json, record: Any, *tables: str) -> Json:
        """Write a record into a resource by the tables named (`SEG_to_Resource`, each with those it is joined with)."""
        for name in tables:
            self.tables.mapping(name).to_fhir(record, self.c, name, resource)
        return resource

    def filled(self, record: Any, table: str) -> Json:
        """What `fill` makes of a record that is told again and again (a patient, a visit): shared, to be copied."""
        mapping = self.tables.mapping(table)
        values = mapping.values(record)
        alike = (table, *map(id, values))
        return self.repeated(alike, values, lambda: self.fill({}, record, table), _unchanged, None)

    def repeated(
        self, alike: tuple[Any, ...], objects: Sequence[Any], make: Callable[[], Json], again: Again, own: Any
    ) -> Json:
        """What `make` makes; where something `alike` was made before in this feed, that, changed by `again`, is shared.

        `objects` are those whose `id()` is in `alike`: they are kept, so that no others have them. `again` takes what was
        made, and `own`: that which is not alike.
        """
        known = self.known(alike)
        return self.learn(alike, objects, make, again, own) if known is None else again(known.json, own)

    def known(self, alike: tuple[Any, ...]) -> Known | None:
        """What was learned under `alike`, with the entries that it refers to; else None."""
        known: Known | None = self.c.read.get(alike)
        if known is not None:
            for kind, value in known.links:
                if id(value) not in self._linked:
                    self.link(kind, value)
        return known

    def learn(
        self, alike: tuple[Any, ...], objects: Sequence[Any], make: Callable[[], Json], again: Again, own: Any
    ) -> Json:
        c, links, before = self.c, [], self.c.remarks()

        def noted(kind: str, value: Any) -> Json:
            links.append((kind, value))
            return self.link(kind, value)

        c.link = noted
        try:
            json = make()
        finally:
            c.link = self.link
        # Whatever the tables of a site do: only what is repeated truly is kept.
        try:
            repeated = again(json, own)
        except KeyError:
            return json
        if c.remarks() == before and list(repeated.items()) == list(json.items()):
            c.remember(alike, Known(repeated, links, objects))
        return json

    def put(self, resource: Json, preserved: tuple[tuple[str, str], ...] = ()) -> str:
        """Add a resource of ours as PUT by its id; gives its fullUrl."""
        if preserved:
            put_preserved(resource, preserved)
        own = resource["id"]
        full_url = self.entries.put_ours(resource, "urn:uuid:" + own)
        self.included.add(own)
        self.targets[full_url] = None
        return full_url

    def put_written(self, entry: Written, own: str) -> None:
        """`put` of what is text already, the entry of a resource with this id."""
        full_url = "urn:uuid:" + own
        self.entries.put_written(entry, full_url)
        self.included.add(own)
        self.targets[full_url] = None

    def put_owned(self, resource: Json, identifier: Identifier, *, owned: bool) -> None:
        """Add what others may own too: replaced by its owner's message, made where missing by others."""
        add = self.entries.put_conditional if owned else self.entries.post_if_none_exist
        self.targets[add(resource, identifier.system, identifier.value)] = None

    def to(self, resource_type: str, key: str) -> Json:
        """A Reference to a resource of ours: in this Bundle, or on the server."""
        found = self.id_of(resource_type, key)
        return {"reference": urn(found) if found in self.included else f"{resource_type}/{found}"}

    def all_to(self, resource_type: str, keys: Iterable[str]) -> list[Json]:
        """References as `to` makes them."""
        known, included = self._ids, self.included
        found = [known.get((resource_type, key)) or self.id_of(resource_type, key) for key in keys]
        return [{"reference": "urn:uuid:" + one if one in included else f"{resource_type}/{one}"} for one in found]

    def patient(self, key: str) -> Json:
        """The Reference to a patient of the records (always in the Bundle); of one that was given up, to who stays."""
        found = self._patients.get(key)
        if found is None:
            stays = self.survivors.get(key, key)
            identifier = self.records.patients[stays].identifier if stays in self.records.patients else None
            if identifier is None:
                why = "nobody is named whom this is about"
                raise Refused(*self.c.issues, Issue("error", "patient-missing", why, where="subject", hl7="101"))
            found = {"reference": conditional_full_url("Patient", identifier.system, identifier.value)}
            self._patients[key] = found
        return found

    def visit(self, key: str) -> Json | None:
        """The Reference to a visit of the records, or None where it has no number to be found by."""
        if key not in self._visits:
            visit = self.records.visits.get(key)
            number = visit.number if visit else None
            self._visits[key] = (
                {"reference": conditional_full_url("Encounter", number.system, number.value)} if number else None
            )
        return self._visits[key]

    def link(self, kind: str, value: Any) -> Json:
        """The Reference to what others may own too, with the entry it needs; made once for a value that many records share."""
        known = self._linked.get(id(value))
        if known is None:
            # The value is kept too: while it lives no other has its id().
            known = self._linked[id(value)] = value, self._link(kind, value)
        return known[1]

    def _link(self, kind: str, value: Any) -> Json:
        if kind == "Device" and value.identifier.key in self.records.containers:
            from ketafhir.translate import devices

            return {"reference": devices.put(self, value.identifier.key), "display": value.identifier.value}
        alike = (kind, self.source, id(value))
        known: _Linked | None = self.c.read.get(alike)
        if known is None:
            known = _Linked(value, *_DESCRIBED[kind](value, self))
            self.c.remember(alike, known)
        if known.resource is not None:
            self._put_linked(known, known.resource)
        return known.reference

    def _put_linked(self, known: _Linked, resource: Json) -> None:
        """The entry of what a reference points to, where it has none yet."""
        own, full_url = resource.get("id"), known.reference["reference"]
        if own is None and full_url in self.included:
            return  # one entry for one identity: what a message says of the same person twice is written as first said
        if self.as_text and known.entry is not None:
            self.entries.put_written(known.entry, full_url)
        elif own is None:
            identifier = resource["identifier"][0]
            self.entries.post_if_none_exist(resource, identifier.get("system", ""), identifier["value"])
        else:
            self.entries.put_ours(resource, full_url)
        if own is not None:
            self.targets[full_url] = None
        self.included.add(own or full_url)
        if self.as_text and known.entry is None:
            known.entry = self.entries.get(full_url)


Again = Callable[[Json, Any], Json]


def _unchanged(json: Json, own: None) -> Json:
    return json


class _Linked:
    """What others may own too, made before: its resource and reference, the object it was made from (kept, so that no other has
    its `id()`), and its entry as text."""

    __slots__ = ("entry", "reference", "resource", "value")

    def __init__(self, value: Any, resource: Json | None, reference: Json) -> None:
        self.value, self.resource, self.reference = value, resource, reference
        self.entry: Written | None = None


Described = tuple[Json | None, Json]
"""The resource of what others may own too (None where it has no identity), and the Reference to it."""


def _practitioner(value: Practitioner, writing: Writing) -> Described:
    display = value.name.label if value.name else ""
    identifier = value.identifier
    if identifier is None:
        return None, {"display": display}
    json: Json = {"resourceType": "Practitioner", "meta": _STAFF, "identifier": [identifier_json(identifier)]}
    if value.name:
        json["name"] = [name_json(value.name)]
    reference: Json = {"reference": conditional_full_url("Practitioner", identifier.system, identifier.value)}
    return json, {**reference, "display": display} if display else reference


def _location(value: Place, writing: Writing) -> Described:
    number = "^".join((value.unit, value.room, value.bed)).rstrip("^")
    if not number:
        return None, {"display": value.description or value.facility}
    system = _facility_system(value.facility, writing.c) or writing.c.local
    label = " ".join(part for part in (value.unit, value.room, value.bed) if part)
    json: Json = {
        "resourceType": "Location",
        "meta": _PLACE,
        "identifier": [identifier_json(Identifier(number, system))],
        "name": label,
    }
    if value.description:
        json["description"] = value.description
    return json, {"reference": conditional_full_url("Location", system, number), "display": label}


def _device(value: Device, writing: Writing) -> Described:
    identifier = value.identifier
    json = writing.start("Device", identifier.key, f"{EXTENSION}infusion-pump")
    json["identifier"] = [identifier_json(identifier)]
    return json, {"reference": urn(json["id"]), "display": identifier.value}


_DESCRIBED: dict[str, Callable[[Any, Writing], Described]] = {
    "Practitioner": _practitioner,
    "Location": _location,
    "Device": _device,
}


_STAFF: Json = {"profile": [EXTENSION + "infusion-practitioner"]}
_PLACE: Json = {"profile": [EXTENSION + "infusion-location"]}


def _facility_system(facility: str, c: Context) -> str:
    """The system of a PL's facility (an HD with & between its parts)."""
    name, universal, kind = [*facility.split("&"), "", ""][:3]
    return authority_system(name, universal, kind, c)


_is_unreserved = re.compile(r"[A-Za-z0-9._~-]*:[A-Za-z0-9._~-]*").fullmatch  # of a URL: what `quote` leaves as it is


def sender_of(urn: str) -> tuple[str, str] | None:
    """Application and facility of a meta.source that `sender_urn` made; None of any other."""
    if not urn.startswith(SENDER):
        return None
    from urllib.parse import unquote

    told = urn.partition("#")[0]  # HAPI adds the number of the request behind a #
    facility, _, application = told.removeprefix(SENDER).partition(":")
    return unquote(application), unquote(facility)


@lru_cache(maxsize=256)
def sender_urn(application: str, facility: str) -> str:
    """meta.source: who sent it (each an HD as `codecs.identifiers.whole_hd` has it), without the message number."""
    names = f"{facility}:{application}"
    if _is_unreserved(names):
        return SENDER + names
    from urllib.parse import quote

    return SENDER + ":".join(quote(part, safe="") for part in (facility, application))
