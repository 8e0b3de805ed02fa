"""Blood pressure: two or three OBX, one panel."""

from __future__ import annotations

import pytest
from oru_trips import (
    PANEL,
    Json,
    back,
    below_patient,
    codes_of,
    message,
    obx,
    read,
    resources,
    settings,
    take,
    to_bundle,
)

from ketafhir.fhir.profile.check import check
from ketafhir.mapping.paths import EXTENSION
from ketafhir.translate import incoming
from ketafhir.translate.session import Session, render_records
from ketafhir.translate.translation import to_hl7v2

SYS, DIA, MEAN, HR = "8480-6^Systolic^LN", "8462-4^Diastolic^LN", "8478-0^Mean^LN", "8867-4^HR^LN"
MMHG = "mm[Hg]^^UCUM"


def pressure(number: int, code: str, value: str, **more: str) -> str:
    return obx(number, "NM", code, value, unit=more.pop("unit", MMHG), **more)


def panels(text: str) -> list[Json]:
    return [r for r in resources(to_bundle(text), "Observation") if "component" in r]


def values(panel: Json) -> list[str]:
    return [str(one.get("valueQuantity", {}).get("value", "absent")) for one in panel["component"]]


def test_halves_with_one_sub_id_are_one_panel_with_the_r4_profile() -> None:
    text = message(
        PANEL, pressure(1, SYS, "120", f4="1"), pressure(2, DIA, "80", f4="1"), pressure(3, MEAN, "93", f4="1")
    )
    (panel,) = panels(text)
    assert panel["code"]["coding"][0]["code"] == "85354-9"
    assert panel["meta"]["profile"] == [
        EXTENSION + "infusion-blood-pressure",
        "http://hl7.org/fhir/StructureDefinition/bp",
    ]
    assert [one["code"]["coding"][0]["code"] for one in panel["component"]] == ["8480-6", "8462-4", "8478-0"]
    assert values(panel) == ["120", "80", "93"]
    assert back(text) == below_patient(text)


def test_two_pressures_of_one_time_are_told_apart_by_sub_id() -> None:
    text = message(
        PANEL,
        pressure(1, SYS, "120", f4="1"), pressure(2, DIA, "80", f4="1"),
        pressure(3, SYS, "130", f4="2"), pressure(4, DIA, "85", f4="2"),
    )  # fmt: skip
    assert [values(one) for one in panels(text)] == [["120", "80"], ["130", "85"]]
    assert back(text) == below_patient(text)


def test_without_sub_id_the_time_pairs() -> None:
    at = "20260309080500-0500"
    text = message(
        PANEL,
        pressure(1, SYS, "120"),
        pressure(2, DIA, "80"),
        pressure(3, SYS, "130", f14=at),
        pressure(4, DIA, "85", f14=at),
    )
    assert [values(one) for one in panels(text)] == [["120", "80"], ["130", "85"]]


def test_halves_of_two_devices_are_not_paired() -> None:
    text = message(PANEL, pressure(1, SYS, "120", f18="A^M"), pressure(2, DIA, "80", f18="B^M"))
    assert [values(one) for one in panels(text)] == [["120", "absent"], ["80", "absent"]]
    assert back(text) == below_patient(text)


@pytest.mark.parametrize("field", ["f17", "f20"])
def test_a_cuff_and_an_arterial_line_are_never_paired(field: str) -> None:
    cuff, line = {field: "cuff^Cuff^L", "f4": "1"}, {field: "art^Arterial line^L", "f4": "1"}
    mixed = message(PANEL, pressure(1, SYS, "120", **cuff), pressure(2, DIA, "80", **line))
    assert [values(one) for one in panels(mixed)] == [["120", "absent"], ["80", "absent"]]
    both = message(
        PANEL, pressure(1, SYS, "120", **cuff), pressure(2, DIA, "80", **cuff),
        pressure(3, SYS, "126", **line), pressure(4, DIA, "76", **line),
    )  # fmt: skip
    assert [values(one) for one in panels(both)] == [["120", "80"], ["126", "76"]]
    assert back(mixed) == below_patient(mixed)


def test_two_possible_pairings_are_an_issue_and_each_half_stays_alone() -> None:
    text = message(PANEL, pressure(1, SYS, "120"), pressure(2, SYS, "121", f4="9"), pressure(3, DIA, "80"))
    assert "bp-ambiguous" in codes_of(read(text).c.issues)
    assert [values(one) for one in panels(text)] == [["120", "absent"], ["121", "absent"], ["80", "absent"]]
    assert back(text) == below_patient(text)


