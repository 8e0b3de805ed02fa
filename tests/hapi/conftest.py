"""A machine whose Java and Maven only act."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_java import Tools

from ketafhir.hapi import server


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    """The stand-ins on the PATH, an empty cache and an empty work directory; no server is left at the end."""
    made = Tools(tmp_path)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KETAFHIR_HOME", str(tmp_path / "home"))
    yield made
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.5)
    server.stop_all()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small copy of the server's sources in place of the real ones."""
    folder = tmp_path / "sources"
    (folder / "src").mkdir(parents=True)
    (folder / "pom.xml").write_text("<project/>")
    (folder / "src" / "Main.java").write_text("class Main {}")
    monkeypatch.setattr("ketafhir.data.path", {"docker/hapi": folder}.__getitem__)
    return folder
