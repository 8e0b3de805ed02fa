"""A site replaces, adds and removes single rows; what is wrong with its files is named by file and line before any message."""

from __future__ import annotations

from pathlib import Path

import pytest

import ketafhir
from ketafhir.errors import ConfigError, TableError
from ketafhir.mapping.tables import COLUMNS
from ketafhir.translate.settings import default

HEAD = ",".join(["op", *COLUMNS])
SEX = "PID-8,Administrative sex,CWE,,sex,gender,code,soft-code,administrative-gender,,"
MESSAGE = "MSH|^~\\&|A|B|||20260309080000-0500||ADT^A04^ADT_A01|1|P|2.5.1\rPID|1||1^^^B^MR||Doe^J|||{sex}||||||||||||||||||NL\r"


def site(folder: Path, *rows: str, table: str = "PID_to_Patient") -> str:
    (folder / "segments").mkdir()
    (folder / "segments" / f"{table}.csv").write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")
    return str(folder)


def patient(folder: str, sex: str = "F") -> dict[str, object]:
    bundle = ketafhir.to_fhir(MESSAGE.format(sex=sex), site=folder).bundle
    assert bundle is not None
    found: dict[str, object] = bundle["entry"][0]["resource"]
    return found


def test_a_row_is_replaced_removed_and_added(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    assert patient(site(tmp_path / "one", f"replace,sex,{SEX.replace('PID-8', 'PID-26')}"), "").get("gender") is None
    assert "gender" not in patient(site(tmp_path / "two", "remove,sex" + "," * 11))
    added = "add,nation,PID-26,Citizenship,CWE,,marital_status,maritalStatus,CodeableConcept,concept,,,"
    gone = "remove,marital-status" + "," * 11
    told = patient(site(tmp_path / "three", gone, added))
    assert told["maritalStatus"] == {"coding": [{"code": "NL"}]}


def test_a_code_map_of_its_own_replaces_the_default(tmp_path: Path) -> None:
    (tmp_path / "codesystems").mkdir()
    file = tmp_path / "codesystems" / "administrative-gender.csv"
    file.write_text("domain,v2,fhir,prefer,comment\nmale,MM,male,both,\n", encoding="utf-8")
    assert patient(str(tmp_path), "MM")["gender"] == "male"
    default.cache_clear()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (f"replace,sex,{SEX.replace('sex,gender', 'sexx,gender')}", "'sexx' is no field of Patient"),
        (f"replace,sex,{SEX.replace('gender,code', 'genderr,code')}", "Patient.genderr does not exist in R4"),
        (f"replace,sex,{SEX.replace('soft-code', 'no-codec')}", "there is no codec"),
        (f"replace,sex,{SEX.replace('PID-8', 'PID-x')}", "is no v2 cell"),
        (f"replace,nosuch,{SEX}", "is not there"),
        (f"add,sex,{SEX}", "is there already"),
        (f"add,sex-again,{SEX}", "fills sex, which"),
        (f"change,sex,{SEX}", "op is replace, add or remove"),
        ("replace,sex,PID-8", "the row has not"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, row: str, why: str) -> None:
    with pytest.raises(TableError, match=r"segments/PID_to_Patient\.csv:2") as error:
        default(None, site(tmp_path, row))
    assert why in str(error.value)


def test_a_table_that_is_none_and_a_folder_that_is_no_overlay(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no site overlay"):
        default(None, str(tmp_path))
    with pytest.raises(TableError, match=r"PID_to_Person\.csv: there is no such table"):
        default(None, site(tmp_path, table="PID_to_Person"))


def test_a_code_map_row_of_too_few_columns(tmp_path: Path) -> None:
    (tmp_path / "codesystems").mkdir()
    (tmp_path / "codesystems" / "administrative-gender.csv").write_text("domain,v2,fhir,prefer,comment\nmale,M\n")
    with pytest.raises(TableError, match=r"codesystems/administrative-gender\.csv:2: the row has not 5 columns"):
        default(None, str(tmp_path))
