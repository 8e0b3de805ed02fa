"""A FHIR server's memory without a server: what transactions of the translator leave behind, by `Type/id`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ketafhir
from ketafhir.demo import stories
from ketafhir.demo.stories import Story
from ketafhir.fhir import json as fhir_json


class StoryServer:
    """Takes transactions as FHIR R4 says (http.html#transaction): PUT by id, PUT and POST by identifier."""

    def __init__(self) -> None:
        self.record: dict[str, dict[str, Any]] = {}
        self._by_condition: dict[str, str] = {}

    def take(self, bundle: dict[str, Any]) -> None:
        keys = {entry["fullUrl"]: self._key(entry) for entry in bundle["entry"]}
        for entry in bundle["entry"]:
            key, request = keys[entry["fullUrl"]], entry["request"]
            if request["method"] == "POST" and key in self.record:
                continue
            text = fhir_json.dumps(entry["resource"]).decode()
            for full_url, target in keys.items():
                text = text.replace(json.dumps(full_url), json.dumps(target))
            resource = fhir_json.loads(text)
            resource["id"] = key.partition("/")[2]
            self.record[key] = resource

    def _key(self, entry: dict[str, Any]) -> str:
        request, resource = entry["request"], entry["resource"]
        condition = request.get("ifNoneExist") or request["url"].partition("?")[2]
        kind = str(resource["resourceType"])
        if not condition:
            assert request["url"] == f"{kind}/{resource['id']}"
            return str(request["url"])
        return self._by_condition.setdefault(f"{kind}?{condition}", f"{kind}/{1000 + len(self._by_condition)}")


def record_of(story: Story) -> dict[str, dict[str, Any]]:
    """All that a server holds after the messages of a story."""
    server = StoryServer()
    for translation in ketafhir.iter_fhir(b"".join(story.messages)):
        assert isinstance(translation, ketafhir.Translation), translation
        assert translation.bundle is not None
        server.take(translation.bundle)
    return server.record


def story(name: str, folder: Path | None = None) -> Story:
    return next(one for one in stories.load(folder) if one.name == name)


def patient_of(record: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return next(one for one in record.values() if one["resourceType"] == "Patient")
