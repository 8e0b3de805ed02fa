"""Tables of Z-segments: what they refuse, and that both directions go through them."""

from __future__ import annotations

from pathlib import Path

import pytest

import ketafhir
from ketafhir.errors import TableError
from ketafhir.mapping.tables import Tables

CASE = Path("tests/golden/Z_SEGMENTS/by-table")
COLUMNS = "op,row,v2,v2_name,v2_type,when,domain,fhir,fhir_type,codec,vocab,loss,comment\n"
KIT = "https://willow.example/fhir/tubing-set"


def _steps() -> list[ketafhir.Translation]:
    found = list(ketafhir.iter_fhir((CASE / "in.hl7").read_bytes(), site=str(CASE)))
    assert all(isinstance(one, ketafhir.Translation) for one in found)
    return found


def _child(bundle: dict) -> dict:  # type: ignore[type-arg]
    resources = [entry["resource"] for entry in bundle["entry"]]
    return next(one for one in resources if one["resourceType"] == "MedicationAdministration" and "partOf" in one)


def test_each_field_of_a_z_segment_is_accounted_for() -> None:
    fates = {loss.where: loss.fate for loss in _steps()[1].losses if loss.where.startswith("ZKT")}
    assert fates == {
        "ZKT[1]-1": "mapped", "ZKT[1]-2": "mapped", "ZKT[1]-3": "mapped", "ZKT[1]-4": "preserved", "ZKT[1]-5": "dropped",
        "ZKT[2]-1": "preserved",
    }  # fmt: skip


def test_an_element_changed_in_fhir_is_changed_in_the_z_segment_and_reported_mapped() -> None:
    bundle = _steps()[1].bundle
    child = _child(bundle)
    kit = next(one for one in child["extension"] if one["url"] == KIT)
    kit["valueString"] = "SET-77"
    back = ketafhir.to_hl7v2(bundle, site=str(CASE))
    assert "\rZKT|SET-77|room-4^" in back.text
    fates = {
        loss.where: loss.fate
        for loss in back.losses
        if loss.where.startswith(f"MedicationAdministration/{child['id']}.")
    }
    assert fates[f"MedicationAdministration/{child['id']}.category"] == "mapped"
    assert [where for where, fate in fates.items() if fate == "dropped" and "extension" in where] == []


def test_without_the_table_nothing_is_read_of_what_the_site_wrote() -> None:
    back = ketafhir.to_hl7v2(_steps()[1].bundle)
    assert "\rZKT||^^^^^^^^^room four||not in the table" in back.text
    assert any(KIT in loss.why for loss in back.losses)


def test_a_value_that_the_codec_refuses_names_the_row() -> None:
    broken = (CASE / "in.hl7").read_bytes().replace(b"202604140855-0500", b"20261414")
    refused = [one for one in ketafhir.iter_fhir(broken, site=str(CASE)) if isinstance(one, ketafhir.Refused)]
    assert [(one.issues[-1].where, "[changed]" in one.issues[-1].row) for one in refused] == [("ZKT-3", True)]


@pytest.mark.parametrize(
    ("name", "row", "told"),
    [
        ("ZKT_to_MedicationAdministration", "add,a,ZKT-1,,,,drug,category,CodeableConcept,concept,,,", "no domain"),
        ("ZKT_to_MedicationAdministration", "add,a,ZKT-1,,,,,status,code,text,,,", "other rows or by code"),
        (
            "ZKT_to_MedicationAdministration",
            "add,a,ZKT-1,,,,,reasonCode,CodeableConcept,concept,,,",
            "other rows or by code",
        ),
        (
            "ZKT_to_Observation",
            "add,a,ZKT-1,,,,,extension[https://x.example/a].valueString,string,text,,,",
            "mapped to one of",
        ),
        ("ZKT_to_Patient", "replace,a,ZKT-1,,,,,maritalStatus,CodeableConcept,concept,,,", "not there"),
        ("ZKT_to_Patient", "add,a,ZKT-1,,,,,maritalState,CodeableConcept,concept,,,", "does not exist in R4"),
    ],
)
def test_a_table_that_would_harm_is_refused(tmp_path: Path, name: str, row: str, told: str) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / f"{name}.csv").write_text(COLUMNS + row + "\n")
    with pytest.raises(TableError, match=told):
        Tables(tmp_path)


def test_one_message_by_itself_goes_through_the_table_too(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "ZOB_to_DiagnosticReport.csv").write_text(
        COLUMNS + "add,told,ZOB-1,Text,ST,,,conclusion,string,text,,,ours\n"
    )
    message = (
        "MSH|^~\\&|MONITOR|WILLOW|||20260309084005-0500||ORU^R01^ORU_R01|1|P|2.5.1\r"
        "PID|1||SYN-1^^^WILLOW^MR||Halloway^Wren\r"
        "OBR|1||VS-1^MONITOR|85353-1^Vital signs^LN|||20260309084000-0500||||||||||||||||||F\r"
        "ZOB|steady\r"
    )
    site = str(tmp_path)
    alone = ketafhir.to_fhir(message, site=site)
    assert [one["resource"].get("conclusion") for one in (alone.bundle or {})["entry"]].count("steady") == 1
    (folded,) = ketafhir.iter_fhir(message, site=site)
    assert isinstance(folded, ketafhir.Translation)
    assert alone.json() == folded.json()
