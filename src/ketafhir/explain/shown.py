"""FHIR JSON and other texts as people read them."""

from __future__ import annotations

import unicodedata
from typing import Any

from ketafhir.fhir import json
from ketafhir.mapping.codes import v2_name
from ketafhir.mapping.paths import Json


class Bundle:
    """The resources of a Bundle by their fullUrl, with short names: `MedicationAdministration 2 (infusion-segment)`."""

    def __init__(self, bundle: Json) -> None:
        self.named: list[tuple[str, Json]] = []
        self._by_url: dict[str, Json] = {}
        count: dict[str, int] = {}
        for entry in bundle.get("entry", ()):
            resource = entry["resource"]
            kind = resource["resourceType"]
            count[kind] = count.get(kind, 0) + 1
            tags = [tag.get("code", "") for tag in resource.get("meta", {}).get("tag", ())]
            tag = f" ({', '.join(tags)})" if tags else ""
            self.named.append((f"{kind} {count[kind]}{tag}", resource))
            self._by_url[entry.get("fullUrl", "")] = resource

    def value(self, value: Any) -> str:
        """A value on one line: a concept by code and text, a quantity by number and unit, a reference by what it names."""
        if isinstance(value, list):
            return ", ".join(self.value(one) for one in value)
        if isinstance(value, dict):
            return self._element(value)
        return value if isinstance(value, str) else json.dumps(value).decode()

    def _element(self, value: Json) -> str:
        if "coding" in value or value.keys() == {"text"}:
            return self._concept(value)
        if "code" in value and "system" in value and "value" not in value:
            return " ".join(filter(None, (value["code"], value.get("display"), f"[{_system(value['system'])}]")))
        if "reference" in value:
            return self._reference(value)
        if "numerator" in value and "denominator" in value:
            return f"{self.value(value['numerator'])} / {self.value(value['denominator'])}"
        if "value" in value and ("unit" in value or "code" in value):
            unit = value.get("unit", value.get("code"))
            return f"{self.value(value['value'])} {unit}"
        if "value" in value and "system" in value:
            return f"{value['value']} [{_system(value['system'])}]"
        if "family" in value or "given" in value:
            return " ".join([*value.get("prefix", ()), *value.get("given", ()), value.get("family", "")]).strip()
        shown = [f"{key} {self.value(one)}" for key, one in value.items() if key not in ("extension", "url")]
        return "; ".join(shown)

    def _concept(self, value: Json) -> str:
        codings = [self._element({"system": "", **one}) for one in value.get("coding", ()) if "code" in one]
        text = value.get("text", "")
        return "; ".join([*codings, *([f'"{text}"'] if text else [])])

    def _reference(self, value: Json) -> str:
        resource = self._by_url.get(value["reference"])
        if resource is None:
            return str(value.get("display", value["reference"]))
        name = resource.get("name")
        label = self.value(name[0] if isinstance(name, list) else name) if name else ""
        told = resource.get("identifier", ())
        number = next((one.get("value", "") for one in (told if isinstance(told, list | tuple) else (told,))), "")
        return " ".join(filter(None, (resource["resourceType"], number, label)))


def _system(url: str) -> str:
    """A system by the name that HL7v2 has for it, else the last part of its URL."""
    return v2_name(url).rstrip("/").rpartition("/")[2]


def visible(text: str) -> str:
    """A text on one line in which nothing steers a terminal: control and direction characters are written out."""
    return "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
