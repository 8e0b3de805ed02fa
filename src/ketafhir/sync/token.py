"""The bearer token of a FHIR server, from an environment variable or a file, never from a configuration."""

from __future__ import annotations

import os
from pathlib import Path

from ketafhir.errors import ConfigError


def read_token(*, variable: str | None = None, file: str | Path | None = None) -> str | None:
    """The token in the file, else in the variable; None where neither is named.

    Raises ConfigError, without the token, where what is named is not there, empty, or a file open to others.
    """
    if file is not None:
        return _from_file(Path(file))
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        raise ConfigError(f"the environment variable {variable} holds no token")
    return token


def _from_file(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigError(f"the token file {path} is open to every user: chmod 600 {path}")
        token = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError(f"the token file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the token file {path} holds no token") from error
    if not token:
        raise ConfigError(f"the token file {path} is empty")
    return token
