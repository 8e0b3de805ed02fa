"""HAPI's $validate finds no error in anything that is written, and warns of nothing that docs/validation.md does not explain."""

from __future__ import annotations

import json
import random

import pytest
from test_agreement import written

from fhir_peer import HapiServer
from golden.cases import last_state
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.translate.translation import iter_fhir
from validator_warnings import complaints, explained

pytestmark = pytest.mark.hapi
LATER = {"Unable to validate code"}
"""What the server says only when it has run for some minutes: tests/simulate/test_on_server.py finds it."""


def test_some_of_what_is_written(hapi_server: HapiServer) -> None:
    assert complaints(hapi_server, random.Random(1).sample(written(), 60))[0] == []


@pytest.mark.all
def test_all_that_is_written_and_the_stories_as_bundles(hapi_server: HapiServer) -> None:
    """In a Bundle the server follows every reference."""
    stories = sorted(path for path in data.path("stories").iterdir() if path.is_dir())
    feeds = [b"".join(path.read_bytes() for path in sorted(story.glob("*.hl7"))) for story in stories]
    bundles = [
        last_state([json.loads(one.json()) for one in iter_fhir(feed) if not isinstance(one, Refused)])
        for feed in feeds
    ]
    found, used = complaints(hapi_server, [*written(), *bundles])
    assert found == []
    assert set(explained()) - used <= LATER, "no longer needed"
