"""Orders to pumps: off unless the configuration says so, and every reason against one is named. docs/safety.md."""

from __future__ import annotations

import copy
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from golden.cases import NOON, ROOT, last_state
from ketafhir import config
from ketafhir.cli import main
from ketafhir.errors import ConfigError, Refused
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.therapy.values import Quantity
from ketafhir.translate.give_rates import PROFILE
from ketafhir.translate.kinds import is_weight
from ketafhir.translate.pump_orders import PumpOrders
from ketafhir.translate.settings import default
from ketafhir.translate.translation import iter_fhir, to_fhir, to_hl7v2

OWNER = PumpOrders("Dr Rowan Example", 24, NOON)
CASE = ROOT / "RGV_O15/pcd-03-new-bag-rate-change-bolus"
CONFIG = '[pump]\norders = true\nowner = "Dr Rowan Example"\nweight_hours = 240000\n'


def bundle(case: Path = CASE, messages: int = 3) -> dict[str, Any]:
    """The decision, the order and the new bag as FHIR."""
    steps = [step for step in iter_fhir((case / "in.hl7").read_bytes()) if not isinstance(step, Refused)]
    held = [step.bundle for step in steps[:messages] if step.bundle]
    return last_state(copy.deepcopy(held))


def find(value: dict[str, Any], kind: str, **wanted: str) -> dict[str, Any]:
    found = [one["resource"] for one in value["entry"] if one["resource"]["resourceType"] == kind]
    return next(one for one in found if all(one.get(name) == said for name, said in wanted.items()))


def leave(value: dict[str, Any], pump: PumpOrders | None = OWNER) -> str:
    return to_hl7v2(value, message="RGV^O15", settings=default().allowing(pump)).text


def reasons(value: dict[str, Any], pump: PumpOrders | None = OWNER) -> list[str]:
    with pytest.raises(Refused) as caught:
        leave(value, pump)
    assert all(
        issue.hint or issue.code in ("pump-order-mismatch", "weight-suspect") or ":" in issue.text
        for issue in caught.value.issues
    )
    return [issue.code for issue in caught.value.issues]


def weights(value: dict[str, Any]) -> list[dict[str, Any]]:
    found = [one["resource"] for one in value["entry"] if one["resource"]["resourceType"] == "Observation"]
    return [one for one in found if one.get("valueQuantity", {}).get("code") == "kg"]


def test_one_that_is_in_order_leaves() -> None:
    assert [line[:3] for line in leave(bundle()).split("\r") if line] == [
        "MSH",
        "PID",
        "PV1",
        "ORC",
        "RXG",
        "TQ1",
        "RXR",
        "OBX",
        "OBX",
    ]


def test_they_are_off_unless_allowed() -> None:
    assert reasons(bundle(), None) == ["pump-orders-off"]


def test_they_never_leave_beside_others() -> None:
    made = to_hl7v2(bundle(), settings=default().allowing(OWNER))
    assert "RGV" not in made.text
    assert [issue.code for issue in made.issues if issue.code == "gives-left-out"] == ["gives-left-out"]


@pytest.mark.parametrize("decision", ["refused", "review"])
def test_never_for_who_is_no_candidate(decision: str) -> None:
    value = bundle()
    for finding in find(value, "ClinicalImpression")["finding"]:
        for coding in finding["itemCodeableConcept"]["coding"]:
            coding["code"] = decision
    assert reasons(value) == ["not-a-candidate"]


def test_never_without_a_decision_or_with_one_taken_back() -> None:
    value = bundle()
    find(value, "ClinicalImpression")["status"] = "entered-in-error"
    assert reasons(value) == ["not-a-candidate"]
    value["entry"] = [one for one in value["entry"] if one["resource"]["resourceType"] != "ClinicalImpression"]
    assert reasons(value) == ["not-a-candidate"]


