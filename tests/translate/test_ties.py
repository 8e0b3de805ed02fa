"""Vital signs during an infusion are part of it, in any order of arrival, and only while its period says so."""

from __future__ import annotations

from itertools import permutations

from infusion_feeds import PID, PV1, at, message, ras, rxa

from ketafhir import Refused, iter_fhir, to_hl7v2
from ketafhir.mapping.paths import Json

VISIT = PV1


def vitals(clock: str, visit: str = VISIT, code: str = "8867-4^Heart rate^LN|", unit: str = "/min") -> bytes:
    stamp = at(clock)
    lines = [f"OBR|1||R-{clock}^MON|85353-1^Vital Signs Panel^LN|||{stamp}||||||||||||||||||F"]
    lines.append(f"OBX|1|NM|{code}|80|{unit}^^UCUM|||||F|||{stamp}")
    lines.append(f"OBX|2|NM|8480-6^Systolic^LN|1|120|mm[Hg]^^UCUM|||||F|||{stamp}")
    lines.append(f"OBX|3|NM|8462-4^Diastolic^LN|1|80|mm[Hg]^^UCUM|||||F|||{stamp}")
    segments = [PID, *([visit] if visit else []), *lines]
    told = message(*segments, kind="ORU^R01^ORU_R01", sent="2300", control_id=f"M{clock}{code[:4]}{len(visit)}")
    return told.replace(b"|MARX|", b"|MONITOR|", 1)


START = ras(rxa(start="1000"), sent="1000")
END = ras(rxa(start="1000", end="1100", outcome="CP"), sent="1100", status="CM")
CORRECTED = ras(rxa(start="1000", end="1030", outcome="CP", action="U"), sent="1200", status="CM")


def held(feed: list[bytes]) -> dict[str, Json]:
    found = {}
    for step in iter_fhir(b"".join(feed)):
        assert not isinstance(step, Refused), step
        for entry in (step.bundle or {})["entry"]:
            if "id" in entry["resource"]:
                full = {other["fullUrl"]: other["resource"] for other in (step.bundle or {})["entry"]}
                resource = entry["resource"]
                for part in resource.get("partOf", ()):
                    if part["reference"].startswith("urn:uuid:"):
                        part["reference"] = "MedicationAdministration/" + full[part["reference"]]["id"]
                found[resource["id"]] = resource
    return {
        key: one for key, one in found.items() if one["resourceType"] in ("Observation", "MedicationAdministration")
    }


def tied(found: dict[str, Json]) -> list[str]:
    """The clock times of vital signs that are part of the infusion."""
    (parent,) = [
        key for key, one in found.items() if one["resourceType"] == "MedicationAdministration" and "partOf" not in one
    ]
    listed = []
    for one in found.values():
        if one["resourceType"] == "Observation" and "partOf" in one:
            assert [part["reference"] for part in one["partOf"]] == [f"MedicationAdministration/{parent}"]
            listed.append(one["effectiveDateTime"][11:16])
    return sorted(set(listed))


def test_vital_signs_during_an_infusion_are_part_of_it_in_any_order() -> None:
    feed = [vitals("0959"), vitals("1000"), vitals("1030"), vitals("1101")]
    ends = [held(list(order)) for order in permutations([*feed[1:], START, END])]
    assert all(tied(one) == ["10:00", "10:30"] for one in ends)
    observations = [{key: one for key, one in end.items() if one["resourceType"] == "Observation"} for end in ends]
    assert all(one == observations[0] for one in observations)
    assert tied(held([START, *feed])) == ["10:00", "10:30", "11:01"]  # while it runs
    assert tied(held([*feed, START, END])) == ["10:00", "10:30"]


def test_a_correction_of_the_period_moves_the_tie() -> None:
    feed = [vitals("1015"), vitals("1045")]
    assert tied(held([START, *feed, END])) == ["10:15", "10:45"]
    assert tied(held([START, *feed, END, CORRECTED])) == ["10:15"]
    assert tied(held([START, END, CORRECTED, *feed])) == ["10:15"]


def test_what_did_not_change_is_not_written_again() -> None:
    steps = list(iter_fhir(b"".join([START, vitals("1015"), END, vitals("1020"), END])))
    counts = []
    for step in steps:
        assert not isinstance(step, Refused)
        entries = (step.bundle or {})["entry"]
        counts.append(sum(entry["resource"]["resourceType"] == "Observation" for entry in entries))
    assert counts == [0, 2, 0, 2, 0]


def test_another_visit_is_not_tied_and_an_untold_one_is() -> None:
    other = VISIT.replace("V9", "V8")
    assert tied(held([START, END, vitals("1015", other)])) == []
    assert tied(held([START, END, vitals("1015", "")])) == ["10:15"]
    assert tied(held([vitals("1015", ""), START, END])) == ["10:15"]


def test_the_sender_of_what_is_written_again_stays() -> None:
    for feed in ([vitals("1015"), START], [START, vitals("1015")]):
        sources = {one["meta"]["source"] for one in held(feed).values() if one["resourceType"] == "Observation"}
        assert sources == {"urn:ketafhir:sender:STMARY:MONITOR"}


def test_a_form_or_a_laboratory_value_is_not_part_of_an_infusion() -> None:
    found = held([START, END, vitals("1015", code="44261-6^PHQ-9^LN|", unit="{score}")])
    scores = [one for one in found.values() if "44261-6" in str(one.get("code"))]
    assert scores
    assert all("partOf" not in one for one in scores)


def test_the_tie_gives_no_obx_of_the_infusion_back() -> None:
    alone, *_ = iter_fhir(vitals("1015"))
    steps = list(iter_fhir(b"".join([START, vitals("1015")])))
    assert not isinstance(alone, Refused)
    assert not isinstance(steps[-1], Refused)
    assert "partOf" in str(steps[-1].bundle)
    assert to_hl7v2(steps[-1].bundle or {}).text == to_hl7v2(alone.bundle or {}).text


def test_a_year_mistyped_is_found_as_fast_as_any_other() -> None:
    early = START.replace(b"|0|1|20260302", b"|0|1|10260302")
    assert tied(held([vitals("1015"), early, vitals("1020")])) == ["10:15", "10:20"]
