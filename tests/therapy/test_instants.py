"""Times as instants: what the quick way reads is what the exact way reads."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ketafhir.mapping.codecs.times import usual_time
from ketafhir.therapy.values import instant


@pytest.mark.parametrize(
    ("iso", "seconds"),
    [
        ("2026-03-09T08:40:00-05:00", "1773063600"),
        ("2026-03-09T08:40:00+14:00", "1772995200"),
        ("2026-03-09T13:40:00.1234Z", "1773063600.1234"),  # as long as a time to the second with offset
        ("2026-03-09T13:40:60+00:00", "1773063660"),  # a leap second, which the standard library does not have
        ("1969-12-31T23:59:59-00:30", "1799"),
    ],
)
def test_the_instant_of_a_datetime(iso: str, seconds: str) -> None:
    assert instant(iso) == Decimal(seconds)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("20260309084005-0500", "2026-03-09T08:40:05-05:00"),
        ("20240229235959+1459", "2024-02-29T23:59:59+14:59"),
        ("20230229235959+0000", None),
        ("20260309240000-0500", None),
        ("20260309084060-0500", None),
        ("20260309084005-0000", None),
        ("20260309084005-1500", None),
        ("20260309084005x0500", None),
        ("2026030908400\u0665-0500", None),
        ("2026030\u06659084005-0500", None),
    ],
)
def test_a_time_to_the_second_with_offset_or_none(text: str, iso: str | None) -> None:
    found = usual_time(text)
    assert (found.iso if found else None) == iso
