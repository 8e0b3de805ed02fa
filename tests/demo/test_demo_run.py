"""The whole demo against the real FHIR server, with stories whose numbers no other test has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fhir_peer import HapiServer
from ketafhir import cli, data

_AUTHORITIES = re.compile(r"\b(WILLOW|EHR|PHARM|EMAR|MONITOR)\b")


def own_stories(folder: Path, server: HapiServer, letters: str = "abc") -> Path:
    """The stories under authorities of this test's own: other patients, orders and messages, the same figures."""
    mark = server.unique("-").replace("-", "X")
    sources = data.path("stories")
    for source in [
        *(file for letter in letters for file in sorted((sources / letter).iterdir())),
        sources / "damaged.hl7",
    ]:
        place = folder / source.relative_to(sources)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8")
        place.write_text(_AUTHORITIES.sub(rf"\1{mark}", text) if source.suffix == ".hl7" else text, "utf-8")
    return folder


@pytest.mark.hapi
def test_all_agrees(hapi_server: HapiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stories, out = own_stories(tmp_path / "stories", hapi_server), tmp_path / "out"
    status = cli.main(["demo", "--fhir-server", hapi_server.url, "--stories", str(stories), "--out", str(out)])
    told = capsys.readouterr()
    assert status == 0, told.out + told.err
    assert told.err == ""
    for line in (
        "91 messages (5 ADT^A04, 6 ADT^A08, 65 ORU^R01, 13 RAS^O17, 2 RDE^O11)",
        "A  Wren Halloway, SYN-100201: 36.0 mg, 36.0 mL in 40 min running",
        "B  Dorian Vasquez-Lindholm, SYN-100318: 111.2 mg, 111.2 mL in 240 min running, 30 min paused",
        "C  Theodora Quill, SYN-100402: no infusion (candidacy: refused)",
        "order      none",
        "waste      138.8 mg, 138.8 mL at 13:42 by RN-3, witness RN-4",
        "91 messages, 91 AA, byte for byte the first answers",
        "MSA|AE|EMAR",
        "unit-is-rate",
        "patient A still has 36.0 mg",
        "1 RAS^O17, 1 RDE^O11: equal are 6 of 6 RXA and 125 of 125 results (OBX)",
        "All agrees: ",
    ):
        assert line in told.out
    assert told.out.count("resources: no version changed") == 2
    assert sorted(file.name for file in out.iterdir()) == [
        f"{letter}-{name}" for letter in "abc" for name in ("bundle.json", "from-fhir.hl7", "timeline.png")
    ]


@pytest.mark.hapi
def test_a_sum_that_differs_is_named(
    hapi_server: HapiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = own_stories(tmp_path / "stories", hapi_server, "b")
    file = stories / "b" / "expect.json"
    expected = json.loads(file.read_text("utf-8"))
    expected["infusion"]["delivered_ml"] = "110.2"
    file.write_text(json.dumps(expected), "utf-8")
    status = cli.main(
        ["demo", "--fhir-server", hapi_server.url, "--stories", str(stories), "--out", str(tmp_path / "out")]
    )
    told = capsys.readouterr()
    assert status == 1
    assert told.err == "ketafhir demo: B infusion.delivered_ml: expected 110.2, the server has 111.2\n"
    assert "All agrees" not in told.out


@pytest.mark.hapi
def test_an_order_for_the_refused_candidate_is_a_difference(
    hapi_server: HapiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = own_stories(tmp_path / "stories", hapi_server, "c")
    order = (data.path("stories") / "a" / "14-rde-order.hl7").read_text("utf-8")
    (pid,) = (
        line for line in (stories / "c" / "01-adt-a04-screening.hl7").read_text().splitlines() if line[:3] == "PID"
    )
    lines = [pid if line.startswith("PID") else line for line in order.splitlines() if not line.startswith("PV1")]
    mark = hapi_server.unique()
    (stories / "c" / "11-order.hl7").write_text("\n".join(lines).replace("A1", mark) + "\n", "utf-8")
    status = cli.main(
        ["demo", "--fhir-server", hapi_server.url, "--stories", str(stories), "--out", str(tmp_path / "out")]
    )
    told = capsys.readouterr()
    assert status == 1
    assert "C order: expected none, the server has {placer: P-" in told.err


def test_a_message_that_is_refused_ends_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stories" / "x"
    folder.mkdir(parents=True)
    message = (data.path("stories") / "damaged.hl7").read_text("utf-8")
    (folder / "01-bad.hl7").write_text(message, "utf-8")
    (folder / "expect.json").write_text("{}", "utf-8")
    status = cli.main(["demo", "--fhir-server", "http://127.0.0.1:9/fhir", "--stories", str(folder.parent)])
    told = capsys.readouterr()
    assert status == 1
    assert "ketafhir demo: expected AA, the answer is MSA|AE|EMAR-X01" in told.err


def test_no_stories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--stories", str(tmp_path)]) == 1
    assert "no stories in" in capsys.readouterr().err
