"""When the server is built, where, and what is said when it cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_java import Tools

from ketafhir.errors import FhirServerError
from ketafhir.hapi import build, java

TWO_AT_ONCE = "from ketafhir.hapi import build; print(build.jar())"


def test_the_second_call_builds_nothing(tools: Tools, sources: Path) -> None:
    first = build.jar()
    assert first.read_text() == "<project/>"
    assert build.jar() == first
    assert tools.builds() == 1


def test_changed_sources_are_built_again(tools: Tools, sources: Path) -> None:
    first = build.jar()
    (sources / "src" / "Main.java").write_text("class Main { int more; }")
    assert build.jar() != first
    assert tools.builds() == 2


def test_what_a_build_by_hand_leaves_changes_nothing(tools: Tools, sources: Path) -> None:
    before = build.digest(sources)
    (sources / "target").mkdir()
    (sources / "target" / "fhir-server.jar").write_text("old")
    assert build.digest(sources) == before


def test_the_sources_are_not_written_to(tools: Tools, sources: Path) -> None:
    build.jar()
    assert sorted(path.name for path in sources.iterdir()) == ["pom.xml", "src"]


def test_two_processes_build_once(tools: Tools) -> None:
    command = [sys.executable, "-c", TWO_AT_ONCE]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    jars = [process.communicate(timeout=30)[0].strip() for process in both]
    assert jars[0] == jars[1]
    assert Path(jars[0]).exists()
    assert tools.builds() == 1


def test_a_failed_build_names_its_log_and_is_tried_again(
    tools: Tools, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MAVEN_FAILS", "1")
    with pytest.raises(FhirServerError, match=r"repository to be reachable: \[ERROR\] Could not resolve.*\.log\)"):
        build.jar()
    monkeypatch.delenv("FAKE_MAVEN_FAILS")
    assert build.jar().exists()


def test_a_cache_that_cannot_be_written(tools: Tools, sources: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(FhirServerError, match=r"cannot write .*XDG_CACHE_HOME"):
        build.jar()


def test_progress_names_the_phase(tools: Tools, sources: Path) -> None:
    phases: list[str] = []
    build.jar(lambda phase, seconds: phases.append(phase))
    assert set(phases) == {"Building the FHIR server (the first time, Maven downloads 240 MB)"}


def test_missing_maven_names_its_package(tools: Tools, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.remove("mvn")
    monkeypatch.setenv("PATH", str(tools.bin))
    with pytest.raises(FhirServerError, match="apt-get install maven"):
        build.jar()


def test_missing_compiler_names_its_package(tools: Tools, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.remove("javac")
    with pytest.raises(FhirServerError, match="apt-get install default-jdk-headless"):
        build.jar()


def test_missing_java_names_its_package(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FhirServerError, match="apt-get install default-jdk-headless"):
        java.find_java()


def test_java_home_comes_before_the_path(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tools.bin, tmp_path / "jdk" / "bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert java.find_java() == str(tmp_path / "jdk" / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(FhirServerError, match=r"no Java in JAVA_HOME=.*gone"):
        java.find_java()


@pytest.mark.parametrize(("version", "number"), [("1.8.0_412", 8), ("11.0.2", 11), ("17", 17), ("21-ea", 21)])
def test_versions_of_java(tools: Tools, version: str, number: int) -> None:
    tools.java(version)
    assert java.java_version(str(tools.bin / "java")) == number


def test_an_old_java_is_refused(tools: Tools) -> None:
    tools.java("11.0.2")
    with pytest.raises(FhirServerError, match=r"is Java 11, the FHIR server needs 17"):
        java.find_java()
