"""The feeds of the three sites: each in its own way, and one record."""

from __future__ import annotations

import pytest

from ketafhir.simulate.feeds import SITES, feed
from ketafhir.simulate.ndjson import collected
from ketafhir.simulate.visit import visit
from simulate.laws import assert_one_record, way_back

SEED = 1
SOME = (1, 2, 3, 7, 10, 11, 16, 20, 21)
"""Mood and pain; a bolus (from what a pump runs: 20), a pause, rescue medicines, what is late (10, 21) or corrected (3, 11)."""


@pytest.mark.parametrize("number", SOME)
def test_the_sites_tell_one_record_and_no_check_speaks(number: int) -> None:
    assert_one_record(visit(SEED, number))


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("number", SOME)
def test_from_fhir_to_hl7v2_and_back_is_the_same_but_for_what_is_declared(number: int, site: str) -> None:
    bundle, _ = collected(visit(SEED, number), site)
    assert way_back(bundle, site) == []


@pytest.mark.all
@pytest.mark.parametrize("number", [n for n in range(1, 101) if n not in SOME])
def test_the_laws_hold_of_a_hundred(number: int) -> None:
    """`make cohort` asks a thousand."""
    one = visit(SEED, number)
    assert_one_record(one)
    for site in SITES:
        assert way_back(collected(one, site)[0], site) == []


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
