"""Every golden case gives, byte for byte, what its folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from golden.cases import ROOT, Outcome, folders

FILES = ("therapy.json", "bundle.json", "out.hl7", "issues.json", "answers.hl7")


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_case(folder: Path) -> None:
    made = Outcome(folder).files
    if os.environ.get("GOLDEN_UPDATE"):
        for name in FILES:
            if name in made:
                (folder / name).write_bytes(made[name])
            else:
                (folder / name).unlink(missing_ok=True)
    for name in FILES:
        path = folder / name
        assert path.is_file() == (name in made), f"{name} of {folder.name}"
        if name in made:
            assert made[name].decode() == path.read_text(encoding="utf-8"), f"{name} of {folder.name}"


def test_refused_cases_write_nothing() -> None:
    for folder in folders():
        if folder.name.startswith("refused"):
            assert Outcome(folder).refused, folder.name
