"""What a run writes beside its result: rejected messages that can be mended and sent again, findings and report of many."""

from __future__ import annotations

import json
import re
from pathlib import Path

from test_translate_command import DAMAGED, FEED, STORY, run

from ketafhir.errors import Issue
from ketafhir.fhir.outcome import operation_outcome
from ketafhir.hl7v2.stream import split_messages
from ketafhir.translate.outputs import Findings, Rejects

BROKEN = DAMAGED.strip().replace(b"\r\n", b"\r").replace(b"\n", b"\r")


def test_the_rejects_are_a_batch_file_of_what_came_with_the_reasons(tmp_path: Path) -> None:
    file = tmp_path / "rejects.hl7"
    text = b"PID|1|this is no message|\xff\xfe"
    done = run("-", "--to", "fhir", "--rejects", str(file), data=FEED + b"\r" + DAMAGED + b"\rBTS|1\r" + text)
    assert done.code == 1
    lines = file.read_bytes().split(b"\r")
    assert [line[:3] for line in lines if line[:3] in (b"FHS", b"BHS", b"BTS", b"FTS")] == [
        b"FHS", b"BHS", b"BTS", b"BHS", b"BTS", b"FTS",
    ]  # fmt: skip
    assert lines[-2] == b"FTS|2"
    number = FEED.count(b"MSH|") + 1
    comments = [line.split(b"|")[9].decode() for line in lines if line.startswith(b"BHS")]
    assert comments[0].startswith(f"message {number}: unit-is-rate: segments/RXA_to_MedicationAdministration.csv")
    assert comments[1].startswith(f"message {number + 1}: charset-violated: ")
    found = list(split_messages(file.read_bytes()))
    assert [re.sub(rb"\r?\n", b"\r", one) for one in found] == [BROKEN, text]


def test_they_are_refused_again_as_they_are_and_taken_once_they_are_mended(tmp_path: Path) -> None:
    file, again = tmp_path / "rejects.hl7", tmp_path / "again.hl7"
    assert run("-", "--to", "fhir", "--rejects", str(file), data=FEED + DAMAGED).code == 1
    same = run(str(file), "--to", "fhir", "--rejects", str(again))
    assert (same.code, same.out, same.issues) == (1, b"", [("error", "unit-is-rate")])
    assert again.read_bytes().split(b"\rMSH")[1] == file.read_bytes().split(b"\rMSH")[1]
    unit = b"|mg/h^^UCUM|||"
    assert unit in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(unit, b"|mg^^UCUM|||"))
    mended = run(str(file), "--to", "fhir", "--rejects", str(again))
    assert (mended.code, mended.out.count(b"\n")) == (0, 1)
    assert again.read_bytes() == b""


def test_a_reason_is_one_field_of_ascii(tmp_path: Path) -> None:
    rejects = Rejects(str(tmp_path / "out"))
    rejects.add(b"MSH|x", 3, [Issue("error", "c", "a|b\r\nMSH|^", value="Bj\u00f8rk"), Issue("warning", "w", "w")])
    rejects.close()
    assert (tmp_path / "out").read_bytes().split(b"\r") == [
        b"FHS|^~\\&", rb"BHS|^~\&||||||||message 3: c: a\F\b MSH\F\\S\: 'Bj?rk'", b"MSH|x", b"BTS|1", b"FTS|1", b"",
    ]  # fmt: skip


def test_a_file_that_cannot_be_written_stops_before_anything_is_translated(tmp_path: Path) -> None:
    done = run(str(STORY[0]), "--to", "fhir", "--rejects", str(tmp_path / "no" / "x"))
    assert (done.code, done.out) == (2, b"")


def test_many_findings_are_one_outcome_in_their_order() -> None:
    issues = [Issue("warning", f"c{number}", "line\none") for number in range(2500)]
    findings = Findings()
    for at in range(0, 2500, 100):
        findings.make_room()
        findings.extend(issues[at : at + 100])
    assert len(findings.held) <= 1100
    assert json.loads(b"".join(findings.json())) == operation_outcome(issues)


def test_the_report_of_several_is_an_array_of_one_an_object_of_none_empty(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    run("-", "--to", "fhir", "--report", str(file), data=FEED)
    found = json.loads(file.read_bytes())
    assert [one["message"] for one in found] == list(range(1, FEED.count(b"MSH|") + 1))
    assert file.read_text() == json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    run(str(STORY[0]), "--to", "fhir", "--report", str(file))
    assert json.loads(file.read_bytes()) == found[0]
    run("-", "--to", "fhir", "--report", str(file), data=DAMAGED)
    assert json.loads(file.read_bytes()) == []


def test_a_batch_that_tells_another_count_than_came_is_told() -> None:
    data = b"FHS|^~\\&\rBHS|^~\\&\r" + FEED + b"\rBTS|7\rFTS|1\r"
    came = len(list(split_messages(data)))
    done = run("-", "--to", "fhir", data=data)
    assert done.code == 0
    text = f"BTS-1 tells 7 messages, {came} came"
    assert sum(text in str(one) for one in json.loads(done.err)["issue"]) == 1
