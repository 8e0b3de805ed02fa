"""An OBX like one read before takes all but its own from it: nothing of another OBX, message, sender or site may come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketafhir import Refused, to_fhir
from ketafhir.fhir.json import dumps
from ketafhir.mapping.tables import Tables
from ketafhir.translate import result_templates, results
from ketafhir.translate.settings import Settings

TABLES = Tables()
HEAD = (
    "MSH|^~\\&|{app}|WILLOW|||20260309084{number}05-0500||ORU^R01^ORU_R01|M{number}|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||SYN-{patient}^^^WILLOW^MR||Halloway^Wren\r"
    "{visit}"
    "OBR|1||VS-{number}^MONITOR|85353-1^Vital signs^LN|||{start}||||||||||||||||||F\r"
)
VISIT = "PV1|1|O|ROOM^1^2^WILLOW||||||||||||||||V-{patient}^^^WILLOW^VN\r"
UNITS = ["mm[Hg]^^UCUM", "/min^^UCUM", "bpm", "", "{score}^^UCUM"]
CODES = [
    "8480-6^Systolic^LN", "8462-4^Diastolic^LN", "8478-0^Mean^LN", "8867-4^Heart rate^LN", "38208-5^Pain severity^LN",
    "X-1^Ours^L", "44261-6^PHQ-9 total^LN", "",
]  # fmt: skip
TIMES = ["20260309084000-0500", "20260309084100-0500", "20260309", "202603090840-0500", "20261309084000-0500", '""', ""]
CELLS = {
    2: ["NM", "NM", "NM", "SN", "ST", "CWE", ""],
    3: CODES,
    4: ["", "1", "2"],
    5: ["80", "81", "72.50", "-1", "007", "1e3", "+5", "high", "", '""', "5~6", ">^5"],
    6: UNITS,
    7: ["", "50-110"],
    8: ["", "N", "H", "H~A", '""'],
    9: ["", "0.5"],
    11: ["F", "C", "D", "X", "", "?"],
    14: TIMES,
    16: ["", "RN-2^Sample^Imre^^^^^^WILLOW", "RN-3^Other^Ada^^^^^^WILLOW"],
    17: ["", "AUTO"],
    18: ["", "M-3^WILLOW", "M-4^WILLOW"],
    19: ["", "20260309084100-0500"],
    21: ["", "ID-1^MONITOR"],
    25: ["", "later"],
}
USUAL = {2: "NM", 3: CODES[3], 5: "80", 6: UNITS[1], 11: "F", 14: TIMES[0], 18: "M-3^WILLOW"}
BELOW = ["", "", "", "NTE|1||checked\r", "PRT|1||AD\r", "ZZZ|1\r"]


@st.composite
def results_of_a_feed(draw: st.DrawFn) -> str:
    """An OBX, most often the usual one with another number, sometimes with other cells and with segments below it."""
    cells = {**USUAL, 3: draw(st.sampled_from(CODES[:4])), 5: draw(st.sampled_from(CELLS[5][:3]))}
    for field in draw(st.lists(st.sampled_from(sorted(CELLS)), max_size=2)):
        cells[field] = draw(st.sampled_from(CELLS[field]))
    fields = [cells.get(field, "") for field in range(2, max(cells) + 1)]
    return "|".join(["OBX", "{set_id}", *fields]) + "\r" + draw(st.sampled_from(BELOW))


@st.composite
def messages_of_a_feed(draw: st.DrawFn) -> tuple[str, int]:
    """A message, and the place of the settings that it is translated with."""
    told = draw(st.lists(results_of_a_feed(), min_size=1, max_size=4))
    values = {
        "app": draw(st.sampled_from(["MONITOR", "MONITOR", "OTHER"])),
        "number": draw(st.integers(0, 9)),
        "patient": draw(st.integers(1, 2)),
        "start": draw(st.sampled_from(["20260309084000-0500", ""])),
    }
    head = HEAD.replace("{visit}", draw(st.sampled_from([VISIT, VISIT, ""])))
    text = head.format(**values) + "".join(one.replace("{set_id}", str(at)) for at, one in enumerate(told, 1))
    return text, draw(st.integers(0, 1))


def fresh() -> list[Settings]:
    return [Settings(TABLES), Settings(TABLES, authorities={"WILLOW": "urn:oid:1.2.3"}, default_authority="WILLOW")]


def outcome(message: str, chosen: Settings) -> tuple[Any, ...]:
    try:
        made = to_fhir(message, settings=chosen)
    except Refused as refusal:
        return (refusal.issues,)
    written = made.json()
    assert written == dumps(made.bundle)
    return written, made.bundle, made.issues, made.losses, made.records


@settings(max_examples=120, deadline=None)
@given(st.lists(messages_of_a_feed(), min_size=2, max_size=5))
def test_a_feed_gives_what_each_message_gives_alone(feed: list[tuple[str, int]]) -> None:
    known = fresh()
    for message, place in feed:
        assert outcome(message, known[place]) == outcome(message, fresh()[place])


def usual(number: int, *changes: dict[int, str]) -> str:
    lines = []
    for at, change in enumerate(changes, 1):
        cells = {**USUAL, **change}
        lines.append("|".join(["OBX", str(at), *(cells.get(field, "") for field in range(2, max(cells) + 1))]) + "\r")
    head = HEAD.replace("{visit}", VISIT)
    return head.format(app="MONITOR", number=number, patient=number, start=TIMES[0]) + "".join(lines)


def test_what_a_monitor_repeats_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Settings(TABLES)
    kinds = [{3: CODES[0]}, {3: CODES[3], 6: UNITS[1]}]
    to_fhir(usual(1, {3: CODES[0], 6: UNITS[0]}, kinds[1]), settings=feed)
    expected = outcome(usual(2, {3: CODES[0], 6: UNITS[0], 5: "7.10"}, {**kinds[1], 14: TIMES[1]}), Settings(TABLES))

    def never(*_: Any) -> None:
        raise AssertionError("this was read before")

    monkeypatch.setattr(results, "read_one", never)
    assert outcome(usual(2, {3: CODES[0], 6: UNITS[0], 5: "7.10"}, {**kinds[1], 14: TIMES[1]}), feed) == expected


OVERLAYS = {
    "the set id is read": ("replace,set-id,OBX-1,Set ID,SI,,reference_range,referenceRange[0].text,string,text,,,ours\n"
                           "remove,range,,,,,,,,,,,\n"),
    "the time is another field": "replace,effective,OBX-19,Time,DTM,,effective,effectiveDateTime,dateTime,datetime,,,ours\n"
                                 "remove,analysed,,,,,,,,,,,\n",
    "a row hangs on the value": "replace,range,OBX-7,Range,ST,IF OBX-5 EQUALS 80,reference_range,referenceRange[0].text,"
                                "string,text,,,ours\n",
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_site_that_reads_number_and_time_otherwise_has_each_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    header = "op,row,v2,v2_name,v2_type,when,domain,fhir,fhir_type,codec,vocab,loss,comment\n"
    (folder / "OBX_to_Observation.csv").write_text(header + OVERLAYS[name])
    tables = Tables(tmp_path)
    feed = Settings(tables)
    for number, change in enumerate(({}, {5: "81", 14: TIMES[1]}, {5: "80"}), 1):
        text = usual(number, {7: "50-110", 19: TIMES[number % 2], **change}, {7: "50-110", **change})
        assert outcome(text, feed) == outcome(text, Settings(tables))
    assert not result_templates.is_usable(tables.mapping("OBX_to_Observation"))
    assert result_templates.is_usable(TABLES.mapping("OBX_to_Observation"))
