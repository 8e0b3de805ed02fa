"""What we send, for the tests of its conformance: every message of the golden cases, and what of it is known not to conform."""

from __future__ import annotations

import re
from collections.abc import Iterator

from golden.cases import ROOT
from ketafhir.hl7v2.stream import split_messages

KNOWN = {
    r"PID[._-]5 is empty|required child PID\.PID_5": "nobody told the name of the patient; null would delete it at the receiver",
    r"^place: ORDER\.\w+ has no place|OBX missing before it in the administration": (
        "a note on an administration goes back as its sender wrote it, behind the RXR, where the structure has no NTE; what "
        "follows it in the group is then out of place to a strict parser"
    ),
    r"Child limit exceeded OBX\.OBX_2[01]": "repetitions that a sender told go back as they came",
    r"RXG[._-][57] is empty|required child RXG\.RXG_[57]": "IHE PCD-03: a change of rate (ORC-1 XO) tells no amount",
    r"^structure: HAPI has none for": "HAPI has no structure of this message in this version: its parser took it without looking",
}
"""Findings that are no fault of ours, as patterns, each with the reason."""


def messages() -> Iterator[tuple[str, str]]:
    """Each message that is written in a golden case: the case, and ER7 with CR between segments."""
    for file in sorted(ROOT.rglob("out*.hl7")):
        for message in split_messages(file.read_bytes().replace(b"\n", b"\r")):
            yield file.parent.relative_to(ROOT).as_posix(), message.decode("utf-8") + "\r"


UNTOLD = re.compile(r"^required: | Missing required child | missing in the order of ORC$")
"""What others' FHIR did not tell is not made up: the case FOREIGN/... is written without it."""


def unknown(findings: list[str], case: str = "") -> list[str]:
    """The findings that no pattern of `KNOWN` knows, nor of a foreign case `UNTOLD`."""
    found = [one for one in findings if not any(re.search(pattern, one) for pattern in KNOWN)]
    return [one for one in found if not (case.startswith("FOREIGN/") and UNTOLD.search(one))]
