"""The server's jar (and that of any Maven project alike): built once per content of its sources, into the user's cache.

The sources may lie in a read-only installation, so they are always copied and built elsewhere. A build
becomes visible by one rename, under a lock, so any number of processes may ask at the same time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ketafhir import data
from ketafhir.errors import FhirServerError
from ketafhir.hapi.java import find_maven
from ketafhir.hapi.progress import Progress, quiet

_SERVER = "fhir-server"
_UNRESOLVED = ("Could not resolve", "Could not transfer", "Could not find artifact", "offline mode")


def jar(progress: Progress = quiet) -> Path:
    """The jar of the sources as they are now, its libraries in `lib` beside it.

    The first call takes the time of a download of some 240 MB. Raises FhirServerError when Maven is missing
    or fails.
    """
    return project_jar(data.path("docker/hapi"), _SERVER, progress)


def project_jar(sources: Path, name: str, progress: Progress = quiet) -> Path:
    """The jar `name`.jar of a Maven project that copies its libraries into `lib`. Raises FhirServerError as `jar`."""
    prefix = "hapi" if name == _SERVER else name
    built = cache_dir() / f"{prefix}-{digest(sources)}"
    made = built / f"{name}.jar"
    if not made.exists():
        find_maven()  # a missing Maven is told at once, not after waiting for another process's build
        with _locked(cache_dir() / f"{prefix}.lock", progress):
            if not made.exists():
                _build(sources, built, progress)
    return made


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/ketafhir`, by default `~/.cache/ketafhir`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ketafhir"


def digest(sources: Path) -> str:
    """A short hash over names and contents of the files in `sources`, without what a build by hand left in
    `target`.
    """
    total = hashlib.sha256()
    for file in sorted(sources.rglob("*")):
        name = file.relative_to(sources)
        if file.is_file() and name.parts[0] != "target":
            content = file.read_bytes()
            total.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]


@contextmanager
def _locked(file: Path, progress: Progress) -> Iterator[None]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("w")
    except OSError as error:
        raise FhirServerError(f"cannot write {file}: {error.strerror} (XDG_CACHE_HOME names another place)") from error
    begun = time.monotonic()
    with handle:  # closing it unlocks, and so does the end of the process
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("Waiting for another build of the FHIR server", time.monotonic() - begun)
                time.sleep(0.3)
        yield


def _build(sources: Path, built: Path, progress: Progress) -> None:
    work = built.with_name(built.name + ".building")
    log = built.with_name(built.name + ".log")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sources, work, ignore=shutil.ignore_patterns("target"))
    command = [find_maven(), "--quiet", "--batch-mode", "--no-transfer-progress", "package"]
    with log.open("w") as output:
        maven = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait(maven, progress)
    except BaseException:  # Ctrl-C: Maven is not left running behind the prompt
        maven.terminate()
        maven.wait()
        raise
    if maven.returncode != 0:
        raise FhirServerError(_failure(log))
    shutil.rmtree(built, ignore_errors=True)
    os.replace(work / "target", built)
    shutil.rmtree(work)


def _wait(maven: subprocess.Popen[bytes], progress: Progress) -> None:
    phase = "Building the FHIR server (the first time, Maven downloads 240 MB)"
    begun = time.monotonic()
    while maven.poll() is None:
        progress(phase, time.monotonic() - begun)
        time.sleep(0.1)


def _failure(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    first = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "Maven said nothing")
    network = any(sign in line for line in lines for sign in _UNRESOLVED)
    hint = "; the first build needs a Maven repository to be reachable" if network else ""
    return f"the FHIR server does not build{hint}: {first.strip()} (all of it: {log})"
