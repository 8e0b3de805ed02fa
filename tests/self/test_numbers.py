"""The numbers of the README are those of the tables. DOCS_UPDATE=1 writes them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "readme_numbers.py"


@pytest.fixture(scope="module")
def numbers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_numbers", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_numbers_are_current(numbers: ModuleType) -> None:
    if os.environ.get("DOCS_UPDATE"):
        numbers.write()
    assert numbers.written() == numbers.block(), (
        "run DOCS_UPDATE=1 .venv/bin/python -m pytest tests/self/test_numbers.py"
    )


def test_they_count_what_they_say(numbers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = numbers.block()
    monkeypatch.setattr(numbers, "VERSIONS", ("2.5.1",))
    monkeypatch.setattr(numbers, "READERS", {("RAS", "O17"): None})
    monkeypatch.setattr(numbers, "STRUCTURES", {"RGV^O15": "RGV_O15"})
    monkeypatch.setattr(numbers, "RESPONSES", {"RAS^O17": ("RRA", "O18", "RRA_O18")})
    assert "| message types read | 1 | RAS^O17 |" in numbers.block()
    assert "| message types written | 1 | RGV^O15 |" in numbers.block()
    assert "| answers written by the service | 1 | RRA^O18 |" in numbers.block()
    assert "| versions read | 1 | 2.5.1 |" in numbers.block()
    assert before != numbers.block()