def test_halves_of_two_obr_are_never_paired() -> None:
    text = message(
        PANEL, pressure(1, SYS, "120"), PANEL.replace("F1", "F2").replace("OBR|1", "OBR|2"), pressure(1, DIA, "80")
    )
    assert [values(one) for one in panels(text)] == [["120", "absent"], ["80", "absent"]]
    assert back(text) == below_patient(text)


def test_a_lone_half_gives_no_second_obx_back() -> None:
    text = message(PANEL, pressure(1, DIA, "80"))
    (panel,) = panels(text)
    absent = panel["component"][1]
    assert absent["code"]["coding"][0]["code"] == "8480-6"
    assert absent["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert back(text) == below_patient(text)


def test_a_lone_mean_stays_an_observation_of_its_own() -> None:
    text = message(PANEL, pressure(1, MEAN, "93"))
    (one,) = resources(to_bundle(text), "Observation")
    assert "component" not in one
    assert back(text) == below_patient(text)


def test_what_one_half_says_otherwise_comes_back_with_that_half() -> None:
    text = message(
        PANEL,
        pressure(1, SYS, "120", f4="1", f8="H", f7="90-140", f13="x", f16="RN-1^Moss^Ada^^^^^^WILLOW", f20="RA"),
        "NTE|1||of the systolic",
        pressure(2, DIA, "80", f4="1", status="C", f14="20260309075801-0500", f19="20260309080000-0500", f21="I2^M"),
        "NTE|1||of the diastolic",
        "PRT|1|UC||EQUIP",
    )
    assert len(panels(text)) == 1
    assert back(text) == below_patient(text)


def test_a_changed_half_changes_its_own_value_and_the_shared_time_changes_both() -> None:
    text = message(PANEL, pressure(1, SYS, "120", f4="1"), pressure(2, DIA, "80", f4="1"))

    def change(bundle: Json) -> None:
        (panel,) = resources(bundle, "Observation")
        panel["component"][1]["valueQuantity"]["value"] = 81
        panel["effectiveDateTime"] = "2026-03-09T08:00:00-05:00"

    first, second = (line.split("|") for line in back(text, change)[1:])
    assert (first[5], second[5]) == ("120", "81")
    assert first[14] == second[14] == "20260309080000-0500"
    assert first[4] == second[4] == "1"


def test_a_unit_that_is_not_of_the_profile_is_kept_and_no_profile_claimed() -> None:
    text = message(PANEL, pressure(1, SYS, "16", unit="kPa"), pressure(2, DIA, "10", unit="kPa"))
    (panel,) = panels(text)
    assert panel["meta"]["profile"] == [EXTENSION + "infusion-observation"]
    assert codes_of(read(text).c.issues) == ["unit-unexpected", "unit-unexpected"]
    assert back(text) == below_patient(text)


def test_device_terms_make_the_same_panel() -> None:
    text = message(
        PANEL,
        pressure(1, "150021^MDC_PRESS_BLD_NONINV_SYS^MDC", "120", f4="1.1.2.1"),
        pressure(2, "150022^MDC_PRESS_BLD_NONINV_DIA^MDC", "80", f4="1.1.2.2"),
    )
    (panel,) = panels(text)
    assert [one["code"]["coding"][1]["code"] for one in panel["component"]] == ["8480-6", "8462-4"]
    assert back(text) == below_patient(text)


def test_a_half_withdrawn_after_the_pair_was_told_is_not_shown_as_valid() -> None:
    from oru_trips import TABLES, settings

    from ketafhir.translate import incoming, observations
    from ketafhir.translate.session import Session
    from ketafhir.translate.writing import Writing

    first = read(message(PANEL, pressure(1, SYS, "120", f4="1"), pressure(2, DIA, "80", f4="1")))
    later = read(message(PANEL, pressure(1, SYS, "120", f4="1", status="D")))
    records = first.records
    records.observations.update(later.records.observations)
    writing = Writing(records, TABLES, first.c, "urn:x")
    first.c.segment = None
    observations.render(writing, later.records, records)
    (panel,) = resources(writing.entries.transaction(), "Observation")
    assert panel["status"] == "final"
    assert values(panel) == ["80", "absent"]
    assert panel["component"][1]["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert Session(settings()).take(incoming.parse(message(PANEL, pressure(1, MEAN, "93")))).issues == []


def test_panels_and_single_observations_from_elsewhere_become_obx() -> None:
    loinc, ucum = "http://loinc.org", "http://unitsofmeasure.org"

    def concept(code: str) -> Json:
        return {"coding": [{"system": loinc, "code": code}]}

    def quantity(value: int, unit: str) -> Json:
        return {"value": value, "unit": unit, "system": ucum, "code": unit}

    def observation(**more: object) -> Json:
        return {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/p"}, **more}

    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:x", "value": "7"}]}
    at = "2026-03-09T08:00:00-05:00"
    panel = observation(
        code=concept("85354-9"), effectiveDateTime=at,
        component=[
            {"code": concept("8480-6"), "valueQuantity": quantity(120, "mm[Hg]")},
            {"code": concept("8462-4"), "dataAbsentReason": {"text": "lost"}},
        ],
    )  # fmt: skip
    rate = observation(code=concept("8867-4"), effectiveInstant=at, valueQuantity=quantity(70, "/min"))
    mixed = observation(
        code=concept("2708-6"), valueQuantity=quantity(97, "%"),
        component=[{"code": concept("3151-8"), "valueQuantity": quantity(2, "L/min")}],
        referenceRange=[{"low": {"value": 94}}],
    )  # fmt: skip
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": one} for one in (patient, panel, rate, mixed)],
    }
    taking = take(bundle)
    from oru_trips import compose

    lines = compose(taking.records)
    assert lines == [
        "OBR|1|||85353-1^Vital Signs Panel^LN|||20260309080000-0500||||||||||||||||||F",
        "OBX|1|NM|8480-6^^LN||120|mm[Hg]^^UCUM|||||F|||20260309080000-0500",
        "OBX|2|NM|8867-4^^LN||70|/min^^UCUM|||||F|||20260309080000-0500",
        "OBX|3|NM|2708-6^^LN||97|%^^UCUM|>=94||||F",
        "OBX|4|NM|3151-8^^LN||2|L/min^^UCUM|||||F",
    ]
    assert codes_of(taking.c.issues) == ["components-separate"]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_half_that_is_told_twice_under_other_sub_ids_is_paired_in_its_newer_version(backwards: bool) -> None:
    """In whichever order they come: no panel has two diastolics, the report refers to all three, and all go back."""
    first = message(PANEL, pressure(1, SYS, "150", f4="2"), pressure(2, DIA, "90", f4="P-1"))
    again = message(PANEL, pressure(1, SYS, "150", f4="2"), pressure(2, DIA, "91", f4="2"))
    again = again.replace("20260309075805", "20260309075905", 1)
    session = Session(settings())
    steps = [session.take(incoming.parse(one)) for one in ((again, first) if backwards else (first, again))]
    assert [[one.code for one in step.issues if one.code == "bp-ambiguous"] for step in steps] == [[], ["bp-ambiguous"]]
    bundle = steps[1].bundle
    assert check(bundle) == []
    held = resources(bundle, "Observation")
    assert sorted(values(one) for one in held) == [["150", "91"], ["90", "absent"]]
    (report,) = resources(bundle, "DiagnosticReport")
    assert sorted(one["reference"] for one in report["result"]) == sorted(f"urn:uuid:{one['id']}" for one in held)
    rows = [line for line in to_hl7v2(bundle).text.split("\r") if line.startswith("OBX")]
    assert sorted((row.split("|")[4], row.split("|")[5]) for row in rows) == [("2", "150"), ("2", "91"), ("P-1", "90")]


def test_a_systolic_that_is_told_again_under_another_code_is_paired_once() -> None:
    mdc = "150021^MDC_PRESS_BLD_NONINV_SYS^MDC"
    session = Session(settings())
    session.take(incoming.parse(message(PANEL, pressure(1, SYS, "150"))))
    both = message(PANEL, pressure(1, mdc, "151"), pressure(2, DIA, "90")).replace(
        "20260309075805", "20260309075905", 1
    )
    bundle = session.take(incoming.parse(both)).bundle
    assert check(bundle) == []
    assert sorted(values(one) for one in resources(bundle, "Observation")) == [["150", "absent"], ["151", "90"]]


def test_a_panel_from_elsewhere_with_two_systolics_is_no_panel() -> None:
    bundle = to_bundle(message(PANEL, pressure(1, SYS, "120"), pressure(2, DIA, "80")))
    (panel,) = resources(bundle, "Observation")
    panel["component"].insert(
        1, {**panel["component"][0], "valueQuantity": {**panel["component"][0]["valueQuantity"], "value": 121}}
    )
    made = render_records(take(bundle).records, settings(), settings().context(), "urn:x")
    assert check(made) == []
    assert [values(one) for one in resources(made, "Observation")] == [
        ["120", "absent"],
        ["121", "absent"],
        ["80", "absent"],
    ]
