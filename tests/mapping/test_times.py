"""Times: offset and precision as they came, the zone of the site where there is no offset, and nothing guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.mapping.codecs.times import DateTime, Instant, read_dtm, read_iso, write_dtm
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.therapy.values import Time
from ketafhir.translate.settings import zone

CHICAGO = zone("America/Chicago")


def codec(kind: type[DateTime]) -> DateTime:
    return kind("", lambda name: None)  # type: ignore[arg-type,return-value]  # these codecs use no code map


@pytest.mark.parametrize(
    ("dtm", "iso", "sent"),
    [
        ("20260414090000-0500", "2026-04-14T09:00:00-05:00", ""),
        ("20260414090000.1250-0500", "2026-04-14T09:00:00.1250-05:00", ""),
        ("20260414090000+0000", "2026-04-14T09:00:00+00:00", ""),
        ("202604140900-0500", "2026-04-14T09:00:00-05:00", "202604140900-0500"),
        ("2026041409-0500", "2026-04-14T09:00:00-05:00", "2026041409-0500"),
        ("20260414090000", "2026-04-14T09:00:00-05:00", "20260414090000"),
        ("202601140900", "2026-01-14T09:00:00-06:00", "202601140900"),
        ("20260414", "2026-04-14", ""),
        ("202604", "2026-04", ""),
        ("2026", "2026", ""),
        ("20260414090000-05", "2026-04-14T09:00:00-05:00", "20260414090000-05"),
    ],
)
def test_reads_and_writes(dtm: str, iso: str, sent: str) -> None:
    time = read_dtm(dtm, Context(CHICAGO))
    assert (time.iso, time.sent) == (iso, sent)
    assert write_dtm(time) == dtm
    made = codec(DateTime)
    beside = made.beside(time)
    again = made.from_fhir(Context(CHICAGO), (made.to_fhir(Context(CHICAGO), time), beside))
    assert write_dtm(again) == dtm


@pytest.mark.parametrize(
    ("dtm", "code"),
    [
        ("20260231", "time-impossible"),
        ("20261301", "time-impossible"),
        ("20260414250000-0500", "time-impossible"),
        ("20260414096100-0500", "time-impossible"),
        ("20260414090000-2500", "time-impossible"),
        ("2026-04-14", "time-unreadable"),
        ("yesterday", "time-unreadable"),
        ("20260414-0500", "time-unreadable"),
        ("00000101", "time-impossible"),
    ],
)
def test_what_is_no_time_is_refused(dtm: str, code: str) -> None:
    with pytest.raises(Unreadable) as error:
        read_dtm(dtm, Context(CHICAGO))
    assert error.value.code == code


def test_a_time_without_offset_needs_a_zone() -> None:
    with pytest.raises(Unreadable) as error:
        read_dtm("20260414090000", Context())
    assert error.value.code == "time-without-offset"
    assert read_dtm("20260414", Context()).iso == "2026-04-14"


@pytest.mark.parametrize(("dtm", "why"), [("20261101013000", "came twice"), ("20260308023000", "never was")])
def test_the_night_clocks_change(dtm: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_dtm(dtm, Context(CHICAGO))
    assert (
        read_dtm("20261101013000-0500", Context(CHICAGO)).at + 3600
        == read_dtm("20261101013000-0600", Context(CHICAGO)).at
    )


def test_the_text_sent_is_used_only_while_it_denotes_the_same_instant() -> None:
    made, c = codec(DateTime), Context(CHICAGO)
    for dtm in ("202604140900-0500", "20260414090000"):
        time = read_dtm(dtm, c)
        moved = made.from_fhir(c, ("2026-04-14T09:01:00-05:00", made.beside(time)))
        assert write_dtm(moved) == "20260414090100-0500"


@pytest.mark.parametrize("dtm", ["20260414", "202604140900-0500", "20260414090000.5-0500"])
def test_instants_are_filled_and_come_back(dtm: str) -> None:
    made, c = codec(Instant), Context(CHICAGO)
    time = made.from_v2(c, dtm)
    text = made.to_fhir(c, time)
    assert len(text) >= 25
    assert write_dtm(made.from_fhir(c, (text, made.beside(time)))) == dtm


@pytest.mark.parametrize("iso", ["2026-02-30", "2026-04-14T25:00:00Z", "2026-4-1", "14.4.2026", "2026-04-14T09:00"])
def test_what_is_no_fhir_time_is_refused(iso: str) -> None:
    with pytest.raises(Unreadable):
        read_iso(iso, None, Context())


@given(
    st.datetimes(),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["", ".5", ".25", ".125", ".0010"]),
)
def test_every_time_with_offset_is_its_own_inverse(moment: object, minutes: int, fraction: str) -> None:
    sign, hours = "-" if minutes < 0 else "+", abs(minutes) // 60
    dtm = f"{moment:%Y%m%d%H%M%S}"
    if len(dtm) < 14:
        return  # strftime does not pad years below 1000
    dtm += f"{fraction}{sign}{hours:02}{abs(minutes) % 60:02}"
    time = read_dtm(dtm, Context())
    assert write_dtm(time) == dtm
    assert read_iso(time.iso, None, Context()) == Time(time.iso)
