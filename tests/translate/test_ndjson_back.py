"""What `translate --to fhir` writes of several messages, a Bundle a line, can be read back by `translate --to hl7v2`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from golden.cases import ROOT, folders
from ketafhir.translate.outputs import Findings
from ketafhir.translate.running import Asked, Run, translate
from ketafhir.translate.settings import default

SEVERAL = [one for one in folders() if (one / "in.hl7").is_file() and one.parent.name != "ADT_A39"]
"""A merge gives one message more on the way back: that number which is no longer in use is of the Bundle too."""


def run(data: bytes, to: str) -> bytes:
    out = io.BytesIO()
    translate(Run(Asked(to), default("America/Chicago", None), Findings(), out, "input"), iter([data]))
    return out.getvalue()


def told(messages: bytes) -> list[str]:
    """The types of the messages, and of each RXA the times, code, amount, unit and rate: by content, in no order."""
    found = []
    for segment in messages.decode().split("\r"):
        fields = segment.split("|")
        if fields[0] == "MSH":
            found.append(fields[8])
        elif fields[0] == "RXA":
            found.append("|".join(fields[3:9] + fields[11:13]))
    return sorted(found)


@pytest.mark.parametrize("folder", SEVERAL, ids=lambda path: str(path.relative_to(ROOT)))
def test_back_as_the_messages_themselves(folder: Path) -> None:
    data = (folder / "in.hl7").read_bytes()
    assert told(run(run(data, "fhir"), "hl7v2")) == told(run(data, "hl7v2"))
