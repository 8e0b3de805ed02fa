"""What we write conforms to the version it says, segment by segment and group by group, by the tables of hl7apy."""

from __future__ import annotations

from golden.sent import messages, unknown
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.translate.incoming import parse


def test_every_golden_message_out() -> None:
    found, checked = [], 0
    for case, text in messages():
        message = parse(text)
        errors = [f"{one.where} {one.text}" for one in check(message, walk(message)) if one.severity == "error"]
        found += [f"{case}: {one}" for one in unknown(errors, case)]
        checked += 1
    assert found == []
    assert checked > 50


def test_a_message_that_does_not_conform_is_found() -> None:
    text = next(text for case, text in messages() if case == "RAS_O17/two-orders")
    message = parse(text.replace("|6130^ketamine^RXNORM|", "||"))
    errors = [f"{one.where} {one.text}" for one in check(message, walk(message)) if one.severity == "error"]
    assert unknown(errors)
