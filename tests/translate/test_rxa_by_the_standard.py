"""Chapter 4A on RXA, sentence by sentence: what a group is, what its numbers are, what its codes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from infusion_feeds import PID, PV1, RXR, Held, at, message, orc, ras, rxa

from golden.cases import last_state
from golden.reduced import bundles_of, reduced
from ketafhir.errors import Refused
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.translate.translation import to_fhir, to_hl7v2

BEGUN, OVER = "20260414090000-0500", "20260414100000-0500"
SALINE = "313002^saline^RXN"


def site(folder: Path, *rows: str) -> str:
    (folder / "settings.csv").write_text("\n".join(["setting,value,comment", *rows, ""]), encoding="utf-8")
    return str(folder)


def children(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in found if one["resourceType"] == "MedicationAdministration" and "partOf" in one]


def code(told: bytes, folder: str | None = None) -> str:
    with pytest.raises(Refused) as caught:
        to_fhir(told, site=folder)
    return caught.value.issues[-1].code


def mixture(amount: str = "20", per: str = "H1") -> bytes:
    """Two RXA before one RXR, of one time, of two drugs."""
    drug = rxa("1", start="1000", end="1030", amount=amount, unit="mg", per=per, outcome="CP")
    return ras(
        drug, drug.replace("6130^ketamine^RXN", SALINE).replace("|0|1|", "|0|2|").replace("|mg|", "|mL|"), status="CM"
    )


def test_several_rxa_before_one_rxr_are_several_administrations() -> None:
    (found,) = reduced(bundles_of(mixture()))
    assert len(found.segments) == 2


def test_only_a_site_that_says_so_has_them_as_one_mixture(tmp_path: Path) -> None:
    folder = site(tmp_path, "rxa_repeat,mixture,")
    bundle = last_state(bundles_of(mixture(), folder))
    (found,) = reduced([*bundles_of(mixture(), folder)])
    assert (len(found.segments), found.total) == (1, 10)
    (medication,) = [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Medication"
    ]
    assert [one["itemCodeableConcept"]["coding"][0]["display"] for one in medication["ingredient"]] == [
        "ketamine",
        "saline",
    ]
    text = to_hl7v2(bundle, site=folder).text or ""
    rows = [line.split("|") for line in text.split("\r") if line[:3] in ("RXA", "RXR")]
    assert [row[0] for row in rows] == ["RXA", "RXA", "RXR"]
    assert [(row[2], row[5].split("^")[1], row[6], row[7], row[12]) for row in rows[:2]] == [
        ("1", "ketamine", "20", "mg^^UCUM", "H1"),
        ("2", "saline", "20", "mL^^UCUM", "H1"),
    ]
    assert to_hl7v2(last_state(bundles_of(text.encode(), folder)), site=folder).text == text
    written = to_hl7v2(bundle)
    assert "components-dropped" in [issue.code for issue in written.issues]


def test_rxa_of_other_times_or_the_same_drug_are_no_mixture(tmp_path: Path) -> None:
    folder = site(tmp_path, "rxa_repeat,mixture,")
    later = rxa("2", start="1030", amount="30").replace("6130^ketamine^RXN", SALINE)
    assert len(reduced(bundles_of(ras(rxa("1"), later), folder))[0].segments) == 2
    assert len(reduced(bundles_of(ras(rxa("1"), rxa("2")), folder))[0].segments) == 2


def test_components_over_different_times_are_refused(tmp_path: Path) -> None:
    folder = site(tmp_path, "rxa_repeat,mixture,")
    other = rxa("2", per="M30").replace("6130^ketamine^RXN", SALINE)
    assert code(ras(rxa("1"), other), folder) == "mixture-rate-differs"


def test_rxa_3_joins_the_identity_only_where_the_site_says_so(tmp_path: Path) -> None:
    told = [ras(rxa("1"), sent="1000"), ras(rxa("1", start="1030", amount="30"), sent="1030")]
    assert Held(*told).refused == ["identity-collision"]
    bundles = bundles_of([*told, told[0]], site(tmp_path, "rxa2,not-unique,"))
    assert [one.amount for one in reduced(bundles)[0].segments] == [20, 30]
    numbers = [one["identifier"][0]["value"] for one in children(last_state(bundles))]
    assert len(set(numbers)) == 2
    again = bundles_of((to_hl7v2(last_state(bundles), site=str(tmp_path)).text or "").encode(), str(tmp_path))
    assert {one["id"] for one in children(last_state(again))} == {one["id"] for one in children(last_state(bundles))}


def test_rxa_18_is_the_reason_of_a_refusal_and_of_nothing_else() -> None:
    def told(outcome: str) -> Held:
        line = rxa(amount="0", unit="", per="", outcome=outcome).split("|")
        line[9], line[18] = "busy^At the dentist^L", "00^Patient decision^L"
        return Held(ras("|".join(line), status=""))

    for outcome, reason, kept in (("RE", "00", "RXA-9"), ("NA", "busy", "RXA-18")):
        held = told(outcome)
        (child,) = held.resources("MedicationAdministration", "bolus")
        assert child["status"] == "not-done"
        assert [one["coding"][0]["code"] for one in child["statusReason"]] == [outcome, reason]
        text = to_hl7v2(held.bundle).text or ""
        row = next(line for line in text.split("\r") if line.startswith("RXA")).split("|")
        assert (row[9], row[18], row[20]) == ("busy^At the dentist^L", "00^Patient decision^L", outcome)
        assert kept in str(child["extension"])
    assert told("NA").codes == ["refusal-without-status"]


@pytest.mark.parametrize("outcome", ["CP", "PA"])
def test_an_amount_of_0_that_was_given_says_nothing_and_is_refused(outcome: str) -> None:
    assert code(ras(rxa(amount="0", unit="mg", per="", outcome=outcome), status="DC")) == "dose-zero"


def test_999_is_an_amount_where_it_has_a_unit_or_a_time() -> None:
    assert str(Held(ras(rxa(amount="999"))).segments[0]["dosage"]["rateRatio"]["numerator"]["value"]) == "999"
    assert code(ras(rxa(amount="999", unit="", per="H1"))) == "rate-unreadable"


@pytest.mark.parametrize("time", ["T1", "INDEF", "H", "H1.5", "1H", "h1"])
def test_a_time_of_a_rate_is_a_letter_and_a_whole_number(time: str) -> None:
    assert code(ras(rxa(per=time))) == "rate-unreadable"


@pytest.mark.parametrize("outcome", ["CP ", "XX", "cp", "IP"])
def test_table_0322_has_four_codes(outcome: str) -> None:
    assert code(ras(rxa(outcome=outcome))) == "code-unknown"


def performing(*segments: str) -> list[str]:
    """RXA-10 of each RXA that comes back from a message of 2.7."""
    told = message(PID, PV1, orc(), *segments).replace(b"|P|2.5.1", b"|P|2.7")
    lines = (to_hl7v2(Held(told).bundle).text or "").split("\r")
    return [line.split("|")[10] for line in lines if line.startswith("RXA")]


def test_who_administered_may_be_a_prt_of_the_rxa_before_it() -> None:
    first, second = rxa("1", end="1010"), rxa("2", start="1010")
    one, other = "PRT||AD||AP|RN1^Doe", "PRT||UC||AP^Administering Provider^HL70912|RN2^Roe"
    assert performing(first, one, second, other, RXR) == ["RN1^Doe", "RN2^Roe"]
    assert performing(first, second, RXR, one) == ["RN1^Doe", "RN1^Doe"]
    assert performing(first, one, one, second, RXR, other) == ["RN1^Doe~RN2^Roe", "RN2^Roe"]


@pytest.mark.parametrize(
    "prt", ["PRT||DE||AP|RN1^Doe", "PRT||AD||AC|RN1^Doe", "PRT||AD||AP|", "PRT||AD||AP|RN1^Doe|||UNIT^x"]
)
def test_a_prt_that_says_another_thing_makes_no_performer(prt: str) -> None:
    assert performing(rxa(), prt, RXR) == [""]


def test_the_witness_of_waste_may_be_a_prt() -> None:
    rest = f"|||||F|||{at('1045')}||RN1^Doe"
    waste = ras(
        rxa(end="1030", outcome="CP"), RXR, f"OBX|1|NM|waste-amount^x^99KETA|1|5|mg{rest}",
        "PRT||AD||AC^Administration Cosigner^HL70912|RN2^Roe^Hana", sent="1045",
    ).replace(b"|P|2.5.1", b"|P|2.7")  # fmt: skip
    held = Held(waste)
    assert "waste-without-witness" not in held.codes
    (wasted,) = held.resources("MedicationAdministration", "waste")
    functions = [one["function"]["coding"][0]["code"] for one in wasted["performer"]]
    assert functions == ["performer", "witness"]
    assert "OBX|2|XCN|waste-witness^Witness of the waste^99KETA|1|RN2^Roe^Hana" in (to_hl7v2(held.bundle).text or "")


@pytest.mark.parametrize("version", ["2.4", "2.5.1", "2.6", "2.7", "2.8"])
@pytest.mark.parametrize(("kind", "answer"), [("RAS^O17", "RRA^O18^RRA_O18"), ("RDS^O13", "RRD^O14^RRD_O14")])
def test_the_answers_are_what_their_structure_demands(kind: str, answer: str, version: str) -> None:
    received = er7.parse(message(PID, PV1, orc(), rxa(), RXR, kind=kind).decode().replace("|P|2.5.1", f"|P|{version}"))
    reply = er7.parse(ack.application_response(received, "AA", control_id="K2", timestamp="20260302101500+0100"))
    assert reply.msh.get(9) == answer
    assert [one.name for one in reply.segments] == ["MSH", "MSA"]
    assert [issue.text for issue in check(reply, walk(reply)) if issue.severity == "error"] == []


@pytest.mark.parametrize(
    ("end", "codes"), [('""', ["status-contradiction"]), (BEGUN, ["status-contradiction"]), (OVER, [])]
)
def test_completed_in_an_order_in_progress_is_told_and_comes_back(end: str, codes: list[str]) -> None:
    """An eMAR that says CP of each thing charted (New Bag): RXA-20 counts, ORC-5 IP is not made CM."""
    text = (
        "MSH|^~\\&|EMAR|WILLOW|||20260414113000-0500||RAS^O17^RAS_O17|1|P|2.5.1\rPID|1||SYN-1^^^WILLOW^MR\r"
        "ORC|RE|P-1^EHR|F-1^PHARM||IP\r"
        f"RXA|0|1|{BEGUN}|{end}|6130^ketamine^RXNORM|7|mL|||||H1||||||||CP|A\rRXR|IV\r"
    )
    made = to_fhir(text)
    assert [one.code for one in made.issues] == codes
    back = to_hl7v2(made.json()).text
    assert "ORC|RE|P-1^EHR|F-1^PHARM||IP\r" in back
    assert "|CP|A\r" in back
