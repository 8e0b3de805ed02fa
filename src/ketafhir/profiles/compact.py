"""From full StructureDefinitions to what a check needs: `profiles/checks.json`, read by `ketafhir.fhir.profile`.

Run by `scripts/profiles.sh`, with the definitions of R4 in a folder. Kept are elements, cardinalities, types,
fixed values and patterns, slices, required bindings with their codes written out, reference targets, invariants.

    {"definitions": {url: {"type", "kind", "base", "context", "elements": [...]}},
     "forms": {url: [{"id", "type", "codes", "numbers"}, ...]}}

The codes of the HL7 tables are a file of their own, `profiles/codes.csv`, since a translation needs them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ketafhir.fhir import json
from ketafhir.mapping.codes import codes as catalogue

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
_OPEN = {  # value sets that no list can hold; a code of these is checked for its form alone
    "http://hl7.org/fhir/ValueSet/mimetypes",
    "http://hl7.org/fhir/ValueSet/all-languages",
    "http://hl7.org/fhir/ValueSet/currencies",
}
RESOURCES = (
    "Patient", "Encounter", "MedicationRequest", "MedicationAdministration", "MedicationDispense", "Medication", "Observation",
    "DiagnosticReport", "QuestionnaireResponse", "ClinicalImpression", "Provenance", "Practitioner", "PractitionerRole",
    "Organization", "Location", "Device", "DeviceMetric", "AdverseEvent", "AllergyIntolerance", "Condition", "DetectedIssue",
    "Flag", "Procedure", "Bundle", "OperationOutcome",
)  # fmt: skip
"""The types of R4 that are checked."""


_V2, _V3 = "http://terminology.hl7.org/CodeSystem/v2-", "http://terminology.hl7.org/CodeSystem/v3-"


class Core:
    """The definitions of R4, read from a folder when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_url: dict[str, Path] = {}
        for kind in ("ValueSet", "CodeSystem"):
            for file in folder.glob(f"{kind}-*.json"):
                self._by_url[str(_load(file)["url"])] = file

    def definition(self, name: str) -> Json | None:
        """The StructureDefinition of a type or profile of R4."""
        file = self.folder / f"StructureDefinition-{name}.json"
        return _load(file) if file.exists() else None

    def systems(self) -> list[str]:
        """The complete code systems."""
        loaded = (_load(file) for file in self._by_url.values() if file.name.startswith("CodeSystem-"))
        return [one["url"] for one in loaded if one.get("content") == "complete"]

    def get(self, url: str) -> Json | None:
        """A ValueSet or CodeSystem."""
        file = self._by_url.get(url)
        return _load(file) if file else None


def compact(core: Core, ours: Iterable[Json]) -> Json:
    """The checks of `ours` (StructureDefinitions, ValueSets, CodeSystems) and of all the types of R4 they rest on."""
    own = {one["url"]: one for one in ours}
    out: Json = {"definitions": {}}
    todo = [CORE + name for name in RESOURCES]
    todo += [url for url, one in own.items() if one["resourceType"] == "StructureDefinition"]
    codes = _Codes(core, own)
    while todo:
        url = todo.pop()
        if url in out["definitions"] or url.startswith("http://hl7.org/fhirpath/"):
            continue
        full = own.get(url) or core.definition(url.rpartition("/")[2])
        if full is None:
            continue
        made = _definition(full, codes)
        out["definitions"][url] = made
        todo.append(made["base"])
        for element in made["elements"]:
            for kind in element.get("types", ()):
                todo += kind.get("profiles") or [CORE + kind["code"]]
    out["definitions"] = dict(sorted(out["definitions"].items()))
    out["codes"] = dict(sorted(codes.complete()))
    forms = (one for one in own.values() if one["resourceType"] == "Questionnaire")
    out["forms"] = {one["url"]: [_question(item) for item in one["item"]] for one in forms}
    return out


def _question(item: Json) -> Json:
    """A question of a form and its answers, for `ketafhir.fhir.profile.forms`."""
    made: Json = {"id": item["linkId"], "type": item["type"], "codes": {}, "numbers": []}
    for option in item.get("answerOption", ()):
        if "valueCoding" in option:
            coding = option["valueCoding"]
            made["codes"].setdefault(coding["system"], []).append(coding["code"])
        else:
            made["numbers"].append(option["valueInteger"])
    return made


