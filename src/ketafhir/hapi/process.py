"""The server as a process of the operating system, and the folder that remembers it.

A folder holds `pid`, `url` (once requests are answered), `server.log` and the log of the run before. Its
`url` file is named in the arguments of the JVM, so that a process id that now belongs to another program is
never taken for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ketafhir.errors import FhirServerError

_children: set[int] = set()  # started by this process, which must reap them


@dataclass(slots=True, frozen=True)
class Slot:
    """One server's folder."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def ready_file(self) -> Path:
        return self.folder / "url"

    def url(self) -> str | None:
        """The base URL of a server that has begun to answer."""
        try:
            return self.ready_file.read_text().strip()
        except FileNotFoundError:
            return None

    def pid(self) -> int | None:
        """The process id, if that process lives and is this server."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._is_this(pid) else None

    def launch(self, command: list[str], environment: dict[str, str]) -> int:
        """Start `command` so that it outlives this process and its terminal; return the process id."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # a log may quote what was sent
        self.ready_file.unlink(missing_ok=True)
        if self.log.exists():
            os.replace(self.log, self.log.with_suffix(".log.1"))
        pid = _spawn(command, environment, self.log)
        while not _gone(pid) and not self._is_this(pid):
            time.sleep(0.01)  # the system shows the arguments of a program a moment after it runs
        (self.folder / "pid").write_text(f"{pid}\n")
        return pid

    def terminate(self, patience: float) -> bool:
        """SIGTERM, and SIGKILL after `patience` seconds; False when nothing ran. Raises FhirServerError if
        not allowed.
        """
        pid = self.pid()
        if pid is not None:
            _signal(pid, signal.SIGTERM)
            if not _wait_gone(pid, patience):
                _signal(pid, signal.SIGKILL)
                _wait_gone(pid, patience)
        for name in ("pid", "url"):
            (self.folder / name).unlink(missing_ok=True)
        return pid is not None

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 200 * lines))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _is_this(self, pid: int) -> bool:
        return f"-Dfhir.server.ready.file={self.ready_file}" in _arguments(pid)


def _spawn(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Run `command` in a session of its own, its output in `log`.

    Not by subprocess, whose Popen objects object to a child that is to live on.
    """
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(command[0], command, environment, file_actions=files, setsid=True)
    _children.add(pid)
    return pid


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise FhirServerError(f"process {pid} belongs to another user, who must stop it") from error


def _wait_gone(pid: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while not _gone(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _gone(pid: int) -> bool:
    """Whether a process has ended and released its files; reaps it if it is a child of this one."""
    if pid in _children:
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            return False
        _children.discard(pid)
        return True
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError) as error:
        # On systems without /proc an existing process is taken to run: its parent reaps it.
        return isinstance(error, ProcessLookupError) or os.path.isdir("/proc/self")
    except PermissionError:
        return False
    return state in ("Z", "X")


def _arguments(pid: int) -> list[str]:
    """The command line of a process; empty for one that does not exist, or is a zombie."""
    if os.path.isdir("/proc/self"):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
