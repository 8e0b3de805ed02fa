"""The messages measured: three kinds, each in many variants, so that no cache sees one message again and again.

From one variant to the next all differs that differs in the feed of a clinic: the control id, every time, the numbers of the
OBX, of the order and of the report, and the patient with the visit, who is one of a hundred. Devices, staff, kinds of
observation and units stay.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

FOLDER = Path(__file__).parent / "messages"
NAMES = {"oru": "oru-12-obx.hl7", "rde": "rde.hl7", "ras": "ras.hl7"}
VALUES = (3, 4, 5, 6, 11, 14)
"""The fields of each OBX that the row `read` reads: code, sub-ID, value, unit, status and time."""

PATIENTS = 100

_TIME = re.compile(r"(?<=\|)\d{14}(?=-0500)")
_NUMBER = re.compile(r"(\rOBX\|\d+\|NM\|[^|]*\|[^|]*\|)(\d+)")
_BEFORE_CONTROL_ID = re.compile(r"(?:[^|]*\|){9}")
_PATIENT = re.compile(r"(\rPID\|1\|\|SYN-)\d+([^|]*\|\|[^^]*\^[^^]*)([^|]*\|\|)\d{4}")
_VISIT = re.compile(r"(?<=\|V-)\w+")
_ORDER = re.compile(r"(?<=\|)((?:P|F|VS)-[\w-]+)(?=\^)")


def variants(kind: str, count: int) -> list[str]:
    """`count` different messages of one kind (`oru`, `rde`, `ras`), CR between segments."""
    text = (FOLDER / NAMES[kind]).read_text(encoding="utf-8").replace("\n", "\r")
    return [_variant(text, number) for number in range(count)]


def _variant(text: str, number: int) -> str:
    later = timedelta(minutes=7 * number)

    def shifted(match: re.Match[str]) -> str:
        return (datetime.strptime(match[0], "%Y%m%d%H%M%S") + later).strftime("%Y%m%d%H%M%S")  # noqa: DTZ007  # local text

    text = _TIME.sub(shifted, text)
    text = _NUMBER.sub(lambda match: match[1] + str(int(match[2]) + number % 13), text)
    patient = number % PATIENTS
    text = _PATIENT.sub(rf"\g<1>{200000 + patient}\g<2>-{patient}\g<3>{1930 + patient % 70}", text)
    text = _VISIT.sub(f"{patient}", text)
    text = _ORDER.sub(rf"\g<1>-{number}", text)
    return _BEFORE_CONTROL_ID.sub(lambda match: f"{match[0]}V{number}-", text, count=1)