def _definition(full: Json, codes: _Codes) -> Json:
    made: Json = {"type": full["type"], "kind": full["kind"], "base": full.get("baseDefinition", "")}
    if full["type"] == "Extension":
        made["context"] = [one["expression"] for one in full.get("context", ())]
    made["elements"] = [_element(one, codes) for one in full["snapshot"]["element"]]
    return made


def _element(full: Json, codes: _Codes) -> Json:
    made: Json = {"id": full["id"], "min": full["min"], "max": full["max"]}
    made["array"] = full.get("base", {}).get("max", full["max"]) not in ("0", "1")
    if "contentReference" in full:
        made["like"] = full["contentReference"].rpartition("#")[2]
    if "type" in full:
        made["types"] = [_type(one) for one in full["type"]]
    for key, value in full.items():
        if key.startswith(("fixed", "pattern")):
            made["fixed" if key.startswith("fixed") else "pattern"] = value
    if "slicing" in full:
        slicing = full["slicing"]
        made["slicing"] = {
            "by": [[one["type"], one["path"]] for one in slicing.get("discriminator", ())],
            "closed": slicing.get("rules") == "closed",
        }
    binding = full.get("binding", {})
    if binding.get("strength") == "required" and "valueSet" in binding:
        listed = codes.of(binding["valueSet"].partition("|")[0])
        if listed is not None:
            made["codes"] = listed
    if full["id"] == "Reference.type":  # its binding is extensible, but there is nothing to extend it with
        made["codes"] = codes.of("http://hl7.org/fhir/ValueSet/resource-types")
    invariants = [one["key"] for one in full.get("constraint", ()) if one["severity"] == "error"]
    if invariants:
        made["invariants"] = invariants
    return made


def _type(full: Json) -> Json:
    code = full["code"]
    made: Json = {"code": code}
    if code.startswith("http://hl7.org/fhirpath/"):
        made["code"] = code.rpartition(".")[2].lower()
        made["attribute"] = True  # of XML: nothing can stand beside it
        for extension in full.get("extension", ()):
            if extension["url"].endswith("structuredefinition-fhir-type"):
                made["code"] = extension.get("valueUrl") or extension.get("valueUri")
    if "profile" in full:
        made["profiles"] = full["profile"]
    if "targetProfile" in full:
        made["targets"] = full["targetProfile"]
    return made


class _Codes:
    """The codes of value sets, written out."""

    def __init__(self, core: Core, own: dict[str, Json]) -> None:
        self._core, self._own = core, own

    def of(self, url: str) -> dict[str, list[str]] | None:
        """The codes of a value set by system; None for one that has too many to list."""
        if url in _OPEN:
            return None
        found = self._own.get(url) or self._core.get(url)
        if found is None:
            raise LookupError(f"there is no value set {url}")
        listed: dict[str, list[str]] = {}
        for system, code in self._members(found):
            if code not in listed.setdefault(system, []):
                listed[system].append(code)
        return listed

    def _members(self, value_set: Json) -> Iterator[tuple[str, str]]:
        compose = value_set.get("compose", {})
        if "exclude" in compose or "expansion" in value_set:
            raise LookupError(f"{value_set['url']} is made in a way that is not read here")
        for include in compose["include"]:
            if "filter" in include:
                raise LookupError(f"{value_set['url']} has a filter")
            for url in include.get("valueSet", ()):
                yield from self._members(self._own.get(url) or self._core.get(url) or {})
            if "system" not in include:
                continue
            system = include["system"]
            listed = [one["code"] for one in include.get("concept", ())] or self._all(system)
            yield from ((system, code) for code in listed)

    def complete(self) -> Iterator[tuple[str, list[str]]]:
        """The code systems that a server knows whole and that a message may name: a code they do not have is an error."""
        used = {one.system for one in catalogue()}
        for system in self._core.systems():
            if system.startswith((_V2, _V3)) or system in used:
                yield system, self._all(system)

    def _all(self, system: str) -> list[str]:
        found = self._own.get(system) or self._core.get(system)
        if found is None or found.get("content") != "complete":
            raise LookupError(f"the codes of {system} are not all known")
        return list(_nested(found.get("concept", ())))


def _nested(concepts: Iterable[Json]) -> Iterator[str]:
    for one in concepts:
        yield one["code"]
        yield from _nested(one.get("concept", ()))


def _load(file: Path) -> Json:
    found: Json = json.loads(file.read_bytes())
    return found
