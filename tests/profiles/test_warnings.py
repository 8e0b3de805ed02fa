"""HAPI's $validate finds no error in anything that is written, and warns of nothing that docs/validation.md does not explain."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from test_agreement import written

from fhir_peer import HapiServer
from golden.cases import last_state
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.translate.translation import iter_fhir

pytestmark = pytest.mark.hapi
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "validation.md"
Json = dict[str, Any]


def explained() -> list[str]:
    """The texts in the table of warnings."""
    rows = DOCUMENT.read_text("utf-8").partition("| HAPI says |")[2].splitlines()[2:]
    return [row.split("`")[1] for row in rows if row.startswith("| `")]


def told(server: HapiServer, resources: Iterable[Json]) -> tuple[list[str], set[str]]:
    """What is an error or not explained; and the explanations that were needed."""
    known, found, used = explained(), [], set()
    for one in resources:
        _, outcome = server.request("POST", f"{one['resourceType']}/$validate", one)
        for issue in outcome["issue"]:
            text = issue["diagnostics"]
            reasons = {reason for reason in known if reason in text}
            used |= reasons
            if issue["severity"] in ("error", "fatal") or (issue["severity"] == "warning" and not reasons):
                found.append(f"{one['resourceType']}: {issue['severity']}: {text}")
    return found, used


def test_some_of_what_is_written(hapi_server: HapiServer) -> None:
    assert told(hapi_server, random.Random(1).sample(written(), 60))[0] == []


@pytest.mark.all
def test_all_that_is_written_and_the_stories_as_bundles(hapi_server: HapiServer) -> None:
    """In a Bundle the server follows every reference."""
    stories = sorted(path for path in data.path("stories").iterdir() if path.is_dir())
    feeds = [b"".join(path.read_bytes() for path in sorted(story.glob("*.hl7"))) for story in stories]
    bundles = [
        last_state([json.loads(one.json()) for one in iter_fhir(feed) if not isinstance(one, Refused)])
        for feed in feeds
    ]
    found, used = told(hapi_server, [*written(), *bundles])
    assert found == []
    assert set(explained()) - used == set(), "no longer needed"
