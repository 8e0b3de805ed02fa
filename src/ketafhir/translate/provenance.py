"""Provenance: one for each message, naming all it wrote and the tables it was written by (FHIR R4, provenance.html)."""

from __future__ import annotations

from functools import lru_cache

from ketafhir.mapping.codecs.coded import coding_json, of_name
from ketafhir.mapping.paths import EXTENSION, Json
from ketafhir.therapy.records import Records, Source
from ketafhir.translate.settings import Settings
from ketafhir.translate.taking import Taking
from ketafhir.translate.writing import Writing

MSH, EVN = "MSH_to_Provenance", "EVN_to_Provenance"
TABLES = "https://ketafhir.org/fhir/identifier/tables"


def render(writing: Writing, source: Source, settings: Settings) -> None:
    """The Provenance of a message; without anything written there is none."""
    if not writing.targets:
        return
    resource = writing.start("Provenance", source.key, EXTENSION + "message-provenance")
    resource["target"] = [{"reference": target} for target in writing.targets]
    writing.fill(resource, source, MSH, EVN)
    resource["agent"] = _agents(writing.source, _sender(source), settings.version, settings.site)
    for entity in resource.get("entity", ()):
        entity["role"] = "source"
    writing.put(resource, source.preserved)


@lru_cache(maxsize=256)
def _agents(source: str, sender: str, version: str, site: str) -> list[Json]:
    """The sender, and this software with the version of its tables and the site overlay at work."""
    assembler = {
        "identifier": {"system": TABLES, "value": version},
        "display": f"ketafhir, site {site}" if site else "ketafhir",
    }
    return [
        _agent("provenance-agent.author", {"identifier": {"value": source}, "display": sender}),
        _agent("provenance-agent.assembler", assembler),
    ]


def _agent(kind: str, who: Json) -> Json:
    return {"type": {"coding": [coding_json(of_name(kind))]}, "who": who}


def _sender(source: Source) -> str:
    return (
        " at ".join(part.partition("^")[0] for part in (source.application, source.facility) if part)
        or "unknown sender"
    )


def take(taking: Taking) -> None:
    """The Provenances of a Bundle, as sources in order of their time."""
    for resource in taking.index.of_type("Provenance"):
        values = taking.take(resource, MSH, EVN)
        source = Source(**values)
        source.key = taking.local_key(resource)
        taking.records.sources[source.key] = source


def about(taking: Taking) -> dict[str, frozenset[str]]:
    """Whom the sources of a Bundle speak of (keys of patients), by their key; without one whose targets are not in the Bundle."""
    found: dict[str, frozenset[str]] = {}
    for resource in taking.index.of_type("Provenance"):
        known = frozenset(
            key for target in resource.get("target", ()) if (key := _patient_of(taking, target, resource))
        )
        if known:
            found[taking.local_key(resource)] = known
    return found


def _patient_of(taking: Taking, target: Json, within: Json) -> str:
    told = taking.resolve(target, within)
    return patient_of(taking, told) if told is not None else ""


def patient_of(taking: Taking, resource: Json) -> str:
    """The key of the patient that a resource is about, or is; "" where it is about none that is named."""
    told: Json | None = resource
    if resource["resourceType"] != "Patient":
        subject = resource.get("subject") or resource.get("patient")
        told = taking.resolve(subject, resource) if isinstance(subject, dict) else None
        if told is None and isinstance(subject, dict) and subject.get("identifier"):
            told = {"resourceType": "Patient", "identifier": [subject["identifier"]]}
    if told is None or told.get("resourceType") != "Patient":
        return ""
    from ketafhir.translate.patients import take_patient

    return take_patient(taking, told).key


def event_of(records: Records) -> str:
    """The message type that the newest source was (`ADT^A04`), or ""."""
    sources = [one for one in records.sources.values() if one.event]
    newest = max(sources, key=lambda one: one.sent.at if one.sent else 0, default=None)
    return "^".join(newest.event.split("^")[:2]) if newest else ""
