"""Everything the golden cases and the stories write is taken by a real HAPI server, and passes its $validate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_peer import HapiServer
from golden.cases import ROOT, folders, site
from ketafhir import data
from ketafhir.fhir import json as fhir_json
from ketafhir.translate.translation import iter_fhir

pytestmark = pytest.mark.hapi


def feeds() -> list[Any]:
    """Each golden case, and each story as one feed."""
    told = [path for path in folders() if (path / "in.hl7").is_file()]
    found = [pytest.param((path / "in.hl7").read_bytes(), site(path), id=str(path.relative_to(ROOT))) for path in told]
    for story in sorted(path for path in data.path("stories").iterdir() if path.is_dir()):
        messages = b"".join(path.read_bytes() for path in sorted(story.glob("*.hl7")))
        found.append(pytest.param(messages, None, id=f"story-{story.name}"))
    return found


def bundles(feed: bytes, overlay: str | None) -> Iterator[dict[str, Any]]:
    for one in iter_fhir(feed, site=overlay):
        if not isinstance(one, Exception):
            assert one.bundle is not None
            yield json.loads(fhir_json.dumps(one.bundle))


@pytest.mark.parametrize(("feed", "overlay"), feeds())
def test_taken_and_valid(feed: bytes, overlay: str | None, hapi_server: HapiServer) -> None:
    written = ""
    seen: set[str] = set()
    for bundle in bundles(feed, overlay):
        status, answer = hapi_server.request("POST", "", bundle)
        assert status == 200, answer
        for entry in bundle["entry"]:
            resource = entry["resource"]
            written = json.dumps(resource, sort_keys=True)
            if written in seen:
                continue
            seen.add(written)
            _, outcome = hapi_server.request("POST", f"{resource['resourceType']}/$validate", resource)
            errors = [one for one in outcome["issue"] if one["severity"] in ("error", "fatal")]
            assert errors == [], (resource["resourceType"], errors)
