"""The sums of a feed: counts and first places by row, code and refusal, and nothing that is of a patient."""

from __future__ import annotations

from pathlib import Path

from ketafhir.explain.command import explained
from ketafhir.explain.page import page_of
from ketafhir.explain.sums import Sum, Sums
from ketafhir.explain.terminal import Terminal
from ketafhir.translate.settings import default

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
START = (STORIES / "b" / "10-ras-start.hl7").read_bytes().replace(b"\n", b"\r")
DAMAGED = (STORIES / "damaged.hl7").read_bytes()
SECRET = b"Vasquez-Lindholm"


def sums(*data: bytes) -> Sums:
    told, found = explained(iter([b"\r".join(data)]), default())
    assert told is None
    return found


def test_counts_and_first_places() -> None:
    odd = START.replace(b"||IP||", b"||ZP||").replace(b"RXR|IV^Intravenous^HL70162", b"RXR|")
    found = sums(
        DAMAGED, START, odd.replace(b"EMAR-B10", b"X1"), odd.replace(b"EMAR-B10", b"X2"), b"MSH|^~\\&|A", DAMAGED
    )
    assert (found.messages, found.refused) == (6, 3)
    assert found.types == {"RAS^O17": 5, "(unreadable)": 1}
    unit, header = found.of("refusals")
    assert (unit.what[0], unit.times, unit.first) == ("unit-is-rate", 2, "message 1, RXA-7")
    assert (header.what[0], header.times, header.first) == ("header-short", 1, "message 5, MSH-9")
    codes = {one.what[:3]: (one.times, one.first) for one in found.of("codes")}
    assert codes[("code-unmapped", "ORC-5", "ZP")] == (2, "message 3, ORC-5")
    assert codes[("unit-is-rate", "RXA-7", "mg/h")] == (2, "message 1, RXA-7")
    assert Sum(("ORC-9",), 3, "message 2, ORC-9") in found.of("preserved")
    start = next(one for one in found.of("rows") if one.what[0].endswith("[start]") and one.what[1] == "RXA-3")
    assert (start.times, start.first) == (3, "message 2, RXA-3")
    assert [one.times for one in found.of("dropped")] == sorted(
        (one.times for one in found.of("dropped")), reverse=True
    )


def test_a_sum_is_by_place_not_by_occurrence() -> None:
    feed = b"".join(file.read_bytes() for file in sorted((STORIES / "b").glob("*-oru-*.hl7")))
    fields = [one.what[1] for one in sums(feed).of("rows")]
    assert "OBX-5" in fields
    assert not any("[" in field for field in fields)


def test_no_patient_is_in_the_sums() -> None:
    """Names, numbers, dates and free text of a message come into no sum, also not by way of a finding."""
    data = [
        START,
        START.replace(b"ketamine^RXN|20|", b"ketamine^RXN|Vasquez-Lindholm|"),
        START.replace(b"20260414090000-0500|", b"20261314090000-0500|"),
        START.replace(b"||IP||", b"||seen by Vasquez-Lindholm||"),
        START.replace(b"|IV^Intravenous^HL70162", b"|as Vasquez-Lindholm wished"),
        START.replace(b"EMAR-B10", b"B11").replace(b"RXA|0|1|20260414090000", b"RXA|0|1|20260414091500"),
        START.replace(b"SYN-100318", b"SYN-100319").replace(b"EMAR-B10", b"B12"),
    ]
    found = sums(*data)
    assert found.refused == 4
    for text in ("\n".join(Terminal(200, False).sums(found)), page_of(None, found)):
        for secret in (SECRET.decode(), "Dorian", "SYN-100318", "19740930", "20261314", "2026-04-14", "P-B2", "B11"):
            assert secret not in text, secret
