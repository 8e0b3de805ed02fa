"""`ketafhir translate` as a shell sees it: exit code, standard output, and one OperationOutcome on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from elsewhere import bundle, observation, patient, quantity, request

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
STORY = sorted((STORIES / "c").glob("*.hl7"))
FEED = b"".join(file.read_bytes() for file in STORY)
DAMAGED = (STORIES / "damaged.hl7").read_bytes()


class Run(NamedTuple):
    """What a run of the command gave."""

    code: int
    out: bytes
    err: bytes

    @property
    def issues(self) -> list[tuple[str, str]]:
        """Severity and code of each issue of the one OperationOutcome on standard error."""
        outcome = json.loads(self.err)
        assert outcome["resourceType"] == "OperationOutcome"
        coded = [(one["severity"], one["details"].get("coding", [{}])[0].get("code", "")) for one in outcome["issue"]]
        assert coded
        return coded


def run(*words: str, data: bytes = b"", **environment: str) -> Run:
    command = [sys.executable, "-m", "ketafhir", "translate", *words]
    done = subprocess.run(command, input=data, capture_output=True, env={**os.environ, **environment}, check=False)
    return Run(done.returncode, done.stdout, done.stderr)


def fhir(*resources: dict[str, Any]) -> bytes:
    return json.dumps(bundle(patient(), *resources), default=float).encode()


def test_one_message_is_one_bundle_and_all_is_well() -> None:
    done = run(str(STORY[0]), "--to", "fhir")
    assert done.code == 0
    assert json.loads(done.out)["type"] == "transaction"
    assert done.out.count(b"\n") == 1
    assert done.issues == [("information", "")]
    assert run("-", "--to", "fhir", data=STORY[0].read_bytes().rstrip()).out == done.out


def test_several_are_one_line_each_and_the_refused_has_none() -> None:
    count = FEED.count(b"MSH|")
    assert run("-", "--to", "fhir", data=FEED).out.count(b"\n") == count
    done = run("-", "--to", "fhir", data=FEED + DAMAGED)
    assert (done.code, done.out.count(b"\n")) == (1, count)
    assert ("error", "unit-is-rate") in done.issues
    alone = run("-", "--to", "fhir", data=DAMAGED)
    assert (alone.code, alone.out) == (1, b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello", "input-unknown"),
        (b"", "input-unknown"),
        (b'{"resourceType":', "json-syntax"),
        (b"[" * 20_000 + b"]" * 20_000, "json-depth"),
        (b"[1]", "fhir-not-a-resource"),
        (b'{"resourceType":"Bundle","type":"searchset"}', "bundle-empty"),
        (fhir(observation(modifierExtension=[{"url": "urn:x"}])), "modifier-unknown"),
    ],
)
def test_what_is_neither_or_is_refused_writes_nothing(data: bytes, code: str) -> None:
    done = run("-", "--to", "hl7v2", data=data)
    assert (done.code, done.out, done.issues[-1]) == (1, b"", ("error", code))


def test_only_the_message_asked_for() -> None:
    data = fhir(request(), observation())
    assert [line[:3] for line in run("-", "--to", "hl7v2", data=data).out.split(b"\r")].count(b"MSH") == 2
    done = run("-", "--to", "hl7v2", "--message", "ORU^R01", data=data)
    assert done.out.count(b"MSH|") == 1
    assert b"|ORU^R01^ORU_R01|" in done.out
    assert run("-", "--to", "hl7v2", "--message", "RAS^O17", data=data).issues == [("error", "nothing-to-write")]
    assert run("-", "--to", "fhir", "--message", "RAS^O17", data=FEED).code == 2


def test_strict_refuses_what_is_written_as_well() -> None:
    words = request(dosageInstruction=[{"text": "36 mg over 40 min"}])
    assert run("-", "--to", "hl7v2", data=fhir(words)).code == 0
    done = run("-", "--to", "hl7v2", "--strict", data=fhir(words))
    assert (done.code, done.out) == (1, b"")
    assert {("warning", "dose-in-words"), ("error", "strict-missing")} <= set(done.issues)
    route = {"text": "intravenous"}
    dosed = request(dosageInstruction=[{"route": route, "doseAndRate": [{"doseQuantity": quantity("36", "mg")}]}])
    assert run("-", "--to", "hl7v2", "--strict", data=fhir(dosed)).code == 0


def test_strict_says_what_it_could_not_check() -> None:
    text = STORY[0].read_bytes().replace(b"|2.5.1", b"|2.7.1")
    done = run("-", "--to", "fhir", "--strict", data=text)
    assert (done.code, [severity for severity, code in done.issues if code == "strict-unchecked"]) == (
        0,
        ["information"],
    )


def test_the_report_accounts_for_every_field(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert run("-", "--to", "hl7v2", "--report", str(file), data=fhir(request())).code == 0
    report = json.loads(file.read_bytes())
    assert report["mapped"] + report["preserved"] + report["dropped"] == len(report["fields"])
    assert run(str(STORY[0]), "--to", "fhir", "--report", str(tmp_path / "no" / "x")).code == 2


@pytest.mark.parametrize(
    "words",
    [
        [str(STORY[0])], ["/no/such/file", "--to", "fhir"], [str(STORY[0]), "--to", "fhir", "--timezone", "Mars/Olympus"],
        [str(STORY[0]), "--to", "fhir", "--site", "/no/such/site"], [str(STORY[0]), "--to", "xml"],
    ],
)  # fmt: skip
def test_wrong_usage(words: list[str]) -> None:
    assert run(*words).code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_takes_no_more_is_told() -> None:
    command = [sys.executable, "-m", "ketafhir", "translate", str(STORY[0]), "--to", "fhir"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert Run(done.returncode, b"", done.stderr).issues == [("error", "output-failed")]
    done = subprocess.run(f"exec {' '.join(command)} >&-", shell=True, stderr=subprocess.PIPE, check=False)
    assert Run(done.returncode, b"", done.stderr).issues == [("error", "output-failed")]
    assert done.returncode == 1


def test_the_outcome_is_utf_8_on_any_terminal() -> None:
    text = DAMAGED.replace(b"mg/h", "mg/Stündchen".encode())
    done = run("-", "--to", "fhir", data=text, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert "Stündchen" in json.loads(done.err)["issue"][0]["diagnostics"]


def test_the_same_output_whatever_the_seed_of_hashes() -> None:
    data = fhir(request(), observation())
    made = {run("-", "--to", kind, data=data, PYTHONHASHSEED=seed).out for seed in ("0", "77") for kind in ("fhir",)}
    assert len(made) == 1