def test_the_newest_decision_counts() -> None:
    value = bundle()
    again = copy.deepcopy(
        next(one for one in value["entry"] if one["resource"]["resourceType"] == "ClinicalImpression")
    )
    again["fullUrl"], again["resource"]["id"] = "urn:uuid:00000000-0000-5000-8000-000000000001", "later"
    text = json.dumps(again).replace(b"2026-04-13", b"2026-04-14").replace(b'"accepted"', b'"refused"')
    value["entry"].append(json.loads(text))
    assert reasons(value) == ["not-a-candidate"]


@pytest.mark.parametrize(("hours", "ahead"), [(25, 0), (0, 24 * 60)])
def test_never_with_a_weight_of_another_day(hours: int, ahead: int) -> None:
    late = PumpOrders("Dr Rowan Example", 24, NOON + hours * 3600 - ahead * 60)
    assert set(reasons(bundle(), late)) == {"weight-stale"}


def test_never_without_a_weight() -> None:
    value = bundle()
    for one in weights(value):
        one["status"] = "entered-in-error"
    assert "weight-missing" in reasons(value)


def test_never_with_a_weight_in_pounds() -> None:
    value = bundle()
    measured = copy.deepcopy(next(one for one in value["entry"] if one["resource"] is weights(value)[0]))
    measured["fullUrl"], measured["resource"]["id"] = "urn:uuid:00000000-0000-5000-8000-000000000002", "measured"
    measured["resource"]["valueQuantity"]["value"] = Decimal("36.3")
    value["entry"].append(measured)
    assert "weight-suspect" in reasons(value)


@pytest.mark.parametrize(
    ("status", "intent"), [("on-hold", "filler-order"), ("stopped", "filler-order"), ("cancelled", "instance-order")]
)
def test_never_under_an_order_that_is_not_in_force(status: str, intent: str) -> None:
    value = bundle()
    request = find(value, "MedicationRequest", intent=intent)
    request["status"] = status
    request.pop("_status", None)
    assert set(reasons(value)) == {"order-not-active"}


def test_never_without_its_order() -> None:
    value = bundle()
    value["entry"] = [one for one in value["entry"] if one["resource"].get("intent") != "filler-order"]
    assert "order-not-known" in reasons(value)


def give_of(value: dict[str, Any]) -> dict[str, Any]:
    return find(value, "MedicationRequest", intent="instance-order")


def test_never_above_the_highest_rate() -> None:
    value = bundle()
    give_of(value)["dosageInstruction"][0]["doseAndRate"][0]["rateQuantity"]["value"] = 60
    assert reasons(value) == ["rate-over-max"]


def test_never_another_concentration() -> None:
    value = bundle()
    key = give_of(value)["medicationReference"]["reference"]
    medication = next(one["resource"] for one in value["entry"] if one["fullUrl"] == key)
    for extension in medication["extension"]:
        if "valueRatio" in extension:
            extension["valueRatio"]["numerator"]["value"] = 1250
    assert "pump-order-mismatch" in reasons(value)


def test_never_another_drug() -> None:
    value = bundle()
    key = give_of(value)["medicationReference"]["reference"]
    medication = next(one["resource"] for one in value["entry"] if one["fullUrl"] == key)
    medication["code"] = {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "6960", "display": "midazolam"}]
    }
    assert "pump-order-mismatch" in reasons(value)


def test_never_without_rate_or_concentration() -> None:
    value = bundle()
    del give_of(value)["dosageInstruction"][0]["doseAndRate"][0]["rateQuantity"]
    assert "pump-order-incomplete" in reasons(value)


def test_never_an_order_that_is_inconsistent() -> None:
    value = bundle()
    find(value, "MedicationRequest", intent="filler-order")["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"][
        "value"
    ] = 900
    assert reasons(value)


