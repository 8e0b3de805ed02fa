"""`docs/profiles/`: a page for each profile, made of its definition, its example and the rows of the mapping tables that fill it.

The same pages are in the FHIR package (`package/other/`), beside `reading-the-record.md`: whoever has only that can read a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ketafhir import data
from ketafhir.fhir import json
from ketafhir.mapping.tables import Row, Table, Tables
from ketafhir.profiles import terminology

Json = dict[str, Any]
OWN = "https://ketafhir.org/fhir/"
_EXTENSION = OWN + "StructureDefinition/"
_BELOW = {"Ingredient": ("Medication", "ingredient"), "Timing": ("MedicationRequest", "dosageInstruction")}
"""Tables of a datatype, and where it stands."""
_WASTE = ("infusion-waste", "infusion-waste-amount")
_NAMING = {"staff": "Practitioner", "location": "Location", "device": "Device", "container": "Device"}
"""Codecs that make a resource of its own of what a field names."""
_SOURCES = "../../mappings/segments"


def pages() -> Iterator[tuple[str, str]]:
    """Each page: file name and text (Markdown)."""
    definitions = [
        json.loads(file.read_bytes()) for file in sorted(data.path("profiles/definitions").glob("Str*.json"))
    ]
    profiles = [one for one in definitions if one["type"] != "Extension"]
    extensions = [one for one in definitions if one["type"] == "Extension"]
    titles = {one["url"]: str(one["title"]) for one in extensions}
    for one in profiles:
        yield f"{one['id']}.md", _profile(one, titles)
    yield "extensions.md", _extensions(extensions)
    yield "terminology.md", _terminology()
    yield "README.md", _index(profiles)


def packaged() -> Iterator[tuple[str, str]]:
    """What the FHIR package has of the documentation; links that lead out of it are text."""
    inside = data.path("docs/reading-the-record.md").read_text("utf-8")
    for name, text in (("reading-the-record.md", inside), *((f"profiles/{name}", text) for name, text in pages())):
        yield name, re.sub(r"\[([^\]]*)\]\(\.\./(?!reading)[^)]*\)", r"\1", text)


def _index(profiles: list[Json]) -> str:
    rows = [f"| [{one['title']}]({one['id']}.md) | {one['type']} | {_cell(one['description'])} |" for one in profiles]
    return _page(
        "# Profiles",
        "Written by `ketafhir profiles pages` from `profiles/definitions`, `profiles/examples` and `mappings/`. How an infusion "
        "and its events look together: [reading-the-record.md](../reading-the-record.md).",
        _table("| profile | of | what it is |", rows),
        "Beside them: [extensions](extensions.md), [value sets, codes and forms](terminology.md).",
    )


def _profile(one: Json, titles: dict[str, str]) -> str:
    example = _example(one["id"])
    rows = _Rows(one)
    base = str(one["baseDefinition"]).rpartition("/")[2]
    parent = base if base == one["type"] else f"{one['type']}, R4 profile {base}"
    shown = _shown(one, example, rows)
    parts = [
        f"# {one['title']}",
        str(one["description"]),
        f"`{one['url']}`, of {parent}. Cardinality, type and binding as the definition has them; rows are those of "
        f"[the tables](../tables.md). Elements of R4 that are neither constrained nor filled are left out.",
        _table(
            "| element | card. | type | binding or value | meaning | mapping rows |",
            [_element(element, rows, titles) for element in shown],
        ),
    ]
    parts += _invariants(one)
    if rows.by_code:
        told = [
            f"| [{row.v2}]({_SOURCES}/{row.file.rpartition('/')[2]}) | `{row.name}` | {_by_code(row)} |"
            for row in rows.by_code
        ]
        parts += ["## Filled by code", _table("| field | row | how |", told)]
    if rows.naming:
        named = _listed(rows.naming, ", ")
        parts += ["## Made of what others name", f"One for each person, place or device that stands in {named}."]
    parts += ["## Example", f"```json\n{json.dumps(example, indent=True).decode()}\n```"]
    return _page(*parts)


def _shown(one: Json, example: Json, rows: _Rows) -> list[Json]:
    """The elements that say something: constrained here, of use in the example, or filled by a row."""
    constrained = {
        element["id"]
        for element in one["differential"]["element"]
        if set(element) - {"id", "path", "slicing", "extension"}
    }
    top = {f"{one['type']}.{name.lstrip('_')}" for name in example if name not in ("resourceType", "id")}
    found = []
    for element in one["snapshot"]["element"][1:]:
        name = element["id"]
        if name in constrained or (":" not in name and _in(element["path"], top)) or rows.of(element):
            found.append(element)
    return found


def _in(path: str, told: set[str]) -> bool:
    """Whether an element is among those told; `effective[x]` is there as `effectivePeriod`."""
    if not path.endswith("[x]"):
        return path in told
    return any(re.fullmatch(re.escape(path.removesuffix("[x]")) + r"[A-Z]\w*", one) for one in told)


def _element(element: Json, rows: _Rows, titles: dict[str, str]) -> str:
    name = element["id"].partition(".")[2]
    card = f"{element['min']}..{element['max']}"
    filled = _listed(rows.of(element), "; ") if element["max"] != "0" else ""
    meaning = str(element.get("short", ""))
    profiles = [url for kind in element.get("type", ()) for url in kind.get("profile", ())]
    if element["max"] == "0":
        meaning = "never written"
    elif element["path"].endswith("xtension") and profiles and profiles[0] in titles:
        short = profiles[0].removeprefix(_EXTENSION)
        meaning = f"[{titles[profiles[0]]}](extensions.md#{short})"
    return f"| `{name}` | {card} | {_types(element)} | {_value(element)} | {_cell(meaning)} | {_cell(filled)} |"


def _listed(rows: list[Row], between: str) -> str:
    return between.join(dict.fromkeys(f"{row.v2} `[{row.name}]`".strip() for row in rows))


def _types(element: Json) -> str:
    told = []
    for kind in element.get("type", ()):
        code = str(kind["code"]).rpartition(".")[2].lower() if "fhirpath" in kind["code"] else str(kind["code"])
        targets = [_target(url) for url in kind.get("targetProfile", ())]
        told.append(f"{code}({', '.join(targets)})" if targets else code)
    many = len(told) > 4
    return f"{', '.join(told[:3])} and {len(told) - 3} more" if many else ", ".join(told)


def _target(url: str) -> str:
    name = url.rpartition("/")[2]
    return f"[{name}]({name}.md)" if url.startswith(_EXTENSION) else name


def _value(element: Json) -> str:
    for key, value in element.items():
        if key.startswith(("fixed", "pattern")):
            return f"`{_cell(_fixed(value))}`"
    binding = element.get("binding", {})
    if "valueSet" not in binding or binding["strength"] == "example":
        return ""
    url = str(binding["valueSet"]).partition("|")[0]
    name = url.rpartition("/")[2]
    linked = f"[{name}](terminology.md#{name})" if url.startswith(OWN) and _is_published(url) else name
    return f"{linked} ({binding['strength']})"


def _is_published(url: str) -> bool:
    return url in {one["url"] for one in terminology.resources("")}


def _fixed(value: Any) -> str:
    if isinstance(value, dict):
        if "coding" in value:
            return ", ".join(_fixed(one) for one in value["coding"])
        if "code" in value:
            return f"{value.get('system', '')}|{value['code']}"
        return json.dumps(value).decode()
    return str(value)


def _invariants(one: Json) -> list[str]:
    keys = [
        (str(rule["key"]), str(rule["human"]))
        for element in one["snapshot"]["element"]
        for rule in element.get("constraint", ())
        if rule.get("source") == one["url"]
    ]
    return ["## Invariants", _table("| | |", [f"| `{key}` | {_cell(human)} |" for key, human in keys])] if keys else []


def _by_code(row: Row) -> str:
    return _cell(row.loss.removeprefix("by code:").strip() + (f"; {row.comment}" if row.comment else ""))


def _extensions(extensions: list[Json]) -> str:
    parts = ["# Extensions", "Each with its place and the type of its value; `ketafhir profiles pages` wrote this."]
    for one in extensions:
        (value,) = [element for element in one["snapshot"]["element"] if element["id"] == "Extension.value[x]"]
        inner = [
            element
            for element in one["snapshot"]["element"]
            if element.get("sliceName") and ".extension:" in element["id"]
        ]
        places = ", ".join(f"`{place['expression']}`" for place in one["context"])
        lines = [f"`{one['url']}`", f"- stands in: {places}"]
        if value["max"] != "0":
            lines.append(f"- value: {_types(value)}" + (f", {_value(value)}" if _value(value) else ""))
        lines += [
            f"- part `{part['sliceName']}`, {part['min']}..{part['max']}: {part.get('short', '')}" for part in inner
        ]
        parts += [f"## {one['id']}", f"{one['description']}", "\n".join(lines[:1]), "\n".join(lines[1:])]
    return _page(*parts)


def _terminology() -> str:
    parts = ["# Value sets, codes and forms", "Made from `mappings/`; `ketafhir profiles pages` wrote this."]
    made = list(terminology.resources(""))
    for one in made:
        if one["resourceType"] == "ValueSet":
            rows = [
                f"| {include['system']} | `{concept['code']}` | {_cell(concept.get('display', ''))} |"
                for include in one["compose"]["include"]
                for concept in include.get("concept", ())
            ]
            parts += [f"## {one['id']}", f"`{one['url']}`: {one.get('description') or one.get('title', '')}"]
            parts += [_table("| system | code | |", rows)] if rows else []
    for one in made:
        if one["resourceType"] == "CodeSystem":
            rows = [f"| `{concept['code']}` | {_cell(concept['display'])} |" for concept in one["concept"]]
            parts += [f"## CodeSystem {one['id']}", f"`{one['url']}`", _table("| code | |", rows)]
    for kind, heading in (("Questionnaire", "Forms"), ("ConceptMap", "Concept maps")):
        rows = [
            f"| {_cell(one.get('title') or one['id'])} | `{one['url']}` | {_cell(one.get('copyright', ''))} |"
            for one in made
            if one["resourceType"] == kind
        ]
        parts += [f"## {heading}", _table("| | canonical | copyright |", rows)]
    return _page(*parts)


class _Rows:
    """The rows of the mapping tables for one profile, by the element they write."""

    def __init__(self, one: Json) -> None:
        self._by_element: dict[str, list[Row]] = {}
        self._ids = {element["id"] for element in one["snapshot"]["element"]}
        self._named = _slices(one)
        self.by_code: list[Row] = []
        self.naming: list[Row] = []
        tables = Tables(None)
        self._codes = {name: one.code for (_, name), one in tables.slices.items()}
        for table in (tables.table(name) for name in tables.names()):
            prefix = _prefix(table, one)
            if prefix is not None:
                for row in table.rows:
                    self._add(row, prefix)
            self.naming += [
                row for row in table.rows if _NAMING.get(row.codec_name.removeprefix("each:")) == one["type"]
            ]

    def of(self, element: Json) -> list[Row]:
        """The rows that write an element, or something in it that has no element of its own in the snapshot."""
        return self._by_element.get(element["id"], [])

    def _add(self, row: Row, prefix: str) -> None:
        if not row.fhir:
            if row.loss.startswith("by code"):
                self.by_code.append(row)
            return
        id = prefix
        for step in row.fhir.split("."):
            inner = self._inside(id, step)
            if inner is None:
                break
            id = inner
        if id != prefix:
            self._by_element.setdefault(id, []).append(row)

    def _inside(self, id: str, step: str) -> str | None:
        """The element of the snapshot that a step of a path leads to: a slice where the profile has it."""
        name, _, rest = step.partition("[")
        if rest == "x]":
            return f"{id}.{step}" if f"{id}.{step}" in self._ids else None
        part = rest.removesuffix("]")
        part = self._codes.get(part, part)
        found = self._named.get((f"{id}.{name}", part), f"{id}.{name}")
        choices = [f"{id}.{name[: at.start()]}[x]" for at in re.finditer("[A-Z]", name)]
        return next((one for one in (found, *choices) if one in self._ids), None)


def _slices(one: Json) -> dict[tuple[str, str], str]:
    """The slices of a profile by element and what selects them: a code, or the name of an extension."""
    found: dict[tuple[str, str], str] = {}
    for element in one["snapshot"]["element"]:
        id, _, rest = str(element["id"]).rpartition(":")
        name, _, below = rest.partition(".")
        for kind in element.get("type", ()):
            for url in kind.get("profile", ()) if element.get("sliceName") else ():
                found[id, url.rpartition("/")[2]] = f"{id}:{name}"
        for key, value in element.items():
            if key.startswith("pattern") and below in ("", "type", "code", "function") and isinstance(value, dict):
                for coding in value.get("coding", [value]):
                    found[id, str(coding.get("code"))] = f"{id}:{name}"
    return found


def _prefix(table: Table, one: Json) -> str | None:
    """Where the rows of a table write in a resource of this profile; None where they do not."""
    resource, _, below = table.resource.partition(".")
    if resource == "Waste" or one["id"] in _WASTE:
        return one["type"] if resource == "Waste" and one["id"] in _WASTE else None
    resource, inside = _BELOW.get(resource, (resource, ""))
    return ".".join(filter(None, (resource, inside, below))) if resource == one["type"] else None


def _example(name: str) -> Json:
    found: Json = json.loads(data.path(f"profiles/examples/good/{name}.json").read_bytes())
    return found


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows])


def _cell(text: Any) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _page(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
