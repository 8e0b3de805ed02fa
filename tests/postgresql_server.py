"""A real PostgreSQL for tests: Debian's programs, a temporary folder, a Unix socket, another user than root."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "autovacuum_naptime": "5s",
}


class Missing(Exception):
    """The programs are not there; the text says what to install."""


@dataclass(slots=True)
class PostgresServer:
    """Started on making; `stop` ends it and removes its folder. `kill` and `start` are a crash and a recovery."""

    folder: Path = field(init=False)
    _programs: Path = field(init=False)
    _user: str | None = field(init=False)
    _process: subprocess.Popen[bytes] | None = None
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._programs = _programs()
        self._user = _other_user()
        self.folder = Path(tempfile.mkdtemp(prefix="ketafhir-postgresql-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        try:
            run = [self._programs / "initdb", "-D", self.folder / "data", "-U", "ketafhir", "-A", "trust", "-E", "UTF8"]
            subprocess.run([*run, "--no-sync", "--locale=C.UTF-8"], check=True, capture_output=True, **self._as())
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def start(self) -> None:
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder, *settings],
                stdout=log, stderr=log, **self._as(),
            )  # fmt: skip
        ready = [self._programs / "pg_isready", "-q", "-h", self.folder]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut would: nothing is shut down."""
        self._end(
            signal.SIGQUIT
        )  # SIGKILL would leave its children; SIGQUIT makes all exit at once, without a checkpoint

    def stop(self) -> None:
        self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self) -> str:
        """A schema of its own, empty, in one database: as good as a database, and made in no time."""
        name = f"t{next(self._numbers)}"
        psql = [self._programs / "psql", "-q", "-h", self.folder, "-U", "ketafhir", "-c", f"CREATE SCHEMA {name}"]
        subprocess.run([*psql, "postgres"], check=True, capture_output=True)
        options = quote(f"-csearch_path={name}", safe="")
        return f"postgresql://ketafhir@/postgres?host={quote(str(self.folder), safe='')}&options={options}"

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def _as(self) -> dict[str, str]:
        return {"user": self._user, "group": self._group(), "cwd": "/"} if self._user else {}

    def _group(self) -> str:
        import grp

        assert self._user is not None
        return grp.getgrgid(pwd.getpwnam(self._user).pw_gid).gr_name


def _programs() -> Path:
    """The folder of the newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres", path=str(Path(on_path).parent)):
        return Path(on_path).parent
    raise Missing("PostgreSQL is missing: apt-get install postgresql")


def _other_user() -> str | None:
    """PostgreSQL does not run as root."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