def test_every_reason_is_told_at_once() -> None:
    value = bundle()
    find(value, "ClinicalImpression")["status"] = "entered-in-error"
    find(value, "MedicationRequest", intent="filler-order")["status"] = "on-hold"
    late = PumpOrders("Dr Rowan Example", 24, NOON + 30 * 3600)
    assert {"not-a-candidate", "order-not-active", "weight-stale"} <= set(reasons(value, late))


def test_a_bolus_is_under_the_order_of_its_parent() -> None:
    value = bundle(messages=5)
    assert "ORC|CH|P-B9^EHR|F-B9^PHARM|||||P-B2&EHR^F-B2&PHARM|" in leave(value)
    find(value, "MedicationRequest", intent="filler-order")["status"] = "stopped"
    assert "order-not-active" in reasons(value)


def test_an_encoded_order_alone_is_given_as_it_is() -> None:
    lines = leave(bundle(messages=2)).split("\r")
    rxg = next(line for line in lines if line.startswith("RXG"))
    assert (
        rxg
        == "RXG|1||||120||mg^^UCUM".replace("||||", "|||6130^ketamine^RXNORM|")
        + "|^Solution for infusion||||||H6|20|mL/h^^UCUM|1|mg/mL^^UCUM"
    )
    assert next(line for line in lines if line.startswith("ORC")).startswith("ORC|RE|P-B2^EHR|F-B2^PHARM")


def test_the_configuration_needs_an_owner_and_is_not_the_environment() -> None:
    assert config.parse(CONFIG).pump.owner == "Dr Rowan Example"
    assert not config.parse("").pump.orders
    for text in (
        "[pump]\norders = true\n",
        '[pump]\norders = true\nowner = " "\n',
        '[pump]\norders = "yes"\n',
        "[pump]\nweight_hours = 0\n",
    ):
        with pytest.raises(ConfigError):
            config.parse(text)
    with pytest.raises(ConfigError, match="in the file"):
        config.parse("", environment={"KETAFHIR_PUMP_ORDERS": "true"})


def run(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "ketafhir", *words], capture_output=True, check=False)


def test_the_command_line_needs_the_configuration(tmp_path: Path) -> None:
    source, file = tmp_path / "bundle.json", tmp_path / "ketafhir.toml"
    source.write_bytes(json.dumps(bundle()))
    words = ["translate", str(source), "--to", "hl7v2", "--message", "RGV^O15"]
    made = run(*words)
    assert (made.returncode, b"pump-orders-off" in made.stderr, made.stdout) == (1, True, b"")
    file.write_text("[pump]\norders = false\nowner = 'Dr Rowan Example'\n")
    made = run(*words, "--config", str(file))
    assert (made.returncode, b"pump-orders-off" in made.stderr, made.stdout) == (1, True, b"")
    file.write_text(CONFIG)
    made = run(*words, "--config", str(file))
    assert (made.returncode, b"RXG|1|" in made.stdout) == (0, True)


def test_an_old_file_is_not_sent_again_without_confirmation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "give.hl7"
    file.write_text("MSH|^~\\&|A|B|||20260414085500-0500||ADT^A08|1|P|2.5.1\rPID|1\r" + leave(bundle()))
    assert main(["send", str(file), "mllp://127.0.0.1:1"]) == 1
    said = capfd.readouterr().err
    assert "message 2" in said
    assert "--confirm" in said
    assert main(["send", str(file), "mllp://127.0.0.1:1", "--confirm", "--timeout", "1"]) == 1
    assert "RGV" not in capfd.readouterr().err  # it tried: nobody listens there


def without_pump(value: dict[str, Any]) -> dict[str, Any]:
    pumps = [one for one in value["entry"] if "69986" in str(one["resource"].get("code", ""))]
    assert pumps
    for one in pumps:
        value["entry"].remove(one)
    return value


