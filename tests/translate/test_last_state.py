"""What a file of messages amounts to in the end: written person by person, of each only what was told of it."""

from __future__ import annotations

import io
from itertools import islice
from typing import Any

import pytest

from benchmarks import feed
from golden.cases import folders, last_state
from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.hl7v2.stream import split_messages
from ketafhir.therapy.asjson import dump
from ketafhir.therapy.settled import settle
from ketafhir.translate import session as session_module
from ketafhir.translate import spill
from ketafhir.translate.incoming import parse
from ketafhir.translate.last_state import as_json
from ketafhir.translate.outputs import Findings
from ketafhir.translate.pump_orders import PumpOrders
from ketafhir.translate.running import Asked, Run, translate
from ketafhir.translate.session import Session
from ketafhir.translate.settings import Settings, default
from ketafhir.translate.translation import iter_fhir, to_hl7v2

FEED = b"\r".join(islice(feed.messages(2000), 1500, None))
GOLDEN = b"\r".join((folder / "in.hl7").read_bytes() for folder in folders() if (folder / "in.hl7").is_file())
ADMIT = (
    "MSH|^~\\&|{sender}|{place}|||2026041409{minute}00-0500||ADT^A08^ADT_A01|C-{minute}|P|2.5.1\r"
    "EVN||2026041408{minute}00-0500|||USER-{minute}\r"
    "PID|1||SYN-{minute}^^^WILLOW^MR||Sample^Ida\r"
    "PV1|1|O|INFUSION||||||||||||||||V-{minute}^^^WILLOW^VN\r"
)
RATE = (
    "MSH|^~\\&|EMAR|WILLOW|||2026041410{minute}00-0500||RAS^O17^RAS_O17|R-{minute}|P|2.5.1\r"
    "ZST|station {minute}\r"
    "PID|1||SYN-{minute}^^^WILLOW^MR\r"
    "ORC|RE|P-{minute}^EHR|F-{minute}^PHARM||IP\r"
    'RXA|0|1|2026041410{minute}00-0500|""|6130^ketamine^RXNORM|20|mL|||||H1|||||||||A\r'
)


class Ran:
    """What a run wrote, its issues, and whether anything was refused."""

    def __init__(self, data: bytes, to: str, message: str | None = None, settings: Settings | None = None) -> None:
        out, issues = io.BytesIO(), Findings()
        self.refused = translate(Run(Asked(to, message), settings or default(), issues, out, "test"), iter([data]))
        self.out, self.codes = out.getvalue(), [issue.code for issue in issues.held]
        self.messages = [one.decode().split("\r") for one in split_messages(self.out)] if to == "hl7v2" else []


def bundle_of(data: bytes) -> dict[str, Any]:
    bundles = []
    for one in iter_fhir(data):
        assert not isinstance(one, Refused)
        assert one.bundle is not None
        bundles.append(one.bundle)
    return last_state(bundles)


@pytest.mark.parametrize("data", [FEED, GOLDEN], ids=["feed", "golden"])
def test_the_records_are_the_json_of_all_of_them(data: bytes) -> None:
    session = Session(default())
    for one in split_messages(data):
        try:
            session.take(parse(one))
        except Refused:
            continue
    assert b"".join(as_json(session)) == json.dumps(dump(settle(session.history)), indent=True) + b"\n"
    assert b"".join(as_json(Session(default()))) == b"{}\n"


