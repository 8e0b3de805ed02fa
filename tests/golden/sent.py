"""What we send, for the tests of its conformance: every message of the golden cases, every answer of the service in every version
that has it, and what of it is known not to conform."""

from __future__ import annotations

import re
from collections.abc import Iterator

from golden.cases import ROOT
from ketafhir.errors import Issue
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.stream import split_messages
from ketafhir.hl7v2.structures import RESPONSES
from ketafhir.mapping.tables import Tables
from ketafhir.translate.order_answers import echo

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


_HEAD = "MSH|^~\\&|EHR|WILLOW|K|HUB|20260414082500-0500||{kind}|T1|P|{version}\r"
_BODY = (
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\r"
    "ORC|NW|P-1^EHR|F-1^PH||||^^^20260414090000-0500\rRXO|6130^ketamine^RXN|36||mg^^UCUM\r"
    "ORC|DC|P-2^EHR|F-2^PH||||^^^20260414090000-0500\rRXO|6130^ketamine^RXN|36||mg^^UCUM\r"
)
_REFUSAL = [
    Issue("error", "unit-unknown", "the unit is not understood", where="RXO-4", value="mgg", hl7="103"),
    Issue("warning", "code-unmapped", "no map has this code", where="ORC[2]-5", value="ZP"),
]
_OLD, _NEW = ("2.3", "2.3.1"), ("2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")
_ASKED_IN = {
    "ORM^O01": (*_OLD, *_NEW[:4]),  # withdrawn in 2.7
    "RDE^O25": _NEW[1:],
    "ORU^R40": _NEW[3:],
}
"""The versions that have a message, where these are not those of the others: the *^O01 of 2.3, else from 2.4."""


def answers() -> Iterator[tuple[str, str]]:
    """Each answer to each message in each version that has it, of acceptance and of refusal: what it is, and ER7."""
    for kind in sorted(RESPONSES):
        for version in _ASKED_IN.get(kind, _OLD if kind.endswith("^O01") else _NEW):
            message = er7.parse(_HEAD.format(kind=kind, version=version) + _BODY)
            codes: tuple[ack.Code, ...] = ("AA", "AE")
            for code in codes:
                told = [] if code == "AA" else _REFUSAL
                below = echo(message, code, Tables())
                text = ack.application_response(
                    message, code, told, control_id="A1", timestamp="20260414082501-0500", below=below
                )
                yield f"{'^'.join(RESPONSES[kind][:2])} of {version}, {code}", text


UNTOLD = re.compile(r"^required: | Missing required child | missing in the order of ORC$")
"""What others' FHIR did not tell is not made up: the case FOREIGN/... is written without it."""


def unknown(findings: list[str], case: str = "") -> list[str]:
    """The findings that no pattern of `KNOWN` knows, nor of a foreign case `UNTOLD`."""
    found = [one for one in findings if not any(re.search(pattern, one) for pattern in KNOWN)]
    return [one for one in found if not (case.startswith("FOREIGN/") and UNTOLD.search(one))]
