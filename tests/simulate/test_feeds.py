"""The feeds of the three sites: each in its own way, and one record."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from golden.reduced import Infusion, reduced
from ketafhir.errors import Issue
from ketafhir.simulate.feeds import SITES, feed
from ketafhir.simulate.ndjson import collected
from ketafhir.simulate.visit import Visit, visit

SEED = 1
SOME = (1, 2, 3, 7, 10, 11, 16, 21)
"""Mood and pain; with a bolus, a pause, rescue medicines, a late message (10, 21) and a corrected one (3, 11)."""


def told(one: Visit, site: str) -> tuple[list[Infusion], list[Issue]]:
    bundle, issues = collected(one, site)
    entries: list[dict[str, Any]] = [{**entry, "request": {"method": "PUT"}} for entry in bundle["entry"]]
    return reduced([{"entry": entries}]), issues


def assert_one_record(one: Visit) -> None:
    """Segments, rates, times, status and totals are those of the clinic, whoever tells them."""
    records = {site: told(one, site) for site in SITES}
    first, *others = [found for found, _ in records.values()]
    for site, found in zip([*SITES][1:], others, strict=True):
        assert found == first, f"patient {one.person.number}: {site} is not as {next(iter(SITES))}"
    if one.course is None:
        assert first == []
        return
    (whole,) = [infusion for infusion in first if any(part.unit == "mL/h" for part in infusion.segments)]
    assert whole.total == Fraction(round(one.course.given, 3))
    assert whole.status == ("completed" if one.course.completed else "stopped")
    assert whole.end == one.at(one.course.end).timestamp()
    ran = [(part.start, part.end, part.amount) for part in whole.segments if part.kind == "segment"]
    assert ran == [
        (one.at(part.start).timestamp(), one.at(part.end).timestamp(), Fraction(part.rate))
        for part in one.course.segments
    ]
    assert len(first) == 1 + len(one.rescues)
    if not one.late and not one.corrected:
        assert [(site, issue.code, issue.text) for site, (_, issues) in records.items() for issue in issues] == []


@pytest.mark.parametrize("number", SOME)
def test_the_sites_tell_one_record_and_no_check_speaks(number: int) -> None:
    assert_one_record(visit(SEED, number))


def test_each_site_has_its_own_way() -> None:
    one = next(found for found in (visit(SEED, n) for n in range(1, 50)) if found.course and found.course.bolus)
    counts = {site: [text.split("|")[8] for text in feed(one, site)] for site in SITES}
    assert counts["episode-at-end"].count("RAS^O17^RAS_O17") == 1
    assert counts["event-per-message"].count("RAS^O17^RAS_O17") > 4
    assert counts["pump-first"].count("ORU^R42^ORU_R01") > 4
    alike = {site: [kind for kind in kinds if kind[:7] not in ("RAS^O17", "ORU^R42")] for site, kinds in counts.items()}
    assert len({tuple(kinds) for kinds in alike.values()}) == 1


@pytest.mark.parametrize("site", SITES)
def test_messages_have_numbers_of_their_own_and_come_in_order(site: str) -> None:
    heads = [text.split("\r")[0].split("|") for n in range(1, 40) for text in feed(visit(SEED, n), site)]
    numbers = [(head[2], head[9]) for head in heads]
    assert len(set(numbers)) == len(numbers)
    for n in SOME:
        sent = [text.split("|")[6] for text in feed(visit(SEED, n), site)]
        assert sent == sorted(sent)
