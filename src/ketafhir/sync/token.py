"""The bearer token of a FHIR server, from an environment variable or a file, never from a configuration."""

from __future__ import annotations

import os
from pathlib import Path

from ketafhir.errors import ConfigError
from ketafhir.private import refuse_exposed


def read_token(*, variable: str | None = None, file: str | Path | None = None, what: str = "token") -> str | None:
    """The token (or `what` else is secret) in the file, else in the variable; None where neither is named.

    Raises ConfigError, without the token, where what is named is not there, empty, or a file open to others.
    """
    if file is not None:
        return _from_file(Path(file), what)
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        raise ConfigError(f"the environment variable {variable} holds no {what}")
    return token


def _from_file(path: Path, what: str) -> str:
    try:
        refuse_exposed(f"{what} file", path)
        token = path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"the {what} file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} file {path} holds no {what}") from error
    if not token:
        raise ConfigError(f"the {what} file {path} is empty")
    return token
