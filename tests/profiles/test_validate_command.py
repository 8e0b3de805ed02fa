"""`ketafhir validate` and `ketafhir profiles package`."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_peer import HapiServer
from golden.cases import ROOT
from ketafhir.cli import main
from ketafhir.profiles import package
from ketafhir.profiles.validate import server_issue
from ketafhir.translate.translation import to_fhir

MESSAGE = (ROOT / "RAS_O17" / "waste-with-witness" / "in.hl7").read_bytes().split(b"MSH|")[1]


def bundle() -> Any:
    return json.loads(to_fhir(b"MSH|" + MESSAGE).json())


def validate(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> tuple[int, list[dict[str, Any]]]:
    status = main(["validate", *words])
    outcome = json.loads(capsysbinary.readouterr().out)
    assert outcome["resourceType"] == "OperationOutcome"
    return status, outcome["issue"]


def test_what_is_written_is_valid(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle()))
    for depth in ("shape", "profile"):
        status, issues = validate(capsysbinary, str(file), "--depth", depth)
        assert (status, [one["severity"] for one in issues]) == (0, ["information"])


def test_a_finding_names_place_profile_and_row(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    spoilt = bundle()
    at, segment = next(
        (number, one["resource"])
        for number, one in enumerate(spoilt["entry"])
        if "rateRatio" in one["resource"].get("dosage", {})
    )
    del segment["dosage"]["rateRatio"]["numerator"]["value"]
    segment["status"] = "banana"
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(spoilt))
    status, issues = validate(capsysbinary, str(file))
    assert status == 1
    found = {one["expression"][0]: one["diagnostics"] for one in issues}
    place = f"Bundle.entry[{at}].resource"
    rate = found[f"{place}.dosage.rateRatio.numerator.value"]
    assert "RXA_to_MedicationAdministration.csv" in rate
    assert "[rate]" in rate
    assert "StructureDefinition/infusion-segment" in rate
    assert "banana" not in found
    assert f"{place}.status" in found


def test_many_resources_on_their_lines(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "many.ndjson"
    file.write_text("\n".join(json.dumps(one["resource"]) for one in bundle()["entry"]))
    assert validate(capsysbinary, str(file))[0] == 0
    file.write_text('{"resourceType":"Patient","name":"x"}\n{"resourceType":"Patient"}\n')
    status, issues = validate(capsysbinary, str(file))
    assert (status, issues[0]["expression"]) == (1, ["Patient.name"])


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"resourceType": 7}', '{"a": 1}'])
def test_what_is_no_resource_is_told(text: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    status, issues = validate(capsysbinary, str(file))
    assert (status, issues[0]["severity"]) == (1, "error")


def test_the_depth_server_needs_a_server(tmp_path: Path) -> None:
    assert main(["validate", "x.json", "--depth", "server"]) == 2
    assert main(["validate", "x.json", "--depth", "shape", "--server", "http://127.0.0.1:1/fhir"]) == 2


def test_nothing_of_a_patient_goes_to_a_public_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It went there unasked."""
    file = tmp_path / "x.json"
    file.write_text('{"resourceType": "Patient"}')
    assert main(["validate", str(file), "--server", "https://HAPI.fhir.org./baseR4"]) == 1
    assert "say --synthetic" in capsys.readouterr().err


def test_a_public_server_is_asked_at_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ketafhir.profiles import validate as module

    asked: list[object] = []
    monkeypatch.setattr(module, "_of_server", lambda resource, url, pace: asked.append(pace) or [])
    file = tmp_path / "x.json"
    file.write_text('{"resourceType": "Patient"}\n' * 2)
    assert main(["validate", str(file), "--server", "https://hapi.fhir.org/baseR4", "--synthetic"]) == 0
    assert asked[0] is not None
    assert asked[0] == asked[1]  # one pace for all
    assert main(["validate", str(file), "--server", "http://127.0.0.1:1/fhir"]) == 0
    assert asked[2] is None


def test_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    given = io.TextIOWrapper(io.BytesIO(b'{"resourceType": "Patient", "gender": "banana"}'))
    monkeypatch.setattr("sys.stdin", given)
    status, issues = validate(capsysbinary, "-")
    assert (status, issues[0]["expression"]) == (1, ["Patient.gender"])


def test_what_a_server_says_has_place_profile_and_row() -> None:
    """HAPI names what stands in an entry by type and id as well."""
    whole = bundle()
    at = next(n for n, one in enumerate(whole["entry"]) if "rateRatio" in one["resource"].get("dosage", {}))
    place = f"Bundle.entry[{at}].resource/*MedicationAdministration/f7e5*/.dosage.rate.ofType(Ratio)"
    told = {"severity": "error", "code": "invalid", "diagnostics": "no", "expression": [place]}
    found = server_issue(whole, told)
    assert found.where == f"Bundle.entry[{at}].resource.dosage.rate.ofType(Ratio)"
    assert "StructureDefinition/infusion-segment" in found.hint
    assert server_issue(whole, {**told, "expression": ["Bundle.entry[999].resource.x"]}).row == ""
    status = server_issue(whole["entry"][at]["resource"], {**told, "expression": ["MedicationAdministration.status"]})
    assert "RXA_to_MedicationAdministration.csv" in status.row


@pytest.mark.hapi
def test_the_depth_server_asks_the_server_as_well(
    hapi_server: HapiServer, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle()))
    assert validate(capsysbinary, str(file), "--server", hapi_server.url)[0] == 0
    file.write_text(json.dumps({"resourceType": "Patient", "gender": "banana"}))
    status, issues = validate(capsysbinary, str(file), "--server", hapi_server.url, "--depth", "server")
    codes = [one["details"]["coding"][0]["code"] for one in issues if one["severity"] == "error"]
    assert status == 1
    assert "profile-value" in codes
    assert any(code.startswith("server-") for code in codes)


def test_the_package_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = package.write(tmp_path / "a"), package.write(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(first.read_bytes())) as archive:
        names = archive.getnames()
        manifest = json.loads(archive.extractfile("package/package.json").read())  # type: ignore[union-attr]
        index = json.loads(archive.extractfile("package/.index.json").read())  # type: ignore[union-attr]
    assert names[0] == "package/package.json"
    assert manifest["fhirVersions"] == ["4.0.1"]
    shown = {name for name in names if name.startswith("package/example/")}
    pages = {name for name in names if name.startswith("package/other/")}
    assert {f"package/{one['filename']}" for one in index["files"]} == set(names[2:]) - shown - pages
    definitions = {one["id"] for one in package.contents() if one["resourceType"] == "StructureDefinition"}
    assert shown == {f"package/example/{one}.json" for one in definitions}
    assert "package/StructureDefinition-infusion-segment.json" in names
    assert "package/CodeSystem-keta.json" in names
