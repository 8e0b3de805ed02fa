"""Wrong input on the command line: one message that says what, where, why and what to do, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RAS = Path(__file__).parents[2] / "examples/stories/b/10-ras-start.hl7"
NOWHERE = "http://127.0.0.1:1/fhir"
MLLP = "mllp://127.0.0.1:1"
CHECK_NAME = "check its name and that its folder is there"
OF_ONE = "it takes one FILE; several are one after the other: cat FILE ... |"

CASES = [
    ("translate missing --to fhir", 2, "missing: No such file or directory; " + CHECK_NAME),
    ("translate folder --to fhir", 2, "folder: Is a directory; name a file, not a folder"),
    ("translate binary --to fhir", 1, "neither HL7v2 (MSH...) nor JSON"),
    ("translate good --to fhir --report no/r.json", 2, "no/r.json: No such file or directory; " + CHECK_NAME),
    ("translate misspelt.json --to hl7v2", 1, "what is read are Patient, Encounter, "),
    ("translate good --to hl7v2 --message ADT^A40", 1, "it is made of a Patient with a link of type replaced-by"),
    ("translate good more --to fhir", 2, "unrecognized arguments: more; " + OF_ONE + " ketafhir translate -"),
    ("translate good --to fhir --mesage X", 2, "--mesage X; `ketafhir translate --help` tells what it takes"),
    ("translate good", 2, "required: --to; `ketafhir translate --help` tells what it takes"),
    ("explain missing", 2, "missing: No such file or directory; " + CHECK_NAME),
    ("explain good more", 2, "unrecognized arguments: more; " + OF_ONE + " ketafhir explain -"),
    ("explain good --html no/p.html", 2, "no/p.html: No such file or directory; " + CHECK_NAME),
    ("explain binary", 1, "binary: it is neither HL7v2 (MSH...) nor JSON (send HL7v2 messages or a FHIR resource)"),
    ("explain empty", 1, "empty: there is no HL7v2 message in the input (send HL7v2 messages or a FHIR resource)"),
    ("explain typo", 1, "typo: MSH: this is no HL7 v2 message: it does not begin with MSH"),
    ("validate missing", 1, "missing: No such file or directory; " + CHECK_NAME),
    ("validate untyped.json", 1, "send a FHIR R4 resource or Bundle"),
    ("validate misspelt.json", 1, "not checked here: Patinet (misspelt, or ask a server)"),
    (f"validate patient.json --server {NOWHERE}", 1, "check the address, and that the server runs"),
    (f"send missing {MLLP}", 2, "missing: No such file or directory; " + CHECK_NAME),
    (f"send binary {MLLP}", 1, "nothing was sent: name a file of messages that begin with MSH"),
    (f"send empty {MLLP}", 1, "empty holds no HL7v2 message: name a file of messages that begin with MSH"),
    (f"send good {MLLP}", 1, "cannot connect to 127.0.0.1:1: nothing listens there"),
    ("tables show NOPE", 1, "`ketafhir tables show` lists them"),
    ("tables export --out good", 1, "good: File exists; choose another name"),
    (f"profiles install --server {NOWHERE}", 1, f"{NOWHERE}: no connection"),
    (
        "config check --config x.toml",
        2,
        "unrecognized arguments: --config; `ketafhir config --help` tells what it takes",
    ),
]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = RAS.read_bytes()
    Path("folder").mkdir()
    for name, data in {
        "good": good, "more": good, "typo": good.replace(b"MSH", b"MSG", 1), "empty": b"", "binary": b"\x7fELF\x02\x01\x00\xd0",
        "misspelt.json": b'{"resourceType":"Patinet","id":"1"}', "untyped.json": b'{"id":"1"}',
        "patient.json": b'{"resourceType":"Patient","id":"1"}',
    }.items():  # fmt: skip
        Path(name).write_bytes(data)


@pytest.mark.parametrize(("words", "status", "told"), CASES, ids=[case[0].split(" --server")[0] for case in CASES])
def test_it_says_what_to_do(words: str, status: int, told: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ketafhir", *words.split()], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert told in ran.stdout + ran.stderr
    assert ran.returncode == status
    assert "Traceback" not in ran.stderr
    assert "Errno" not in ran.stderr