@pytest.mark.parametrize("data", [FEED, GOLDEN], ids=["feed", "golden"])
@pytest.mark.parametrize("to", ["therapy", "hl7v2"])
def test_what_left_memory_is_written_the_same(data: bytes, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Ran(data, to)
    monkeypatch.setattr(session_module, "_IN_MEMORY", 3)
    monkeypatch.setattr(spill.Spill.__init__, "__defaults__", (20,))
    found = Ran(data, to)
    assert found.out == wanted.out
    assert found.codes == wanted.codes


def told(minutes: tuple[str, ...], text: str) -> bytes:
    return "".join(text.format(minute=one, sender=f"EHR{one}", place=f"PLACE{one}") for one in minutes).encode()


@pytest.mark.parametrize("through", ["history", "bundle"])
def test_no_message_tells_what_was_told_of_another_patient(through: str) -> None:
    """EVN-2 and -5 of another's admission, Z-segments of another's infusion, MSH-7 of the last of all."""
    for text, name in ((ADMIT, "EVN"), (RATE, "ZST")):
        data = told(("10", "20", "30"), text)
        if through == "history":
            found = Ran(data, "hl7v2").messages
        else:
            found = [one.decode().split("\r") for one in split_messages(to_hl7v2(bundle_of(data)).text.encode())]
        assert len(found) == 3
        for minute, lines in zip(("10", "20", "30"), found, strict=True):
            assert f"SYN-{minute}" in next(line for line in lines if line.startswith("PID"))
            own = next(line for line in lines if line.startswith(name))
            others = {"10", "20", "30"} - {minute}
            if name == "EVN":
                assert own.split("|")[2] == f"2026041408{minute}00-0500"
                assert own.split("|")[5] == f"USER-{minute}"
                assert lines[0].split("|")[6] == f"2026041409{minute}00-0500"
            else:
                assert own == f"ZST|station {minute}"
                assert lines[0].split("|")[6] == f"2026041410{minute}00-0500"
            assert not any(f"USER-{one}" in "".join(lines) or f"station {one}" in "".join(lines) for one in others)


def test_a_message_is_sent_by_whoever_told_what_it_tells() -> None:
    data = b"\r".join(islice(feed.messages(800), None))
    senders = {tuple(lines[0].split("|")[index] for index in (8, 2)) for lines in Ran(data, "hl7v2").messages}
    assert senders == {
        ("RDE^O11^RDE_O11", "EHR"), ("RAS^O17^RAS_O17", "EMAR"), ("ORU^R01^ORU_R01", "MONITOR"),
    }  # fmt: skip
    by_patient = Ran(told(("10", "20"), ADMIT), "hl7v2").messages
    assert [lines[0].split("|")[2:4] for lines in by_patient] == [["EHR10", "PLACE10"], ["EHR20", "PLACE20"]]


PUMP = (
    b"MSH|^~\\&|PUMPGW^0003B10000000001^EUI-64|WILLOW|||20260414095000-0500||ORU^R01^ORU_R01|PV1|P|2.6\r"
    b"PID|1||SYN-20^^^WILLOW^MR\r"
    b"OBR|1||1^PUMPGW^0003B10000000001^EUI-64|69985^MDC_DEV_PUMP_INFUS_MDS^MDC|||20260414095000-0500\r"
    b"OBX|1||69985^MDC_DEV_PUMP_INFUS_MDS^MDC|1.0.0.0|||||||X|||||||PUMP-7^^0003B10000000007^EUI-64\r"
    b"OBX|2|NM|157784^MDC_FLOW_FLUID_PUMP^MDC|1.1.1.1|20|265266^MDC_DIM_MILLI_L_PER_HR^MDC|||||R\r"
)
MERGE = (
    b"MSH|^~\\&|EHR|WILLOW|||20260414120000-0500||ADT^A40^ADT_A39|M1|P|2.5.1\rEVN||20260414120000-0500\r"
    b"PID|1||SYN-10^^^WILLOW^MR||Sample^Ida\rMRG|SYN-20^^^WILLOW^MR\r"
)


def test_a_merge_takes_the_reports_of_devices_along() -> None:
    found = Ran(told(("10",), ADMIT) + PUMP + MERGE, "hl7v2")
    assert not found.refused
    kinds = [lines[0].split("|")[8] for lines in found.messages]
    assert kinds == ["ADT^A40^ADT_A39", "ORU^R01^ORU_R01"]
    assert all("SYN-10" in lines[2] or "SYN-10" in lines[1] for lines in found.messages)


ORDER = (
    "MSH|^~\\&|PHARM|WILLOW|||20260414083000-0500||RDE^O11^RDE_O11|O-{minute}|P|2.5.1\r"
    "PID|1||SYN-{minute}^^^WILLOW^MR\r"
    "PV1|1|O|||||||||||||||||V-{minute}^^^WILLOW\r"
    "ORC|NW|P-{minute}^EHR|F-{minute}^PHARM\r"
    "RXE||6130^ketamine^RXNORM|40||mL|||||||||||||||||H2|{place}|mL/h|1|mg/mL\r"
    "TQ1|1\rRXR|IV\r"
    "OBX|1|NM|29463-7^Body weight^LN||80|kg|||||F|||20260414080000-0500\r"
)

DECISION = (
    "MSH|^~\\&|EHR|WILLOW|||20260414080000-0500||ORU^R01^ORU_R01|D-{minute}|P|2.5.1\r"
    "PID|1||SYN-{minute}^^^WILLOW^MR\r"
    "OBR|1||D-{minute}^EHR|candidacy^Candidacy^99KETA|||20260414080000-0500\r"
    "OBX|1|CWE|candidacy-decision^Candidacy decision^99KETA||accepted^Accepted^99KETA||||||F|||20260414080000-0500\r"
)


def test_what_is_refused_of_one_patient_keeps_nothing_of_another_back() -> None:
    """Orders to pumps: 30 mL/h does not give 40 mL in two hours (C2), 20 mL/h does."""
    orders = (("20", "20"), ("10", "30"))
    good, bad = ((DECISION + ORDER).format(minute=one, place=rate).encode() for one, rate in orders)
    pump = default().allowing(PumpOrders("Dr Rowan Example", 24, 1776174000.0))
    found = Ran(bad + good, "hl7v2", "RGV^O15", pump)
    assert found.refused
    assert [lines[1].split("|")[3] for lines in found.messages] == ["SYN-20^^^WILLOW^MR"]
    assert "order-inconsistent" in found.codes


def test_a_file_without_what_is_asked_for_is_refused() -> None:
    found = Ran(told(("10",), ADMIT), "hl7v2", "RAS^O17")
    assert (found.refused, found.out, found.codes) == (True, b"", ["nothing-to-write"])
