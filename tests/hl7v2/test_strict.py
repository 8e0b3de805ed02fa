"""Conformance: what hl7apy says of segments and groups as we walked them, and what it cannot say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ketafhir.errors import Issue
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check, segment_types

PID = "PID|1||4711^^^HIS^MR||Doe^Jane"
ORC = "ORC|RE|P1^EHR|F1^PH"
ORC_2_3 = "ORC|RE|P1^EHR|F1^PH||||^^^20260301"
RXA = "RXA|0|{}|20260301120000+0100|20260301130000+0100|1^Ketamine^L|54|mL^mL^UCUM|||||H1||||||||CP|A"
RXR = "RXR|IV^Intravenous^HL70162"
RXE = "RXE|{}|1^Ketamine^L|54||mL^mL^UCUM||||||||||RX1||||||||54|mL/h"
TQ1 = "TQ1|1||C"
OBX = "OBX|1|NM|29463-7^Body weight^LN||72.50|kg^kg^UCUM|||||F|||20260301"


def findings(type: str, version: str, *segments: str) -> list[Issue]:
    message = er7.parse("\r".join([rf"MSH|^~\&|A|B|C|D|20260301120000||{type}|1|P|{version}", *segments]))
    return check(message, walk(message))


def codes(issues: list[Issue]) -> list[tuple[str, str, str]]:
    return [(issue.severity, issue.code, issue.where) for issue in issues]


@pytest.mark.parametrize(
    ("type", "version", "segments"),
    [
        ("RAS^O17^RAS_O17", "2.5.1", [PID, ORC, RXA.format(1), RXR, RXA.format(2), RXR, OBX]),
        (
            "RAS^O17^RAS_O17",
            "2.5.1",
            [PID, ORC, RXA.format(1), RXA.format(2), RXR, OBX, ORC, RXA.format(1), RXR],
        ),
        ("RAS^O17^RAS_O17", "2.8.2", [PID, ORC, RXA.format(1), RXR]),
        ("RAS^O17", "2.4", [PID, ORC, RXA.format(1), RXA.format(2), RXR, OBX]),
        ("RAS^O01", "2.3", [PID, ORC_2_3, RXA.format(1), RXA.format(2), RXR]),
        ("RDE^O11^RDE_O11", "2.5.1", [PID, ORC, TQ1, RXE.format("^^^20260301"), TQ1, RXR, OBX]),
        ("RDE^O25", "2.5.1", [PID, ORC, RXE.format("^^^20260301"), TQ1, RXR]),
        ("ORU^R42^ORU_R01", "2.6", [PID, "OBR|1|P1|F1|1^x^LN", OBX, "NTE|1", OBX]),
        ("ORU^R01^ORU_R01", "2.7", [PID, "OBR|1|P1|F1|1^x^LN", OBX]),
        ("ADT^A04^ADT_A01", "2.5.1", ["EVN||20260301", PID, "PV1|1|I", OBX, "ZKT|1|x^y&z"]),
    ],
)
def test_what_conforms_has_no_finding(type: str, version: str, segments: list[str]) -> None:
    assert codes(findings(type, version, *segments)) == []


def test_fields_values_and_types_by_place() -> None:
    issues = findings(
        "RAS^O17^RAS_O17", "2.5.1", PID, ORC, RXA.format("x"),
        "RXA|0|2|2026-03-01||1^K^L|5|||||||||||||||ZZ", RXR, OBX.replace("72.50", "7x").replace("|F|", "||"),
    )  # fmt: skip
    assert codes(issues) == [
        ("error", "strict-value", "RXA[1]-2"),
        ("error", "strict-missing", "RXA[2]-4"),
        ("warning", "strict-table", "RXA[2]-21"),
        ("error", "strict-value", "RXA[2]-3.1"),
        ("error", "strict-missing", "OBX-11"),
        ("error", "strict-value", "OBX-5"),
    ]
    assert [issue.value for issue in issues if issue.code == "strict-value"] == ["x", "2026-03-01", "7x"]
    assert issues[1].hl7 == "101"


def test_surplus_repetitions_components_and_fields() -> None:
    issues = findings("RAS^O17^RAS_O17", "2.5.1", PID, "ORC|RE|1~2|3^4^5^6^7|" + "|" * 60 + "x", RXA.format(1), RXR)
    assert ("error", "strict-repeats", "ORC-2") in codes(issues)
    assert ("error", "strict-surplus", "ORC-3") in codes(issues)
    assert ("error", "strict-surplus", "ORC") in codes(issues)


def test_a_null_is_no_finding() -> None:
    rxa = RXA.format(1).replace("20260301130000+0100", '""')
    assert findings("RAS^O17^RAS_O17", "2.5.1", PID, ORC, rxa, RXR) == []


def test_what_is_missing_or_out_of_place_in_a_group() -> None:
    issues = findings(
        "RAS^O17^RAS_O17", "2.5.1", PID, ORC, RXA.format(1), ORC, RXA.format(1), RXR, "PV1|1|I",
        ORC, "RXO", RXR, RXA.format(1), RXR,
    )  # fmt: skip
    assert codes(issues) == [
        ("error", "strict-missing", "RXR"),
        ("error", "strict-place", "PV1"),
        ("error", "strict-missing", "RXR[2]"),
    ]
    assert issues[0].text == "RXR missing in the administration of RXA[1]"
    assert issues[2].text == "NTE missing before it in the order of ORC[3]"


def test_a_structure_by_another_name_is_checked_as_what_it_is() -> None:
    segments = [PID, ORC, RXE.format("^^^20260301"), TQ1, RXR]
    (issue,) = findings("RDE^O25^RDE_O25", "2.5.1", *segments)
    assert (issue.code, issue.where) == ("strict-table", "MSH-9.3")
    (_, missing) = findings("RDE^O25^RDE_O25", "2.5.1", *segments[:-1])
    assert missing.text == "RXR missing in the order of ORC"


def test_rde_without_the_timing_and_route_of_its_rxe() -> None:
    (issue,) = findings("RDE^O11^RDE_O11", "2.5.1", PID, ORC, RXE.format("^^^20260301"), OBX)
    assert issue.code == "strict-missing"
    assert issue.text == "TQ1, RXR missing before it in the order of ORC"


def test_a_segment_that_the_version_lacks() -> None:
    issues = findings("RDE^O11", "2.4", PID, ORC, RXE.format("^^^20260301"), TQ1, RXR)
    assert codes(issues) == [("error", "strict-segment", "TQ1")]


@pytest.mark.parametrize(
    ("type", "version", "where"),
    [("ORU^R40^ORU_R40", "2.6", "MSH-9.3"), ("ORU^R01^ORU_R01", "2.9", "MSH-12")],
)
def test_what_hl7apy_cannot_check_is_told(type: str, version: str, where: str) -> None:
    issues = findings(type, version, PID, "OBR|1|P1|F1|1^x^LN", OBX)
    assert codes(issues) == [("information", "strict-unchecked", where)]


def test_holes_in_the_tables_are_told() -> None:
    issues = findings("RDE^O11^RDE_O11", "2.7", PID, ORC, RXE.format(""), TQ1, RXR)
    assert codes(issues) == [("information", "strict-unchecked", "TQ1")]


def test_other_separators() -> None:
    message = er7.parse(
        "MSH$*+?%$A$B$C$D$20260301$$ADT*A04*ADT_A01$1$P$2.5.1\rEVN$$20260301\rPID$1$$1***H*MR+2$$Doe*Jane\rPV1$1$I"
    )
    assert check(message, walk(message)) == []


def test_segment_types() -> None:
    assert segment_types("2.5.1", "RXA")[:4] == [
        (1, "NM", 1, 1),
        (2, "NM", 1, 1),
        (3, "TS", 1, 1),
        (4, "TS", 1, 1),
    ]
    assert (3, "CX", 1, -1) in segment_types("2.5.1", "PID")
    assert (5, "varies", 0, -1) in segment_types("2.5.1", "OBX")
    assert segment_types("2.5.1", "ZZZ") == []
    assert segment_types("1.0", "RXA") == []


def test_hl7apy_is_loaded_only_for_a_check() -> None:
    """The hot paths and the start of the command line must not pay for it."""
    heavy = "{'hl7apy', 'pydantic', 'asyncio', 'uuid', 'csv'}"
    code = "import sys, ketafhir.hl7v2.ack, ketafhir.hl7v2.groups, ketafhir.hl7v2.strict; "
    found = subprocess.run(
        [sys.executable, "-c", f"{code}print({heavy} & set(sys.modules))"], capture_output=True, text=True
    )
    assert found.stdout.strip() == "set()"
