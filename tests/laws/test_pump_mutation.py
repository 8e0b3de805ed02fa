"""The mutation law of what pumps tell and are told: values (PCD-01), events (PCD-10), alarms (PCD-04), give instructions (PCD-03).

One element changed is exactly the cells of its row changed, and a row that is taken out of its table is missed.
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
