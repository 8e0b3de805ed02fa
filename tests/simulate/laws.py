"""What holds of every patient of the synthetic clinic: the sites tell one record, and what goes back tells the same."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from golden.reduced import Infusion, reduced
from ketafhir.errors import Issue
from ketafhir.hl7v2.stream import split_messages
from ketafhir.simulate.feeds import SITES
from ketafhir.simulate.ndjson import collected
from ketafhir.simulate.visit import Visit
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default
from ketafhir.translate.translation import to_hl7v2

Json = dict[str, Any]


def infusions(bundle: Json) -> list[Infusion]:
    """What a record says of its infusions."""
    return reduced([{"entry": [{**entry, "request": {"method": "PUT"}} for entry in bundle["entry"]]}])


def assert_true(one: Visit, found: list[Infusion]) -> None:
    """Segments, rates, times, status and total are those of the course."""
    if one.course is None:
        assert found == []
        return
    (whole,) = [infusion for infusion in found if any(part.unit == "mL/h" for part in infusion.segments)]
    assert whole.total == Fraction(round(one.course.given, 3)), one.person.number
    assert whole.status == ("completed" if one.course.completed else "stopped")
    assert whole.end == one.at(one.course.end).timestamp()
    ran = [(part.start, part.end, part.amount) for part in whole.segments if part.kind == "segment"]
    assert ran == [
        (one.at(part.start).timestamp(), one.at(part.end).timestamp(), Fraction(part.rate))
        for part in one.course.segments
    ]
    assert len(found) == 1 + len(one.rescues)


def assert_one_record(one: Visit) -> None:
    """The three feeds give the record of the course, and where nothing came late or wrong no check speaks."""
    records: dict[str, tuple[Json, list[Issue]]] = {site: collected(one, site) for site in SITES}
    told = {site: infusions(bundle) for site, (bundle, _) in records.items()}
    assert_true(one, told["episode-at-end"])
    for site, found in told.items():
        assert found == told["episode-at-end"], f"patient {one.person.number}: {site} is not as episode-at-end"
    if not one.late and not one.corrected:
        assert [(site, issue.code, issue.text) for site, (_, issues) in records.items() for issue in issues] == []


def way_back(bundle: Json, site: str) -> list[str]:
    """FHIR to HL7v2 to FHIR: what differs and is not declared, in words. Declared are:

    the sender (of several that told results of one type, one stands in MSH-3); what carries the tag `withdrawn`, which depends on
    what came first; the numbers that segments of a pump have from us (`counters-made`); Provenance, which is of messages.
    """
    text = to_hl7v2(bundle, site=site).text
    session = Session(default(None, site))
    held: dict[str, Json] = {}
    for message in split_messages(text.encode()):
        for entry in session.take(parse(message)).bundle["entry"]:
            if entry["request"]["method"] != "POST" or entry["fullUrl"] not in held:
                held[entry["fullUrl"]] = entry["resource"]
    before = _comparable({entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]})
    after = _comparable(held)
    found = [f"{url} {kind}" for url, kind in sorted(_kinds(before).items() ^ _kinds(after).items())]
    for url in before.keys() & after.keys():
        if before[url] != after[url]:
            found.append(f"{url} {before[url]['resourceType']}: {_first(before[url], after[url])}")
    return found


def _comparable(resources: dict[str, Json]) -> dict[str, Json]:
    kept = {
        url: one for url, one in resources.items() if one["resourceType"] != "Provenance" and not _is_withdrawn(one)
    }
    used = json.dumps([one for one in kept.values() if one["resourceType"] != "Medication"], default=str)
    found = {}
    for url, one in kept.items():
        if one["resourceType"] != "Medication" or url.removeprefix("urn:uuid:") in used:
            found[url] = _plain(one)
    return found


def _is_withdrawn(resource: Json) -> bool:
    return any(tag["code"] == "withdrawn" for tag in resource.get("meta", {}).get("tag", ()))


def _plain(resource: Json) -> Json:
    text = json.dumps(resource, default=str).replace('"urn:uuid:', '"').replace('"MedicationAdministration/', '"')
    one: Json = json.loads(text.replace('"DeviceMetric/', '"'))
    one["meta"].pop("source", None)
    if isinstance(one.get("identifier"), list):
        pump = any(_type(number) == "pump-segment" for number in one["identifier"])
        kept = [number for number in one["identifier"] if not (pump and _type(number) == "administration-number")]
        one["identifier"] = sorted(kept, key=lambda number: json.dumps(number, sort_keys=True))
    return one


def _type(identifier: Json) -> str:
    return str(identifier.get("type", {}).get("coding", [{}])[0].get("code", ""))


def _kinds(resources: dict[str, Json]) -> dict[str, str]:
    return {url: one["resourceType"] for url, one in resources.items()}


def _first(before: Any, after: Any, path: str = "") -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                return _first(before.get(key), after.get(key), f"{path}.{key}")
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                return _first(one, other, f"{path}[{number}]")
    return f"{path}: {before} became {after}"
