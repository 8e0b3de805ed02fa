"""Data files are found in a checkout and in an installed wheel."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from pathlib import Path

import pytest

from ketafhir import data

ROOT = Path(__file__).resolve().parents[1]


def test_in_a_checkout() -> None:
    assert data.path("mappings") == ROOT / "mappings"
    assert data.path("stories") == ROOT / "examples" / "stories"
    assert data.path("docker/hapi/pom.xml") == ROOT / "docker" / "hapi" / "pom.xml"


def test_in_a_wheel(tmp_path: Path) -> None:
    """Laid out as the wheel's force-include says, every folder is found under the name used for it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for place in included.values():
        (tmp_path / place).mkdir(parents=True)
    copy = tmp_path / "ketafhir" / "data.py"
    shutil.copy(data.__file__, copy)
    spec = importlib.util.spec_from_file_location("data_in_wheel", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {
        module.path(name)
        for name in (
            "mappings",
            "profiles/definitions",
            "profiles/checks.json",
            "profiles/examples/good",
            "profiles/codes.csv",
            "docs/reading-the-record.md",
            "docker/hapi",
            "stories",
        )
    }
    assert found == {tmp_path / place for place in included.values()}


def test_what_is_nowhere_is_told() -> None:
    with pytest.raises(FileNotFoundError, match=r"banana is neither at .*_data/banana nor at .*: the installation"):
        data.path("banana")
