"""Every golden feed of several messages, in any order, repeated, cut and resumed: the server holds the same in the end.

All families are in it: patients and visits, orders and their answers, dispenses, administrations, pumps, vital signs,
screening, adverse events. What a message refuses in another order (an answer to an order that nobody told yet) is told again
later, as its sender would; a feed in which something stays refused says nothing here.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from golden.cases import ROOT, folders, last_state, site
from ketafhir.errors import Refused
from ketafhir.hl7v2.stream import split_messages
from ketafhir.therapy import asjson
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

OF_OTHERS = ("Provenance", "Device", "DeviceMetric")
"""One for each message, or as the last message describes the parts of a device."""
DIFFER = {
    "ADT_A39/chain-of-merges": "who gives a number up is written as its own message told it",
    "ADT_A39/under-both-numbers-after-the-merge": "what has no number of its own keeps the id it was first told under",
    "ORDERS/bolus-from-the-running-infusion": "a bolus told before the order that names its infusion was an infusion of its own",
    "ORU_R42/secondary-of-another-drug": "the pump told its order by another number than the order itself",
    "RAS_O17/order-by-filler-number-only": "an order is known by the first number it was told under",
    "RAS_O17/start-mended-then-closed": "what is refused depends on what was told before",
    "RAS_PCD/bolus-names-its-parent": "the numbers that an order adds to a bolus told before it",
}
"""Feeds whose last state depends on the order of arrival, and why."""


def _feed(folder: Path) -> list[bytes]:
    return list(split_messages((folder / "in.hl7").read_bytes()))


def _normal(value: Any) -> Any:
    """A reference is the same whether it points into the Bundle or to the server."""
    if isinstance(value, dict):
        found = {key: _normal(one) for key, one in value.items()}
        if isinstance(found.get("reference"), str):
            found["reference"] = re.sub(r"^(urn:uuid:|[A-Za-z]+/)", "", found["reference"])
        return found
    return [_normal(one) for one in value] if isinstance(value, list) else value


def _state(bundles: list[dict[str, Any]]) -> dict[str, Any]:
    """What a server holds of its own: without what is only mentioned, what was withdrawn, and drugs that only the withdrawn had."""
    written = {
        one["fullUrl"] for bundle in bundles for one in bundle.get("entry", ()) if one["request"]["method"] == "PUT"
    }
    held = {}
    for entry in last_state(bundles)["entry"]:
        resource = {key: one for key, one in entry["resource"].items() if key != "meta"}
        tags = [one["code"] for one in entry["resource"].get("meta", {}).get("tag", ())]
        if entry["fullUrl"] in written and resource["resourceType"] not in OF_OTHERS and "withdrawn" not in tags:
            held[resource.get("id", entry["fullUrl"])] = {**_normal(resource), "tags": sorted(tags)}
    named = str([one for one in held.values() if one["resourceType"] != "Medication"])
    return {key: one for key, one in held.items() if one["resourceType"] != "Medication" or key in named}


def _told(messages: list[bytes], overlay: str | None, cut: int) -> dict[str, Any] | None:
    """The last state; None where something stays refused."""
    session = Session(default(None, overlay))
    bundles, waiting = [], messages
    for _ in range(3):
        refused = []
        for number, one in enumerate(waiting):
            if number == cut:
                session = Session(default(None, overlay), asjson.load_history(asjson.dump_history(session.history)))
            try:
                bundles.append(session.take(parse(one)).bundle)
            except Refused:
                refused.append(one)
        waiting = refused
    return None if waiting else _state(bundles)


@cache
def _cases() -> list[Path]:
    found = []
    for folder in folders():
        if (
            (folder / "in.hl7").exists()
            and str(folder.relative_to(ROOT)) not in DIFFER
            and "refused" not in folder.name
        ):
            try:
                several = len(_feed(folder)) > 1
            except Refused:
                continue
            if several:
                found.append(folder)
    return found


@pytest.mark.parametrize("folder", _cases(), ids=lambda one: str(one.relative_to(ROOT)))
def test_any_order_any_repeat_and_any_cut_leave_the_same_on_the_server(folder: Path) -> None:
    messages, overlay = _feed(folder), site(folder)
    wanted = _told(messages, overlay, -1)
    if wanted is None:
        pytest.skip("a message of it is refused")
    for seed in range(5):
        chance = random.Random(seed)
        order = [*chance.sample(messages, len(messages)), *chance.choices(messages, k=2)]
        found = _told(order, overlay, chance.randrange(len(messages)))
        assert found in (wanted, None), (seed, [messages.index(one) for one in order])


def test_every_family_is_among_the_feeds() -> None:
    kinds = {parse(one).segments[0].get(9).split("^")[0] for folder in _cases() for one in _feed(folder)}
    assert kinds >= {"ADT", "RDE", "ORM", "OMP", "RDS", "RGV", "RAS", "ORU"}
    families = {folder.relative_to(ROOT).parts[0] for folder in _cases()}
    assert families >= {"ADVERSE", "ORU_R42", "SITES", "RDS_O13", "RAS_O17", "ORU_R01", "CHECKS"}
