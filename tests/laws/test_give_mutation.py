"""The mutation law of give instructions: one element changed is exactly the cells of its row changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_every_field import way_back
from test_mutation import TABLES, cells, check_mutations

from golden.cases import ROOT, last_state
from ketafhir.fhir import json
from ketafhir.mapping.tables import Row

NAMES = ("RXG_to_MedicationRequest", "RXG_to_Medication")
# What the identity rests on, and references; drug and strength are judged with all their parts.
SKIPPED = {"give", "drug"}
DERIVED = {"MSH-7", "MSH-10"}
BESIDE = {"over": {"TQ1-7", "TQ1-8"}}  # Timing.repeat holds the bounds of TQ1 too


def held() -> dict[str, Any]:
    lines = (ROOT / "RGV_O15/every-field/bundle.json").read_bytes().splitlines()
    return last_state([json.loads(line) for line in lines])


def target(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    entries = {one["fullUrl"]: one["resource"] for one in bundle["entry"]}
    request = next(one for one in entries.values() if one.get("intent") == "instance-order")
    return request if kind == "MedicationRequest" else entries[request["medicationReference"]["reference"]]


def rows() -> Iterator[Any]:
    for name in NAMES:
        for row in TABLES.table(name).rows:
            if row.path is not None and row.cells and row.name not in SKIPPED:
                yield pytest.param(name.partition("_to_")[2], row, id=f"{name}-{row.name}")


def rxg(bundle: dict[str, Any]) -> dict[str, str]:
    """The cells of the RGV alone."""
    return cells("MSH" + way_back(bundle).text.rpartition("MSH")[2])


@pytest.mark.parametrize(("kind", "row"), list(rows()))
def test_fhir_to_v2(kind: str, row: Row) -> None:
    own = {f"{cell.segment}-{cell.field}" for cell in row.cells} | BESIDE.get(row.name, set())
    check_mutations(row, held(), lambda one: target(one, kind), rxg, own, DERIVED)
