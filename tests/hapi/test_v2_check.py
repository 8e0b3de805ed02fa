"""What we write is read by the HL7v2 parser of HAPI with its default validation (tests/hapi/v2, built with Maven)."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from golden.sent import answers, messages, unknown
from ketafhir.errors import Issue
from ketafhir.hapi.build import project_jar
from ketafhir.hapi.java import find_java
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.structures import RESPONSES
from ketafhir.translate.incoming import VERSIONS

pytestmark = pytest.mark.hapi
SOURCES = Path(__file__).parent / "v2"
NO_STRUCTURES = ("2.7.1", "2.8.1", "2.8.2")  # versions that this build of HAPI has no structures for


@pytest.fixture(scope="module")
def jar() -> Path:
    return project_jar(SOURCES, "v2-check")


def found(jar: Path, texts: Sequence[str]) -> list[list[str]]:
    """What HAPI finds wrong with each message."""
    data = b"".join(struct.pack(">i", len(text.encode())) + text.encode() for text in texts)
    command = [find_java(), "-jar", str(jar)]
    ran = subprocess.run(command, input=data, capture_output=True, timeout=300, check=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(lines) == len(texts)
    return lines


def test_every_golden_message_out(jar: Path) -> None:
    cases = list(messages())
    findings = found(jar, [text for _, text in cases])
    assert len(cases) > 50
    assert [
        f"{case}: {one}" for (case, _), some in zip(cases, findings, strict=True) for one in unknown(some, case)
    ] == []
    read = [some for some in findings if not any(one.startswith("structure: ") for one in some)]
    assert len(read) > len(findings) * 0.9, "most messages have a structure that HAPI knows"


@pytest.mark.parametrize("version", [one for one in VERSIONS if one not in NO_STRUCTURES])
def test_acknowledgments(jar: Path, version: str) -> None:
    header = rf"MSH|^~\&|EMAR|WARD|KF|HIS|20260301120000||RAS^O17^RAS_O17|M1|P|{version}"
    received = er7.parse(f"{header}\rPID|1\r")
    issue = Issue(
        "error",
        "unit-unknown",
        "the unit is a rate",
        where="RXA[2]-7.1",
        row="a:4 [b]",
        value="mg/h",
        hint="send RXA-12",
    )
    texts = [
        ack.acknowledge(received, "AA", control_id="K1", timestamp="20260301120001"),
        ack.acknowledge(received, "AE", [issue], control_id="K2", timestamp="20260301120001"),
        ack.acknowledge(received, "CA", control_id="K3", timestamp="20260301120001"),
        ack.application_response(received, "AE", [issue], control_id="K4", timestamp="20260301120001"),
    ]
    assert [unknown(some) for some in found(jar, texts)] == [[]] * len(texts)


NOT_KNOWN = {
    r"^RRE\^O02 of 2\.3, .*: structure: HAPI has none": "its tables of 2.3 lack this answer",
    r"^ORA\^R41 of 2\.[67], .*: structure: HAPI has none": "its tables have this answer in 2.8 alone",
    r"^ORR\^O02 of .*: required: .*(OBR|RQD|RQ1|ODS|ODT) is missing": "of this choice RXO is there; it wants all",
}
"""What HAPI says of answers that it does not know, with the reason; its parser reads these too with the default validation."""


def test_every_answer_of_the_service(jar: Path) -> None:
    """Functional answers (ORP, ORR, RRE, RRG, RRA, RRD, ORA, and those of 2.3) in each version that HAPI has."""
    cases = [(name, text) for name, text in answers() if name.split()[2].rstrip(",") not in NO_STRUCTURES]
    findings = found(jar, [text for _, text in cases])
    wrong, used = [], set()
    for (name, _), some in zip(cases, findings, strict=True):
        for one in [f"{name}: {one}" for one in some]:
            reasons = {pattern for pattern in NOT_KNOWN if re.search(pattern, one)}
            used |= reasons
            wrong += [] if reasons else [one]
    assert wrong == []
    assert used == set(NOT_KNOWN), "no longer needed"
    assert {name.split()[0] for name, _ in cases} == {"^".join(told[:2]) for told in RESPONSES.values()}


def test_what_is_wrong_is_found(jar: Path) -> None:
    """The check itself: a value of the wrong type, a missing field, a segment out of place, an unknown structure."""
    text = next(text for case, text in messages() if case == "RAS_O17/two-orders")
    broken = [
        text.replace("RXA|0|1|2026", "RXA|0|1|20261399"),
        text.replace("|6130^ketamine^RXNORM|", "||", 1),
        text.replace("\rORC|", "\rOBR|1\rORC|", 1),
        text.replace("RAS^O17^RAS_O17", "XYZ^O17^XYZ_O17"),
        text.replace("\rRXA|", "\rRXA", 1),
    ]
    findings = found(jar, [text, *broken])
    assert unknown(findings[0]) == []
    assert [bool(some) for some in findings[1:]] == [True] * len(broken)