def test_an_order_to_a_pump_has_the_form_of_pcd_03() -> None:
    """IHE PCD TF-2, 3.3.4.4: MSH-15, -16, -21, volume in mL with the name of the unit, ^IV^HL70162, the pump."""
    made = er7.parse(leave(bundle()))
    cells = {one.name: one for one in reversed(made.segments)}
    assert [cells["MSH"].get(at) for at in (12, 15, 16, 21)] == ["2.6", "AL", "AL", PROFILE]
    assert [cells["RXG"].get(at) for at in (5, 7, 15, 16)] == ["120", "mL^mL^UCUM", "20", "mL/h^mL/h^UCUM"]
    assert [cells["RXG"].get(at) for at in (17, 18, 23, 24)] == ["250", "mg^mg^UCUM", "250", "mL^mL^UCUM"]
    assert (cells["RXR"].get(1), cells["RXR"].get(3)) == ("^IV^HL70162", "^IVP^HL70164")
    pump = next(one for one in made.segments if one.name == "OBX" and one.get(3).startswith("69986^"))
    assert (pump.get(2), pump.get(5), pump.get(18)) == ("", "", "PUMP-7^WILLOW")
    assert [one.text for one in check(made, walk(made)) if one.severity == "error"] == []


def test_what_was_sent_to_a_pump_is_read_as_the_same_instruction() -> None:
    first = leave(bundle())
    (give,) = to_fhir(first).records.orders.values()
    assert give.route is not None
    assert give.route.has("http://terminology.hl7.org/CodeSystem/v2-0162", "IV")
    assert give.dose == Quantity(Decimal(120), "mL")


def test_without_the_pump_the_profile_is_not_claimed() -> None:
    made = to_hl7v2(without_pump(bundle()), message="RGV^O15", settings=default().allowing(OWNER))
    msh = er7.parse(made.text).msh
    assert (msh.get(12), msh.get(21)) == ("2.5.1", "")
    assert "pump-not-named" in [one.code for one in made.issues]


