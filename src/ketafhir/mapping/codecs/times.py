"""HL7v2 DTM and FHIR dateTime, date and instant (v2-to-FHIR guide, DTM[dateTime]; HL7 v2 chapter 2A.22)."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any

from ketafhir.mapping.codecs.base import Codec
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.patterns import pattern
from ketafhir.therapy.values import Period, Time, is_before

_DTM = pattern(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?)?)?([+-]\d\d(?:\d\d)?)?",
    re.ASCII,
)
_ISO = pattern(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?", re.ASCII)
DTM_EXTENSION = "https://ketafhir.org/fhir/StructureDefinition/v2-dtm"
_HINT = "send YYYYMMDDHHMMSS with an offset such as -0500"


def read_dtm(text: str, c: Context) -> Time:
    """The time of a DTM text; the zone of the site completes a time without offset. Raises Unreadable."""
    return usual_time(text) or _read_dtm(text, c)


def first_component(text: str, c: Context, at: int = 0) -> str:
    """The time of a TS, the cell `at` of the row at work; its degree of precision (TS.2, withdrawn since 2.5) is preserved."""
    if "^" not in text:
        return text
    time, *rest = text.split("^")
    if c.row and c.segment is not None and c.segment.name != "MSH":  # the MSH out is new
        place = f"{c.segment.name}-{c.row.cells[at].text}"
        c.preserved.extend((f"{place}.{number}", part) for number, part in enumerate(rest, 2) if part)
    return time


@lru_cache(maxsize=512)  # of one message: most of its times are the same
def usual_time(text: str) -> Time | None:
    """The time of a text to the second with offset, as most are; None for any other and for what is wrong with it."""
    if len(text) != 19:
        return None
    day, clock = _day_and_offset(text[:8], text[14:]), _clock(text[8:14])
    return Time(f"{day[0]}{clock}{day[1]}") if day and clock else None


@lru_cache(maxsize=512)  # a feed is of one day or two, and of one zone
def _day_and_offset(day: str, offset: str) -> tuple[str, str] | None:
    """`20260309` and `-0500` as a dateTime has them; None where there is no such day or offset."""
    if not (day.isdigit() and offset[1:].isdigit() and (day + offset).isascii()):
        return None
    if offset[0] not in "+-" or offset[1:] > "1459" or offset == "-0000":
        return None
    try:
        iso = dt.datetime.fromisoformat(f"{day}T000000{offset}").isoformat()
    except ValueError:
        return None
    return iso[:10], iso[19:]


@lru_cache(maxsize=4096)
def _clock(clock: str) -> str:
    """`084000` as a dateTime has it, `T08:40:00`; "" where there is no such time of day."""
    if not (clock.isdigit() and clock.isascii() and clock < "24"):
        return ""
    try:
        return dt.datetime.fromisoformat(f"20000101T{clock}").isoformat()[10:]
    except ValueError:
        return ""


def _read_dtm(text: str, c: Context) -> Time:
    match = _DTM.fullmatch(text)
    if not match:
        raise Unreadable("time-unreadable", "not an HL7 date and time", text, _HINT, "102")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        whole = dt.datetime(  # noqa: DTZ001  # local on purpose: the zone is found below
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError as error:
        raise Unreadable("time-impossible", f"there is no such date or time ({error})", text, _HINT, "102") from None
    if hour is None:
        if offset:
            raise Unreadable("time-unreadable", "a date has no offset", text, _HINT, "102")
        return Time("-".join(part for part in (year, month, day) if part))
    if offset is None:
        zone = _local_offset(whole, text, c)
    else:
        zone = f"{offset[:3]}:{offset[3:] or '00'}"
        if int(zone[1:3]) > 14 or int(zone[4:6]) > 59:
            raise Unreadable("time-impossible", "there is no such offset", text, _HINT, "102")
    iso = f"{year}-{month}-{day}T{hour}:{minute or '00'}:{second or '00'}{fraction or ''}{zone}"
    # What is left out, or shorter than `write_dtm` writes it, would not come back from the dateTime alone.
    whole_text = second and offset and len(offset) == 5
    return Time(iso) if whole_text else Time(iso, text)


def _local_offset(local: dt.datetime, text: str, c: Context) -> str:
    """The offset of the site's zone at this local time; refused where there is no zone, no such time, or there are two."""
    if c.zone is None:
        raise Unreadable(
            "time-without-offset",
            "the time has no offset and the site no time zone",
            text,
            "set the time zone of the listener (or --timezone), or send offsets",
            "102",
        )
    first, second = (local.replace(tzinfo=c.zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        gap = first.astimezone(dt.UTC).astimezone(c.zone).replace(tzinfo=None) != local
        why = "never was" if gap else "came twice"
        raise Unreadable(
            "time-ambiguous",
            f"the clocks changed in {c.zone.key}: this local time {why}",
            text,
            "send times with their offset",
            "102",
        )
    return first.isoformat()[-6:]


def write_dtm(time: Time) -> str:
    """The DTM text of a time; what was sent, while that still denotes the same instant."""
    if time.sent:
        return time.sent
    iso = time.iso
    if len(iso) <= 10:
        return iso.replace("-", "")
    clock = iso[11:].replace(":", "")
    return iso[:10].replace("-", "") + (clock[:-1] + "+0000" if clock[-1] == "Z" else clock)


def read_iso(text: Any, beside: Any, c: Context) -> Time:
    """The time of a FHIR date, dateTime or instant, with the v2 text beside it while both denote one instant."""
    match = _ISO.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise Unreadable("time-unreadable", "not a FHIR date or dateTime", str(text), "see FHIR R4 datatypes, dateTime")
    year, month, day, hour, _, _ = (int(part or 1) for part in match.groups()[:6])
    try:
        dt.date(year, month, day)
        if match[4]:
            dt.time(hour if match[4] != "00" else 0, int(match[5]), min(int(match[6]), 59))
    except ValueError as error:
        raise Unreadable("time-impossible", f"there is no such date or time ({error})", text) from None
    sent = _sent(beside)
    if sent and _same_instant(sent, text, c):
        return Time(text, sent)
    return Time(text)


def _sent(beside: Any) -> str:
    for extension in beside.get("extension", ()) if isinstance(beside, dict) else ():
        if extension.get("url") == DTM_EXTENSION:
            return str(extension.get("valueString", ""))
    return ""


def _same_instant(sent: str, iso: str, c: Context) -> bool:
    """Whether the v2 text as sent still says what the element says: nobody has changed the element since."""
    match = _DTM.fullmatch(sent)
    if not match:
        return False
    if match[8] or not match[4]:
        try:
            made = read_dtm(sent, c)
        except Unreadable:
            return False
        return _instant_text(made.iso, iso) == iso
    # Without offset the zone is the element's own: compare the clock times as far as they were sent.
    digits = re.sub(r"[-T:]", "", re.sub(r"(Z|[+-]\d\d:\d\d)$", "", iso))
    sent_digits = match[0]
    return digits.startswith(sent_digits) and set(digits[len(sent_digits) :]) <= {"0", "."}


def _instant_text(made: str, iso: str) -> str:
    """`made` as an instant, where `iso` is one and `made` only a date."""
    if len(made) >= len(iso) or len(iso) <= 10:
        return made
    padded = made + "-01" * ((10 - len(made)) // 3)
    return iso if iso.startswith(padded + "T00:00:00") else made


class DateTime(Codec):
    """DTM <-> date or dateTime, offset and precision as they came; what FHIR cannot hold stands in `v2-dtm`."""

    fhir_type = "dateTime"
    companion = True

    def from_v2(self, c: Context, *cells: str) -> Time:
        return read_dtm(first_component(cells[0], c), c)

    def to_v2(self, c: Context, value: Time) -> tuple[str, ...]:
        return (write_dtm(value),)

    def to_fhir(self, c: Context, value: Time) -> str:
        return value.iso

    def from_fhir(self, c: Context, json: Any) -> Time:
        return read_iso(json[0], json[1], c)

    def beside(self, value: Time) -> dict[str, Any] | None:
        """The companion of the primitive, or None."""
        return dtm_beside(value)


class Span(Codec):
    """Start and end cells <-> dateTime or, with an end, Period (OBR-7 and OBR-8)."""

    cells = 2
    fhir_type = "Period"
    companion = True

    def from_v2(self, c: Context, *cells: str) -> Period | None:
        start, end = (read_dtm(first_component(cell, c, at), c) if cell else None for at, cell in enumerate(cells))
        if start and end and is_before(end, start):
            c.warn(
                "end-before-start", "it ends before it starts: the start counts, the end is preserved", cells[1],
                "check both times and their offsets",
            )  # fmt: skip
            if c.row and c.segment is not None:
                c.preserved.append((f"{c.segment.name}-{c.row.cells[1].text}", cells[1].partition("^")[0]))
            end = None
        return Period(start, end) if start or end else None

    def to_v2(self, c: Context, value: Period) -> tuple[str, ...]:
        return tuple(write_dtm(time) if time else "" for time in (value.start, value.end))

    def to_fhir(self, c: Context, value: Period) -> tuple[str, Any]:
        if value.start and not value.end:
            return "DateTime", value.start.iso
        return "Period", period_json(value)

    def from_fhir(self, c: Context, json: Any) -> Period | None:
        (kind, body), beside = json
        if kind == "Period":
            return read_period(body, c)
        return Period(read_iso(body, beside, c))

    def beside(self, value: Period) -> dict[str, Any] | None:
        """The companion of effectiveDateTime; a Period has its own inside."""
        return dtm_beside(value.start) if value.start and not value.end else None


def dtm_beside(value: Time) -> dict[str, Any] | None:
    """The extension that keeps the HL7v2 text of a time, where FHIR cannot say it."""
    return {"extension": [{"url": DTM_EXTENSION, "valueString": value.sent}]} if value.sent else None


def period_json(value: Period) -> dict[str, Any]:
    """Period."""
    json: dict[str, Any] = {}
    for name, time in (("start", value.start), ("end", value.end)):
        if time:
            json[name] = time.iso
            beside = dtm_beside(time)
            if beside:
                json["_" + name] = beside
    return json


def read_period(json: Any, c: Context) -> Period:
    """A FHIR Period."""
    ends = (read_iso(json[end], json.get("_" + end), c) if end in json else None for end in ("start", "end"))
    return Period(*ends)


class Date(DateTime):
    """DTM <-> date (birth, expiry): a time of day has no place in FHIR `date` and is kept as sent."""

    fhir_type = "date"

    def from_v2(self, c: Context, *cells: str) -> Time:
        text = first_component(cells[0], c)
        if len(text) <= 8:
            return read_dtm(text, c)
        day = read_dtm(text[:8], c)
        day.sent = text
        return day


class Instant(DateTime):
    """DTM <-> instant, which needs seconds and a zone: the rest is filled with zeros, and what was sent kept beside."""

    fhir_type = "instant"

    def to_fhir(self, c: Context, value: Time) -> str:
        return instant_of(value, c)

    def beside(self, value: Time) -> dict[str, Any] | None:
        text = value.sent or (write_dtm(value) if len(value.iso) <= 10 else "")
        return {"extension": [{"url": DTM_EXTENSION, "valueString": text}]} if text else None

    def from_fhir(self, c: Context, json: Any) -> Time:
        time = read_iso(json[0], json[1], c)
        if time.sent and len(time.sent) <= 8:
            return Time("-".join(part for part in (time.sent[:4], time.sent[4:6], time.sent[6:8]) if part))
        return time


def instant_of(value: Time, c: Context) -> str:
    """A time as a FHIR instant; a date becomes its first second in the site's zone, or UTC where the site has none."""
    if len(value.iso) > 10:
        return value.iso
    padded = value.iso + "-01" * ((10 - len(value.iso)) // 3)
    local = dt.datetime.fromisoformat(padded).replace(tzinfo=c.zone or dt.UTC)
    return local.isoformat()
