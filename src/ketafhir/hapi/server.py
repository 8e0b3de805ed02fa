"""Starting, finding and stopping the embedded FHIR server.

State and logs are kept per server in folders of one work directory: `$KETAFHIR_HOME/fhir-server`, by default
`.ketafhir/fhir-server` under the current directory. Named by port; for port 0, `free-1`, `free-2`, ...
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ketafhir.errors import FhirServerError
from ketafhir.hapi import build, probe
from ketafhir.hapi.java import find_java
from ketafhir.hapi.process import Slot
from ketafhir.hapi.progress import Progress, quiet
from ketafhir.hapi.settings import DEFAULT_PORT, Settings

START_SECONDS = 180.0
_STOP_SECONDS = 20.0
_LAST_WORDS = "fhir-server: "


@dataclass(slots=True, frozen=True)
class Server:
    """A FHIR server: its base URL, and if it is one of ours its process id and log.

    `url` is empty while it starts. `started` is True if this call of `start` made it, False if it was already
    there.
    """

    url: str
    pid: int | None
    log: Path | None
    started: bool = False

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


def work_directory() -> Path:
    """Where servers are remembered when the caller names no place."""
    home = os.environ.get("KETAFHIR_HOME")
    return Path(home) / "fhir-server" if home else Path(".ketafhir", "fhir-server")


def start(
    settings: Settings | None = None,
    *,
    work_dir: Path | None = None,
    timeout: float = START_SECONDS,
    progress: Progress = quiet,
) -> Server:
    """Build if needed, start, and return once requests are answered; a server that is already there is
    returned as it is.

    `timeout` is in seconds and leaves out the build. Raises FhirServerError when Java or Maven is missing,
    the build fails, the port is taken, or nothing answers in time (with the end of the log).
    """
    settings = settings or Settings()
    work = (work_dir or work_directory()).absolute()
    found = _found(settings, work)
    if found is not None:
        return found
    java = find_java()
    jar = build.jar(progress)
    slot, launched = _launch(settings, work, java, jar)
    try:
        url = _wait(slot, timeout, progress)
    except BaseException:
        if launched:
            slot.terminate(patience=1.0)
        raise
    return Server(url, slot.pid(), slot.log, started=launched)


def stop(port: int = DEFAULT_PORT, *, work_dir: Path | None = None) -> bool:
    """Stop the server of ours at `port`, waiting until it has ended; False when there is none."""
    slot = _running_at(port, work_dir)
    return slot is not None and slot.terminate(_STOP_SECONDS)


def stop_all(*, work_dir: Path | None = None) -> int:
    """Stop every server remembered in the work directory; return how many ran."""
    return sum(slot.terminate(_STOP_SECONDS) for slot in _slots(work_dir))


def status(*, work_dir: Path | None = None) -> list[Server]:
    """The servers of the work directory that run, one still starting with an empty `url`."""
    return [Server(slot.url() or "", pid, slot.log) for slot in _slots(work_dir) if (pid := slot.pid()) is not None]


def _found(settings: Settings, work: Path) -> Server | None:
    """The FHIR server that answers at the wanted port, of ours or not."""
    if settings.port == 0:
        return None
    ours = _running_at(settings.port, work)
    pid = ours.pid() if ours else None
    url = (ours.url() if ours else None) or f"{settings.base}/fhir"
    answer = probe.ask(url)
    if answer == "open" and settings.protected:
        raise FhirServerError(f"the server that runs at {url} asks for no token: stop it first")
    if answer == "open" or (answer == "protected" and pid is not None):
        return Server(url, pid, ours.log if ours else None)
    return None


def _launch(settings: Settings, work: Path, java: str, jar: Path) -> tuple[Slot, bool]:
    """The slot of the wanted server, and whether it was launched here, not by another process."""
    try:
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            slot = Slot(work / str(settings.port)) if settings.port else _free_slot(work)
            if slot.pid() is not None:
                return slot, False
            slot.launch(settings.command(java, jar, slot.ready_file), settings.environment())
            return slot, True
    except OSError as error:
        raise FhirServerError(f"the FHIR server cannot be started in {work}: {error}") from error


def _free_slot(work: Path) -> Slot:
    number = 1
    while Slot(work / f"free-{number}").pid() is not None:
        number += 1
    return Slot(work / f"free-{number}")


def _wait(slot: Slot, timeout: float, progress: Progress) -> str:
    begun = time.monotonic()
    while True:
        waited = time.monotonic() - begun
        progress("Starting the FHIR server", waited)
        if slot.pid() is None:
            raise FhirServerError(f"the FHIR server ended while it started: {_reason(slot)}")
        url = slot.url()
        if url is not None and probe.ask(url) in ("open", "protected"):
            return url
        if waited > timeout:
            raise FhirServerError(f"no answer from the FHIR server in {timeout:.0f} s; end of its log:\n{slot.tail()}")
        time.sleep(0.1)


def _reason(slot: Slot) -> str:
    """What the server said last about itself; failing that, the end of its log."""
    lines = [line for line in slot.tail().splitlines() if line.startswith(_LAST_WORDS)]
    reason = lines[-1].removeprefix(_LAST_WORDS) if lines else f"end of its log:\n{slot.tail()}"
    return f"{reason} (its log: {slot.log})"


def _slots(work_dir: Path | None) -> list[Slot]:
    work = (work_dir or work_directory()).absolute()
    return sorted((Slot(file.parent) for file in work.glob("*/pid")), key=lambda slot: slot.folder.name)


def _running_at(port: int, work_dir: Path | None) -> Slot | None:
    return next((slot for slot in _slots(work_dir) if _port(slot) == port and slot.pid() is not None), None)


def _port(slot: Slot) -> int | None:
    url = slot.url()
    if url is not None:
        return urlsplit(url).port
    return int(slot.folder.name) if slot.folder.name.isdigit() else None
