"""The parts of a device that an OBX only names <-> Device, and DeviceMetric for what is measured in them.

ISO/IEEE 11073 has MDS, VMD and channel; OBX-4 tells their place in dotted notation (IHE PCD TF-2, appendix B.8), and FHIR has a
Device for each, `parent` the one it is in (HL7 point-of-care device guide). The MDS is the device itself, by its OBX-18.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ketafhir.hl7v2.groups import Result
from ketafhir.mapping import codes
from ketafhir.mapping.engine import put_preserved
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.plain import replace
from ketafhir.therapy.records import Container, Observation, Report
from ketafhir.translate.composing import Composing
from ketafhir.translate.kinds import weight_for_device
from ketafhir.translate.observed import code_key
from ketafhir.translate.pump_terms import meaning, refid
from ketafhir.translate.reading import Reading
from ketafhir.translate.reports import CONTAINER
from ketafhir.translate.results import compose_results
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

TABLE = "OBX_to_Device"
PUMP, PART, METRIC = f"{EXTENSION}infusion-pump", f"{EXTENSION}infusion-device-part", f"{EXTENSION}infusion-metric"
_PARTS = 4  # MDS, VMD, channel, metric
_WRONG = ("D", "W", "C")
_PARTS_OF_PUMPS = ("container", "primary", "secondary", "clinician", "loading", "pca", "intermittent")
_MEASURED = "unspecified"  # DeviceMetric.category: whether a term is set or measured does not stand in the message


def is_container(result: Result) -> bool:
    """Whether an OBX only names a part of a device: no type and no value, and OBX-11 X; of a term that is known as one any
    status but that it is wrong (gateways send R or F there)."""
    obx = result.obx
    if obx.get(2) or obx.get(5) or not (obx.get(4) or obx.get(18)):  # most OBX have a type
        return False
    status = obx.get(11)
    return status == _no_value() or (status not in _WRONG and meaning(refid(obx.get(3))) in _PARTS_OF_PUMPS)


def _no_value() -> str:
    return codes.code("v2-0085.X").code


def read(reading: Reading, told: Sequence[Result]) -> tuple[list[Result], tuple[str, ...]]:
    """The OBX that tell values, and the keys of the containers among the rest. Of a device without identifier, and where a
    part stands in none that was told, all are the first."""
    main = next((one for one in told if is_container(one) and one.obx.get(18)), None)
    if main is None:
        return list(told), ()
    device = ""
    rest: list[Result] = []
    keys: list[str] = []
    paths: list[str] = []
    placed = True
    for result in told:
        if not is_container(result):
            rest.append(result)
            continue
        values = reading.read(result.obx, TABLE)
        reading.nulls()
        one = Container(told=reading.told, **values)
        if result is main and one.identifier:
            device = one.identifier.key
        one.device, one.key = device, device if result is main else f"{device}|{one.path}"
        if result.obx.get(11) not in ("", _no_value()):
            one.preserved += (("OBX-11", result.obx.get(11)),)
        for number, other in enumerate((*result.notes, *result.others), 1):
            one.preserved += reading.keep(other, number)
        above = parent_of(one.path, paths)
        one.parent = keys[paths.index(above)] if above else ""
        paths.append(one.path)
        keys.append(one.key)
        placed = placed and bool(one.parent or one.identifier)
        reading.records.containers[one.key] = one
    if not placed or not all(key.startswith(device) and device for key in keys):
        for key in keys:
            reading.records.containers.pop(key, None)
        return list(told), ()
    return rest, tuple(keys)


def above(path: str) -> list[str]:
    """The places of the containers of a place, the nearest first: of `1.1.2.4` 1.1.2.0, 1.1.0.0, 1.0.0.0."""
    parts = path.split(".")[:_PARTS]
    if len(parts) < _PARTS:
        return []
    found = [".".join((*parts[:end], *["0"] * (_PARTS - end))) for end in range(_PARTS - 1, 0, -1)]
    return [one for one in found if one != path]


def parent_of(path: str, known: Sequence[str]) -> str:
    """The container, of those known, that a place is in; or ""."""
    return next((one for one in above(path) if one in known), "")


def put(writing: Writing, key: str) -> str:
    """The Device of a container, with those it is in, as entries; gives the fullUrl."""
    one = writing.records.containers[key]
    resource = writing.fill(writing.start("Device", key, PART if one.parent else PUMP), one, TABLE)
    if one.parent in writing.records.containers:
        resource["parent"] = {"reference": put(writing, one.parent)}
    put_preserved(resource, one.preserved)
    return writing.put(resource)


def extensions(writing: Writing, report: Report) -> list[Json]:
    """The containers of a report, in the order told."""
    return [
        {"url": CONTAINER, "valueReference": {"reference": put(writing, key)}}
        for key in report.containers
        if key in writing.records.containers
    ]


def metrics(writing: Writing, report: Report, told: Sequence[Observation], made: dict[str, Json]) -> dict[str, Json]:
    """The DeviceMetric of each observation in a container, by the key of the observation, as entries; those already `made`,
    by name, are not written again."""
    known = writing.records.containers
    found = {}
    for one in told:
        key, name = _metric(known, report, one)
        if not key:
            continue
        device = known[key].device
        if name in made:
            found[one.key] = made[name]
            continue
        metric = writing.start("DeviceMetric", name, METRIC)
        writing.tables.mapping(TABLE).to_fhir(Container(code=one.code), writing.c, TABLE, metric)
        metric["source"] = {"reference": put(writing, device)}
        metric["parent"] = {"reference": put(writing, key)}
        metric["category"] = _MEASURED
        found[one.key] = made[name] = {"reference": writing.put(metric)}
    return found


def link(writing: Writing, reports: Mapping[str, Report], again: Iterable[Observation]) -> None:
    """Tie observations that are written again to their DeviceMetric, which stands since the report was written."""
    for one in again:
        report = reports.get(one.report)
        if report is not None and report.containers:
            key, name = _metric(writing.records.containers, report, one)
            if key:
                writing.metrics[one.key] = writing.to("DeviceMetric", name)


def _metric(known: Mapping[str, Container], report: Report, one: Observation) -> tuple[str, str]:
    """The key of the container that an observation stands in, and the name of its DeviceMetric; empty where it has none."""
    by_path = {known[key].path: key for key in report.containers if key in known}
    place = parent_of(one.sub_id, list(by_path))
    if not place or one.code is None or not one.code.codings:
        return "", ""
    key = by_path[place]
    if known[key].device not in known:
        return "", ""
    # Where its own container was not told it is named by the one it was found in: what another message says moves nothing.
    found_in = "" if place == above(one.sub_id)[0] else f"|{place}"
    return key, f"{known[key].device}|{one.sub_id}|{code_key(one.code)}|{one.code.label}{found_in}"


def take(taking: Taking, resource: Json) -> tuple[str, ...]:
    """The containers that a DiagnosticReport names, as records; gives their keys in the order told."""
    keys: list[str] = []
    device = ""
    for extension in resource.get("extension", ()):
        found = taking.resolve(extension.get("valueReference"), resource) if extension.get("url") == CONTAINER else None
        if found is None or found.get("resourceType") != "Device":
            continue
        one = Container(**taking.take(found, TABLE))
        if one.identifier and not device:
            device = one.identifier.key
        one.device = device
        one.key = device if one.identifier and one.identifier.key == device else f"{device}|{one.path}"
        known = {taking.records.containers[key].path: key for key in keys}
        one.parent = known.get(parent_of(one.path, list(known)), "")
        taking.records.containers[one.key] = one
        keys.append(one.key)
    return tuple(keys)


def compose(composing: Composing, report: Report, told: Sequence[Observation]) -> None:
    """The OBX of a report with its containers, each before the first that stands in it."""
    known = composing.records.containers
    waiting = [known[key] for key in report.containers if key in known]
    paths = [one.path for one in waiting]
    number, done = 1, 0
    for one in told:
        if one.derived:
            continue
        place = parent_of(one.sub_id, paths)
        upto = paths.index(place) + 1 if place else done
        number, done = _compose(composing, waiting, number, done, upto), max(done, upto)
        number = compose_results(composing, [weight_for_device(one)], number)
    _compose(composing, waiting, number, done, len(waiting))


def _compose(composing: Composing, listed: list[Container], number: int, start: int, upto: int) -> int:
    for one in listed[start:upto]:
        cells = {1: str(number), **composing.cells(replace(one), TABLE)}
        composing.add("OBX", {11: _no_value(), **cells})
        for name in dict.fromkeys(place[:3] for place, _ in one.preserved):
            if name != "OBX":
                composing.add_preserved(name, one.preserved)
        number += 1
    return number
