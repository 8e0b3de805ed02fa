"""Who may read a file that holds a token, a password or a key: one rule for all of them.

It belongs to root or to the user of the service; a group may read it and no more (the credentials of systemd and a Secret of
Kubernetes with fsGroup are 0440); others may nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_IMODE

from ketafhir.errors import ConfigError

_OPEN = 0o037  # of the bits of a mode: group beyond reading, others at all


def exposed(file: Path) -> tuple[str, str] | None:
    """What is wrong with who may read or change it, and what to do; None where nothing is. Raises OSError."""
    found = file.stat()
    mode, user = S_IMODE(found.st_mode), os.geteuid()
    if mode & _OPEN:
        return f"is open to other users (mode {mode:04o})", f"chmod 600 {file}, or 640 for a group that is to read it"
    if user and found.st_uid not in (0, user):  # root also looks at files for the user of the service
        return f"belongs to another user (uid {found.st_uid}), who can change it", f"chown {user} {file}"
    return None


def refuse_exposed(what: str, file: Path) -> None:
    """Raises ConfigError where others may read or change it, and OSError where it is not there."""
    problem = exposed(file)
    if problem is not None:
        raise ConfigError(f"the {what} {file} {': '.join(problem)}")
