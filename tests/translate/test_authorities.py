"""Assigning authorities of a translation, as the service has them: a number without one has the default, or is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ketafhir
from ketafhir.errors import ConfigError
from ketafhir.fhir import json

MESSAGE = (
    "MSH|^~\\&|HIS|MED|||20260412101500-0500||ORU^R01^ORU_R01|A1|P|2.5.1\r"
    "PID|1||10010||Sample^Thomas||19850913|M\r"
    "OBR|1|V-1^HIS|R-1^HIS|85353-1^Vital signs^LN|||20260412101500-0500\r"
    "OBX|1|NM|8867-4^Heart rate^LN||88|/min^^UCUM|||||F\r"
)
MRN = "https://med.example/mrn"


def system(bundle: object) -> str:
    patient = next(one for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient")  # type: ignore[index]
    return str(patient["resource"]["identifier"][0]["system"])


def test_a_number_without_authority_is_of_the_default() -> None:
    with pytest.raises(ketafhir.Refused, match="no default"):
        ketafhir.to_fhir(MESSAGE)
    for authorities, cell in (
        ({"MED": MRN, "default": "MED"}, "10010^^^MED"),
        ({"default": MRN}, f"10010^^^&{MRN}&URI"),
    ):
        made = ketafhir.to_fhir(MESSAGE, authorities=authorities)
        assert system(made.bundle) == MRN
        back = ketafhir.to_hl7v2(made.json(), authorities=authorities).text
        assert f"PID|1||{cell}||" in back
        assert system(ketafhir.to_fhir(back, authorities=authorities).bundle) == MRN
        (step,) = ketafhir.iter_fhir(MESSAGE, authorities=authorities)
        assert isinstance(step, ketafhir.Translation)
        assert step.json() == made.json()


def test_a_named_authority_has_its_system() -> None:
    told = MESSAGE.replace("|10010|", "|10010^^^MED^MR|")
    assert system(ketafhir.to_fhir(told, authorities={"MED": MRN}).bundle) == MRN
    assert system(ketafhir.to_fhir(told).bundle) == "urn:id:MED"


def test_an_authority_that_is_no_uri_is_refused() -> None:
    with pytest.raises(ConfigError, match="is the URI of its numbers"):
        ketafhir.to_fhir(MESSAGE, authorities={"MED": "mrn"})


def test_the_command_takes_those_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "ketafhir.toml"
    file.write_text(f'[authorities]\nMED = "{MRN}"\ndefault = "MED"\n')
    command = [sys.executable, "-m", "ketafhir", "translate", "-", "--to", "fhir"]
    refused = subprocess.run(command, input=MESSAGE.encode(), capture_output=True, check=False)
    assert (refused.returncode, b"--config FILE" in refused.stderr) == (1, True)
    made = subprocess.run([*command, "--config", str(file)], input=MESSAGE.encode(), capture_output=True, check=True)
    assert system(json.loads(made.stdout)) == MRN
