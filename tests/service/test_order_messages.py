"""Order messages in the service: their answers with each ORC, an ORC alone of an order that the store knows, answers that come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service_peers import er7, header
from test_intake import Desk, channel, issues

from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.mapping.tables import Tables
from ketafhir.translate.incoming import parse
from ketafhir.translate.order_answers import echo

PID = "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F"
RXE = "RXE||6130^ketamine^RXN|120||mg^^UCUM||||||||||||||||||20|mL/h^^UCUM|1|mg/mL^^UCUM"
RXO = "RXO|6130^ketamine^RXN|120||mg^^UCUM"
RXG = "RXG|1|||6130^ketamine^RXN|120||mL^^UCUM||||||||20|mL/h^^UCUM|1|mg/mL^^UCUM"
NUMBERS = "P-1^EHR|F-1^PHARM"
FULL = {"RDE": RXE, "OMP": RXO, "ORM": RXO, "RGV": RXG}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "store.sqlite")
    yield found
    found.store.close()


def order(
    control_id: str,
    kind: str,
    control: str,
    *detail: str,
    numbers: str = NUMBERS,
    at: str = "0900",
    version: str = "2.5.1",
) -> bytes:
    msh = header(control_id, kind, MSH_7=f"20260309{at}00-0500", MSH_12=version, MSH_15="AL", MSH_16="AL")
    return er7(msh, PID, f"ORC|{control}|{numbers}", *detail)


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("RDE^O11^RDE_O11", "2.5.1", "RRE^O12^RRE_O12"), ("RDE^O25^RDE_O11", "2.5.1", "RRE^O26^RRE_O12"),
        ("RDE^O01", "2.3", "RRE^O02"), ("OMP^O09^OMP_O09", "2.6", "ORP^O10^ORP_O10"),
        ("ORM^O01^ORM_O01", "2.5.1", "ORR^O02^ORR_O02"),
        ("ORM^O01", "2.3", "ORR^O02"), ("RGV^O15^RGV_O15", "2.6", "RRG^O16^RRG_O16"), ("RGV^O01", "2.3", "RRG^O02"),
    ],
)  # fmt: skip
def test_an_order_is_answered_with_its_orc(desk: Desk, kind: str, version: str, expected: str) -> None:
    detail = FULL[kind[:3]]
    accept, answer = desk.take(order("M1", kind, "NW", detail, version=version))
    assert (accept.code, answer.code, answer.get("MSH", 9)) == ("CA", "AA", expected)
    assert [answer.get("ORC", field) for field in (1, 2, 3)] == ["OK", "P-1^EHR", "F-1^PHARM"]
    message = parse(answer.payload)
    found = [one.text for one in check(message, walk(message)) if one.severity == "error"]
    errors = [one for one in found if "ORC_7" not in one]  # of 2.3: it was not sent either
    assert errors == []


@pytest.mark.parametrize(
    ("control", "refused"),
    [
        ("NW", "UA"),
        ("HD", "UH"),
        ("RL", "UR"),
        ("DC", "UD"),
        ("CA", "UC"),
        ("RP", "UM"),
        ("XO", "UX"),
        ("OD", "UA"),
        ("ZZ", "UA"),
    ],
)
def test_what_was_asked_is_refused_in_kind(desk: Desk, control: str, refused: str) -> None:
    bad = order("M1", "RDE^O11^RDE_O11", control, RXE.replace("|120|", "|abc|"))
    accept, answer = desk.take(bad)
    assert (accept.code, answer.code, answer.get("ORC", 1)) == ("CA", "AE", refused)


def test_each_order_of_a_message_is_answered(desk: Desk) -> None:
    two = order("M1", "RDE^O11^RDE_O11", "NW", RXE, "ORC|NW|P-2^EHR", RXE)
    _, answer = desk.take(two)
    assert [line for line in answer.payload.decode().split("\r") if line.startswith("ORC")] == [
        f"ORC|OK|{NUMBERS}",
        "ORC|OK|P-2^EHR",
    ]


def test_an_answer_says_nothing_of_what_only_a_filler_knows(desk: Desk) -> None:
    desk.take(order("M1", "RDE^O11^RDE_O11", "NW", RXE))
    _, answer = desk.take(order("M2", "RDE^O11^RDE_O11", "DC", at="0905"))
    assert (answer.code, answer.get("ORC", 1)) == ("AA", "OK")


def test_other_messages_have_no_order_in_their_answer() -> None:
    for text in (order("M1", "RAS^O17^RAS_O17", "RE"), order("M1", "ORM^O01^ORM_O01", "HD")):
        assert echo(parse(text), "AA", Tables()) == []


def test_an_orc_alone_renders_the_order_that_the_store_knows(desk: Desk) -> None:
    desk.take(order("M1", "RDE^O11^RDE_O11", "NW", RXE))
    desk.renew()
    desk.take(order("M2", "ORM^O01^ORM_O01", "HD", numbers="P-1^EHR", at="0910"))
    (first,), (second,) = desk.bundles(1), desk.bundles(2)
    before, after = (
        [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "MedicationRequest"]
        for bundle in (first, second)
    )
    assert (before[0]["status"], after[0]["status"]) == ("active", "on-hold")
    whole = {key: value for key, value in after[0].items() if key not in ("status", "_status")}
    assert whole == {key: value for key, value in before[0].items() if key not in ("status", "_status")}


def test_an_orc_alone_of_an_unknown_order_is_ae_204(desk: Desk) -> None:
    _, answer = desk.take(order("M1", "ORM^O01^ORM_O01", "CA"))
    assert (answer.code, answer.get("ERR", 3)[:3], answer.get("ERR", 2)) == ("AE", "204", "ORC^1^2")
    assert desk.show(1).deliveries == ()


def answer_of_pharmacy(control_id: str, control: str, numbers: str, at: str) -> bytes:
    msh = header(control_id, "ORP^O10^ORP_O10", MSH_7=f"20260309{at}00-0500")
    return er7(msh, "MSA|AA|M1", f"ORC|{control}|{numbers}")


def test_an_answer_without_patient_finds_the_order_by_its_number(desk: Desk) -> None:
    desk.take(order("M1", "OMP^O09^OMP_O09", "NW", RXO, numbers="P-1^EHR"))
    desk.renew()
    assert desk.only(answer_of_pharmacy("A1", "OK", NUMBERS, "0901")).code == "AA"
    desk.renew()
    assert desk.only(answer_of_pharmacy("A2", "OD", "|F-1^PHARM", "1000")).code == "AA"
    (bundle,) = desk.bundles(3)
    (request,) = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "MedicationRequest"]
    assert (request["status"], [one["value"] for one in request["identifier"]]) == ("stopped", ["P-1", "F-1"])


def test_an_answer_of_another_order_is_refused(desk: Desk) -> None:
    reply = desk.only(answer_of_pharmacy("A1", "OK", NUMBERS, "0901"))
    assert (reply.code, [one["code"] for one in issues(desk.show(1))]) == ("AE", ["order-not-known"])


def test_an_answer_without_order_is_taken_and_nothing_follows(desk: Desk) -> None:
    reply = desk.only(er7(header("A1", "RRE^O12^RRE_O12"), "MSA|AA|M1"))
    assert (reply.code, desk.show(1).outcome, desk.show(1).deliveries) == ("AA", "translated", ())


def test_a_laboratory_order_is_kept_untranslated(desk: Desk) -> None:
    lab = order("M1", "ORM^O01^ORM_O01", "NW", "OBR|1|P-1^EHR||24323-8^CMP^LN")
    accept, answer = desk.take(lab)
    assert (accept.code, answer.code, desk.show(1).outcome) == ("CA", "AA", "unsupported")


def test_a_listener_says_in_which_version_it_answers(desk: Desk) -> None:
    """2.4 has errors in ERR-1, 2.5 and younger in ERR-2 to ERR-8."""
    told = order("M1", "RDE^O11^RDE_O11", "NW", RXE.replace("|120|", "|much|"))
    for through, version, shape in ((None, "2.5.1", False), (channel(version="2.4"), "2.4", True)):
        accept, answer = desk.take(told.replace(b"|M1|", f"|M{version}|".encode()), through)
        assert (accept.get("MSH", 12), answer.get("MSH", 12), answer.code) == (version, version, "AE")
        assert (answer.get("ERR", 1) != "") is shape


@pytest.mark.parametrize(
    ("kind", "version", "detail", "expected"),
    [
        ("RDE^O11^RDE_O11", "2.5.1", RXE, ("AA", "RRE^O12^RRE_O12")), ("RDE^O01", "2.3", RXE, ("AA", "RRE^O02")),
        ("OMP^O09^OMP_O09", "2.6", RXO, ("AA", "ORP^O10^ORP_O10")), ("ORM^O01^ORM_O01", "2.5.1", RXO, ("AA", "ORR^O02^ORR_O02")),
        ("RGV^O15^RGV_O15", "2.6", RXG, ("AA", "RRG^O16^RRG_O16")),
        ("RDE^O11^RDE_O11", "2.5.1", RXE.replace("|120|", "|much|"), ("AE", "RRE^O12^RRE_O12")),
        ("RDE^O11^RDE_O11", "9.9", RXE, ("AR", "ACK^O11^ACK")),
    ],
)  # fmt: skip
def test_in_original_mode_the_one_answer_is_the_functional_one(
    desk: Desk, kind: str, version: str, detail: str, expected: tuple[str, str]
) -> None:
    """Chapter 2: the functional response with AA or AE; ACK where an error precludes application processing (2.14.1)."""
    told = er7(
        header("M1", kind, MSH_7="20260309090000-0500", MSH_12=version, MSH_15="", MSH_16=""),
        PID, f"ORC|NW|{NUMBERS}", detail,
    )  # fmt: skip
    answer = desk.only(told)
    assert (answer.code, answer.get("MSH", 9)) == expected
    assert (answer.get("MSH", 15), answer.get("MSH", 16)) == ("", "")
    orders = [line for line in answer.payload.decode().split("\r") if line.startswith("ORC")]
    assert orders == {"AA": [f"ORC|OK|{NUMBERS}"], "AE": [f"ORC|UA|{NUMBERS}"], "AR": []}[answer.code]
