"""The pydantic twins agree with the records: what is dumped validates, and what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from golden.cases import ROOT, folders
from ketafhir.errors import Refused
from ketafhir.therapy.asjson import dump, load
from ketafhir.therapy.models import schema, validated
from ketafhir.therapy.records import Records

CASES = [path for path in folders() if (path / "therapy.json").is_file()]


@pytest.mark.parametrize("folder", CASES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_golden_record_validates_and_is_read_back(folder: Path) -> None:
    told = json.loads((folder / "therapy.json").read_text(encoding="utf-8"))
    assert dump(validated(told)) == told
    assert dump(load(Records, told)) == told


def _told() -> Any:
    return json.loads((ROOT / "RAS_O17" / "every-field" / "therapy.json").read_text(encoding="utf-8"))


def test_what_is_wrong_is_named() -> None:
    wrong = copy.deepcopy(_told())
    key, act = next(iter(wrong["administrations"].items()))
    act["rate"]["amount"]["value"] = "a lot"
    act["speed"] = "54"
    with pytest.raises(Refused) as refusal:
        validated(wrong)
    assert {issue.where for issue in refusal.value.issues} == {
        f"administrations.{key}.rate.amount.value",
        f"administrations.{key}.speed",
    }


def test_the_schema_knows_every_record() -> None:
    names = {name.rpartition("__")[2] for name in schema()["$defs"]}
    assert {"Administration", "Order", "Observation", "Patient"} <= names
