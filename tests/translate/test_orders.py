"""Orders from HL7v2 to FHIR and back: stories, full messages, status, refusals, what no table maps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from order_trips import (
    DOSE,
    ORC,
    STORIES,
    TABLES,
    TIME,
    back,
    compose,
    message,
    of_type,
    read,
    read_orders,
    render,
    request_of,
    take,
)

from fhir_peer import HapiServer
from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.fhir.check import shape
from ketafhir.therapy.values import Identifier, OrderState, Quantity, Range
from ketafhir.translate import orders
from ketafhir.translate.writing import Writing, resource_id

CATEGORY = "O^Outpatient order^HL70482"
FULL_ORC = (
    "ORC|XO|P-2^EHR|F-2^PHARM|G-2^EHR|SC||||20260309080400-0500|CL-1^Clerk^Ada^^^^^^WILLOW"
    "||DR-1^Example^Rowan^^^Dr^^^WILLOW||||OUT^Bag is empty^L|||||||||||||" + CATEGORY
)
FULL_RXE = (
    "RXE||6130^ketamine^RXNORM|30|40.50|mg^^UCUM|^Solution for infusion|^By pump~^Monitor SpO2|||50.0"
    "|mL^^UCUM|||PH-1^Sample^Imre||||||||M40|54|mL/h^^UCUM|1|mg/mL^^UCUM|F33.2^Depression^I10C~G89.4^Pain^I10C"
)
FULL_TQ1 = "TQ1|1|||||45^min&&UCUM|20260309082000-0500|20260309092000-0500|S||As told by the nurse||40^min&&UCUM"
FULL_RXR = "RXR|IV^Intravenous^HL70162|LLFA^Left Lower Forearm^HL70163||IVPB^IV Piggyback^HL70165"
FULL_RXC = (
    "RXC|B|313002^sodium chloride 9 MG/ML Injectable Solution^RXNORM|49.0|mL^^UCUM",
    "RXC|A|6130^ketamine^RXNORM|50.0|mg^^UCUM|50|mg/mL^^UCUM",
)
MAX_RATE = "OBX|1|NM|rate-max^Highest rate allowed^99KETA||60|mL/h^^UCUM|||||F|||20260309080400-0500"
FULL = (FULL_ORC, FULL_RXE, "NTE|1||Check the line", FULL_TQ1, FULL_RXR, *FULL_RXC, MAX_RATE)
RXO = (
    "RXO|6130^ketamine^RXNORM|0.5|0.75|mg/kg^^UCUM|^Solution for infusion||^Over 40 minutes||||50|mL^^UCUM"
    "|||||H1|1|mg/mL^^UCUM|F33.2^Depression^I10C|0.75|mg/kg/h^^UCUM"
)
PLACED = (FULL_ORC, FULL_TQ1, RXO, "NTE|1||First of six", FULL_RXR, *FULL_RXC)


@pytest.mark.parametrize("name", ["a/14-rde-order.hl7", "b/08-rde-order.hl7"])
def test_story_orders_come_back(name: str) -> None:
    text = (STORIES / name).read_text()
    bundle = render(read(text))
    came = compose(take(bundle))
    sent = [line for line in text.replace("\n", "\r").split("\r") if line[:3] not in ("MSH", "PID", "PV1", "")]
    expected = [line.replace("^RXN", "^RXNORM").replace("R^Routine^HL70485", "R") for line in sent]
    assert sorted(map(_unnumbered, came)) == sorted(map(_unnumbered, expected))
    assert [line[:3] for line in came] == [line[:3] for line in expected]
    assert [issue for entry in bundle["entry"] for issue in shape(entry["resource"])] == []


def _unnumbered(line: str) -> str:
    """A segment without its set ID: the highest rate comes back after the other observations."""
    return "|".join([*line.split("|")[:1], *line.split("|")[2:]]) if line.startswith("OBX") else line


@pytest.mark.parametrize(
    ("kind", "segments"),
    [
        ("RDE^O11", FULL),
        ("OMP^O09", PLACED),
        ("RDE^O11", (FULL_ORC, FULL_TQ1, RXO, "NTE|1||First of six", FULL_RXR, *FULL_RXC, *FULL[1:])),
        ("RDE^O11", (ORC, DOSE, TIME)),
        ("OMP^O09", (ORC, "RXO|^ketamine infusion as per protocol")),
    ],
    ids=["full-rde", "full-omp", "rde-with-both", "bare-rde", "bare-omp"],
)
def test_every_field_comes_back(kind: str, segments: tuple[str, ...]) -> None:
    assert back(*segments, kind=kind) == list(segments)


def test_every_row_is_hit_by_the_full_messages() -> None:
    full, placed = read_orders(*FULL)[0], read_orders(*PLACED, kind="OMP^O09^OMP_O09")[0]
    for order in (full, placed):
        names = ["ORC_to_MedicationRequest", *orders_tables(order.intent), "TQ1_to_MedicationRequest"]
        rows = [row for name in (*names, "RXR_to_MedicationRequest") for row in TABLES.table(name).rows]
        assert [row.place for row in rows if row.domain and getattr(order, row.domain) in (None, "", ())] == [
            "segments/ORC_to_MedicationRequest.csv:7 [parent]"  # tests/translate/test_order_life.py
        ]
    assert all(one.kind and one.drug and one.amount for one in full.ingredients)
    assert full.max_rate == Quantity(Decimal(60), "mL/h")


def orders_tables(intent: str) -> tuple[str, str]:
    from ketafhir.translate.order_segments import tables_of

    return tables_of(intent)


def test_one_message_with_both_details_makes_two_requests_of_one_order() -> None:
    bundle = render(read(message(FULL_ORC, RXO, *FULL[1:])))
    original, filler = of_type(bundle, "MedicationRequest")
    assert (original["intent"], filler["intent"]) == ("original-order", "filler-order")
    assert "basedOn" not in original
    assert filler["basedOn"] == [{"reference": f"urn:uuid:{original['id']}"}]
    assert original["identifier"] == filler["identifier"]
    assert filler["id"] == resource_id("MedicationRequest", "urn:id:EHR|P-2|filler")


def test_weight_and_dose_per_weight() -> None:
    weight = "OBX|1|NM|29463-7^Body weight^LN||72.0|kg^^UCUM|||||F|||20260309074600-0500"
    rxe = DOSE.replace("36.0", "0.50").replace("mg^^UCUM", "mg/kg^^UCUM")
    bundle = render(read(message(ORC, rxe, TIME, weight)))
    request, observed = of_type(bundle, "MedicationRequest")[0], of_type(bundle, "Observation")[0]
    dose = request["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    assert (str(dose["value"]), dose["code"]) == ("0.50", "mg/kg")
    assert request["supportingInformation"] == [{"reference": f"urn:uuid:{observed['id']}"}]
    assert compose(take(bundle)) == [ORC, rxe, TIME, weight]


def test_a_maximum_makes_a_range() -> None:
    segment = "RXE||6130^ketamine^RXNORM|30|40.50|mg^^UCUM"
    (order,) = read_orders(ORC, segment)
    assert order.dose == Range(Quantity(Decimal("30"), "mg"), Quantity(Decimal("40.50"), "mg"))
    dose = request_of(ORC, segment)["dosageInstruction"][0]["doseAndRate"][0]
    assert list(dose) == ["doseRange"]
    assert str(dose["doseRange"]["high"]["value"]) == "40.50"
    only_high = "RXE||6130^ketamine^RXNORM||40.50|mg^^UCUM"
    assert back(ORC, only_high, TIME) == [ORC, only_high, TIME]


def test_a_mixture_is_a_medication_and_a_bare_drug_is_not() -> None:
    bundle = render(read(message(*FULL)))
    (medication,) = of_type(bundle, "Medication")
    base, additive = medication["ingredient"]
    assert (base["isActive"], additive["isActive"]) == (False, True)
    assert str(additive["strength"]["numerator"]["value"]) == "50.0"
    assert additive["strength"]["denominator"]["code"] == "1"
    ratio = next(one["valueRatio"] for one in medication["extension"] if one["url"].endswith("/concentration"))
    assert (ratio["numerator"]["code"], ratio["denominator"]["code"]) == ("mg", "mL")
    assert "medicationCodeableConcept" in request_of(ORC, DOSE)
    assert of_type(render(read(message(ORC, DOSE))), "Medication") == []


STATES = [
    ("NW", "", "active"), ("XO", "IP", "active"), ("CA", "", "cancelled"), ("OC", "", "cancelled"),
    ("CR", "CA", "cancelled"), ("UA", "", "cancelled"), ("DC", "", "stopped"), ("OD", "DC", "stopped"),
    ("DR", "", "stopped"), ("RP", "", "stopped"), ("RQ", "", "stopped"), ("RU", "", "stopped"),
    ("HD", "", "on-hold"), ("OH", "HD", "on-hold"), ("HR", "", "on-hold"), ("RL", "IP", "active"),
    ("OE", "", "active"), ("UC", "", "active"), ("UR", "", "on-hold"), ("SC", "CM", "completed"),
    ("SC", "ER", "entered-in-error"), ("SC", "A", "active"), ("RE", "SC", "active"), ("SC", "RP", "stopped"),
]  # fmt: skip


@pytest.mark.parametrize(("control", "status", "expected"), STATES)
def test_control_and_status_make_the_status_and_come_back(control: str, status: str, expected: str) -> None:
    orc = f"ORC|{control}|P-1^EHR|F-1^PHARM" + (f"||{status}" if status else "")
    assert request_of(orc, DOSE)["status"] == expected
    assert back(orc, DOSE, TIME)[0] == orc


def test_every_control_comes_back() -> None:
    for control in TABLES.code_map("request-control").v2_to_domain:
        for status in ("", *TABLES.code_map("request-status").v2_to_domain):
            orc = f"ORC|{control}|P-1^EHR|F-1^PHARM" + (f"||{status}" if status else "")
            assert back(orc, DOSE, TIME)[0] == orc


def test_control_and_status_that_disagree_are_told() -> None:
    reading = read(message("ORC|DC|P-1^EHR|||IP", DOSE))
    assert [issue.code for issue in reading.c.issues] == ["status-contradiction"]


def test_an_unknown_order_status_is_kept() -> None:
    orc = "ORC|NW|P-1^EHR|||QQ"
    assert [issue.code for issue in read(message(orc, DOSE)).c.issues] == ["code-unmapped"]
    assert back(orc, DOSE, TIME)[0] == orc


@pytest.mark.parametrize(
    ("segments", "code", "where"),
    [
        (("ORC|QQ|P-1^EHR", DOSE), "order-control-unknown", "ORC-1"),
        (("ORC||P-1^EHR", DOSE), "order-control-unknown", "ORC-1"),
        (("ORC||P-1^EHR|||IP", DOSE), "order-control-unknown", "ORC-1"),
        (("ORC|NW", DOSE), "order-number-missing", "ORC-2"),
        ((ORC, "RXE|||36||mg"), "drug-unknown", "RXE-2"),
        ((ORC, "RXE||6130|36||mg"), "drug-unknown", "RXE-2"),
        ((ORC, "RXE||^ketamine|36||mL/h"), "unit-is-rate", "RXE-5"),
        ((ORC, "RXE||^ketamine|36||spoons"), "unit-unknown", "RXE-5"),
        ((ORC, "RXE||^ketamine|36||"), "unit-missing", "RXE-3"),
        ((ORC, "RXE||^ketamine|999||"), "unit-missing", "RXE-3"),
        ((ORC, "RXE||^ketamine|36||kg/m2"), "unit-wrong-kind", "RXE-5"),
        ((ORC, "RXE||^ketamine|a lot||mg"), "number-unreadable", "RXE-3"),
        ((ORC, "RXE||^ketamine|36||mg" + "|" * 18 + "54|mL"), "unit-wrong-kind", "RXE-24"),
        ((ORC, "RXE||^ketamine|36||mg" + "|" * 18 + "54|"), "unit-missing", "RXE-23"),
        ((ORC, "RXE||^ketamine|36||mg" + "|" * 17 + "INDEF"), "interval-unreadable", "RXE-22"),
        ((ORC, DOSE, "RXC|A|^ketamine|50|vials"), "unit-unknown", "RXC-4"),
        ((ORC, DOSE, MAX_RATE.replace("mL/h", "mL")), "unit-wrong-kind", "OBX-6"),
        ((ORC, DOSE, ORC, DOSE), "identity-collision", "ORC[2]-2"),
        ((ORC, DOSE, "TQ1|1||||||yesterday"), "time-unreadable", "TQ1-7"),
        ((ORC, DOSE, "TQ1|1||||||20260309082000"), "time-without-offset", "TQ1-7"),
    ],
)
def test_refused(segments: tuple[str, ...], code: str, where: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(message(*segments))
    error = refusal.value.issues[-1]
    assert (error.code, error.where) == (code, where)


def test_what_no_table_maps_comes_back() -> None:
    segments = (
        "ORC|NW|P-1^EHR|F-1^PHARM|||E||^Once||||DR-1^Example^Rowan~DR-2^Other^Ada",
        DOSE + "||||N|||3||RX-77|||||||||||||||||II",
        "TQ1|1|3^mg||||||||Slowly",
        "TQ1|2||QD",
        "RXR|IV^Intravenous^HL70162||IVP^IV Pump^HL70164",
        "RXR|IM^Intramuscular^HL70162",
        "RXC|T|313002^saline^RXNORM|49.0|mL^^UCUM",
        "PRT|1|UC||OP^Ordering^HL70443",
        "ZKT|1|local",
        "ZKT|2|more",
    )
    assert back(*segments) == list(segments)


def test_a_strength_or_supply_that_is_not_understood_is_preserved() -> None:
    rxe = "RXE||6130^ketamine^RXNORM|36||mg^^UCUM|||||2|vials" + "|" * 14 + "250|mg"
    assert back(ORC, rxe, TIME)[1] == rxe
    odd = "RXE||6130^ketamine^RXNORM|36||mg^^UCUM|||||some|bags" + "|" * 14 + "strong|mg/mL"
    assert back(ORC, odd, TIME)[1] == odd


def test_a_highest_rate_that_was_taken_back_is_none() -> None:
    assert read_orders(ORC, DOSE, MAX_RATE.replace("|F|", "|D|"))[0].max_rate is None
    corrected = MAX_RATE.replace("|F|", "|C|")
    assert back(ORC, DOSE, TIME, corrected) == [ORC, DOSE, TIME, corrected]


def test_a_second_highest_rate_is_an_observation() -> None:
    other = "OBX|2|NM|rate-max^Highest rate allowed^99KETA||1|mg/kg/h^^UCUM|||||F"
    came = back(ORC, DOSE, TIME, MAX_RATE, other)
    assert sorted(_unnumbered(line) for line in came[3:]) == sorted(map(_unnumbered, (MAX_RATE, other)))


def test_null_fields_are_told() -> None:
    (order,) = read_orders(ORC, 'RXE||6130^ketamine^RXNORM|36||mg|""', 'TQ1|1||||||""')
    assert set(order.nulls) == {"form", "start"}


def test_a_number_without_authority_is_the_senders() -> None:
    (order,) = read_orders("ORC|NW|P-9", DOSE)
    assert order.key == "urn:ketafhir:sender:WILLOW|P-9|filler"
    assert back("ORC|NW|P-9", DOSE, TIME)[0] == "ORC|NW|P-9"


def test_details_inside_an_administration_only_fill() -> None:
    text = message(
        "ORC|RE|P-1^EHR|F-1^PHARM||CM",
        "NTE|1||Of the administration",
        DOSE,
        "NTE|1||Of the order",
        TIME,
        "RXR|IV^Intravenous^HL70162",
        "RXA|0|1|20260309082000-0500|20260309090000-0500|6130^ketamine^RXNORM|36|mg",
        kind="RAS^O17^RAS_O17",
    )
    reading = read(text)
    (order,) = reading.records.orders.values()
    assert not order.owned
    assert order.notes == ("Of the order",)
    assert order.state == OrderState("RE", "CM", "stands", "completed")
    assert [account.segment.name for account in reading.accounts if account.segment.name == "ORC"] == []


def test_a_detail_without_drug_inside_an_administration_is_left_out() -> None:
    text = message(
        ORC,
        "RXO||36||mg",
        "RXR|IV^Intravenous^HL70162",
        "RXA|0|1|20260309082000-0500|20260309090000-0500|6130^ketamine^RXNORM|36|mg",
        kind="RAS^O17^RAS_O17",
    )
    reading = read(text)
    assert reading.records.orders == {}
    dropped = [account.segment.name for account in reading.accounts if account.why]
    assert dropped == ["RXO", "RXR"]


def test_a_request_reference_names_the_number_and_links_what_is_known() -> None:
    reading = read(message(ORC, RXO, DOSE, TIME))
    writing = Writing(reading.records, TABLES, reading.c, "urn:x")
    placer, filler = Identifier("P-1", "urn:id:EHR"), Identifier("F-1", "urn:id:PHARM")
    known = orders.request_reference(writing, placer, filler)
    filler_id = resource_id("MedicationRequest", "urn:id:EHR|P-1|filler")
    assert known["reference"] == f"MedicationRequest/{filler_id}"
    assert known["identifier"]["value"] == "F-1"
    by_filler_only = orders.request_reference(writing, None, filler)
    assert by_filler_only["reference"] == known["reference"]
    unknown = orders.request_reference(writing, Identifier("P-7", "urn:id:EHR"), None)
    assert "reference" not in unknown
    assert unknown["identifier"]["value"] == "P-7"
    placed = read(message(ORC, RXO, kind="OMP^O09^OMP_O09"))
    original = orders.request_reference(Writing(placed.records, TABLES, placed.c, "urn:x"), placer, filler)
    assert original["identifier"]["value"] == "P-1"
    assert original["reference"].endswith(resource_id("MedicationRequest", "urn:id:EHR|P-1|original"))


def test_an_original_order_that_fhir_has_changed_alone_is_told() -> None:
    bundle = render(read(message(ORC, RXO, DOSE, TIME)))
    of_type(bundle, "MedicationRequest")[0]["status"] = "stopped"
    taking = take(bundle)
    assert compose(taking)[0] == ORC
    assert [issue.code for issue in taking.c.issues] == ["original-order-differs"]


@pytest.mark.parametrize("segments", [FULL, (FULL_ORC, RXO, *FULL[1:]), (ORC, DOSE)])
def test_the_shape_is_fhir(segments: tuple[str, ...]) -> None:
    bundle = render(read(message(*segments)))
    assert [issue for entry in bundle["entry"] for issue in shape(entry["resource"])] == []


@pytest.mark.hapi
def test_the_server_takes_and_validates_it(hapi_server: HapiServer) -> None:
    texts = [(STORIES / name).read_text() for name in ("a/14-rde-order.hl7", "b/08-rde-order.hl7")]
    for text in (*texts, message(FULL_ORC, RXO, *FULL[1:]), message(ORC, DOSE)):
        bundle: dict[str, Any] = plain(render(read(text)))
        for entry in bundle["entry"]:
            resource = entry["resource"]
            path = f"{resource['resourceType']}/$validate"
            _, outcome = hapi_server.request("POST", path, resource)
            errors = [one for one in outcome["issue"] if one["severity"] in ("error", "fatal")]
            assert errors == []
        status, answer = hapi_server.request("POST", "", bundle)
        assert status == 200, answer


def plain(value: Any) -> Any:
    """JSON as the standard library reads it."""
    import json as standard

    return standard.loads(json.dumps(value))
