"""The messages measured: three kinds, each in many variants, so that no cache sees one message again and again.

From one variant to the next the control id, every time and the numbers of the OBX differ; the patient, the devices
and the kinds of observation stay, as they do in the feed of one clinic.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

FOLDER = Path(__file__).parent / "messages"
NAMES = {"oru": "oru-12-obx.hl7", "rde": "rde.hl7", "ras": "ras.hl7"}
VALUES = (3, 4, 5, 6, 11, 14)
"""The fields of each OBX that the row `read` reads: code, sub-ID, value, unit, status and time."""

_TIME = re.compile(r"(?<=\|)\d{14}(?=-0500)")
_NUMBER = re.compile(r"(\rOBX\|\d+\|NM\|[^|]*\|[^|]*\|)(\d+)")
_BEFORE_CONTROL_ID = re.compile(r"(?:[^|]*\|){9}")


def variants(kind: str, count: int) -> list[str]:
    """`count` different messages of one kind (`oru`, `rde`, `ras`), CR between segments."""
    text = (FOLDER / NAMES[kind]).read_text(encoding="utf-8").replace("\n", "\r")
    return [_variant(text, number) for number in range(count)]


def _variant(text: str, number: int) -> str:
    later = timedelta(minutes=7 * number)

    def shifted(match: re.Match[str]) -> str:
        return (datetime.strptime(match[0], "%Y%m%d%H%M%S") + later).strftime("%Y%m%d%H%M%S")  # noqa: DTZ007  # local text

    text = _TIME.sub(shifted, text)
    text = _NUMBER.sub(lambda match: match[1] + str(int(match[2]) + number % 7), text)
    return _BEFORE_CONTROL_ID.sub(lambda match: f"{match[0]}V{number}-", text, count=1)
