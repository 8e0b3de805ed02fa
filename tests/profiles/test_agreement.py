"""The fast check says of a resource what HAPI's $validate says: error, or none. On good resources, and on spoilt ones."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mutations import KINDS, mutate

from fhir_peer import HapiServer
from golden.cases import feed, folders, site
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.fhir import json as fhir_json
from ketafhir.fhir.profile.check import check
from ketafhir.translate.translation import iter_fhir

pytestmark = pytest.mark.hapi
Json = dict[str, Any]

# What wrong references are spoilt to: HAPI looks at the type of a reference only where it holds the resource.
TARGETS: list[Json] = [
    {"resourceType": "Patient"},
    {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
    {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}},
    {"resourceType": "Medication"},
    {"resourceType": "Practitioner"},
    {"resourceType": "Procedure", "status": "completed", "subject": {"reference": "Patient/t1"}},
]


def written() -> list[Json]:
    """Every distinct resource of the golden cases and stories, in a fixed order."""
    feeds = [(feed(path), site(path)) for path in folders()]
    for story in sorted(path for path in data.path("stories").iterdir() if path.is_dir()):
        feeds.append((b"".join(path.read_bytes() for path in sorted(story.glob("*.hl7"))), None))
    found: dict[str, Json] = {}
    for step in (one for messages, dialect in feeds for one in iter_fhir(messages, site=dialect)):
        if not isinstance(step, Refused):
            for entry in json.loads(step.json())["entry"]:
                found.setdefault(json.dumps(entry["resource"], sort_keys=True), entry["resource"])
    return list(found.values())


def spoilt(resources: list[Json], each: int, seed: int) -> Iterator[tuple[str, Json]]:
    chance = random.Random(seed)
    for kind in KINDS:
        made = 0
        while made < each:
            one = mutate(chance.choice(resources), kind, chance)
            if one is not None:
                made += 1
                yield kind, one


def differences(server: HapiServer, corpus: list[tuple[str, Json]]) -> list[str]:
    for target in TARGETS:
        status, _ = server.request("PUT", f"{target['resourceType']}/t1", {**target, "id": "t1"})
        assert status in (200, 201)

    def told(pair: tuple[str, Json]) -> str:
        kind, resource = pair
        _, outcome = server.request("POST", f"{resource['resourceType']}/$validate", resource)
        errors = [one["diagnostics"] for one in outcome["issue"] if one["severity"] in ("error", "fatal")]
        ours = check(fhir_json.loads(json.dumps(resource)))
        same = bool(errors) is bool(ours)
        return "" if same else f"{kind} {resource['resourceType']}: ours {ours[:2]}, HAPI {errors[:2]}"

    with ThreadPoolExecutor(2) as threads:
        return [one for one in threads.map(told, corpus) if one]


def test_a_short_corpus(hapi_server: HapiServer) -> None:
    resources = written()
    corpus = [*spoilt(resources, 12, seed=1), *(("good", one) for one in resources[::20])]
    assert differences(hapi_server, corpus) == []


@pytest.mark.all
def test_the_whole_corpus(hapi_server: HapiServer) -> None:
    resources = written()
    corpus = [*spoilt(resources, 200, seed=2), *(("good", one) for one in resources)]
    assert len(corpus) > 2000
    assert differences(hapi_server, corpus) == []
