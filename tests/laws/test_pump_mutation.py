"""The mutation law of what pumps tell and are told: values (PCD-01), events (PCD-10), alarms (PCD-04), give instructions (PCD-03).

One element changed is exactly the cells of its row changed, one cell changed is the element of its row changed (or refused), and
a row that is taken out of its table is missed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from test_every_field import way_back
from test_mutation import cells, changed, edited, leaves, put

from golden.cases import ROOT, last_state
from ketafhir.errors import KetafhirError, Refused
from ketafhir.fhir import json
from ketafhir.hl7v2.stream import split_messages
from ketafhir.mapping.tables import COLUMNS, Row, Tables
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import Settings

CASES = {
    "ORU^R01": ("PCD_01/containment", "158014^MDCX_FLOW_FLUID_PUMP_CURRENT"),
    "ORU^R42": ("ORU_R42/story-b", "MDC_FLOW_FLUID_PUMP_CURRENT"),
    "ORU^R40": ("ORU_R40/occlusion", "MDC_ATTR_ALARM_PRIORITY"),
    "RGV^O15": ("RGV_O15/pcd-03-new-bag-rate-change-bolus", "68063^MDC_ATTR_PT_WEIGHT"),
}
FILLING = {
    7: "0-999", 8: "N^Normal^HL70078", 14: "20260414090500-0500", 16: "RN-3^Sample^Ida^^^^^^WILLOW",
    17: "AMEAS^auto-measurement^MDC", 19: "20260414090501-0500", 20: "LA^Left Arm^HL70163", 21: "OBS-1^PUMPGW",
}  # fmt: skip
# MSH-7 and -10 are made from the content.
DERIVED = {"MSH-7", "MSH-10"}
SKIPPED = {"placer", "filler", "identifier"}  # what the identity rests on: tests of identity
BESIDE = {
    "path": {f"OBX-{field}" for field in range(1, 22)},  # the observations stand in the order of their containment
    "code": {"MSH-9", "MSH-21"},  # an event is known by its code
}
REFERENCES = ("staff", "location", "device")


@cache
def feed(kind: str) -> tuple[str, ...]:
    """The messages of the golden case up to the first of the kind, in which one OBX has every field."""
    case, code = CASES[kind]
    found = []
    for data in split_messages((ROOT / case / "in.hl7").read_bytes().replace(b"\n", b"\r")):
        lines, filled = data.decode().strip("\r").split("\r"), False
        for at, line in enumerate(lines):
            if line.startswith("OBX|") and code in line.split("|")[3] and f"|{kind}" in lines[0] and not filled:
                fields = [*line.split("|"), *[""] * 22][:22]
                filled = True
                for number, text in FILLING.items():
                    fields[number] = fields[number] or text
                lines[at] = "|".join(fields)
        found.append("\r".join(lines) + "\r")
        if filled:
            return tuple(found)
    raise AssertionError(f"{case} has no OBX {code}")


@cache
def plain() -> Tables:
    return Tables()


def bundle_of(messages: tuple[str, ...], tables: Tables) -> dict[str, Any]:
    settings = Settings(tables)
    settings._digest = "tables"
    session = Session(settings)
    return last_state([json.loads(json.dumps(session.take(parse(one)).bundle)) for one in messages])


def out(bundle: dict[str, Any]) -> dict[str, str]:
    """Every cell that is written, of all messages."""
    found: dict[str, str] = {}
    for number, text in enumerate(way_back(bundle).text.split("MSH|")[1:]):
        found.update({f"{number} {place}": cell for place, cell in cells("MSH|" + text).items()})
    return found


def places(names: set[str]) -> set[str]:
    """`OBX-5` of `2 OBX[3]-5`."""
    return {re.sub(r"^\d+ |\[\d+\]", "", name) for name in names}


def tables_of(kind: str) -> list[str]:
    """The tables that read the last message of a feed below PV1."""
    session = Session(Settings(plain()))
    for one in feed(kind):
        step = session.take(parse(one))
    read = {name for account in step.reading.accounts if account.mapping for name in account.mapping.tables}
    return sorted(name for name in read if name[:3] not in ("MSH", "PID", "PV1"))


def filled(bundle: dict[str, Any], row: Row, kind: str) -> Iterator[dict[str, Any]]:
    """The resources that a row has filled."""
    assert row.path is not None
    gives = [one["resource"] for one in bundle["entry"] if one["resource"].get("intent") == "instance-order"]
    told = [one.get("medicationReference", {}).get("reference") for one in gives]
    for entry in bundle["entry"]:
        if row.cells[0].segment == "RXG" and entry["resource"] not in gives and entry["fullUrl"] not in told:
            continue
        if entry["resource"]["resourceType"] == kind and row.path.get(entry["resource"]) not in (None, []):
            yield entry["resource"]


def rows() -> Iterator[Any]:
    for message in CASES:
        bundle = bundle_of(feed(message), plain())
        for name in tables_of(message):
            table = plain().table(name)
            for row in table.rows:
                if row.path and row.cells and row.domain and any(filled(bundle, row, table.resource)):
                    yield pytest.param(message, name, row, id=f"{message}-{name}-{row.name}")


@pytest.mark.parametrize(("message", "name", "row"), list(rows()))
def test_an_element_is_a_cell(message: str, name: str, row: Row) -> None:
    """FHIR -> HL7v2."""
    kind = name.partition("_to_")[2]
    if row.name in SKIPPED or row.codec_name.removeprefix("each:") in REFERENCES:
        pytest.skip("what the identity rests on, or a reference")
    assert row.path is not None
    bundle = bundle_of(feed(message), plain())
    before = out(bundle)
    own = {f"{cell.segment}-{cell.field}" for cell in row.cells}
    beside = own | BESIDE.get(row.name, set())
    arrived = 0
    for at, resource in enumerate(filled(bundle, row, kind)):
        element = row.path.get(resource)
        for path, value in leaves(element[1] if isinstance(element, tuple) else element):
            again = copy.deepcopy(bundle)
            other = list(filled(again, row, kind))[at]
            if path:
                place = row.path.get(other)
                put(place[1] if isinstance(place, tuple) else place, path, edited(path, value))
            else:
                new = edited((row.path.key,), value)
                row.path.put(other, (element[0], new) if isinstance(element, tuple) else new)
            try:
                after = out(again)
            except Refused:
                arrived += 1
                continue
            found = places(changed(before, after)) - DERIVED
            if len(after) == len(before):
                assert found <= beside, (row.place, path, changed(before, after))
            arrived += bool(found & own)
    assert arrived, f"{row.place}: no change arrived"


def other_text(text: str) -> str:
    """Another text of the same form: a last digit, a last minute; of a code its numbers and its names, by any of which a term
    of devices is known."""
    first, _, rest = text.partition("^")
    time = re.fullmatch(r"(\d{8,10})(\d)(\d)(\d{0,2}(?:[+-]\d{4})?)", first)
    if time and len(first) > 8:
        edit = f"{time[1]}{time[2]}{(int(time[3]) + 1) % 10}{time[4]}"
    elif first[-1:].isdigit():
        edit = first[:-1] + str((int(first[-1]) + 1) % 10)
    elif first and first != '""':
        edit = first + "x"
    else:
        return f"{first}^{other_text(rest)}" if rest else "x"
    names = [f"x{one}" if one and at in (0, 2, 3) else one for at, one in enumerate(rest.split("^"))]
    return "^".join([edit, *names]) if rest else edit


def edits(message: str, row: Row) -> Iterator[tuple[str, str]]:
    """The last message of a feed with one cell of a row edited, in each segment that has it: its place, and the message."""
    lines = feed(message)[-1].split("\r")
    for at, line in enumerate(lines):
        fields = line.split("|")
        for cell in row.cells:
            if fields[0] != cell.segment or len(fields) <= cell.field or not fields[cell.field]:
                continue
            parts = fields[cell.field].split("^")
            if cell.component and (len(parts) < cell.component or not parts[cell.component - 1]):
                continue
            if cell.component:
                parts[cell.component - 1] = other_text(parts[cell.component - 1])
                text = "^".join(parts)
            else:
                text = other_text(fields[cell.field])
            edit = [*fields[: cell.field], text, *fields[cell.field + 1 :]]
            yield f"{line[:3]}[{at}]-{cell.text}", "\r".join([*lines[:at], "|".join(edit), *lines[at + 1 :]])


def told(bundle: dict[str, Any]) -> str:
    """All that a Bundle tells, but for who told it and when."""
    entries = [one for one in bundle["entry"] if one["resource"]["resourceType"] != "Provenance"]
    return json.dumps(entries).decode()


def values_of(bundle: dict[str, Any], row: Row, kind: str) -> list[str]:
    assert row.path is not None
    found = (row.path.get(one["resource"]) for one in bundle["entry"] if one["resource"]["resourceType"] == kind)
    return sorted(json.dumps({"value": list(one) if isinstance(one, tuple) else one}).decode() for one in found if one)


@pytest.mark.parametrize(("message", "name", "row"), list(rows()))
def test_a_cell_is_an_element(message: str, name: str, row: Row) -> None:
    """HL7v2 -> FHIR: no edit of a cell is lost, and in one segment at least it is the element of the row that changes."""
    kind = plain().table(name).resource
    before = bundle_of(feed(message), plain())
    arrived = tried = 0
    for place, text in edits(message, row):
        tried += 1
        try:
            after = bundle_of((*feed(message)[:-1], text), plain())
        except Refused:
            arrived += 1
            continue
        assert told(after) != told(before), f"{row.place}: {place} changed, and nothing of what is told"
        arrived += values_of(after, row, kind) != values_of(before, row, kind)
    assert arrived or not tried, f"{row.place}: no change of {tried} arrived"


def test_most_rows_have_a_cell_to_edit() -> None:
    """The law above is not empty."""
    of = {one.values[:2]: 0 for one in rows()}
    for one in rows():
        message, name, row = one.values
        of[message, name] += any(edits(message, row))
    assert sum(of.values()) > 0.7 * len(list(rows()))


@pytest.mark.parametrize("row", ["give", "rate", "dose"])
def test_a_site_without_a_row_of_a_give_has_no_bare_error(row: str, tmp_path: Path) -> None:
    """A site that takes out a row of RXG gets an instruction without it, or a refusal that says why."""
    (tmp_path / "segments").mkdir()
    columns = ["op", *COLUMNS]
    text = ",".join(columns) + "\n" + ",".join(["remove", row, *[""] * (len(columns) - 2)]) + "\n"
    (tmp_path / "segments" / "RXG_to_MedicationRequest.csv").write_text(text)
    made = bundle_of(feed("RGV^O15"), Tables(tmp_path))
    gives = [one["resource"] for one in made["entry"] if one["resource"].get("intent") == "instance-order"]
    assert gives
    assert all(one["identifier"] for one in gives)
    whole = bundle_of(feed("RGV^O15"), plain())
    assert json.dumps(made) != json.dumps(whole)


@pytest.mark.parametrize(("message", "name", "row"), list(rows()))
def test_a_row_that_is_taken_out_is_missed(message: str, name: str, row: Row, tmp_path: Path) -> None:
    """Without a row (op `remove` of a site) the FHIR is another, or nothing is written at all."""
    (tmp_path / "segments").mkdir()
    file = tmp_path / "segments" / f"{name}.csv"
    columns = ["op", *COLUMNS]
    file.write_text(",".join(columns) + "\n" + ",".join(["remove", row.name, *[""] * (len(columns) - 2)]) + "\n")
    whole = json.dumps(bundle_of(feed(message), plain()))
    try:
        without = json.dumps(bundle_of(feed(message), Tables(tmp_path)))
    except (KetafhirError, AttributeError, KeyError, StopIteration, TypeError):
        return
    assert without != whole
