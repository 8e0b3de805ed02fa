"""Where the consistency checks run: what is told, with which message, and once."""

from __future__ import annotations

from itertools import chain, permutations
from pathlib import Path

import pytest

from golden.cases import ROOT
from ketafhir import Refused, iter_fhir
from ketafhir.errors import Issue


def messages(case: str) -> list[str]:
    return [f"MSH|{one}" for one in (ROOT / case / "in.hl7").read_text().split("MSH|")[1:]]


ORDER = messages("CHECKS/order")
INFUSION = messages("CHECKS/infusion")
CHECKED = {"C1", "C2", "C3", "C4", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13"}


def told(feed: list[str], site: str | None = None) -> list[list[str]]:
    """The checks that found something, message by message."""
    found = []
    for step in iter_fhir("".join(feed), site=site):
        assert not isinstance(step, Refused), step
        found.append([_name(issue) for issue in step.issues if _name(issue) in CHECKED])
    return found


def _name(issue: Issue) -> str:
    return issue.text.partition(":")[0]


def test_an_order_is_checked_as_it_is_told() -> None:
    assert told(ORDER) == [[], ["C1", "C2", "C4", "C12", "C3"], []]


def test_nothing_is_told_again_that_did_not_change() -> None:
    weight, wrong, right = ORDER
    again = wrong.replace("EHR-A08", "EHR-A18")
    assert told([weight, wrong, again, again]) == [[], ["C1", "C2", "C4", "C12", "C3"], [], []]
    assert told([weight, right, wrong.replace("080000", "080900")])[2] == ["C1", "C2", "C4", "C12", "C3"]


def test_a_weight_measured_before_and_told_after_the_order_counts() -> None:
    weight, wrong, _ = ORDER
    assert told([wrong, weight]) == [["C1", "C2", "C12", "C3"], ["C4"]]


def test_an_infusion_is_checked_as_it_is_folded() -> None:
    assert told(INFUSION) == [
        [], [], ["C12"], ["C7", "C6"], [], ["C8", "C6"], ["C13", "C9"], ["C9", "C10"],
    ]  # fmt: skip


def test_the_last_message_finds_what_all_of_them_say_in_any_order() -> None:
    """Once everything is told, a finding about the whole is told by somebody, whatever came last."""
    first, *rest = INFUSION[1:4]
    for order in permutations(rest):
        found = [name for one in told([INFUSION[0], first, *order]) for name in one]
        assert {"C7", "C12"} <= set(found)


def test_replay_tells_no_finding_of_the_fold_again() -> None:
    found = told([*INFUSION, *INFUSION])
    assert set(chain.from_iterable(found[len(INFUSION) :])) == {"C13"}


@pytest.mark.parametrize(("limit", "value", "unit", "gone"), [("rate-max", "1000", "mL/h", "C12")])
def test_a_site_moves_a_limit(tmp_path: Path, limit: str, value: str, unit: str, gone: str) -> None:
    feed = messages("RAS_O17/rate-999-is-a-rate")
    assert gone in told(feed)[0]
    (tmp_path / "limits.csv").write_text(f"limit,value,unit,comment\n{limit},{value},{unit},pump of this ward\n")
    assert told(feed, site=str(tmp_path)) == [[]]


def test_other_drugs_have_no_ketamine_protocol() -> None:
    other = ORDER[1].replace("6130^ketamine^RXNORM", "7052^morphine^RXNORM")
    assert "C3" not in told([ORDER[0], other])[1]


def test_the_strength_of_the_salt_is_told() -> None:
    salt = ORDER[2].replace("|1|mg/mL", "|115.33|mg/mL").replace("RXC|A", "ZXC|A")
    assert "C11" in told([salt])[0]


def test_msh_7_without_minutes_accuses_nobody() -> None:
    feed = [INFUSION[0], INFUSION[6]]
    assert "C13" in chain.from_iterable(told(feed))
    vague = [feed[0], feed[1].replace("20260414110130-0500||RAS", "2026041411-0500||RAS")]
    assert "C13" not in chain.from_iterable(told(vague))