@pytest.mark.parametrize(("dose", "volume"), [("120", "120"), ("60.5", "60.5")])
def test_a_pump_is_told_the_volume_of_a_dose(dose: str, volume: str) -> None:
    value = bundle()
    give = find(value, "MedicationRequest", intent="instance-order")
    amount = give["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    amount.update({"value": Decimal(dose), "unit": "mg", "code": "mg"})
    rxg = next(one for one in er7.parse(leave(value)).segments if one.name == "RXG")
    assert (rxg.get(5), rxg.get(7)) == (volume, "mL^mL^UCUM")


def test_a_volume_that_is_no_finite_number_is_not_rounded() -> None:
    value = bundle()
    give = find(value, "MedicationRequest", intent="instance-order")
    amount = give["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
    amount.update({"value": Decimal(100), "unit": "mg", "code": "mg"})
    reference = give["medicationReference"]["reference"]
    drug = next(one["resource"] for one in value["entry"] if one["fullUrl"] == reference)
    strength = next(one["valueRatio"] for one in drug["extension"] if "valueRatio" in one)
    strength["numerator"]["value"], strength["denominator"]["value"] = Decimal(249), Decimal(250)
    assert "dose-unwritable" in reasons(value)


def test_a_bolus_from_what_runs_follows_the_order_it_is_from() -> None:
    """IHE PCD-03, CH: a receiver must know the parent (ORC-8) when the child comes."""
    value = bundle(messages=9)
    gives = [one for one in value["entry"] if one["resource"].get("intent") == "instance-order"]
    others = [one for one in value["entry"] if one not in gives]
    child = [one for one in gives if "P-B9" in str(one["resource"]["identifier"])]
    assert (len(gives), len(child)) == (2, 1)
    value["entry"] = [*child, *(one for one in gives if one not in child), *others]
    numbers = [one.get(2) for one in er7.parse(leave(value)).segments if one.name == "ORC"]
    assert numbers == ["P-B2^EHR", "P-B9^EHR"]


def test_an_order_that_is_a_child_follows_its_parent() -> None:
    orders = (
        "MSH|^~\\&|PHARM|WILLOW|K|HUB|20260414083500-0500||RDE^O11^RDE_O11|R1|P|2.5.1\r"
        "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\r"
        "ORC|CH|P-9^EHR|F-9^PH|||||P-2&EHR\rRXE||6130^ketamine^RXN|5||mg\rTQ1|1\rRXR|IV\r"
        "ORC|NW|P-2^EHR|F-2^PH\rRXE||6130^ketamine^RXN|120||mg|||||||||||||||||H6|20|mL/h\rTQ1|1\rRXR|IV\r"
    )
    text = to_hl7v2(json.dumps(to_fhir(orders).bundle)).text
    assert [one.get(2) for one in er7.parse(str(text)).segments if one.name == "ORC"] == ["P-2^EHR", "P-9^EHR"]


def test_a_pump_is_told_the_weight_under_the_code_of_devices() -> None:
    """IHE PCD TF-2, 3.3.4.4.8: 68063 MDC_ATTR_PT_WEIGHT; the code that it was measured under stands beside it."""
    value = bundle()
    own = next(one for one in value["entry"] if "68063" in str(one["resource"].get("code", "")))
    value["entry"].remove(own)  # the weight of the order is left, a LOINC code
    made = er7.parse(leave(value))
    (weight,) = [one for one in made.segments if one.name == "OBX" and "68063" in one.get(3)]
    assert weight.get(3) == "68063^MDC_ATTR_PT_WEIGHT^MDC^29463-7^Body weight^LN"
    assert (weight.get(5), weight.get(6), weight.get(14)) == ("80.0", "kg^kg^UCUM", "20260414081200-0500")
    (told,) = [one for one in to_fhir(made.text).records.observations.values() if isinstance(one.value, Quantity)]
    assert is_weight(told)
    assert told.value == Quantity(Decimal("80.0"), "kg")


def test_an_order_that_names_no_pump_keeps_the_code_of_the_weight() -> None:
    value = without_pump(bundle())
    value["entry"] = [one for one in value["entry"] if "68063" not in str(one["resource"].get("code", ""))]
    made = to_hl7v2(value, message="RGV^O15", settings=default().allowing(OWNER))
    assert "|29463-7^Body weight^LN|" in made.text
    assert "68063" not in made.text


def test_a_device_tells_a_weight_under_its_own_code() -> None:
    """PCD-01 out: a weight of a report with containers, whatever code FHIR has first."""
    value = last_state(
        [step.bundle for step in iter_fhir((ROOT / "PCD_01/containment/in.hl7").read_bytes()) if step.bundle]
    )
    measured = find(value, "DiagnosticReport")["result"][0]["reference"]
    one = next(entry["resource"] for entry in value["entry"] if entry["fullUrl"] == measured)
    one["code"] = {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]}
    one.pop("valueString", None)
    one.pop("valueCodeableConcept", None)
    one["valueQuantity"] = {"value": 80, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    assert "|68063^MDC_ATTR_PT_WEIGHT^MDC^29463-7^Body weight^LN|" in to_hl7v2(value).text


BOLUS = (
    "MSH|^~\\&|BCMA|WILLOW|K|HUB|20260414095500-0500||RGV^O15^RGV_O15|B1|P|2.6|||AL|AL|||||" + PROFILE + "\r"
    "PID|1||SYN-100318^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M\r"
    "PV1|1|O|INFUSION^ROOM 3^CHAIR 1^WILLOW||||||||||||||||V-B2^^^WILLOW^VN\r"
    "ORC|CH|P-B9^EHR|F-B9^PHARM|||||P-B2&EHR^F-B2&PHARM|20260414100000-0500\r"
    "RXG|1|||6130^ketamine^RXN|{dose}||||||||5|mL^mL^UCUM|250|mg^mg^UCUM|||||250|mL^mL^UCUM\r"
    "TQ1|1\rRXR|^IV^HL70162\r"
    "OBX|1||69986^MDC_DEV_PUMP_INFUS_VMD^MDC||||||||F|||||||PUMP-7^WILLOW\r"
    "OBX|2|NM|157784^MDC_FLOW_FLUID_PUMP^MDC||{rate}|265266^MDC_DIM_MILLI_L_PER_HR^MDC|||||F\r"
)


def with_bolus(dose: str = "||", rate: str = "300") -> dict[str, Any]:
    """The running infusion, and a bolus from it: of a dose at a rate (PIV, bolus from an existing infusion)."""
    feed = (CASE / "in.hl7").read_bytes().split(b"MSH|")[1:4]
    told = b"".join(b"MSH|" + one for one in feed) + BOLUS.format(dose=dose, rate=rate).encode()
    steps = list(iter_fhir(told))
    refusal = next((one for one in steps if isinstance(one, Refused)), None)
    if refusal is not None:
        raise refusal
    return last_state([step.bundle for step in steps if not isinstance(step, Refused) and step.bundle])


def test_a_bolus_of_a_dose_at_a_rate_is_read_and_sent_as_piv_has_it() -> None:
    value = with_bolus()
    told = next(one["resource"] for one in value["entry"] if "P-B9" in str(one["resource"].get("identifier")))
    (how,) = told["dosageInstruction"][0]["doseAndRate"]
    assert (how["doseQuantity"]["value"], how["doseQuantity"]["code"]) == (5, "mL")
    assert (how["rateQuantity"]["value"], how["rateQuantity"]["code"]) == (300, "mL/h")
    made = er7.parse(leave(value))
    at = next(i for i, one in enumerate(made.segments) if one.name == "ORC" and one.get(1) == "CH")
    rxg = next(one for one in made.segments[at:] if one.name == "RXG")
    assert [rxg.get(field) for field in (5, 7, 15, 16)] == ['""', '""', "5", "mL^mL^UCUM"]
    (flow,) = [one for one in made.segments[at:] if one.name == "OBX" and "157784" in one.get(3)]
    assert (flow.get(2), flow.get(5), flow.get(6).split("^")[1]) == ("NM", "300", "MDC_DIM_MILLI_L_PER_HR")
    again = next(one for one in to_fhir(made.text).records.orders.values() if one.placer and one.placer.value == "P-B9")
    assert isinstance(again.dose, Quantity)
    assert again.rate is not None
    assert (again.dose.value, again.dose.unit, again.rate.value, again.rate.unit) == (5, "mL", 300, "mL/h")


def test_the_rate_of_a_bolus_of_a_dose_is_told_where_no_observation_tells_it() -> None:
    value = with_bolus()
    value["entry"] = [one for one in value["entry"] if "157784" not in str(one["resource"].get("code", ""))]
    assert "|NM|157784^MDC_FLOW_FLUID_PUMP^MDC||300|mL/h^mL/h^UCUM|||||F\r" in leave(value)
    request = next(one["resource"] for one in value["entry"] if "P-B9" in str(one["resource"].get("identifier")))
    request["dosageInstruction"][0]["doseAndRate"][0]["rateQuantity"].update(
        {"value": 300, "unit": "mg/h", "code": "mg/h"}
    )
    assert "pump-order-incomplete" in reasons(value)


def test_a_bolus_that_goes_over_a_time_keeps_its_rate() -> None:
    made = leave(bundle(messages=9))
    assert "|300|mL/h^mL/h^UCUM|" in made
    assert "157784" not in made


def test_two_rates_or_two_doses_of_a_bolus_are_refused() -> None:
    value = with_bolus()
    flow = next(one["resource"] for one in value["entry"] if "157784" in str(one["resource"].get("code", "")))
    flow["valueQuantity"]["value"] = 200
    assert reasons(value) == ["rate-ambiguous"]
    with pytest.raises(Refused) as refusal:
        with_bolus("6||mL")
    assert [one.code for one in refusal.value.issues if one.severity == "error"] == ["dose-ambiguous"]
