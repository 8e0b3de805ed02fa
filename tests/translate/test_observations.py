"""OBX and OBR to Observation and DiagnosticReport, and back again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from oru_trips import (
    AT,
    PANEL,
    Json,
    back,
    below_patient,
    codes_of,
    message,
    obx,
    read,
    resources,
    take,
    to_bundle,
)

from fhir_peer import HapiServer
from ketafhir import data
from ketafhir.errors import Refused
from ketafhir.fhir.check import shape
from ketafhir.mapping import codes
from ketafhir.mapping.paths import EXTENSION
from ketafhir.therapy.values import Quantity
from ketafhir.translate.kinds import kind_of

STORIES = sorted((data.path("examples/stories")).glob("*/*oru*.hl7"))
OURS = ("Observation", "DiagnosticReport", "QuestionnaireResponse", "ClinicalImpression")

EVERYTHING = (
    "ORC|RE|P1^EHR|F1^MON||CM",
    "OBR|1|P1^EHR|F1^MON|85353-1^Vital signs^LN|||20260309075800-0500|20260309085800-0500||||||||DR-1^X||||||"
    "20260309080000-0500|||F|||||||RN-9&Q",
    r"NTE|1||heading note \T\ more",
    "TQ1|1||Q5M",
    "OBX|1|NM|150021^MDC_PRESS_BLD_NONINV_SYS^MDC|1.1.2.1|122|266016^MDC_DIM_MMHG^MDC|90-140|N~H^High^HL70078|0.95|A|R"
    "|20200101|sec|202603090758-0500|MON-Q|RN-1^Moss^Ada^^^^^^WILLOW~RN-2^F^L|AUTO^Automatic^L|SYN-MON-03^WILLOW"
    "|20260309075801-0500|RA^Right arm^HL70163|INST-1^MON",
    "NTE|1||note of the systolic",
    "OBX|2|NM|150022^MDC_PRESS_BLD_NONINV_DIA^MDC|1.1.2.2|76|mmHg|||||F|||202603090758-0500|||AUTO^Automatic^L"
    "|SYN-MON-03^WILLOW",
    "NTE|1||note of the diastolic",
    "OBX|3|NM|150023^MDC_PRESS_BLD_NONINV_MEAN^MDC|1.1.2.3|091|mm[Hg]|||||X|||202603090758-0500|||AUTO^Automatic^L"
    "|SYN-MON-03^WILLOW",
    "OBX|4|NM|8867-4^Heart rate^LN||+70|bpm|||||F",
    f'OBX|5|NM|9279-1^Respiratory rate^LN||""|/min|||||N|||{AT}',
    f"OBX|6|SN|59408-5^SpO2^LN||<^98|%^^UCUM|||||P|||{AT}",
    f"OBX|7|SN|X1^a^L||^5||||||F|||{AT}",
    f"OBX|8|SN|X2^a^L||=^5|kg|||||F|||{AT}",
    f"OBX|9|SN|X3^a^L||^1^-^5|mg^^UCUM|||||F|||{AT}",
    f"OBX|10|SN|X4^a^L||^1^/^5||||||F|||{AT}",
    f"OBX|11|SN|X5^a^L||^1^+||||||F|||{AT}",
    rf"OBX|12|TX|X6^a^L||one~two \F\ x||||||C|||{AT}",
    f"OBX|13|CE|X7^a^L||A^Aye^L^B^Bee^L^1^2^orig^^^^&x~C^Cee^L|u|||||D|||{AT}",
    f"OBX|14|XCN|X8^a^L||RN-2^Fern^Liam^^^^^^WILLOW||||||W|||{AT}",
    f"OBX|15|TS|X10^a^L||202603090758-0500||||||F|||{AT}",
    f"OBX|16|DT|X11^a^L||20260309||||||F|||{AT}",
    "OBX|17|NM|8310-5^T^LN||98.60|F|||||F|||2026030907-0500",
    "OBX|18|NM|8480-6^Systolic^LN||118|kPa|||||F|||20260309080500-0500",
    "OBX|19|NM|8478-0^Mean^LN||88|mm[Hg]^^UCUM|||||F|||20260309081500-0500",
    f"OBX|20|DR|X13^a^L||20260309^20260310||||||O|||{AT}",
    rf"OBX|21|ST|X14^a^L||a\.br\b||||||A|||{AT}",
    f"OBX|22||X15^a^L||||||||X|||{AT}",
    "OBX|23|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC^59408-5^SpO2^LN||97|262688^MDC_DIM_PERCENT^MDC|||||F"
    "|||20260309081500-0500",
    "PRT|1|UC||EQUIP",
    "SPM|1||S1",
)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_result_of_the_stories_comes_back_as_sent_and_has_the_shape_of_fhir(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert back(text) == below_patient(text)
    assert [issue for entry in to_bundle(text)["entry"] for issue in shape(entry["resource"])] == []


def test_every_field_of_an_obr_and_its_obx_comes_back_as_sent() -> None:
    text = message(*EVERYTHING)
    assert back(text) == list(EVERYTHING)
    assert [issue for entry in to_bundle(text)["entry"] for issue in shape(entry["resource"])] == []


def test_every_row_of_the_tables_of_observations_is_hit_by_these_messages() -> None:
    told = below_patient(message(*EVERYTHING))
    told += [line for path in STORIES for line in below_patient(path.read_text(encoding="utf-8"))]
    valued = {f"{line[:3]}-{at}" for line in told for at, cell in enumerate(line.split("|")) if at and cell}
    for name in ("OBX_to_Observation", "OBX_to_Observation.component", "OBR_to_DiagnosticReport",
                 "OBX_to_ClinicalImpression", "OBX_to_ClinicalImpression.finding",
                 "OBX_to_QuestionnaireResponse.item"):  # fmt: skip
        with (data.path("mappings/segments") / f"{name}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert set(row["v2"].split()) <= valued, (name, row["row"])


@pytest.mark.parametrize(
    ("code", "status"),
    [("F", "final"), ("P", "preliminary"), ("R", "preliminary"), ("S", "preliminary"), ("I", "registered"),
     ("O", "registered"), ("C", "corrected"), ("A", "amended"), ("B", "amended"), ("V", "final"), ("U",
     "final"), ("W", "entered-in-error"), ("D", "entered-in-error"), ("X", "cancelled"), ("N", "cancelled")],
)  # fmt: skip
def test_every_result_status_has_its_fhir_status_and_comes_back_as_sent(code: str, status: str) -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM", status=code))
    (resource,) = resources(to_bundle(text), "Observation")
    assert resource["status"] == status
    assert back(text) == below_patient(text)


def test_a_changed_status_goes_before_the_code_kept_beside_it() -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM", status="R"))

    def verify(bundle: Json) -> None:
        resources(bundle, "Observation")[0]["status"] = "final"

    assert back(text, verify)[1].split("|")[11] == "F"


def test_an_unknown_result_status_refuses_the_message() -> None:
    with pytest.raises(Refused) as error:
        read(message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", status="Q")))
    assert error.value.issues[-1].where == "OBX-11"
    assert error.value.issues[-1].hl7 == "103"


def test_a_missing_result_status_is_unknown_with_a_warning_and_stays_missing() -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM", status=""))
    assert codes_of(read(text).c.issues) == ["status-missing"]
    assert resources(to_bundle(text), "Observation")[0]["status"] == "unknown"
    assert back(text) == below_patient(text)


def test_a_time_taken_from_the_obr_is_marked_and_not_sent_back() -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM", f14=""))
    (resource,) = resources(to_bundle(text), "Observation")
    assert resource["effectiveDateTime"] == "2026-03-09T07:58:00-05:00"
    assert back(text) == below_patient(text)


def test_a_time_told_twice_comes_back_twice() -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM"))
    assert "_effectiveDateTime" not in resources(to_bundle(text), "Observation")[0]
    assert back(text) == below_patient(text)


def test_a_derived_time_that_is_changed_becomes_the_time_of_the_observation() -> None:
    text = message(PANEL, obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM", f14=""))

    def move(bundle: Json) -> None:
        resources(bundle, "Observation")[0]["effectiveDateTime"] = "2026-03-09T08:00:00-05:00"

    assert back(text, move)[1].split("|")[14] == "20260309080000-0500"


Change = Callable[[Json], object]
MUTATIONS: dict[str, tuple[Change, int, str]] = {
    "value": (lambda r: r["valueQuantity"].update(value=71), 5, "71"),
    "code": (lambda r: r["code"]["coding"][0].update(display="Pulse"), 3, "8867-4^Pulse^LN"),
    "sub-id": (lambda r: r["extension"][0].update(valueString="9"), 4, "9"),
    "range": (lambda r: r["referenceRange"][0].update(text="50-90"), 7, "50-90"),
    "interpretation": (lambda r: r["interpretation"][0]["coding"][0].update(code="HH", display=""), 8, "HH"),
    "status": (lambda r: r.update(status="corrected"), 11, "C"),
    "effective": (lambda r: r.update(effectiveDateTime="2026-03-09T08:00:00Z"), 14, "20260309080000+0000"),
    "method": (lambda r: r["method"].update(coding=[{"code": "M2"}]), 17, "M2"),
    "site": (lambda r: r["bodySite"]["coding"][0].update(code="LA", display="Left"), 20, "LA^Left^HL70163"),
    "identifier": (lambda r: r["identifier"][0].update(value="I2"), 21, "I2^MON"),
}
FULL = obx(
    1, "NM", "8867-4^HR^LN", "70", unit="bpm", f4="1", f7="60-100", f8="H", f17="M1^Monitor^L", f18="MON-3^W",
    f19="20260309080000-0500", f20="RA^Right^HL70163", f21="I1^MON",
)  # fmt: skip


@pytest.mark.parametrize("row", MUTATIONS)
def test_a_changed_element_changes_the_cells_of_its_row_and_no_other(row: str) -> None:
    change, field, expected = MUTATIONS[row]
    before = FULL.split("|")
    after = back(message(PANEL, FULL), lambda bundle: change(resources(bundle, "Observation")[0]))[1].split("|")
    assert after[field] == expected
    assert [at for at, cell in enumerate(before) if after[at] != cell] == [field]


def test_a_changed_value_is_not_overwritten_by_what_was_sent() -> None:
    text = message(PANEL, obx(1, "NM", "X^a^L", "+070", unit="kg"), obx(2, "TX", "Y^a^L", "a~b"))

    def change(bundle: Json) -> None:
        first, second = resources(bundle, "Observation")
        first["valueQuantity"].update(value=5, unit="g", code="g")
        del second["valueString"]
        second["valueQuantity"] = {"value": 1}

    lines = back(text, change)
    assert lines[1].split("|")[5:7] == ["5", "g^^UCUM"]
    assert lines[2].split("|")[2:6] == ["NM", "Y^a^L", "", "1"]


def test_a_vital_sign_claims_its_profile_only_with_the_unit_of_the_profile() -> None:
    text = message(
        PANEL,
        obx(1, "NM", "8310-5^T^LN", "36.6", unit="Cel^^UCUM"),
        obx(2, "NM", "9279-1^RR^LN", "14", unit="mg^^UCUM"),
        obx(3, "NM", "19891-1^EtCO2^LN", "38", unit="mm[Hg]^^UCUM"),
    )
    temperature, rate, carbon = resources(to_bundle(text), "Observation")
    r4 = "http://hl7.org/fhir/StructureDefinition/bodytemp"
    assert temperature["meta"]["profile"] == [EXTENSION + "infusion-body-temperature", r4]
    assert rate["meta"]["profile"] == [EXTENSION + "infusion-observation"]
    assert carbon["meta"]["profile"] == [EXTENSION + "infusion-end-tidal-co2"]
    assert carbon["category"][0]["coding"][0]["code"] == "exam"
    issues = read(text).c.issues
    assert codes_of(issues) == ["unit-unexpected"]
    assert issues[0].where == "OBX[2]-6"


def test_a_code_of_no_known_kind_is_written_with_its_own_coding_and_no_category() -> None:
    text = message(PANEL, obx(1, "ST", "ZZ^Something^L", "yes"))
    (resource,) = resources(to_bundle(text), "Observation")
    assert "category" not in resource
    assert resource["code"]["coding"] == [{"system": "urn:id:L", "code": "ZZ", "display": "Something"}]
    assert codes_of(read(text).c.issues) == ["code-unmapped"]


def test_saturation_has_both_codings_and_gives_back_the_one_that_was_sent() -> None:
    text = message(PANEL, obx(1, "NM", "59408-5^SpO2^LN", "97", unit="%^^UCUM"))
    (resource,) = resources(to_bundle(text), "Observation")
    assert {one["code"] for one in resource["code"]["coding"]} == {"59408-5", "2708-6"}
    both = message(PANEL, obx(1, "NM", "59408-5^SpO2^LN^2708-6^Oxygen saturation^LN", "97", unit="%^^UCUM"))
    assert back(text) == below_patient(text)
    assert back(both) == below_patient(both)


def test_two_observations_that_cannot_be_told_apart_are_both_kept() -> None:
    text = message(PANEL, obx(1, "ST", "ZZ^a^L", "x"), obx(2, "ST", "ZZ^a^L", "y"))
    assert "identity-repeated" in codes_of(read(text).c.issues)
    assert back(text) == below_patient(text)


def test_a_number_that_is_none_refuses_the_message() -> None:
    with pytest.raises(Refused) as error:
        read(message(PANEL, obx(1, "NM", "8867-4^HR^LN", "78 bpm")))
    assert error.value.issues[-1].where == "OBX-5"


def test_the_same_reading_told_again_has_the_same_id_and_another_time_another_id() -> None:
    line = obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM")
    later = line.replace(AT, "20260309075900-0500")
    utc = line.replace(AT, "20260309125800+0000")
    ids = [resources(to_bundle(message(PANEL, one)), "Observation")[0]["id"] for one in (line, line, later, utc)]
    assert ids[0] == ids[1] == ids[3] != ids[2]


def test_records_taken_from_fhir_have_the_identity_that_hl7v2_gave_them() -> None:
    for text in (message(*EVERYTHING), *(path.read_text(encoding="utf-8") for path in STORIES)):
        told, taken = read(text).records, take(to_bundle(text)).records
        for kind in ("reports", "responses", "decisions", "observations"):
            assert set(getattr(told, kind)) == set(getattr(taken, kind))


def test_two_obr_of_different_kinds_keep_their_order() -> None:
    text = message(
        "OBR|1||A1^E|72514-3^Pain^LN|||20260309075800-0500",
        obx(1, "NM", "72514-3^Pain^LN", "8", unit="{score}^^UCUM"),
        "OBR|2||A2^E|85353-1^Vital signs^LN|||20260309075800-0500",
        obx(1, "NM", "8867-4^HR^LN", "70", unit="/min^^UCUM"),
    )
    assert back(text) == below_patient(text)


def test_every_kind_is_a_code_of_the_catalogue_and_its_units_are_known() -> None:
    from ketafhir.mapping import units

    with (data.path("mappings") / "observation-kinds.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            one = codes.code(row["code"])
            assert codes.code(row["category"]).name.startswith("category.")
            for unit in row["units"].split():
                assert units.find(unit) is not None, (one.name, unit)


def test_device_terms_are_of_the_kind_of_the_loinc_term_they_imply() -> None:
    reading = read(
        message(PANEL, obx(1, "NM", "147842^MDC_ECG_HEART_RATE^MDC", "70", unit="264864^MDC_DIM_BEAT_PER_MIN^MDC"))
    )
    (one,) = reading.records.observations.values()
    kind = kind_of(one.code)
    assert kind is not None
    assert kind.name == "vitals.heart-rate"
    assert isinstance(one.value, Quantity)
    assert one.value.unit == "/min"
    assert reading.c.issues == []


def valid(server: HapiServer, resource: Json) -> list[str]:
    """What the server finds wrong with a resource."""
    _, answer = server.request("POST", f"{resource['resourceType']}/$validate", _floats(resource))
    return [one["diagnostics"] for one in answer["issue"] if one["severity"] in ("error", "fatal")]


def _floats(value: object) -> object:
    if isinstance(value, dict):
        return {key: _floats(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_floats(part) for part in value]
    return float(value) if type(value).__name__ == "Decimal" else value


@pytest.mark.hapi
def test_the_server_finds_no_error_in_what_stories_and_the_fullest_message_become(
    hapi_server: HapiServer,
) -> None:
    seen = set()
    texts = [message(*EVERYTHING), *(path.read_text(encoding="utf-8") for path in STORIES)]
    for text in texts:
        for entry in to_bundle(text)["entry"]:
            resource = entry["resource"]
            kind = (resource["resourceType"], str(resource.get("code")), tuple(sorted(resource)))
            if resource["resourceType"] in OURS and kind not in seen:
                seen.add(kind)
                assert valid(hapi_server, resource) == [], resource
    assert len(seen) > 40
